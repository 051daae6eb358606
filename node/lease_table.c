/* The leader's table: from what the log says to deadlines, and back to nothing.
 *
 * A take-over counts from the moment at which an entry of the new term was
 * applied here: whatever another leader promised is in the log by then, or was
 * promised for a time that begins before.
 */

#include <stdlib.h>

#include "base/must.h"
#include "node/replica_internal.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t lease_now(const struct replica *r)
{
    return r->clock.now_ns - r->leases.pauses_ns;
}

struct lease *lease_known(const struct replica *r, int64_t id)
{
    for (struct hmap_node *n =
             hmap_first(&r->leases.by_id, hash_u64((uint64_t)id));
         n != NULL; n = hmap_next(n)) {
        struct lease *l = container_of(n, struct lease, by_id);
        if (l->id == id) {
            return l;
        }
    }
    return NULL;
}

static int64_t ttl_ns(int64_t ttl_s)
{
    must(ttl_s >= 1 && ttl_s <= KV_LEASE_TTL_MAX);
    return ttl_s * NS_PER_S; /* 9e18 at most */
}

static struct lease *insert(struct replica *r, int64_t id, int64_t ttl_s,
                            int64_t deadline_ns)
{
    struct leases *t = &r->leases;
    struct lease *l = xmalloc(sizeof *l);
    *l = (struct lease){.id = id, .ttl_s = ttl_s};
    list_init(&l->link);
    hmap_insert(&t->by_id, &l->by_id, hash_u64((uint64_t)id));
    heap_push(&t->deadlines, &l->deadline, deadline_ns);
    return l;
}

static void insert_fresh(struct replica *r, int64_t id, int64_t ttl_s,
                         int64_t from_ns)
{
    struct lease *l =
        insert(r, id, ttl_s, lease_add_ns(from_ns, ttl_ns(ttl_s)));
    l->record = LEASE_FRESH;
    l->renewed_ns = from_ns;
    list_push(&r->leases.fresh, &l->link);
}

void lease_add(struct replica *r, int64_t id, int64_t ttl_s)
{
    must(lease_known(r, id) == NULL);
    insert_fresh(r, id, ttl_s, lease_now(r));
}

/* A lease that the store has, as of the take-over. */
static void adopt(struct replica *r, const struct store_lease *s)
{
    struct leases *t = &r->leases;
    if (s->deadline_ms == 0) {
        insert_fresh(r, s->id, s->ttl_s, t->epoch_ns);
        return;
    }
    int64_t left_ms =
        s->deadline_ms > t->epoch_ms ? s->deadline_ms - t->epoch_ms : 0;
    if (left_ms > s->ttl_s * 1000) {
        left_ms = s->ttl_s * 1000;
    }
    struct lease *l = insert(r, s->id, s->ttl_s,
                             lease_add_ns(t->epoch_ns, left_ms * NS_PER_MS));
    l->record = LEASE_AGED;
    l->renewed_ns = t->epoch_ns;
    t->aged_count++;
}

void lease_remove(struct replica *r, struct lease *l)
{
    struct leases *t = &r->leases;
    if (l->record == LEASE_AGED) {
        must(t->aged_count > 0);
        t->aged_count--;
    }
    if (l->revoking) {
        must(t->revoking_count > 0);
        t->revoking_count--;
    }
    hmap_remove(&t->by_id, &l->by_id);
    heap_remove(&t->deadlines, &l->deadline);
    list_remove(&l->link);
    free(l);
}

void lease_renew(struct replica *r, struct lease *l, int64_t from_ns)
{
    struct leases *t = &r->leases;
    must(!l->revoking);
    const int64_t deadline_ns = lease_add_ns(from_ns, ttl_ns(l->ttl_s));
    if (deadline_ns > l->deadline.at) {
        heap_remove(&t->deadlines, &l->deadline);
        heap_push(&t->deadlines, &l->deadline, deadline_ns);
    }
    l->renewed_ns = from_ns;
    if (l->record == LEASE_FRESH) {
        list_remove(&l->link);
        list_push(&t->fresh, &l->link);
    } else if (l->record == LEASE_AGED) {
        must(t->aged_count > 0);
        t->aged_count--;
        l->record = LEASE_TOUCHED;
        list_push(&t->touched, &l->link);
    }
}

void lease_take_over(struct replica *r, uint64_t term)
{
    struct leases *t = &r->leases;
    must(!t->leads && t->by_id.count == 0);
    t->leads = true;
    t->term = term;
    t->epoch_ns = lease_now(r);
    t->epoch_ms = store_lease_clock_ms(r->store);
    t->ticked_ns = t->epoch_ns;
    t->load_from = 0;
    t->loaded = false;
    t->batch = 0;
    t->confirming_now = false;
    t->confirmed = false;
}

void lease_drop_table(struct replica *r)
{
    struct leases *t = &r->leases;
    struct hmap_node *n;
    while ((n = hmap_any(&t->by_id)) != NULL) {
        hmap_remove(&t->by_id, n);
        free(container_of(n, struct lease, by_id));
    }
    heap_fini(&t->deadlines);
    t->deadlines = (struct heap){0};
    list_init(&t->fresh);
    list_init(&t->touched);
    list_init(&t->refreshing);
    t->aged_count = 0;
    t->revoking_count = 0;
    t->leads = false;
}

enum status lease_load(struct replica *r, struct fault *reterr)
{
    static const size_t slice = 256;
    struct leases *t = &r->leases;
    struct store_lease list[256];
    size_t count = 0;
    for (size_t seen = 0; !t->loaded && seen < LEASE_LOAD_COUNT;
         seen += count) {
        const enum status st =
            store_leases(r->store, t->load_from, list, slice, &count, reterr);
        if (st != ST_OK) {
            return st;
        }
        for (size_t i = 0; i < count; i++) {
            if (lease_known(r, list[i].id) == NULL) {
                adopt(r, &list[i]);
            }
        }
        t->loaded = count < slice || list[count - 1].id == -1;
        if (!t->loaded) {
            t->load_from = (int64_t)((uint64_t)list[count - 1].id + 1);
        }
    }
    return ST_OK;
}

enum status lease_get(struct replica *r, int64_t id, struct lease **ret,
                      struct fault *reterr)
{
    *ret = lease_known(r, id);
    if (*ret != NULL || r->leases.loaded) {
        return ST_OK;
    }
    struct store_lease stored;
    bool found;
    const enum status st = store_lease(r->store, id, &found, &stored, reterr);
    if (st == ST_OK && found) {
        adopt(r, &stored);
        *ret = lease_known(r, id);
    }
    return st;
}
