/* Faults that aim at a moment.
 *
 * Leaders die within milliseconds of their election; or when they have just
 * renewed a lease; members, when they have just told another that it was
 * removed.  Flushes take long: what is applied stays in memory meanwhile.  And
 * old leaders come back: what one of an hour leaves behind, half replicated, is
 * what the rules of commitment are for (dissertation figure 3.7).  There the
 * fates of three leaders must meet:
 *
 *   one dies with entries that nobody else has;
 *   one dies before anybody hears of its own entry, the first of its term;
 *   one, the first again, dies when it has just committed something.
 *
 * The dead come back one at a time, when the next one dies, so that those who
 * are there are always a majority, and never the same one. */

#include "base/must.h"
#include "node/replica_internal.h"
#include "tests/sim/internal.h"

enum fate { FATE_LATE, FATE_UNHEARD, FATE_AT_COMMIT, FATES };

void aim_draw_profile(struct sim *s)
{
    struct profile *p = &s->profile;
    prng_init(&s->aim_prng, s->options.seed ^ (UINT64_C(79) << 32));
    p->slow_flush = prng_chance(&s->aim_prng, 1, 2);
    p->tellers_die = prng_chance(&s->aim_prng, 1, 2);
    p->old_leaders = prng_chance(&s->prng, 1, 5) && s->options.members >= 3;
    p->answers_kill = prng_chance(&s->prng, 1, 4);
    p->forgets = prng_chance(&s->prng, 1, 2);
    if (p->old_leaders) { /* nothing else may spoil it */
        p->leaders_die = p->slow_disk = p->slow_network = false;
        p->message_bytes_max = 1; /* what is old is committed alone */
        p->think_ns = 5 * MS;
    }
}

/* Whoever is down longest, when another is too. */
static void raise_one(struct sim *s)
{
    struct member *first = NULL;
    uint32_t down = 0;
    for (uint32_t i = 0; i < s->members_count; i++) {
        struct member *m = &s->members[i];
        if (!m->up && !m->gone && m->died_ns > 0) {
            first = first == NULL || m->died_ns < first->died_ns ? m : first;
            down++;
        }
    }
    if (down > 1 || s->members_count == 1) {
        sim_at(s, &first->restart, s->now_ns + MS, sim_restart);
    }
}

static void doom(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, doom);
    if (!m->up || s->healed) {
        return;
    }
    sim_count(s, SIM_FAULT_LEADER_DIES);
    member_crash(m);
    /* Where renewals kill, somebody else has to take over. */
    int64_t down_ns = (int64_t)prng_below(&s->prng, 3000 * MS);
    if (s->profile.old_leaders || m->muted) {
        down_ns += s->profile.old_leaders ? 6000 * MS : 3000 * MS;
    }
    sim_at(s, &m->restart, s->now_ns + down_ns, sim_restart);
    if (s->profile.old_leaders) {
        raise_one(s);
    }
}

static void doom_in(struct member *m, int64_t least_ms, int64_t more_ms)
{
    struct sim *s = m->sim;
    const int64_t more = (int64_t)prng_below(&s->prng, (uint64_t)more_ms * MS);
    sim_at(s, &m->doom, s->now_ns + least_ms * MS + more, doom);
}

static void mute(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, doom);
    if (m->up && !s->healed) {
        m->muted = true;
        doom_in(m, 5, 25); /* clients write, on its own disk */
    }
}

void aim_at_leader(struct member *m)
{
    struct sim *s = m->sim;
    if (s->healed) {
        return;
    }
    if (s->profile.leaders_die && prng_chance(&s->prng, 2, 3)) {
        doom_in(m, 0, 6);
    }
    if (!s->profile.old_leaders) {
        return;
    }
    uint64_t fate = s->fates++ % FATES;
    if (prng_chance(&s->prng, 1, 4)) {
        fate = s->fates = prng_below(&s->prng, FATES);
    }
    static const char *const names[] = {"late", "unheard", "at its commitment"};
    sim_note(s, "%u is to die %s", member_number(m), names[fate]);
    switch ((enum fate)fate) {
    case FATE_UNHEARD:
        sim_count(s, SIM_FAULT_LEADER_UNHEARD);
        m->muted = true;
        doom_in(m, 3, 5);
        break;
    case FATE_AT_COMMIT:
        m->doom_above = store_applied_index(m->store) + 1;
        break;
    case FATE_LATE:
    case FATES:
        sim_at(s, &m->doom,
               s->now_ns + (int64_t)prng_below(&s->prng, 1000 * MS), mute);
        break;
    }
}

void aim_at_turn(struct member *m)
{
    if (m->doom_above > 0 && !m->sim->healed &&
        store_applied_index(m->store) >= m->doom_above) {
        sim_count(m->sim, SIM_FAULT_LEADER_COMMITS);
        m->doom_above = 0;
        m->muted = true;
        sim_at(m->sim, &m->doom, m->sim->now_ns, doom);
    }
}

bool aim_at_renewal(struct sim *s, int64_t idle_ns)
{
    /* One that was idle has to be in the log before the answer (L2). */
    const uint64_t one_of = idle_ns > 4500 * MS ? 2 : 50;
    if (!s->profile.answers_kill || s->healed ||
        !prng_chance(&s->prng, 1, one_of)) {
        return false;
    }
    for (uint32_t i = 0; i < s->members_count; i++) {
        struct member *m = &s->members[i];
        if (m->up && replica_leads(m->replica)) {
            sim_count(s, SIM_FAULT_LEADER_RENEWS);
            m->muted = true;
            sim_at(s, &m->doom, s->now_ns, doom);
            return true;
        }
    }
    return false;
}

static void die(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, doom);
    if (m->up && !s->healed) {
        sim_count(s, SIM_FAULT_TELLER_DIES);
        member_crash(m);
        sim_at(s, &m->restart,
               s->now_ns + (int64_t)prng_below(&s->aim_prng, 1000 * MS),
               sim_restart);
    }
}

void aim_at_teller(struct member *m)
{
    struct sim *s = m->sim;
    if (s->profile.tellers_die && !s->healed) {
        sim_at(s, &m->doom, s->now_ns, die);
    }
}

/* Above all one that makes a change of the members durable. */
int64_t aim_at_flush(struct member *m)
{
    struct sim *s = m->sim;
    const uint64_t percent = m->replica->conf_unsafe ? 75 : 15;
    if (!s->profile.slow_flush || s->healed ||
        !prng_chance(&s->aim_prng, percent, 100)) {
        return 0;
    }
    sim_count(s, SIM_FAULT_SLOW_FLUSH);
    return (int64_t)prng_below(&s->aim_prng, 3000 * MS);
}
