/* The feed: the watch on everything that is shown.
 *
 * Batches (one revision each) are handled in order; one that has to ask the
 * store holds up those behind it.  When replays fall behind, the watch is given
 * up and taken up again where it was: the store keeps the changes meanwhile.
 */

#include "fs/events.h"

#include <stdlib.h>

#include "base/must.h"
#include "fs/changes.h"
#include "fs/mount.h"

#define BATCHES_MAX 1024
#define OWN_MAX     65536 /* then the oldest is told as somebody else's */
#define REWATCH_NS  20000000LL

struct own {
    struct list link;
    int64_t revision;
    struct buf made, moved;
};

struct fs_feed {
    struct fs *fs;
    struct kv_watch watch;
    struct buf end;
    bool watching, paused;
    int64_t next_revision;
    int64_t missed; /* up to this revision, to a compaction; 0: nothing */
    struct fs_timer again;
    struct list own; /* struct own, in order of revision */
    size_t own_count;
    const char *trouble; /* why the watch ended; NULL: it did not */
    struct list batches;
    size_t batches_count;
    bool draining;
};

static void begin_watch(struct fs_feed *feed);

static void own_free(struct fs_feed *feed, struct own *o)
{
    list_remove(&o->link);
    feed->own_count--;
    buf_fini(&o->made);
    buf_fini(&o->moved);
    free(o);
}

void fs_events_own(struct fs *fs, int64_t revision, struct bytes made,
                   struct bytes moved)
{
    struct fs_feed *feed = fs->feed;
    if (feed->own_count == OWN_MAX) {
        own_free(feed, container_of(feed->own.next, struct own, link));
    }
    feed->own_count++;
    struct own *o = xcalloc(1, sizeof *o);
    list_init(&o->link);
    o->revision = revision;
    buf_append(&o->made, made);
    buf_append(&o->moved, moved);
    struct list *at = fs->feed->own.prev;
    while (at != &fs->feed->own &&
           container_of(at, struct own, link)->revision > revision) {
        at = at->prev;
    }
    list_insert_before(at->next, &o->link);
}

/* Marks the batch when this mount made its revision. */
static void find_own(struct fs_feed *feed, struct fs_batch *b)
{
    list_each_safe (at, &feed->own) {
        struct own *o = container_of(at, struct own, link);
        if (o->revision > b->revision) {
            break;
        }
        if (o->revision == b->revision) {
            b->own = true;
            buf_append(&b->made, buf_bytes(&o->made));
            buf_append(&b->moved, buf_bytes(&o->moved));
        }
        own_free(feed, o);
    }
}

/* --- batches --- */

static void drain(struct fs_feed *feed);

static void batch_ready(struct fs_batch *b)
{
    struct fs *fs = b->fs;
    struct fs_feed *feed = fs->feed;
    must(feed->batches.next == &b->link);
    list_remove(&b->link);
    feed->batches_count--;
    fs_batch_replay(b);
    fs_overtake_forget(fs, b->revision);
    fs_batch_free(b);
    drain(feed);
    /* Batches that nobody here wants leave without any helper's report. */
    fs_events_resume(fs);
}

static bool is_behind(const struct fs_feed *feed)
{
    return feed->batches_count >= BATCHES_MAX ||
           (feed->fs->replay != NULL && feed->fs->replay->queued >= FS_OPS_MAX);
}

static void drain(struct fs_feed *feed)
{
    if (feed->draining) {
        return; /* further up on the stack */
    }
    feed->draining = true;
    while (!list_is_empty(&feed->batches)) {
        struct fs_batch *b =
            container_of(feed->batches.next, struct fs_batch, link);
        if (b->asked) {
            break;
        }
        fs_batch_probe(b, batch_ready);
    }
    feed->draining = false;
}

static void take_revision(struct fs_feed *feed, const struct kv_event *events,
                          size_t count, int64_t revision)
{
    struct fs_batch *b = fs_batch_new(feed->fs, events, count, revision);
    find_own(feed, b);
    if (feed->fs->replay == NULL) {
        fs_batch_free(b); /* the inode table is all there is to care for */
        return;
    }
    list_push(&feed->batches, &b->link);
    feed->batches_count++;
}

static void on_events(struct kv_watch *watch, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    struct fs_feed *feed = container_of(watch, struct fs_feed, watch);
    (void)header;
    feed->trouble = NULL;
    for (size_t i = 0; i < count;) {
        const int64_t revision = events[i].item.mod_revision;
        size_t end = i + 1;
        while (end < count && events[end].item.mod_revision == revision) {
            end++;
        }
        take_revision(feed, events + i, end - i, revision);
        feed->next_revision = revision + 1;
        i = end;
    }
    drain(feed);
    if (is_behind(feed) && feed->watching) {
        kv_unwatch(feed->fs->kv, &feed->watch);
        feed->watching = false;
        feed->paused = true;
    }
}

/* --- the watch --- */

static void on_again(struct fs *fs, struct fs_timer *timer)
{
    (void)timer;
    begin_watch(fs->feed);
}

static void on_end(struct kv_watch *watch, enum status why,
                   int64_t compact_revision)
{
    struct fs_feed *feed = container_of(watch, struct fs_feed, watch);
    feed->watching = false;
    if (why == ST_STOPPED) {
        return;
    }
    feed->trouble = status_text(why);
    if (why == ST_COMPACTED && feed->next_revision < compact_revision) {
        /* What happened in between is gone for good. */
        feed->next_revision = compact_revision;
        feed->missed = compact_revision - 1;
    }
    fs_timer_set(feed->fs, &feed->again, feed->fs->now_ns + REWATCH_NS);
}

