/* Publishing a draft: one transaction, one revision.
 *
 *   attempt -> committed                             -> over
 *        ^      |
 *        |      +-> the value is another by now: lay the draft over that one
 *        +-------------------------------------------+
 *        |      +-> the file is not there: wait until the watch has told
 *        +-------------- it was moved ---------------+-> it is gone
 *
 * Each attempt compares that the key still lives the life that was opened, so
 * that what was deleted does not come back; unless the draft replaces the whole
 * value, also that the value is the one it was laid over.  A file that nobody
 * can reach any more takes its draft with it, as an unlinked file does.
 *
 * Whether it was there when it was opened may have been presumed.  A
 * publication that succeeds proves it, since a life has no gaps.  One that
 * finds the file gone knows only if the same leader led all the while; if not,
 * the close fails.
 */

#include "base/must.h"
#include "fs/events.h"
#include "fs/handle.h"
#include "fs/mount.h"
#include "fs/target.h"

#define LOOK_NS 1000000LL /* how often it is seen how far the watch is */

static void attempt(struct fs_handle *h);

static void over(struct fs_handle *h, enum status st)
{
    struct fs *fs = h->fs;
    struct fs_publication *p = &h->publication;
    must(p->running);
    p->running = false;
    p->waits = false;
    fs_timer_stop(fs, &p->deadline);
    fs_timer_stop(fs, &p->told);
    h->outcome = st;
    h->failed = st != ST_OK;
    fs_call_wake(&h->waiters);

    /* The waiters may have begun the next one. */
    if (!h->released || p->running) {
        return;
    }
    struct fs_node *n = fs_node_hold(h->node);
    must(n->closing > 0);
    n->closing--;
    fs_handle_free(h);
    if (n->closing == 0) {
        fs_call_wake(&n->waiters);
    }
    fs_node_drop(fs, n);
}

/* The draft has become `value`, which is pinned from now on. */
static void settle(struct fs_handle *h, struct bytes value, int64_t revision)
{
    payload_drop(h->pinned);
    h->pinned = value.size > 0 ? payload_copy_of(value) : NULL;
    h->pinned_revision = revision;
    payload_drop(h->publication.doubt);
    h->publication.doubt = NULL;
    h->presumed_term = 0;
    fs_draft_reset(&h->draft);
    fs_timer_stop(h->fs, &h->idle);
}

/* Nobody can reach the file: only this handle sees what it wrote.  Unless it
 * may have been gone, and perhaps made again, before it was opened. */
static void lose(struct fs_handle *h)
{
    struct kv_status status;
    kv_status(h->fs->kv, &status);
    if (h->presumed_term != 0 && h->presumed_term != status.header.raft_term) {
        over(h, ST_TIMEOUT);
        return;
    }
    struct buf content = h->draft.content;
    h->draft.content = (struct buf){.size = 0};
    settle(h, buf_bytes(&content), h->pinned_revision);
    buf_fini(&content);
    over(h, ST_OK);
}

/* The watch has told all that happened while the file was not where it was
 * looked for. */
static void told(struct fs_handle *h)
{
    struct fs *fs = h->fs;
    struct fs_node *n = h->node;
    const struct fs_publication *p = &h->publication;
    const bool stays =
        n->displaced ? n->left <= p->tells
                     : !n->gone && n->revision <= p->tells &&
                           bytes_equal(fs_node_key(n), buf_bytes(&p->key));
    if (stays && n->revision <= fs_events_missed(fs)) {
        over(h, ST_IO); /* it may have been moved: nobody can say */
        return;
    }
    if (stays) {
        fs_node_end(fs, n, p->tells);
    }
    attempt(h);
}

static void on_look(struct fs *fs, struct fs_timer *timer)
{
    struct fs_handle *h =
        container_of(timer, struct fs_handle, publication.told);
    struct fs_publication *p = &h->publication;
    if (fs_events_told(fs) < p->tells) {
        fs_timer_set(fs, &p->told, fs->now_ns + LOOK_NS);
        return;
    }
    p->waits = false;
    told(h);
}

/* As of `revision` the file is not where it was known to be. */
static void wait_until_told(struct fs_handle *h, int64_t revision)
{
    struct fs_publication *p = &h->publication;
    p->tells = revision;
    p->waits = true;
    p->told.fire = on_look;
    fs_timer_set(h->fs, &p->told, h->fs->now_ns);
}

static void committed(struct fs_handle *h, const struct kv_item *item,
                      int64_t revision)
{
    struct fs *fs = h->fs;
    struct fs_publication *p = &h->publication;
    if (h->node->pending) {
        fs_node_publish(fs, h->node, item, revision);
    } else if (!h->node->gone) {
        fs_node_update(fs, h->node, item, revision);
    }
    settle(h, buf_bytes(&p->merged), item->mod_revision);
    fs_events_own(fs, item->mod_revision, BYTES_NONE, BYTES_NONE);
    fs_events_published(fs, h->node, p->cause);
    over(h, ST_OK);
}

