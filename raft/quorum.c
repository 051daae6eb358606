/* Majorities of one and of two sets of voters. */

#include "raft/quorum.h"

#include "base/must.h"

/* Where id is, or would be inserted. */
static size_t place_of(const struct raft_ids *ids, uint64_t id)
{
    must(ids->count <= RAFT_MEMBERS_MAX);
    size_t at = 0;
    while (at < ids->count && ids->list[at] < id) {
        at++;
    }
    return at;
}

bool raft_ids_has(const struct raft_ids *ids, uint64_t id)
{
    const size_t at = place_of(ids, id);
    return at < ids->count && ids->list[at] == id;
}

bool raft_ids_add(struct raft_ids *ids, uint64_t id)
{
    const size_t at = place_of(ids, id);
    if (at < ids->count && ids->list[at] == id) {
        return true;
    }
    if (ids->count == RAFT_MEMBERS_MAX) {
        return false;
    }
    memmove(&ids->list[at + 1], &ids->list[at],
            (ids->count - at) * sizeof ids->list[0]);
    ids->list[at] = id;
    ids->count++;
    return true;
}

void raft_ids_remove(struct raft_ids *ids, uint64_t id)
{
    const size_t at = place_of(ids, id);
    if (at == ids->count || ids->list[at] != id) {
        return;
    }
    memmove(&ids->list[at], &ids->list[at + 1],
            (ids->count - at - 1) * sizeof ids->list[0]);
    ids->count--;
}

bool raft_ids_equal(const struct raft_ids *a, const struct raft_ids *b)
{
    return a->count == b->count &&
           memcmp(a->list, b->list, a->count * sizeof a->list[0]) == 0;
}

/* Keeps sorted[0..count) in increasing order. */
static void insert_sorted(uint64_t *sorted, size_t count, uint64_t value)
{
    size_t at = count;
    while (at > 0 && sorted[at - 1] > value) {
        sorted[at] = sorted[at - 1];
        at--;
    }
    sorted[at] = value;
}

uint64_t raft_majority_committed(const struct raft_ids *voters,
                                 raft_acked *acked, const void *context)
{
    const size_t count = voters->count;
    must(count <= RAFT_MEMBERS_MAX);
    if (count == 0) {
        return UINT64_MAX;
    }
    uint64_t sorted[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < count; i++) {
        uint64_t index = 0;
        if (!acked(context, voters->list[i], &index)) {
            index = 0;
        }
        insert_sorted(sorted, i, index);
    }
    /* So many from the end are a majority: all of them have at least this. */
    const size_t majority = count / 2 + 1;
    return sorted[count - majority];
}

enum raft_vote_result raft_majority_vote(const struct raft_ids *voters,
                                         raft_voted *voted, const void *context)
{
    must(voters->count <= RAFT_MEMBERS_MAX);
    const size_t majority = voters->count / 2 + 1;
    size_t granted_count = 0;
    size_t missing_count = 0;
    for (size_t i = 0; i < voters->count; i++) {
        bool granted = false;
        if (!voted(context, voters->list[i], &granted)) {
            missing_count++;
        } else if (granted) {
            granted_count++;
        }
    }
    if (voters->count == 0 || granted_count >= majority) {
        return RAFT_VOTE_WON;
    }
    return granted_count + missing_count >= majority ? RAFT_VOTE_PENDING
                                                     : RAFT_VOTE_LOST;
}

uint64_t raft_joint_committed(const struct raft_ids *incoming,
                              const struct raft_ids *outgoing,
                              raft_acked *acked, const void *context)
{
    const uint64_t in = raft_majority_committed(incoming, acked, context);
    const uint64_t out = raft_majority_committed(outgoing, acked, context);
    return in < out ? in : out;
}

enum raft_vote_result raft_joint_vote(const struct raft_ids *incoming,
                                      const struct raft_ids *outgoing,
                                      raft_voted *voted, const void *context)
{
    const enum raft_vote_result in =
        raft_majority_vote(incoming, voted, context);
    const enum raft_vote_result out =
        raft_majority_vote(outgoing, voted, context);
    if (in == RAFT_VOTE_LOST || out == RAFT_VOTE_LOST) {
        return RAFT_VOTE_LOST;
    }
    return in == RAFT_VOTE_WON && out == RAFT_VOTE_WON ? RAFT_VOTE_WON
                                                       : RAFT_VOTE_PENDING;
}
