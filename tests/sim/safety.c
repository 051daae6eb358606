/* What must hold of leaders and logs at every moment, whatever happens:
 *
 *   election safety        at most one leader in a term, who votes in its own
 *                          configuration and has the durable votes of a quorum
 *                          of it; no member votes twice in a term, nor leads
 *                          for long when it knows that it was removed
 *   commitment             what a leader commits is durable at a quorum of its
 *                          configuration; of both halves of a joint one
 *   leader completeness    a new leader has every entry that was committed
 *   state machine safety   what members apply at an index is one entry: of one
 *                          term, with one effect
 *
 * Dissertation, figure 3.2 and section 3.6.4. */

#include <stdlib.h>

#include "base/hmap.h"
#include "base/must.h"
#include "tests/sim/internal.h"

#define TERMS_MAX 4096

struct safety {
    uint64_t leader_of_term[TERMS_MAX];
    uint64_t *term_at; /* of the entry applied at an index; 0: none yet */
    size_t capacity;
    uint64_t *known_in; /* in that term it had been committed, at the latest */
    size_t known_capacity;
    uint64_t applied; /* highest by anybody */
    uint64_t checked[MEMBERS_MAX];
    struct promises {
        uint64_t vote_in[TERMS_MAX]; /* ever durable; 0: none */
        uint64_t *term_at;           /* likewise, of the entry at an index */
        size_t capacity;
        uint64_t has_until; /* came with a state */
        uint64_t last;      /* the highest index */
        uint64_t committed; /* as a leader, of which term */
        uint64_t leads_term;
        uint64_t leads_since, there_until; /* in its ticks */
        struct membership_conf conf;       /* at the last look */
    } of[MEMBERS_MAX];
};

struct safety *safety_new(void)
{
    return xcalloc(1, sizeof(struct safety));
}

void safety_free(struct safety *x)
{
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        free(x->of[i].term_at);
    }
    free(x->term_at);
    free(x->known_in);
    free(x);
}

static void make_room(uint64_t **list, size_t *capacity, uint64_t index)
{
    while (index >= *capacity) {
        const size_t old = *capacity;
        *capacity = old > 0 ? 2 * old : 1024;
        *list = xrealloc(*list, *capacity * sizeof **list);
        memset(*list + old, 0, (*capacity - old) * sizeof **list);
    }
}

/* Entries that this member applied since the last look. */
static void check_applied(struct safety *x, struct member *m, uint64_t now)
{
    const uint64_t applied = store_applied_index(m->store);
    uint64_t *checked = &x->checked[member_number(m) - 1];
    if (applied < *checked) {
        *checked = applied; /* it restarted and replays */
    }
    make_room(&x->term_at, &x->capacity, applied);
    make_room(&x->known_in, &x->known_capacity, applied);
    for (uint64_t i = *checked + 1; i <= applied; i++) {
        uint64_t term;
        if (raft_term_at(replica_raft(m->replica), i, &term) != ST_OK) {
            continue; /* came with a state, or is forgotten already */
        }
        if (x->term_at[i] == 0) {
            x->term_at[i] = term;
            x->known_in[i] = now;
        } else if (x->term_at[i] != term) {
            sim_fail(m->sim,
                     "member %u applied an entry of term %llu at index %llu, "
                     "where another applied one of term %llu",
                     member_number(m), (unsigned long long)term,
                     (unsigned long long)i, (unsigned long long)x->term_at[i]);
        }
    }
    *checked = applied;
    if (applied > x->applied) {
        x->applied = applied;
    }
}

/* Leaders of later terms have what was committed before: one that slept through
 * the terms since may lead an old one for a moment, and lack it. */
