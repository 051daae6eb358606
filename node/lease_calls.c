/* kv_ops.lease: what is asked here.
 *
 *   grant, revoke    writes: through the log, as transactions are
 *   keepalive, TTL   questions to the leader, wherever it is
 *   list             a read of the local state, behind a read index
 */

#include <stdlib.h>

#include "base/log.h"
#include "base/must.h"
#include "node/replica_internal.h"

#define NS_PER_S INT64_C(1000000000)

void leases_init(struct replica *r)
{
    struct leases *t = &r->leases;
    *t = (struct leases){.budget = LEASE_REVOKES_TICK};
    prng_init(&t->prng, hash_u64(r->options.seed ^ UINT64_C(0x6c65617365)));
    list_init(&t->fresh);
    list_init(&t->touched);
    list_init(&t->refreshing);
    list_init(&t->queued);
    list_init(&t->asked);
    list_init(&t->confirming);
    list_init(&t->waiting);
    list_init(&t->forwarded);
    list_init(&t->answered);
    list_init(&t->replies);
}

void leases_fini(struct replica *r)
{
    struct leases *t = &r->leases;
    lease_return_questions(r); /* others'; ours are gone with their calls */
    lease_drop_table(r);
    lease_forget_replies(r);
    hmap_fini(&t->by_id);
    free(t->ids);
}

struct pending *lease_call_of(struct lease_question *q)
{
    must(q->from == 0);
    return container_of(q, struct pending, question);
}

static struct kv_lease *lease_of(const struct pending *p)
{
    must(p->kind == PENDING_LEASE);
    return container_of(p->call, struct kv_lease, call);
}

/* A cluster's clients may renew a lease as late as it takes to elect a leader
 * and some: etcd's least TTL is one and a half election timeouts. */
static int64_t ttl_min_s(const struct replica *r)
{
    const int64_t ns =
        (3 * (int64_t)r->options.election_ticks / 2) * r->options.tick_ns;
    const int64_t s = (ns + NS_PER_S - 1) / NS_PER_S;
    return s > 1 ? s : 1;
}

/* --- submission --- */

static void ask(struct replica *r, struct kv_lease *lease)
{
    struct pending *p = replica_submit(r, &lease->call, PENDING_LEASE, false,
                                       replica_may_serve(r));
    if (p->place == PENDING_FINISHED) {
        return;
    }
    p->question = (struct lease_question){
        .number = p->ticket, .op = lease->op, .id = lease->id};
    list_init(&p->question.link);
    list_push(&r->leases.queued, &p->question.link);
    pending_set_asking(&r->pending, p);
}

static enum status may_write(struct replica *r, const struct kv_lease *lease)
{
    if (lease->op == KV_LEASE_GRANT && lease->ttl_s > KV_LEASE_TTL_MAX) {
        return ST_LEASE_TTL_TOO_LARGE;
    }
    const enum status st = replica_may_serve(r);
    return st == ST_OK ? replica_has_leader(r) : st;
}

void lease_submit(struct kv *kv, struct kv_lease *lease)
{
    struct replica *r = container_of(kv, struct replica, kv);
    lease->result = (struct kv_lease_result){0};
    switch (lease->op) {
    case KV_LEASE_GRANT:
    case KV_LEASE_REVOKE:
        (void)replica_submit(r, &lease->call, PENDING_LEASE, true,
                             may_write(r, lease));
        return;
    case KV_LEASE_KEEPALIVE:
    case KV_LEASE_TTL:
        ask(r, lease);
        return;
    case KV_LEASE_LIST:
        (void)replica_submit(r, &lease->call, PENDING_LEASE, false,
                             replica_may_serve(r));
        return;
    }
    (void)replica_submit(r, &lease->call, PENDING_LEASE, false, ST_INVALID);
}

/* --- writes --- */

/* A positive id that is not in use as far as is known here; apply decides. */
static enum status choose_id(struct replica *r, int64_t *ret)
{
    struct store_lease stored;
    struct fault fault;
    bool found = true;
    while (found) {
        *ret = (int64_t)(prng_next(&r->leases.prng) >> 1);
        if (*ret != 0) {
            const enum status st =
                store_lease(r->store, *ret, &found, &stored, &fault);
            if (st != ST_OK) {
                log_error("a lease cannot be looked up: %s", fault.text);
                return st;
            }
        }
    }
    return ST_OK;
}

