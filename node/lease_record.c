/* Checkpoints: what a change of leader will find in the log (lease.h).
 *
 * One for each turn at most, save where there is too much for one; without
 * aged or touched leases none at all.
 */

#include "base/must.h"
#include "node/replica_internal.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* How much the lease clock says now: never more than has passed. */
static int64_t clock_ms(const struct replica *r)
{
    const struct leases *t = &r->leases;
    return lease_add_ns(t->epoch_ms, (lease_now(r) - t->epoch_ns) / NS_PER_MS);
}

/* A deadline on it: never less than is left. */
static int64_t deadline_ms(const struct replica *r, const struct lease *l)
{
    const struct leases *t = &r->leases;
    const int64_t from_epoch_ns =
        l->deadline.at > t->epoch_ns ? l->deadline.at - t->epoch_ns : 0;
    return lease_add_ns(t->epoch_ms, from_epoch_ns / NS_PER_MS + 1);
}

/* Leases of a TTL that is not longer than the interval need no deadline: they
 * live on for no longer without one. */
static bool needs_deadline(const struct lease *l)
{
    return l->ttl_s > LEASE_AGE_NS / NS_PER_S;
}

/* The head of the list whose turn has come to age. */
static struct lease *next_to_age(struct replica *r)
{
    struct leases *t = &r->leases;
    while (!list_is_empty(&t->fresh)) {
        struct lease *l = container_of(t->fresh.next, struct lease, link);
        if (lease_now(r) - l->renewed_ns < LEASE_AGE_NS) {
            return NULL;
        }
        if (needs_deadline(l) && !l->revoking) {
            return l;
        }
        list_remove(&l->link); /* as if renewed: it is looked at again then */
    }
    return NULL;
}

struct batch {
    struct store_lease list[LEASE_RECORDS_MAX];
    struct lease *leases[LEASE_RECORDS_MAX];
    size_t count, touched_count;
};

/* Takes leases off their lists, the touched ones first. */
static void gather(struct replica *r, struct batch *b)
{
    struct leases *t = &r->leases;
    b->count = 0;
    while (b->count < LEASE_RECORDS_MAX && !list_is_empty(&t->touched)) {
        struct lease *l =
            container_of(list_pop(&t->touched), struct lease, link);
        b->list[b->count] = (struct store_lease){.id = l->id};
        b->leases[b->count++] = l;
    }
    b->touched_count = b->count;
    struct lease *l;
    while (b->count < LEASE_RECORDS_MAX && (l = next_to_age(r)) != NULL) {
        list_remove(&l->link);
        b->list[b->count] =
            (struct store_lease){.id = l->id, .deadline_ms = deadline_ms(r, l)};
        b->leases[b->count++] = l;
    }
}

/* It is in the log of this term: applied sooner or later, or the table goes. */
static void note_proposed(struct replica *r, struct batch *b)
{
    struct leases *t = &r->leases;
    for (size_t i = 0; i < b->count; i++) {
        struct lease *l = b->leases[i];
        if (i < b->touched_count) {
            l->record = LEASE_REFRESHING;
            l->batch = t->batch;
            list_push(&t->refreshing, &l->link);
        } else {
            l->record = LEASE_AGED;
            t->aged_count++;
        }
    }
    t->ticked_ns = lease_now(r);
    t->clock_moves = true;
}

static void put_back(struct replica *r, struct batch *b)
{
    struct leases *t = &r->leases;
    for (size_t i = b->count; i > 0; i--) {
        struct lease *l = b->leases[i - 1];
        struct list *head = i <= b->touched_count ? &t->touched : &t->fresh;
        list_insert_before(head->next, &l->link);
    }
}

/* False when the log did not take it. */
static bool propose(struct replica *r, struct batch *b)
{
    struct leases *t = &r->leases;
    const struct store_stamp stamp = {.time_ns = r->clock.wall_ns,
                                      .ticket = t->batch + 1,
                                      .member = r->options.member_id};
    buf_clear(&r->command);
    store_encode_lease_checkpoint(&stamp, t->term, clock_ms(r), b->list,
                                  b->count, &r->command);
    struct payload *payload = payload_copy_of(buf_bytes(&r->command));
    const bool taken = lease_propose(r, &payload, 1);
    payload_drop(payload);
    if (!taken) {
        put_back(r, b);
        return false;
    }
    t->batch++;
    note_proposed(r, b);
    return true;
}

static bool clock_is_due(const struct replica *r)
{
    const struct leases *t = &r->leases;
    return t->aged_count > 0 && !t->clock_moves &&
           lease_now(r) - t->ticked_ns >= LEASE_AGE_NS;
}

void lease_checkpoint(struct replica *r)
{
    must(r->leases.leads);
    if (list_is_empty(&r->leases.touched) && next_to_age(r) == NULL &&
        !clock_is_due(r)) {
        return;
    }
    struct batch *b = xmalloc(sizeof *b);
    do {
        gather(r, b);
    } while (propose(r, b) && b->count == LEASE_RECORDS_MAX);
    free(b);
}

void lease_recorded(struct replica *r, uint64_t batch)
{
    struct leases *t = &r->leases;
    t->clock_moves = batch < t->batch;
    while (!list_is_empty(&t->refreshing)) {
        struct lease *l = container_of(t->refreshing.next, struct lease, link);
        if (l->batch > batch) {
            break;
        }
        list_remove(&l->link);
        l->record = LEASE_FRESH;
        list_push(&t->fresh, &l->link);
    }
    t->waiting_due = true;
}
