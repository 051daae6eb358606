/* Lessees: who is granted a lease, renews it for a while, and then falls silent
 * until it is gone.
 *
 * A lease must not end before what its holder was promised: the TTL from when
 * it asked, on any clock that is right within one in a hundred.  Whether it has
 * ended is seen in the members' own states, at each of their turns, as well as
 * in answers.  After the healing nobody renews, and all leases must be gone in
 * the end. */

#include "base/must.h"
#include "tests/sim/internal.h"

static void act(struct sim *s, struct event *e);

static struct member *leader_of(struct sim *s)
{
    for (uint32_t i = 0; i < s->members_count; i++) {
        if (s->members[i].up && replica_leads(s->members[i].replica)) {
            return &s->members[i];
        }
    }
    return NULL;
}

static void think(struct lessee *l)
{
    if (l->silent && l->on_edge && l->id != 0) {
        /* While its end goes through the log, again and again. */
        const int64_t from =
            l->edge_ns > l->sim->now_ns ? l->edge_ns : l->sim->now_ns;
        sim_at(l->sim, &l->next, from + (int64_t)prng_below(&l->prng, 6 * MS),
               act);
        return;
    }
    /* Half of them let their leases age: a renewal is then in the log. */
    const int64_t ms =
        20 + (int64_t)prng_below(&l->prng, l->number % 2 == 0 ? 600 : 7000);
    sim_at(l->sim, &l->next, l->sim->now_ns + ms * MS, act);
}

static void promise(struct lessee *l, int64_t ttl_s)
{
    /* The fastest clock that counts it: one in a hundred too fast. */
    const int64_t until = l->asked_ns + ttl_s * 990 * MS;
    l->promised_ns = until > l->promised_ns ? until : l->promised_ns;
    const struct member *m = leader_of(l->sim);
    const int64_t drift_ppm = m != NULL ? m->clock_drift_ppm : 0;
    l->edge_ns =
        l->asked_ns + ttl_s * 1000 * MS / (1000000 + drift_ppm) * 1000000;
}

/* It is not there any more. */
static void gone(struct lessee *l, const char *says)
{
    if (l->id != 0 && l->sim->now_ns < l->promised_ns) {
        sim_fail(l->sim,
                 "lease %llx of lessee %u has ended %lld ms early, as %s says",
                 (unsigned long long)l->id, l->number,
                 (long long)((l->promised_ns - l->sim->now_ns) / MS), says);
    }
    l->sim->report->leases_ended += l->id != 0;
    l->id = 0;
    l->silent = false;
}

static void take_answer(struct lessee *l)
{
    const struct kv_lease_result *r = &l->call.result;
    switch (l->call.op) {
    case KV_LEASE_GRANT:
        l->id = r->id;
        l->promised_ns = 0;
        l->renewed_ns = l->sim->now_ns;
        l->silent = l->on_edge = false;
        memset(l->in, 0, sizeof l->in);
        promise(l, r->ttl_s);
        break;
    case KV_LEASE_KEEPALIVE:
        l->sim->report->renewals += r->ttl_s > 0;
        if (r->ttl_s > 0) {
            promise(l, r->ttl_s);
            /* Nobody else renews it then: what it was promised is kept. */
            l->silent |= aim_at_renewal(l->sim, l->asked_ns - l->renewed_ns);
            l->renewed_ns = l->sim->now_ns;
        } else {
            gone(l, "a keepalive");
        }
        break;
    case KV_LEASE_TTL:
        if (r->ttl_s < 0) {
            gone(l, "an answer");
        } else if (r->ttl_s > r->granted_ttl_s) {
            sim_fail(l->sim, "a lease has %lld of %lld seconds left",
                     (long long)r->ttl_s, (long long)r->granted_ttl_s);
        }
        break;
    case KV_LEASE_REVOKE:
    case KV_LEASE_LIST:
        break;
    }
}

