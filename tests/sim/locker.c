/* Lockers: who takes a lock as the lock service does (api/lock.c): a key under
 * a lease, put where there is none.  Its create revision is the fencing token:
 * what a holder writes, it writes only if the lock still has that token.
 *
 * Some fall silent and believe that they hold the lock long after their leases
 * have ended; their writes must fail.  Checked:
 *
 *   when a lock is won      nobody else holds it whose lease is still promised
 *   when a write is fenced  its lease was not promised any more
 *   in the final history    every token is of a put where no lock was; every
 *                           write bears the token that the lock has then */

#include <stdlib.h>

#include "base/codec.h"
#include "base/hmap.h"
#include "base/must.h"
#include "tests/sim/internal.h"

#define KEY_SIZE 7
#define TTL_MAX  6 /* seconds */

static void act(struct sim *s, struct event *e);

/* "/lock/a" is a lock, "/lock/A" what it guards. */
uint32_t locker_key(struct bytes key)
{
    if (key.size != KEY_SIZE || memcmp(key.data, "/lock/", 6) != 0) {
        return KEYS;
    }
    const uint8_t c = key.data[6];
    return c >= 'a' ? LOCK_KEY + (uint32_t)(c - 'a')
                    : GUARDED_KEY + (uint32_t)(c - 'A');
}

static struct bytes name_of(uint8_t to[KEY_SIZE], char first, uint32_t lock)
{
    memcpy(to, "/lock/", 6);
    to[6] = (uint8_t)((uint32_t)first + lock);
    return (struct bytes){to, KEY_SIZE};
}

static void think(struct locker *l, uint64_t ms)
{
    sim_at(l->sim, &l->next,
           l->sim->now_ns + (int64_t)prng_below(&l->prng, ms * MS), act);
}

/* It has no lock and no lease any more that it knows of. */
static void give_up(struct locker *l)
{
    l->holds = l->silent = false;
    l->id = 0;
    think(l, 500);
}

static bool is_promised(const struct locker *l)
{
    return l->holds && l->sim->now_ns < l->promised_ns;
}

static void promise(struct locker *l, int64_t ttl_s)
{
    const int64_t until = l->asked_ns + ttl_s * 990 * MS;
    l->promised_ns = until > l->promised_ns ? until : l->promised_ns;
}

/* --- answers --- */

static void leased(struct kv_call *call)
{
    struct locker *l = container_of(call, struct locker, lease.call);
    l->busy = false;
    if (l->lease.op == KV_LEASE_REVOKE || call->status != ST_OK) {
        if (l->id == 0 || l->lease.op == KV_LEASE_REVOKE) {
            give_up(l);
        } else {
            think(l, 300); /* a renewal of which nothing is known */
        }
        return;
    }
    const struct kv_lease_result *r = &l->lease.result;
    if (r->ttl_s <= 0) {
        if (is_promised(l)) {
            sim_fail(l->sim, "locker %u's lease has ended early", l->number);
        }
        give_up(l);
        return;
    }
    if (l->lease.op == KV_LEASE_GRANT) {
        l->promised_ns = 0;
    }
    l->id = r->id;
    promise(l, r->ttl_s);
    think(l, 30);
}

static void note_won(struct locker *l, int64_t token)
{
    struct sim *s = l->sim;
    l->holds = true;
    l->token = token;
    /* The answer may come when its own lease has ended. */
    for (uint32_t i = 0; i < LOCKERS_MAX && is_promised(l); i++) {
        const struct locker *other = &s->lockers[i];
        if (other != l && other->lock == l->lock && is_promised(other)) {
            sim_fail(s,
                     "lockers %u and %u both hold lock %u, tokens %lld, %lld",
                     l->number, other->number, l->lock, (long long)token,
                     (long long)other->token);
        }
    }
    s->report->locks_held++;
    if (l->tokens_count < TOKENS_MAX) {
        l->tokens[l->tokens_count++] =
            (struct token){.revision = token, .value = l->number_put};
    }
}

static void taken(struct kv_call *call)
{
    struct locker *l = container_of(call, struct locker, txn.call);
    l->busy = false;
    if (call->status != ST_OK) {
        give_up(l); /* it may have it, and will not know: the lease ends */
    } else if (!l->txn.result.succeeded) {
        think(l, 300);
    } else {
        note_won(l, call->header.revision);
        think(l, 30);
    }
}

static void guarded(struct kv_call *call)
{
    struct locker *l = container_of(call, struct locker, txn.call);
    l->busy = false;
    if (call->status != ST_OK) {
        think(l, 100); /* late or never: its token says whether it may */
        return;
    }
    if (l->txn.result.succeeded) {
        l->sim->report->fenced_writes++;
        think(l, l->silent ? 1000 : 200);
        return;
    }
    if (is_promised(l)) {
        sim_fail(l->sim, "locker %u's lock was taken %lld ms too early",
                 l->number,
                 (long long)((l->promised_ns - l->sim->now_ns) / MS));
    }
    sim_count(l->sim, SIM_FAULT_LOCK_FENCED);
    give_up(l);
}

static void released(struct kv_call *call)
{
    struct locker *l = container_of(call, struct locker, txn.call);
    l->busy = false;
    think(l, 100); /* the lease is good for another */
}

/* --- questions --- */

static void ask_lease(struct locker *l, struct member *m, enum kv_lease_op op)
{
    l->lease =
        (struct kv_lease){.call = {.done = leased, .timeout_ms = 2000},
                          .op = op,
                          .id = l->id,
                          .ttl_s = 2 + (int64_t)prng_below(&l->prng, TTL_MAX)};
    l->busy = true;
    l->asked_ns = l->sim->now_ns;
    if (op == KV_LEASE_REVOKE) {
        l->holds = false;
    }
    kv_lease(replica_kv(m->replica), &l->lease);
}

