/* The life of a parked request.
 *
 *   begin -> asked -> next -> asked -> … -> replied
 *              |                              ^
 *              +-> waiting (in a list) -------+
 *
 * Interrupts and deadlines do not reply by themselves while the store works on
 * the call: they cancel, and the answer that must follow ends it.
 */

#include "fs/call.h"

#include <stdlib.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/handle.h"
#include "fs/listing.h"
#include "fs/mount.h"
#include "fs/replay.h"
#include "fs/target.h"

#define DATA_KEPT_MAX 16384 /* bytes */

/* The request that the store has answered last, or works on. */
static const struct kv_call *answer_of(const struct fs_call *c)
{
    switch (c->asks) {
    case FS_ASKS_RANGE:
        return &c->range.call;
    case FS_ASKS_TXN:
        return &c->txn.call;
    case FS_ASKS_LEASE:
        break;
    }
    return &c->lease.call;
}

static struct kv_call *question_of(struct fs_call *c)
{
    return (struct kv_call *)(uintptr_t)answer_of(c);
}

static void end_early(struct fs_call *c, enum status why)
{
    if (c->early != ST_OK) {
        return;
    }
    c->early = why;
    if (c->asked) {
        kv_cancel(c->fs->kv, question_of(c));
    } else if (!list_is_empty(&c->waiting)) {
        list_remove(&c->waiting);
        fs_reply_status(c, why);
    }
}

void fs_call_refuse(struct fs_call *c)
{
    c->kind = FS_CALL_WRITES;
    end_early(c, ST_NO_LEADER);
}

static void on_deadline(struct fs *fs, struct fs_timer *timer)
{
    (void)fs;
    end_early(container_of(timer, struct fs_call, deadline), ST_TIMEOUT);
}

static void on_interrupt(fuse_req_t req, void *data)
{
    struct fs_call *c = data;
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    if (c->kind == FS_CALL_CLOSES ||
        (c->kind == FS_CALL_WRITES &&
         !c->fs->system.is_dying((uint32_t)ctx->pid))) {
        return; /* bounded by the deadline */
    }
    end_early(c, ST_CANCELED);
}

static struct fs_call *call_new(struct fs *fs)
{
    if (!list_is_empty(&fs->calls_idle)) {
        return container_of(list_pop(&fs->calls_idle), struct fs_call, link);
    }
    struct fs_call *c = xcalloc(1, sizeof *c);
    list_init(&c->link);
    list_init(&c->waiting);
    return c;
}

struct fs_call *fs_call_begin(struct fs *fs, fuse_req_t req,
                              enum fs_call_kind kind)
{
    if (fs->calls_count >= fs->calls_max) {
        (void)fuse_reply_err(req, EAGAIN); /* nothing more to do for it */
        return NULL;
    }
    struct fs_call *c = call_new(fs);
    fs->calls_count++;
    list_push(&fs->calls, &c->link);
    c->fs = fs;
    c->req = req;
    c->kind = kind;
    c->early = ST_OK;
    c->deadline_ns = fs->now_ns + fs->options.timeout_ms * 1000000;
    c->deadline.fire = on_deadline;
    fs_timer_set(fs, &c->deadline, c->deadline_ns);
    fuse_req_interrupt_func(req, on_interrupt, c);
    return c;
}

static void call_free(struct fs_call *c)
{
    fs_target_fini(&c->target);
    fs_target_fini(&c->other);
    buf_fini(&c->guard.below);
    buf_fini(&c->guard.end);
    buf_fini(&c->data);
    free(c);
}

void fs_call_keep(struct fs_call *c, void *memory, void (*release)(void *))
{
    if (c->kept != NULL) {
        c->kept_free(c->kept);
    }
    c->kept = memory;
    c->kept_free = release;
}