static void check_complete(struct safety *x, struct member *m, uint64_t leads)
{
    for (uint64_t i = 1; i <= x->applied; i++) {
        uint64_t term;
        const enum status st = raft_term_at(replica_raft(m->replica), i, &term);
        if (st == ST_COMPACTED || x->term_at[i] == 0 ||
            x->known_in[i] >= leads) {
            continue;
        }
        if (st != ST_OK || term != x->term_at[i]) {
            sim_fail(m->sim,
                     "member %u became leader without the entry of term %llu "
                     "that is committed at index %llu",
                     member_number(m), (unsigned long long)x->term_at[i],
                     (unsigned long long)i);
            return;
        }
    }
}

/* --- what members promised --- */

static struct promises *promises_of(const struct member *m)
{
    return &m->sim->safety->of[member_number(m) - 1];
}

static void note_vote(struct member *m, uint64_t term, uint64_t vote)
{
    if (term >= TERMS_MAX || vote == 0) {
        return;
    }
    uint64_t *had = &promises_of(m)->vote_in[term];
    if (*had != 0 && *had != vote) {
        sim_fail(m->sim, "member %u voted for %llx and for %llx in term %llu",
                 member_number(m), (unsigned long long)*had,
                 (unsigned long long)vote, (unsigned long long)term);
    }
    *had = vote;
}

void safety_saved(struct member *m, const struct raft_message *saved)
{
    struct promises *p = promises_of(m);
    note_vote(m, saved->term, saved->vote);
    if (saved->snapshot != NULL && saved->snapshot->index > p->has_until) {
        p->has_until = saved->snapshot->index;
        p->last = p->has_until > p->last ? p->has_until : p->last;
    }
    for (size_t i = 0; i < saved->entries.count; i++) {
        const struct raft_entry *e = &saved->entries.list[i];
        make_room(&p->term_at, &p->capacity, e->index);
        p->term_at[e->index] = e->term;
        p->last = e->index > p->last ? e->index : p->last;
    }
}

void safety_started(struct member *m)
{
    struct promises *p = promises_of(m);
    const struct raft *r = replica_raft(m->replica);
    struct raft_status s;
    raft_status(r, &s);
    note_vote(m, s.hard.term, s.hard.vote);
    make_room(&p->term_at, &p->capacity, s.last_index);
    for (uint64_t i = s.first_index; i <= s.last_index; i++) {
        if (raft_term_at(r, i, &p->term_at[i]) != ST_OK) {
            p->term_at[i] = 0;
        }
    }
    p->last = s.last_index > p->last ? s.last_index : p->last;
}

uint64_t safety_applied(const struct sim *s)
{
    return s->safety->applied;
}

uint64_t safety_durable(const struct member *m)
{
    return promises_of(m)->last;
}

static bool voted(const struct promises *p, uint64_t term, uint64_t vote)
{
    return term >= TERMS_MAX || p->vote_in[term] == vote;
}

static bool has(const struct promises *p, uint64_t index, uint64_t term)
{
    return index <= p->has_until ||
           (index < p->capacity && p->term_at[index] == term);
}

/* More than half of them have this entry; or gave this vote. */
static bool most(struct sim *s, const uint64_t *ids, size_t count,
                 uint64_t index, uint64_t term, uint64_t vote)
{
    size_t yes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct member *m = network_member(s, ids[i]);
        if (m != NULL && (vote != 0 ? voted(promises_of(m), term, vote)
                                    : has(promises_of(m), index, term))) {
            yes++;
        }
    }
    return yes > count / 2;
}

static bool is_quorum(struct sim *s, const struct membership_conf *c,
                      uint64_t index, uint64_t term, uint64_t vote)
{
    return most(s, c->voters, c->voters_count, index, term, vote) &&
           (c->outgoing_count == 0 ||
            most(s, c->outgoing, c->outgoing_count, index, term, vote));
}

static bool votes_in(const struct membership_conf *c, uint64_t id)
{
    bool found = false;
    for (size_t i = 0; i < c->voters_count; i++) {
        found |= c->voters[i] == id;
    }
    for (size_t i = 0; i < c->outgoing_count; i++) {
        found |= c->outgoing[i] == id;
    }
    return found;
}