/* The compares did not hold: what is there instead? */
static void refused(struct fs_handle *h, const struct kv_item *item,
                    int64_t revision)
{
    struct fs *fs = h->fs;
    struct fs_node *n = h->node;
    struct fs_publication *p = &h->publication;
    if (n->gone || n->displaced || n->revision > revision ||
        !bytes_equal(fs_node_key(n), buf_bytes(&p->key))) {
        attempt(h); /* it was renamed meanwhile, perhaps back, or removed */
        return;
    }
    if (n->pending) {
        if (item == NULL) {
            attempt(h); /* whoever created it has removed it again */
            return;
        }
        /* Somebody else created it first: as if this open had come later. */
        struct fs_node *other = fs_node_find_ino(fs, fs_ino_of(item));
        if (other == NULL) {
            fs_node_publish(fs, n, item, revision);
        } else {
            fs_node_join(fs, n, other);
            n = fs_node_of_item(fs, item, revision);
        }
    } else if (item == NULL || (item->create_revision != n->create_revision &&
                                fs_ino_of(item) != n->ino)) {
        wait_until_told(h, revision);
        return;
    }
    if (p->doubt != NULL && bytes_equal(item->value, payload_bytes(p->doubt))) {
        /* The attempt of unknown outcome did take place. */
        buf_clear(&p->merged);
        buf_append(&p->merged, item->value);
        committed(h, item, revision);
        return;
    }
    fs_node_update(fs, n, item, revision);
    payload_drop(h->pinned);
    h->pinned = item->value.size > 0 ? payload_copy_of(item->value) : NULL;
    h->pinned_revision = item->mod_revision;
    attempt(h);
}

static void failed(struct fs_handle *h, enum status st)
{
    struct fs_publication *p = &h->publication;
    if ((st == ST_TIMEOUT || st == ST_CANCELED) && h->draft.appended) {
        payload_drop(p->doubt);
        p->doubt = payload_copy_of(buf_bytes(&p->merged));
    }
    over(h, p->cancelled ? ST_TIMEOUT : st);
}

static void attempt_done(struct kv_call *call)
{
    struct fs_handle *h =
        container_of(call, struct fs_handle, publication.txn.call);
    const struct kv_txn_result *r = &h->publication.txn.result;
    if (h->fs->stopping) {
        h->publication.running = false;
        fs_maybe_destroy(h->fs);
        return;
    }
    if (call->status != ST_OK) {
        failed(h, call->status);
        return;
    }
    if (h->publication.cancelled && !r->succeeded) {
        over(h, ST_TIMEOUT); /* no further attempt */
        return;
    }
    const struct kv_range_result *range =
        &r->results[r->succeeded ? 1 : 0].range;
    const struct kv_item *item =
        range->items_count > 0 ? &range->items[0] : NULL;
    if (!r->succeeded) {
        refused(h, item, call->header.revision);
    } else {
        must(item != NULL); /* it was put by this very transaction */
        committed(h, item, call->header.revision);
    }
}

static void attempt(struct fs_handle *h)
{
    struct fs *fs = h->fs;
    struct fs_node *n = h->node;
    struct fs_publication *p = &h->publication;
    must(p->running);
    if (n->gone) {
        lose(h);
        return;
    }
    buf_clear(&p->key);
    buf_append(&p->key, fs_node_key(n));
    if (n->displaced) {
        wait_until_told(h, n->left);
        return;
    }
    fs_draft_merge(&h->draft, payload_bytes(h->pinned), &p->merged);
    if (p->merged.size > fs_value_size_max(fs, buf_bytes(&p->key))) {
        over(h, ST_TOO_LARGE);
        return;
    }
    const struct kv_keys key = {.key = buf_bytes(&p->key)};
    p->compares[0] =
        (struct kv_compare){.keys = key,
                            .target = KV_COMPARE_CREATE,
                            .number = n->pending ? 0 : n->create_revision};
    p->compares[1] = (struct kv_compare){
        .keys = key, .target = KV_COMPARE_MOD, .number = h->pinned_revision};
    p->success[0] = (struct kv_op){.type = KV_OP_PUT,
                                   .put = {.key = key.key,
                                           .value = buf_bytes(&p->merged),
                                           .keep_lease = true}};
    p->success[1] = fs_op_key(key);
    p->failure[0] = (struct kv_op){.type = KV_OP_RANGE, .range = {.keys = key}};
    const int64_t left_ns = p->deadline_ns - fs->now_ns;
    p->txn = (struct kv_txn){
        .call = {.done = attempt_done,
                 .timeout_ms = left_ns > 1000000 ? left_ns / 1000000 : 1},
        .spec = {.compares = p->compares,
                 .compares_count =
                     n->pending || fs_draft_replaces(&h->draft) ? 1 : 2,
                 .success = p->success,
                 .success_count = 2,
                 .failure = p->failure,
                 .failure_count = 1}};
    kv_txn(fs->kv, &p->txn);
}

static void on_deadline(struct fs *fs, struct fs_timer *timer)
{
    struct fs_handle *h =
        container_of(timer, struct fs_handle, publication.deadline);
    h->publication.cancelled = true;
    if (h->publication.waits) {
        over(h, ST_TIMEOUT);
    } else {
        kv_cancel(fs->kv, &h->publication.txn.call);
    }
}

void fs_publish(struct fs_handle *h, enum fs_publish_cause cause)
{
    struct fs *fs = h->fs;
    struct fs_publication *p = &h->publication;
    must(!p->running);
    fs_draft_begin(&h->draft, payload_bytes(h->pinned)); /* a bare creation */
    p->running = true;
    p->cancelled = false;
    p->cause = cause;
    p->deadline_ns = fs->now_ns + fs->options.timeout_ms * 1000000;
    p->deadline.fire = on_deadline;
    fs_timer_set(fs, &p->deadline, p->deadline_ns);
    fs_timer_stop(fs, &h->idle);
    attempt(h);
}

void fs_publish_abandon(struct fs_handle *h)
{
    struct fs_publication *p = &h->publication;
    fs_timer_stop(h->fs, &p->deadline);
    fs_timer_stop(h->fs, &p->told);
    if (p->running && p->waits) {
        p->running = false;
    } else if (p->running) {
        kv_cancel(h->fs->kv, &p->txn.call);
    }
}
