/* What must hold of leaders and logs at every moment, whatever happens:
 *
 *   election safety        at most one leader in a term
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
    uint64_t applied; /* highest by anybody */
    uint64_t checked[MEMBERS_MAX];
};

struct safety *safety_new(void)
{
    return xcalloc(1, sizeof(struct safety));
}

void safety_free(struct safety *x)
{
    free(x->term_at);
    free(x);
}

static void make_room(struct safety *x, uint64_t index)
{
    while (index >= x->capacity) {
        const size_t old = x->capacity;
        x->capacity = old > 0 ? 2 * old : 1024;
        x->term_at = xrealloc(x->term_at, x->capacity * sizeof *x->term_at);
        memset(x->term_at + old, 0, (x->capacity - old) * sizeof *x->term_at);
    }
}

/* Entries that this member applied since the last look. */
static void check_applied(struct safety *x, struct member *m)
{
    const uint64_t applied = store_applied_index(m->store);
    uint64_t *checked = &x->checked[m->id - 1];
    if (applied < *checked) {
        *checked = applied; /* it restarted and replays */
    }
    make_room(x, applied);
    for (uint64_t i = *checked + 1; i <= applied; i++) {
        uint64_t term;
        if (raft_term_at(replica_raft(m->replica), i, &term) != ST_OK) {
            continue; /* came with a state, or is forgotten already */
        }
        if (x->term_at[i] == 0) {
            x->term_at[i] = term;
        } else if (x->term_at[i] != term) {
            sim_fail(m->sim,
                     "member %u applied an entry of term %llu at index %llu, "
                     "where another applied one of term %llu",
                     (unsigned)m->id, (unsigned long long)term,
                     (unsigned long long)i, (unsigned long long)x->term_at[i]);
        }
    }
    *checked = applied;
    if (applied > x->applied) {
        x->applied = applied;
    }
}

static void check_complete(struct safety *x, struct member *m)
{
    for (uint64_t i = 1; i <= x->applied; i++) {
        uint64_t term;
        const enum status st = raft_term_at(replica_raft(m->replica), i, &term);
        if (st == ST_COMPACTED || x->term_at[i] == 0) {
            continue;
        }
        if (st != ST_OK || term != x->term_at[i]) {
            sim_fail(m->sim,
                     "member %u became leader without the entry of term %llu "
                     "that is committed at index %llu",
                     (unsigned)m->id, (unsigned long long)x->term_at[i],
                     (unsigned long long)i);
            return;
        }
    }
}

void safety_check(struct member *m)
{
    struct safety *x = m->sim->safety;
    check_applied(x, m);
    struct raft_status s;
    raft_status(replica_raft(m->replica), &s);
    const uint64_t term = s.hard.term;
    if (s.soft.role != RAFT_LEADER || term >= TERMS_MAX) {
        return;
    }
    uint64_t *leader = &x->leader_of_term[term];
    if (*leader == 0) {
        m->sim->report->leaders++;
        sim_note(m->sim, "%u leads term %u", (unsigned)m->id, (unsigned)term);
        check_complete(x, m);
        sim_new_leader(m);
    } else if (*leader != m->id) {
        sim_fail(m->sim, "two leaders in term %u", (unsigned)term);
    }
    *leader = m->id;
}
