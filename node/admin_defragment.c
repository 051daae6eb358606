/* kv/admin.h: the store's file made smaller, beside reads and writes.
 *
 *   WAITING (for the flush under way) -> COPYING -> FOLLOWING -> switched: the
 *   old file is given back to the disk
 *
 * All but the switch are jobs of the slow lane.  Flushes go on; the last of
 * them before the switch are held back for as long as the follower needs. */

#include <stdlib.h>

#include "base/log.h"
#include "base/must.h"
#include "node/upkeep.h"
#include "store/defragment.h"

#define TELL_NS (INT64_C(5) * 1000000000)

struct defragment_op {
    struct upkeep_op op; /* first */
    struct upkeep *upkeep;
    struct lane_job job;
    struct store_defragment *defragment; /* NULL: not begun */
    bool works;                          /* a job is out */
    bool copied;                         /* COPYING is over */
    bool switched;                       /* what is left is to free the old */
    bool leaves;
    enum status leaves_with;
    int64_t began_ns, told_ns;
    uint64_t size_before;
    enum status status;
    struct fault fault;
};

static struct defragment_op *defragment_of(struct upkeep_op *op)
{
    return container_of(op, struct defragment_op, op);
}

static uint64_t file_size(const struct upkeep *u)
{
    struct store_stats s;
    store_stats(u->node->store, &s);
    return s.size_bytes;
}

static void end(struct defragment_op *d, enum status st)
{
    store_defragment_free(d->defragment);
    d->defragment = NULL;
    upkeep_end(d->upkeep, &d->op, st);
}

static void copy(struct lane_job *job)
{
    struct defragment_op *d = container_of(job, struct defragment_op, job);
    d->status = store_defragment_copy(d->defragment, &d->fault);
}

static void follow(struct lane_job *job)
{
    struct defragment_op *d = container_of(job, struct defragment_op, job);
    d->status = store_defragment_follow(d->defragment, &d->fault);
}

static void worked(struct lane_job *job)
{
    struct defragment_op *d = container_of(job, struct defragment_op, job);
    d->works = false;
    d->copied = true;
    if (d->leaves) {
        end(d, d->leaves_with);
    } else if (d->status != ST_OK) {
        log_warn("the store is not defragmented: %s", d->fault.text);
        end(d, d->status);
    } else if (d->switched) {
        end(d, ST_OK);
    }
}

static void release(struct lane_job *job)
{
    struct defragment_op *d = container_of(job, struct defragment_op, job);
    store_defragment_release(d->defragment);
    d->status = ST_OK;
}

static bool start(struct defragment_op *d, void (*run)(struct lane_job *job))
{
    d->job = (struct lane_job){.run = run, .done = worked};
    const enum status st = lane_run(&d->upkeep->slow, &d->job, &d->fault);
    if (st != ST_OK) {
        log_warn("the store is not defragmented: %s", d->fault.text);
        end(d, st);
        return false;
    }
    d->works = true;
    return true;
}

static void begin(struct upkeep *u, struct upkeep_op *op)
{
    (void)u;
    (void)op; /* the turn begins it */
}

static bool try_begin(struct defragment_op *d)
{
    struct upkeep *u = d->upkeep;
    const enum status st =
        store_defragment_begin(u->node->store, &d->defragment, &d->fault);
    if (st == ST_BUSY) {
        return false; /* after the flush, or the other one */
    }
    if (st != ST_OK) {
        log_warn("the store is not defragmented: %s", d->fault.text);
        end(d, st);
        return true;
    }
    d->size_before = file_size(u);
    d->began_ns = d->told_ns = loop_now_ns();
    log_info("defragmenting the store's file of %llu bytes",
             (unsigned long long)d->size_before);
    return start(d, copy);
}

static void switch_files(struct defragment_op *d)
{
    struct upkeep *u = d->upkeep;
    struct node *n = u->node;
    const enum status st = store_defragment_switch(d->defragment, &d->fault);
    if (st != ST_OK) {
        const struct fault fault = d->fault;
        end(d, st);
        node_fail(n, st, &fault);
        return;
    }
    const uint64_t size = file_size(u);
    log_info("the store's file has %llu bytes instead of %llu, after %.1f s",
             (unsigned long long)size, (unsigned long long)d->size_before,
             (double)(loop_now_ns() - d->began_ns) / 1e9);
    d->switched = true;
    d->job = (struct lane_job){.run = release, .done = worked};
    d->works = lane_run(&u->slow, &d->job, &d->fault) == ST_OK;
    if (!d->works) {
        end(d, ST_OK); /* and the loop waits for the disk */
    }
}

static bool turn(struct upkeep *u, struct upkeep_op *op)
{
    struct defragment_op *d = defragment_of(op);
    if (d->leaves || d->switched) {
        return false;
    }
    if (d->defragment == NULL) {
        return try_begin(d);
    }
    if (store_defragment_is_outrun(d->defragment) && !d->copied) {
        log_warn("the store is not defragmented: it is written to faster than "
                 "it can be copied; try again when there is less to do");
        upkeep_give_up(u, op, ST_TOO_MANY);
        return true;
    }
    if (d->works || !d->copied) {
        return false;
    }
    if (store_defragment_take(d->defragment)) {
        return start(d, follow);
    }
    if (store_defragment_is_ready(d->defragment)) {
        switch_files(d);
        return true;
    }
    return false;
}

static void tick(struct upkeep *u, struct upkeep_op *op, int64_t now_ns)
{
    struct defragment_op *d = defragment_of(op);
    (void)u;
    if (d->defragment != NULL && !d->copied && now_ns - d->told_ns > TELL_NS) {
        uint64_t done, all;
        store_defragment_progress(d->defragment, &done, &all);
        log_info("defragmenting: %llu of about %llu bytes copied",
                 (unsigned long long)done, (unsigned long long)all);
        d->told_ns = now_ns;
    }
}

static void leave(struct upkeep *u, struct upkeep_op *op)
{
    struct defragment_op *d = defragment_of(op);
    d->leaves_with = op->call == NULL ? ST_CANCELED : ST_STOPPED;
    d->leaves = true;
    if (d->works && !lane_withdraw(&u->slow, &d->job)) {
        store_defragment_stop(d->defragment);
        return;
    }
    d->works = false;
    end(d, d->leaves_with);
}

static void free_op(struct upkeep_op *op)
{
    struct defragment_op *d = defragment_of(op);
    store_defragment_free(d->defragment);
    free(d);
}

static const struct upkeep_op_kind defragment_kind = {.begin = begin,
                                                      .leave = leave,
                                                      .turn = turn,
                                                      .tick = tick,
                                                      .free = free_op};

bool upkeep_holds_flushes(const struct upkeep *u)
{
    list_each (link, &u->ops) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (op->kind == &defragment_kind) {
            const struct defragment_op *d = defragment_of(op);
            /* The follower is at work on the last ones: the next would only
             * send it round again. */
            return d->copied && d->works && !d->switched &&
                   !store_is_full(u->node->store);
        }
    }
    return false;
}

void upkeep_defragment(struct admin *a, struct admin_defragment *call)
{
    struct upkeep *u = upkeep_of(a);
    if (upkeep_refuses(u, &call->call)) {
        return;
    }
    struct defragment_op *d = xcalloc(1, sizeof *d);
    d->op.kind = &defragment_kind;
    d->upkeep = u;
    upkeep_add(u, &d->op, &call->call);
}