static void begin_watch(struct fs_feed *feed)
{
    struct fs *fs = feed->fs;
    static const uint8_t zero[1];
    const struct bytes prefix = buf_bytes(&fs->prefix);
    const bool all = bytes_equal(prefix, bytes_of("/"));
    feed->watch = (struct kv_watch){
        .keys = {.key = all ? (struct bytes){zero, 1} : prefix,
                 .end = all ? (struct bytes){zero, 1} : buf_bytes(&feed->end)},
        .start_revision = feed->next_revision,
        .on_events = on_events,
        .on_end = on_end};
    feed->watching = true;
    feed->paused = false;
    kv_watch(fs->kv, &feed->watch);
}

const char *fs_watch_trouble(const struct fs *fs)
{
    return fs->feed == NULL ? NULL : fs->feed->trouble;
}

int64_t fs_events_told(struct fs *fs)
{
    struct fs_feed *feed = fs->feed;
    int64_t told = feed->next_revision - 1;
    if (fs->kv->ops->watched == NULL) {
        return INT64_MAX; /* it does not say, and nothing is moved there */
    }
    if (feed->watching) {
        const int64_t watched = kv_watched(fs->kv, &feed->watch);
        told = watched > told ? watched : told;
    }
    return told;
}

bool fs_events_are_past(const struct fs *fs, int64_t revision)
{
    const struct fs_feed *feed = fs->feed;
    return feed->batches_count == 0 && feed->next_revision > revision;
}

int64_t fs_events_missed(const struct fs *fs)
{
    return fs->feed->missed;
}

void fs_events_resume(struct fs *fs)
{
    struct fs_feed *feed = fs->feed;
    if (feed != NULL && feed->paused && feed->batches_count == 0 &&
        fs->replay->queued < FS_OPS_MAX / 2) {
        begin_watch(feed);
    }
}

void fs_events_init(struct fs *fs)
{
    struct fs_feed *feed = xcalloc(1, sizeof *feed);
    struct kv_status status;
    feed->fs = fs;
    feed->again.fire = on_again;
    list_init(&feed->own);
    list_init(&feed->batches);
    fs_path_end(buf_bytes(&fs->prefix), &feed->end);
    kv_status(fs->kv, &status);
    feed->next_revision = status.header.revision + 1;
    fs->feed = feed;
    begin_watch(feed);
}

void fs_events_fini(struct fs *fs)
{
    struct fs_feed *feed = fs->feed;
    if (feed == NULL) {
        return;
    }
    if (feed->watching) {
        kv_unwatch(fs->kv, &feed->watch);
    }
    fs_timer_stop(fs, &feed->again);
    while (!list_is_empty(&feed->own)) {
        own_free(feed, container_of(feed->own.next, struct own, link));
    }
    struct list *at;
    while ((at = list_pop(&feed->batches)) != NULL) {
        struct fs_batch *b = container_of(at, struct fs_batch, link);
        if (b->asked) {
            b->abandoned = true; /* freed by its answer */
            kv_cancel(fs->kv, &b->txn.call);
            fs->batches_abandoned++;
        } else {
            fs_batch_free(b);
        }
    }
    buf_fini(&feed->end);
    free(feed);
    fs->feed = NULL;
}

/* --- what this mount did --- */

static struct fs_op *op_on_node(struct fs *fs, enum fs_op_type type,
                                struct fs_node *n)
{
    struct buf below = {.size = 0};
    buf_append(&below, fs_node_key(n));
    buf_append_byte(&below, '/');
    const bool value = fs_node_find(fs, true, buf_bytes(&below)) != NULL;
    buf_fini(&below);
    struct fs_op *op = fs_op_new(fs, type, fs_node_key(n), true, value);
    if (op != NULL) {
        op->node = fs_node_hold(n);
        op->item.ino = n->ino;
        op->revision = n->revision;
    }
    return op;
}

void fs_events_published(struct fs *fs, struct fs_node *n,
                         enum fs_publish_cause cause)
{
    if (fs->replay == NULL || n->gone || n->displaced) {
        return;
    }
    const enum fs_op_type type = cause != FS_PUBLISH_LATE ? FS_OP_TRUNCATE
                                 : fs->options.events == FS_EVENTS_RENAME
                                     ? FS_OP_REPLACE
                                     : FS_OP_MODIFY;
    fs_replay_add(fs, op_on_node(fs, type, n));
}

void fs_events_unmade(struct fs *fs, struct fs_node *n)
{
    struct fs_op *op =
        fs->replay == NULL ? NULL : op_on_node(fs, FS_OP_UNLINK, n);
    if (op != NULL) {
        fs_replay_add_own(fs, op);
    }
}

void fs_events_refresh(struct fs *fs, struct fs_node *n)
{
    const bool shared = n->handles.next != n->handles.prev;
    if (fs->replay == NULL || n->gone || n->displaced || n->refresh_queued ||
        !shared) {
        return;
    }
    struct fs_op *op = op_on_node(fs, FS_OP_STAT, n);
    if (op != NULL) {
        n->refresh_queued = true;
        fs_replay_add(fs, op);
    }
}