static void done(struct kv_call *call)
{
    struct lessee *l = container_of(call, struct lessee, call.call);
    l->busy = false;
    sim_note(l->sim, "lessee %u op %u %s ttl %lld", l->number,
             (unsigned)l->call.op, status_name(call->status),
             (long long)l->call.result.ttl_s);
    /* The lease that was asked about may be another one by now. */
    if (call->status == ST_OK && l->asked_id == l->id) {
        take_answer(l);
    }
    think(l);
}

static enum kv_lease_op choose(struct lessee *l)
{
    if (l->id == 0) {
        return KV_LEASE_GRANT;
    }
    if (l->silent && l->on_edge) {
        sim_count(l->sim, SIM_FAULT_LEASE_EDGE);
        return KV_LEASE_KEEPALIVE;
    }
    if (l->silent || prng_chance(&l->prng, 1, 10)) {
        return KV_LEASE_TTL;
    }
    return KV_LEASE_KEEPALIVE;
}

static void act(struct sim *s, struct event *e)
{
    struct lessee *l = container_of(e, struct lessee, next);
    struct member *m = sim_pick(s, &l->prng);
    if (s->healed || l->busy) {
        return; /* nobody renews any more */
    }
    if (l->silent && l->on_edge && leader_of(s) != NULL) {
        m = leader_of(s);
    }
    if (!m->up) {
        think(l);
        return;
    }
    const enum kv_lease_op op = choose(l);
    if (!l->silent && l->id != 0 && prng_chance(&l->prng, 1, 15)) {
        l->silent = true;
        l->on_edge = prng_chance(&l->prng, 1, 2);
        sim_count(l->sim, SIM_FAULT_LESSEE_SILENT);
    }
    l->call = (struct kv_lease){.call = {.done = done, .timeout_ms = 2000},
                                .op = op,
                                .id = l->id,
                                .ttl_s = 2 + (int64_t)prng_below(&l->prng, 14)};
    l->asked_id = l->id;
    l->asked_ns = s->now_ns;
    l->busy = true;
    kv_lease(replica_kv(m->replica), &l->call);
    member_turn(m);
}

void lessee_init(struct sim *s, uint32_t number)
{
    struct lessee *l = &s->lessees[number];
    *l = (struct lessee){.sim = s, .number = number};
    prng_init(&l->prng, s->options.seed ^ (UINT64_C(77) << 32) ^ number);
    think(l);
}

static void look(struct lessee *l, struct member *m, struct sighting *in)
{
    struct store_lease stored;
    struct fault fault;
    bool found = false;
    if (store_lease(m->store, l->id, &found, &stored, &fault) != ST_OK) {
        sim_fail(l->sim, "member %u: %s", member_number(m), fault.text);
    }
    if (found) {
        in->seen = true;
    } else if (in->seen) {
        gone(l, "a member");
    }
}

void lessees_check(struct member *m)
{
    struct sim *s = m->sim;
    const uint64_t applied = store_applied_index(m->store);
    for (uint32_t i = 0; i < s->options.lessees; i++) {
        struct lessee *l = &s->lessees[i];
        struct sighting *in = &l->in[m - s->members];
        if (l->id != 0 && (in->id != l->id || in->applied != applied ||
                           in->flushes != m->flushes)) {
            in->id = l->id;
            in->applied = applied;
            in->flushes = m->flushes;
            look(l, m, in);
        }
    }
}

void lessees_forget(struct member *m)
{
    struct sim *s = m->sim;
    for (uint32_t i = 0; i < s->options.lessees; i++) {
        s->lessees[i].in[m - s->members] = (struct sighting){0};
    }
}

void lessees_check_end(struct sim *s)
{
    for (uint32_t i = 0; i < s->members_count && s->options.lessees > 0; i++) {
        if (s->members[i].gone) {
            continue;
        }
        const uint64_t count = store_leases_count(s->members[i].store);
        if (count > 0) {
            sim_fail(s, "member %u still has %llu leases in the end", i + 1,
                     (unsigned long long)count);
        }
    }
}