static enum status encode_grant(struct replica *r,
                                const struct store_stamp *stamp,
                                const struct kv_lease *lease)
{
    const int64_t least_s = ttl_min_s(r);
    int64_t id = lease->id;
    enum status st = r->disk_full && store_is_full(r->store)
                         ? ST_NO_SPACE
                         : store_check_room_for_lease(r->store);
    if (st == ST_OK && id == 0) {
        st = choose_id(r, &id);
    }
    if (st == ST_OK) {
        store_encode_lease_grant(
            stamp, id, lease->ttl_s > least_s ? lease->ttl_s : least_s,
            &r->command);
    }
    return st;
}

enum status lease_encode(struct replica *r, const struct store_stamp *stamp,
                         struct pending *p)
{
    const struct kv_lease *lease = lease_of(p);
    if (lease->op == KV_LEASE_GRANT) {
        const enum status st = encode_grant(r, stamp, lease);
        if (st == ST_NO_SPACE) {
            replica_note_full(r);
        }
        return st;
    }
    must(lease->op == KV_LEASE_REVOKE);
    store_encode_lease_revoke(stamp, lease->id, 0, &r->command);
    return ST_OK;
}

void lease_written(struct pending *p, const struct store_outcome *outcome)
{
    lease_of(p)->result =
        (struct kv_lease_result){.id = outcome->lease_id,
                                 .ttl_s = outcome->lease_ttl_s,
                                 .granted_ttl_s = outcome->lease_ttl_s};
}

/* --- questions --- */

void lease_complete(struct replica *r, struct lease_question *q)
{
    struct pending *p = lease_call_of(q);
    struct kv_lease *lease = lease_of(p);
    struct fault fault;
    enum status st = ST_OK;
    lease->result = (struct kv_lease_result){
        .id = lease->id, .ttl_s = q->ttl_s, .granted_ttl_s = q->granted_ttl_s};
    if (lease->op == KV_LEASE_TTL && lease->with_keys && q->granted_ttl_s > 0) {
        store_results_clear(r->results);
        st = store_lease_keys(r->store, lease->id, r->results,
                              &lease->result.keys, &lease->result.keys_count,
                              &fault);
        if (st != ST_OK) {
            log_error("a lease's keys cannot be read: %s", fault.text);
        }
    }
    p->call->header = replica_header(r);
    pending_done(&r->pending, p, st);
}

/* --- lists --- */

struct listed {
    int64_t ends; /* in the order in which they end */
    int64_t id;
};

static int by_end(const void *a, const void *b)
{
    const struct listed *x = a;
    const struct listed *y = b;
    if (x->ends != y->ends) {
        return x->ends < y->ends ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The leader's own knowledge; elsewhere what the log says, which may be older
 * by a checkpoint. */
static int64_t end_of(const struct replica *r, const struct store_lease *s)
{
    const struct lease *l = lease_known(r, s->id);
    if (l != NULL) {
        return l->revoking ? 0 : l->deadline.at;
    }
    const int64_t left_ms =
        s->deadline_ms == 0 ? s->ttl_s * 1000
                            : s->deadline_ms - store_lease_clock_ms(r->store);
    return left_ms <= 0
               ? 0
               : lease_add_ns(lease_now(r), left_ms > INT64_MAX / 1000000
                                                ? INT64_MAX
                                                : left_ms * 1000000);
}

static enum status gather(struct replica *r, struct listed **ret,
                          size_t *ret_count, struct fault *reterr)
{
    struct store_lease slice[256];
    size_t count = 0, got = count_of(slice);
    int64_t from = 0;
    struct listed *list =
        xmalloc((store_leases_count(r->store) + 1) * sizeof *list);
    while (got == count_of(slice)) {
        const enum status st =
            store_leases(r->store, from, slice, count_of(slice), &got, reterr);
        if (st != ST_OK) {
            free(list);
            return st;
        }
        for (size_t i = 0; i < got; i++) {
            must(count < store_leases_count(r->store));
            list[count++] = (struct listed){end_of(r, &slice[i]), slice[i].id};
        }
        if (got > 0) {
            from = (int64_t)((uint64_t)slice[got - 1].id + 1);
            got = from == 0 ? 0 : got;
        }
    }
    *ret = list;
    *ret_count = count;
    return ST_OK;
}

enum status lease_list(struct replica *r, struct pending *p,
                       struct fault *reterr)
{
    struct leases *t = &r->leases;
    struct listed *list;
    size_t count;
    const enum status st = gather(r, &list, &count, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (count > 1) {
        qsort(list, count, sizeof *list, by_end);
    }
    if (count > t->ids_capacity) {
        t->ids_capacity = count;
        t->ids = xrealloc(t->ids, count * sizeof *t->ids);
    }
    for (size_t i = 0; i < count; i++) {
        t->ids[i] = list[i].id;
    }
    free(list);
    lease_of(p)->result =
        (struct kv_lease_result){.ids = t->ids, .ids_count = count};
    return ST_OK;
}
