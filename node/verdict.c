/* Counting equal hashes. */

#include "node/verdict.h"

static size_t agreeing(const struct verdict_vote *votes, size_t count,
                       uint32_t hash)
{
    size_t same = 0;
    for (size_t i = 0; i < count; i++) {
        same += votes[i].answered && votes[i].hash == hash;
    }
    return same;
}

enum verdict verdict_of(struct verdict_vote *votes, size_t count)
{
    size_t answered = 0;
    size_t best = 0;    /* how many agree, ... */
    uint32_t right = 0; /* ... on this */
    for (size_t i = 0; i < count; i++) {
        votes[i].wrong = false;
        if (!votes[i].answered) {
            continue;
        }
        answered++;
        const size_t same = agreeing(votes, count, votes[i].hash);
        if (same > best) {
            best = same;
            right = votes[i].hash;
        }
    }
    if (best == answered) {
        return VERDICT_EQUAL;
    }
    const bool is_majority = best > count / 2;
    if (!is_majority && answered < count) {
        return VERDICT_UNDECIDED;
    }
    for (size_t i = 0; i < count; i++) {
        votes[i].wrong =
            votes[i].answered && (!is_majority || votes[i].hash != right);
    }
    return is_majority ? VERDICT_WRONG : VERDICT_NOBODY;
}