static void check_elected(struct member *m, const struct membership_conf *conf,
                          uint64_t term)
{
    if (!votes_in(conf, m->id) && !replica_was_removed(m->replica)) {
        sim_fail(m->sim, "member %u leads term %llu and has no vote itself",
                 member_number(m), (unsigned long long)term);
    } else if (!is_quorum(m->sim, conf, 0, term, m->id)) {
        sim_fail(m->sim,
                 "member %u leads term %llu without the votes of a quorum",
                 member_number(m), (unsigned long long)term);
    }
}

/* Its own term's entries are committed by counting; the configuration may have
 * changed by what was applied in this turn. */
static void check_committed(struct member *m,
                            const struct membership_conf *before,
                            const struct membership_conf *now, uint64_t index,
                            uint64_t term)
{
    uint64_t of;
    if (raft_term_at(replica_raft(m->replica), index, &of) == ST_OK &&
        of == term && !is_quorum(m->sim, now, index, term, 0) &&
        !is_quorum(m->sim, before, index, term, 0)) {
        sim_fail(m->sim,
                 "member %u committed entry %llu of term %llu, which no quorum "
                 "has",
                 member_number(m), (unsigned long long)index,
                 (unsigned long long)term);
    }
}

/* --- leaders --- */

static bool are_ids(const uint64_t *had, size_t had_count, const uint64_t *ids,
                    size_t count)
{
    return had_count == count &&
           (count == 0 || memcmp(had, ids, count * sizeof *ids) == 0);
}

static bool is_conf(const struct membership_conf *had,
                    const struct raft_conf_state *now)
{
    return are_ids(had->voters, had->voters_count, now->voters,
                   now->voters_count) &&
           are_ids(had->outgoing, had->outgoing_count, now->voters_outgoing,
                   now->voters_outgoing_count) &&
           are_ids(had->learners, had->learners_count, now->learners,
                   now->learners_count) &&
           are_ids(had->next, had->next_count, now->learners_next,
                   now->learners_next_count) &&
           had->auto_leave == now->auto_leave;
}

static void check_leader(struct member *m, const struct raft *r, uint64_t term)
{
    struct safety *x = m->sim->safety;
    struct promises *p = promises_of(m);
    struct membership_conf old;
    const struct membership_conf *before = &p->conf;
    if (!replica_was_removed(m->replica)) {
        p->there_until = m->ticks;
    }
    struct raft_conf_state conf;
    raft_conf(r, &conf);
    if (!is_conf(&p->conf, &conf)) {
        old = p->conf;
        before = &old;
        membership_conf_set(&p->conf, &conf);
    }
    if (raft_role(r) != RAFT_LEADER || term >= TERMS_MAX) {
        p->leads_term = 0;
        return;
    }
    uint64_t *leader = &x->leader_of_term[term];
    if (*leader == 0) {
        m->sim->report->leaders++;
        sim_note(m->sim, "%u leads term %u", member_number(m), (unsigned)term);
        check_complete(x, m, term);
        check_elected(m, &p->conf, term);
        aim_at_leader(m);
    } else if (*leader != m->id) {
        sim_fail(m->sim, "two leaders in term %u", (unsigned)term);
    }
    *leader = m->id;
    const uint64_t commit = raft_commit(r);
    if (commit > p->committed || p->leads_term != term) {
        check_committed(m, before, &p->conf, commit, term);
    }
    p->committed = commit;
    if (p->leads_term != term) {
        p->leads_term = term;
        p->leads_since = m->ticks;
    }
    if (replica_was_removed(m->replica) &&
        m->ticks > p->leads_since + ELECTION_TICKS &&
        m->ticks > p->there_until + ELECTION_TICKS) {
        sim_fail(m->sim, "member %u was removed and leads on",
                 member_number(m));
    }
}

void safety_check(struct member *m)
{
    const struct raft *r = replica_raft(m->replica);
    const uint64_t term = raft_term(r);
    check_applied(m->sim->safety, m, term);
    check_leader(m, r, term);
}
