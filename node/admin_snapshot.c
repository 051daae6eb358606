/* kv/admin.h: the state as a file's bytes, piece by piece.
 *
 * A piece is read while the caller uses the one before: two buffers.  The
 * caller sets the pace; one that stands still is given up, since LMDB cannot
 * use freed pages again while the view is held. */

#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/must.h"
#include "node/upkeep.h"
#include "store/backup.h"

#define CHUNK_BYTES   ((size_t)32 << 10)
#define IDLE_NS       (INT64_C(60) * 1000000000)
#define SNAPSHOTS_MAX 8

struct snapshot_op {
    struct upkeep_op op; /* first */
    struct upkeep *upkeep;
    struct lane_job job;
    bool reads; /* a job is out: `next` and the backup are its */
    bool leaves;
    struct store_backup *backup;

    struct buf piece; /* being given out ... */
    size_t given;     /* ... this much of it */
    uint64_t remaining;
    bool piece_is_last;
    struct buf next;
    bool next_is_there, next_is_last;
    bool wanted; /* the caller is ready for a chunk */
    int64_t moved_ns;
    enum status status;
    struct fault fault;
};

static struct snapshot_op *snapshot_of(struct upkeep_op *op)
{
    return container_of(op, struct snapshot_op, op);
}

static void read_next(struct lane_job *job)
{
    struct snapshot_op *s = container_of(job, struct snapshot_op, job);
    s->status =
        store_backup_next(s->backup, &s->next, &s->next_is_last, &s->fault);
}

static void was_read(struct lane_job *job)
{
    struct snapshot_op *s = container_of(job, struct snapshot_op, job);
    s->reads = false;
    s->next_is_there = s->status == ST_OK;
    if (s->leaves) {
        upkeep_end(s->upkeep, &s->op, ST_STOPPED);
    } else if (s->status != ST_OK) {
        log_error("a snapshot ends: %s", s->fault.text);
        upkeep_end(s->upkeep, &s->op, s->status);
    }
}

static void begin_reading(struct snapshot_op *s)
{
    struct fault fault;
    s->job = (struct lane_job){.run = read_next, .done = was_read};
    const enum status st = lane_run(&s->upkeep->pieces, &s->job, &fault);
    if (st != ST_OK) {
        log_error("a snapshot cannot be read: %s", fault.text);
        s->leaves = true;
        upkeep_end(s->upkeep, &s->op, st);
        return;
    }
    s->reads = true;
}

static void begin(struct upkeep *u, struct upkeep_op *op)
{
    struct snapshot_op *s = snapshot_of(op);
    struct timespec now;
    struct fault fault;
    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    const enum status st = store_backup_begin(
        u->node->store, now.tv_sec * INT64_C(1000000000) + now.tv_nsec,
        &s->backup, &fault);
    if (st != ST_OK) {
        log_error("a snapshot cannot be taken: %s", fault.text);
        upkeep_end(u, op, st);
        return;
    }
    s->moved_ns = loop_now_ns();
    s->wanted = true;
    begin_reading(s);
}

static void leave(struct upkeep *u, struct upkeep_op *op)
{
    struct snapshot_op *s = snapshot_of(op);
    if (s->reads && !lane_withdraw(&u->pieces, &s->job)) {
        s->leaves = true;
        return;
    }
    s->reads = false;
    upkeep_end(u, op, ST_STOPPED);
}

static void free_op(struct upkeep_op *op)
{
    struct snapshot_op *s = snapshot_of(op);
    store_backup_free(s->backup);
    buf_fini(&s->piece);
    buf_fini(&s->next);
    free(s);
}

/* The next piece takes the place of the one that was given out. */
static void exchange(struct snapshot_op *s)
{
    const struct buf empty = s->piece;
    s->piece = s->next;
    s->next = empty;
    buf_clear(&s->next);
    s->given = 0;
    s->piece_is_last = s->next_is_last;
    s->next_is_there = false;
    s->remaining = store_backup_remaining(s->backup);
    if (!s->piece_is_last) {
        begin_reading(s);
    }
}

static bool give(struct upkeep *u, struct upkeep_op *op)
{
    struct snapshot_op *s = snapshot_of(op);
    if (!s->wanted || op->call == NULL || s->leaves) {
        return false;
    }
    if (s->given == s->piece.size) {
        if (s->piece_is_last) {
            upkeep_end(u, op, ST_OK);
            return true;
        }
        if (!s->next_is_there) {
            return false;
        }
        exchange(s);
        if (s->leaves) {
            return true;
        }
    }
    struct admin_snapshot *call =
        container_of(op->call, struct admin_snapshot, call);
    struct bytes chunk = bytes_after(buf_bytes(&s->piece), s->given);
    if (chunk.size > CHUNK_BYTES) {
        chunk.size = CHUNK_BYTES;
    }
    s->given += chunk.size;
    s->wanted = false;
    const uint64_t left = s->piece.size - s->given;
    call->on_chunk(call, chunk, left + s->remaining);
    return true;
}

static void tick(struct upkeep *u, struct upkeep_op *op, int64_t now_ns)
{
    struct snapshot_op *s = snapshot_of(op);
    if (!s->wanted && op->call != NULL && now_ns - s->moved_ns > IDLE_NS) {
        log_warn("a snapshot ends: its reader has not moved for a minute");
        upkeep_give_up(u, op, ST_TIMEOUT);
    }
}

static const struct upkeep_op_kind snapshot_kind = {.begin = begin,
                                                    .leave = leave,
                                                    .turn = give,
                                                    .tick = tick,
                                                    .free = free_op};

void upkeep_snapshot_next(struct admin *a, struct admin_snapshot *call)
{
    (void)a;
    struct upkeep_op *op = call->call.state;
    if (op != NULL && op->kind == &snapshot_kind) {
        snapshot_of(op)->wanted = true;
        snapshot_of(op)->moved_ns = loop_now_ns();
    }
}

void upkeep_snapshot(struct admin *a, struct admin_snapshot *call)
{
    struct upkeep *u = upkeep_of(a);
    size_t count = 0;
    list_each (link, &u->ops) {
        const struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        count += op->kind == &snapshot_kind && op->call != NULL;
    }
    if (upkeep_refuses(u, &call->call)) {
        return;
    }
    if (count >= SNAPSHOTS_MAX) {
        upkeep_finish(u, &call->call, ST_TOO_MANY);
        return;
    }
    struct snapshot_op *s = xcalloc(1, sizeof *s);
    s->op.kind = &snapshot_kind;
    s->upkeep = u;
    upkeep_add(u, &s->op, &call->call);
}