/* Gives back all that the call held; the reply has been sent. */
static void call_end(struct fs_call *c)
{
    struct fs *fs = c->fs;
    must(!c->asked);
    must(list_is_empty(&c->waiting));
    fs_timer_stop(fs, &c->deadline);
    fs_timer_stop(fs, &c->look);
    bool unlocked = false;
    for (size_t i = 0; i < count_of(c->locked); i++) {
        if (c->locked[i] != NULL) {
            must(c->locked[i]->mutations_parked > 0);
            c->locked[i]->mutations_parked--;
            fs_node_drop(fs, c->locked[i]);
            unlocked = true;
        }
    }
    if (c->renames) {
        must(fs->renames_parked > 0);
        fs->renames_parked--;
        unlocked = true;
    }
    fs_target_clear(fs, &c->target);
    fs_target_clear(fs, &c->other);
    fs_node_drop(fs, c->node);
    fs_call_keep(c, NULL, NULL);
    list_remove(&c->link);
    fs->calls_count--;

    if (c->data.capacity > DATA_KEPT_MAX) {
        buf_fini(&c->data); /* idle calls are many */
        c->data = (struct buf){.size = 0};
    }
    struct fs_call clean = {.target = c->target, .other = c->other};
    clean.data = c->data;
    clean.guard.below = c->guard.below;
    clean.guard.end = c->guard.end;
    *c = clean;
    list_init(&c->link);
    list_init(&c->waiting);
    list_push(&fs->calls_idle, &c->link);
    if (unlocked) {
        fs_replay_dispatch(fs);
    }
}

/* --- the store --- */

static void answered(struct fs_call *c)
{
    must(c->asked);
    c->asked = false;
    if (c->req == NULL) { /* abandoned */
        struct fs *fs = c->fs;
        call_end(c);
        fs_maybe_destroy(fs);
        return;
    }
    if (c->early != ST_OK && fs_call_status(c) != ST_OK) {
        fs_reply_status(c, c->early);
        return;
    }
    c->next(c);
}

static void range_done(struct kv_call *call)
{
    answered(container_of(call, struct fs_call, range.call));
}

static void txn_done(struct kv_call *call)
{
    answered(container_of(call, struct fs_call, txn.call));
}

static void lease_done(struct kv_call *call)
{
    answered(container_of(call, struct fs_call, lease.call));
}

struct kv_lease *fs_call_lease(struct fs_call *c, enum kv_lease_op op,
                               int64_t id)
{
    must(!c->asked);
    c->lease =
        (struct kv_lease){.call = {.done = lease_done}, .op = op, .id = id};
    c->asks = FS_ASKS_LEASE;
    return &c->lease;
}

struct kv_range_spec *fs_call_range(struct fs_call *c)
{
    must(!c->asked);
    c->range = (struct kv_range){.call = {.done = range_done}};
    c->asks = FS_ASKS_RANGE;
    return &c->range.spec;
}

struct kv_txn_spec *fs_call_txn(struct fs_call *c)
{
    must(!c->asked);
    c->txn = (struct kv_txn){.call = {.done = txn_done}};
    c->txn.spec.compares = c->compares;
    c->txn.spec.success = c->success;
    c->txn.spec.failure = c->failure;
    c->asks = FS_ASKS_TXN;
    return &c->txn.spec;
}

void fs_call_ask(struct fs_call *c, void (*next)(struct fs_call *c))
{
    struct fs *fs = c->fs;
    if (c->early != ST_OK) {
        fs_reply_status(c, c->early);
        return;
    }
    const int64_t left_ns = c->deadline_ns - fs->now_ns;
    struct kv_call *call = question_of(c);
    call->timeout_ms = left_ns > 1000000 ? left_ns / 1000000 : 1;
    c->next = next;
    c->asked = true;
    switch (c->asks) {
    case FS_ASKS_RANGE:
        kv_range(fs->kv, &c->range);
        break;
    case FS_ASKS_TXN:
        kv_txn(fs->kv, &c->txn);
        break;
    case FS_ASKS_LEASE:
        kv_lease(fs->kv, &c->lease);
        break;
    }
}

enum status fs_call_status(const struct fs_call *c)
{
    return answer_of(c)->status;
}

int64_t fs_call_revision(const struct fs_call *c)
{
    return answer_of(c)->header.revision;
}

/* --- waiting for others --- */

void fs_call_wait(struct fs_call *c, struct list *in,
                  void (*next)(struct fs_call *c))
{
    must(list_is_empty(&c->waiting));
    if (c->early != ST_OK) {
        fs_reply_status(c, c->early);
        return;
    }
    c->next = next;
    list_push(in, &c->waiting);
}

void fs_call_wake_one(struct fs_call *c)
{
    must(!list_is_empty(&c->waiting));
    list_remove(&c->waiting);
    c->next(c);
}

void fs_call_wake(struct list *waiters)
{
    struct list now;
    list_init(&now);
    list_splice(&now, waiters); /* whoever waits again waits for the next */
    while (!list_is_empty(&now)) {
        fs_call_wake_one(container_of(now.next, struct fs_call, waiting));
    }
}