/* One operation, if the lock was created at that revision. */
static void ask(struct locker *l, struct member *m, int64_t token,
                struct kv_op op, void (*done)(struct kv_call *call))
{
    l->op = op;
    l->compare = (struct kv_compare){
        .keys = {.key = name_of(l->lock_name, 'a', l->lock)},
        .target = KV_COMPARE_CREATE,
        .result = KV_COMPARE_EQUAL,
        .number = token};
    l->txn = (struct kv_txn){.call = {.done = done, .timeout_ms = 2000},
                             .spec = {.compares = &l->compare,
                                      .compares_count = 1,
                                      .success = &l->op,
                                      .success_count = 1}};
    l->busy = true;
    kv_txn(replica_kv(m->replica), &l->txn);
}

static void take(struct locker *l, struct member *m)
{
    l->lock = (uint32_t)prng_below(&l->prng, LOCKS);
    l->number_put = (uint64_t)l->number << 32 | ++l->count;
    ask(l, m, 0,
        (struct kv_op){.type = KV_OP_PUT,
                       .put = {.key = name_of(l->lock_name, 'a', l->lock),
                               .value = value_of(l->number_put, l->value),
                               .lease = l->id}},
        taken);
}

static void write_guarded(struct locker *l, struct member *m)
{
    const uint64_t number = (uint64_t)l->token << 20 | (++l->count & 0xfffff);
    ask(l, m, l->token,
        (struct kv_op){.type = KV_OP_PUT,
                       .put = {.key = name_of(l->data_name, 'A', l->lock),
                               .value = value_of(number, l->value)}},
        guarded);
}

static void release(struct locker *l, struct member *m)
{
    l->holds = false;
    ask(l, m, l->token,
        (struct kv_op){
            .type = KV_OP_DELETE_RANGE,
            .delete_range = {.keys = {.key = name_of(l->lock_name, 'a',
                                                     l->lock)}}},
        released);
}

static void hold(struct locker *l, struct member *m)
{
    const uint64_t pick = prng_below(&l->prng, 20);
    if (pick == 0 && !l->silent) {
        l->silent = true; /* and believes what it believes */
    }
    if (l->silent || pick < 9) {
        write_guarded(l, m);
    } else if (pick < 18) {
        ask_lease(l, m, KV_LEASE_KEEPALIVE);
    } else if (pick == 18) {
        release(l, m);
    } else {
        ask_lease(l, m, KV_LEASE_REVOKE);
    }
}

static void act(struct sim *s, struct event *e)
{
    struct locker *l = container_of(e, struct locker, next);
    if (s->healed || l->busy) {
        return; /* what is held ends with its lease */
    }
    struct member *m = sim_pick(s, &l->prng);
    if (!m->up) {
        think(l, 100);
    } else if (l->id == 0) {
        ask_lease(l, m, KV_LEASE_GRANT);
        member_turn(m);
    } else if (!l->holds) {
        take(l, m);
        member_turn(m);
    } else {
        hold(l, m);
        member_turn(m);
    }
}

void lockers_init(struct sim *s)
{
    for (uint32_t i = 0; i < LOCKERS_MAX && s->options.lessees > 0; i++) {
        struct locker *l = &s->lockers[i];
        *l = (struct locker){.sim = s, .number = i};
        prng_init(&l->prng, s->options.seed ^ (UINT64_C(79) << 32) ^ i);
        think(l, 1000);
    }
}

void lockers_fini(struct sim *s)
{
    for (uint32_t i = 0; i < LOCKERS_MAX; i++) {
        heap_remove(&s->events, &s->lockers[i].next.at);
    }
}

/* --- the final history --- */

static bool was_put(const struct changes *all, const struct token *t)
{
    for (size_t i = changes_at(all, t->revision);
         i < all->count && all->list[i].revision == t->revision; i++) {
        if (all->list[i].key >= LOCK_KEY && all->list[i].key < GUARDED_KEY &&
            all->list[i].value == t->value) {
            return true;
        }
    }
    return false;
}

void lockers_check(struct sim *s)
{
    const struct changes *all = &s->all;
    int64_t held[LOCKS] = {0}; /* by that token; 0: by nobody */
    for (size_t i = 0; i < all->count && !sim_failed(s); i++) {
        const struct change *c = &all->list[i];
        if (c->key >= LOCK_KEY && c->key < GUARDED_KEY) {
            int64_t *token = &held[c->key - LOCK_KEY];
            if (c->value != 0 && *token != 0) {
                sim_fail(s,
                         "lock %u was taken at revision %lld from token %lld",
                         c->key - LOCK_KEY, (long long)c->revision,
                         (long long)*token);
            }
            *token = c->value != 0 ? c->revision : 0;
        } else if (c->key >= GUARDED_KEY && c->key < GUARDED_KEY + LOCKS &&
                   (int64_t)(c->value >> 20) != held[c->key - GUARDED_KEY]) {
            sim_fail(s,
                     "at revision %lld a write with token %lld came through, "
                     "the lock had token %lld",
                     (long long)c->revision, (long long)(c->value >> 20),
                     (long long)held[c->key - GUARDED_KEY]);
        }
    }
    for (uint32_t i = 0; i < LOCKERS_MAX; i++) {
        const struct locker *l = &s->lockers[i];
        for (size_t k = 0; k < l->tokens_count && !sim_failed(s); k++) {
            if (!was_put(all, &l->tokens[k])) {
                sim_fail(s, "locker %u was given token %lld, which is none", i,
                         (long long)l->tokens[k].revision);
            }
        }
    }
}
