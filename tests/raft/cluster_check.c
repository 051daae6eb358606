/* The properties of figure 3.2 of the dissertation, checked as the cluster
 * runs: Election Safety, Log Matching, Leader Completeness, State Machine
 * Safety. */

#include "base/hmap.h"
#include "base/must.h"
#include "tests/lib/test.h"
#include "tests/raft/cluster_internal.h"

void cluster_add_record(struct cluster *c, const struct cluster_record *record)
{
    if (c->records_count == c->records_capacity) {
        c->records_capacity =
            c->records_capacity == 0 ? 64 : c->records_capacity * 2;
        c->records =
            xrealloc(c->records, c->records_capacity * sizeof c->records[0]);
    }
    c->records[c->records_count++] = *record;
}

void cluster_record_applied(struct cluster *c, struct cluster_member *m,
                            const struct raft_entry *e)
{
    const uint64_t parts[3] = {m->hash, e->term,
                               hash_bytes(payload_bytes(e->payload), 1)};
    m->hash =
        hash_bytes((struct bytes){(const uint8_t *)parts, sizeof parts}, 2);
    if (e->index == c->records_count + 1) {
        cluster_add_record(
            c, &(struct cluster_record){.term = e->term,
                                        .hash = m->hash,
                                        .committed_in = m->raft->term,
                                        .payload = payload_hold(e->payload)});
    }
    must(e->index <= c->records_count);
    const struct cluster_record *record = &c->records[e->index - 1];
    EXPECT_INT(record->term, e->term);
    EXPECT_BYTES(payload_bytes(e->payload), payload_bytes(record->payload));
    EXPECT_INT(record->hash, m->hash);
}

void cluster_note_leader(struct cluster *c, struct cluster_member *m)
{
    if (m->raft == NULL || m->raft->role != RAFT_LEADER ||
        m->raft->term == m->term_seen) {
        return;
    }
    const uint64_t term = m->raft->term;
    m->term_seen = term;
    EXPECT(term < count_of(c->leader_of_term));
    uint64_t *leader = &c->leader_of_term[term];
    EXPECT(*leader == RAFT_NONE || *leader == m->id);
    *leader = m->id;
    /* All that was committed in earlier terms is in its log. */
    for (uint64_t i = 0; i < c->records_count; i++) {
        uint64_t own = 0;
        if (c->records[i].committed_in >= term ||
            i + 1 < raft_log_first_index(&m->raft->log)) {
            continue;
        }
        const enum status st = raft_term_at(m->raft, i + 1, &own);
        EXPECT_INT(st, ST_OK);
        EXPECT_INT(own, c->records[i].term);
    }
}

/* Where two logs hold the same term at an index they are equal up to there. */
static void check_log_matching(const struct raft *a, const struct raft *b)
{
    uint64_t index = raft_log_last_index(&a->log);
    if (raft_log_last_index(&b->log) < index) {
        index = raft_log_last_index(&b->log);
    }
    bool matched = false;
    for (; index > 0; index--) {
        uint64_t term_a = 0;
        uint64_t term_b = 0;
        if (raft_term_at(a, index, &term_a) != ST_OK ||
            raft_term_at(b, index, &term_b) != ST_OK) {
            break;
        }
        EXPECT(!matched || term_a == term_b);
        matched = matched || term_a == term_b;
    }
}

void cluster_check(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct raft *a = c->members[i]->raft;
        if (a == NULL) {
            continue;
        }
        raft_check(a);
        cluster_note_leader(c, c->members[i]);
        for (size_t j = i + 1; j < c->count; j++) {
            if (c->members[j]->raft != NULL) {
                check_log_matching(a, c->members[j]->raft);
            }
        }
    }
}