void fs_call_locks(struct fs_call *c, struct fs_node *n)
{
    for (size_t i = 0; i < count_of(c->locked); i++) {
        if (c->locked[i] == NULL) {
            c->locked[i] = fs_node_hold(n);
            n->mutations_parked++;
            return;
        }
    }
    unreachable("a call keeps two locks at most");
}

void fs_call_locks_once(struct fs_call *c, struct fs_node *n)
{
    if (c->locked[0] != n && c->locked[1] != n) {
        fs_call_locks(c, n);
    }
}

void fs_call_hold_node(struct fs_call *c, struct fs_node *n)
{
    must(c->node == NULL);
    c->node = fs_node_hold(n);
}

/* --- replies --- */

void fs_reply_errno(struct fs_call *c, int error)
{
    (void)fuse_reply_err(c->req, error); /* it may have been aborted */
    call_end(c);
}

void fs_reply_status(struct fs_call *c, enum status st)
{
    /* A read that found no quorum is not a question of writability. */
    if (c->kind == FS_CALL_READS &&
        (st == ST_NO_LEADER || st == ST_NOT_LEADER)) {
        st = ST_TIMEOUT;
    }
    fs_reply_errno(c, status_errno(st));
}

void fs_reply_entry(struct fs_call *c, struct fs_node *n)
{
    struct fuse_entry_param entry;
    fs_entry_of(c->fs, n, &entry);
    n->lookups++;
    (void)fs_node_hold(n);
    if (fuse_reply_entry(c->req, &entry) != 0) {
        n->lookups--;
    }
    fs_node_drop(c->fs, n);
    call_end(c);
}

void fs_reply_attr(struct fs_call *c, const struct stat *attr)
{
    (void)fuse_reply_attr(c->req, attr, fs_cache_s(c->fs));
    call_end(c);
}

void fs_reply_write(struct fs_call *c, size_t size)
{
    (void)fuse_reply_write(c->req, size);
    call_end(c);
}

void fs_reply_xattr(struct fs_call *c, size_t size)
{
    (void)fuse_reply_xattr(c->req, size);
    call_end(c);
}

void fs_reply_bytes(struct fs_call *c, struct bytes b)
{
    (void)fuse_reply_buf(c->req, (const char *)b.data, b.size);
    call_end(c);
}

static void fill_file(struct fs_call *c, struct fs_handle *h)
{
    c->file.fh = (uint64_t)(uintptr_t)h;
    c->file.direct_io = 1;
    c->file.keep_cache = 0;
    /* No POSIX locks are offered that a close would have to drop. */
    c->file.noflush = !h->writes;
}

void fs_reply_open(struct fs_call *c, struct fs_handle *h)
{
    fill_file(c, h);
    if (fuse_reply_open(c->req, &c->file) != 0) {
        fs_handle_release(h);
    }
    call_end(c);
}

void fs_reply_opendir(struct fs_call *c, struct fs_listing *l)
{
    c->file.fh = (uint64_t)(uintptr_t)l;
    if (fuse_reply_open(c->req, &c->file) != 0) {
        fs_listing_free(c->fs, l);
    }
    call_end(c);
}

void fs_reply_create(struct fs_call *c, struct fs_node *n, struct fs_handle *h)
{
    struct fuse_entry_param entry;
    fs_entry_of(c->fs, n, &entry);
    fill_file(c, h);
    n->lookups++;
    if (fuse_reply_create(c->req, &entry, &c->file) != 0) {
        n->lookups--; /* the handle still holds the node */
        fs_handle_release(h);
    }
    call_end(c);
}

void fs_call_replied(struct fs_call *c)
{
    call_end(c);
}

/* --- the end --- */

void fs_calls_abandon(struct fs *fs)
{
    struct list left;
    list_init(&left);
    list_splice(&left, &fs->calls);
    struct list *at;
    while ((at = list_pop(&left)) != NULL) {
        struct fs_call *c = container_of(at, struct fs_call, link);
        list_push(&fs->calls, &c->link);
        if (c->req == NULL) {
            continue;
        }
        (void)fuse_reply_err(c->req, ENOTCONN); /* the session is at its end */
        c->req = NULL;
        list_remove(&c->waiting);
        if (!c->asked) {
            call_end(c);
        } else if (c->early == ST_OK) {
            c->early = ST_STOPPED; /* `answered` ends it */
            kv_cancel(fs->kv, question_of(c));
        }
    }
}

void fs_calls_fini(struct fs *fs)
{
    struct list *at;
    must(list_is_empty(&fs->calls));
    while ((at = list_pop(&fs->calls_idle)) != NULL) {
        call_free(container_of(at, struct fs_call, link));
    }
}
