/* Who is stopped when states differ: never the right ones while it can be told
 * who is right. */

#include "node/verdict.h"

#include <stdlib.h>

#include "base/must.h"
#include "tests/lib/test.h"

/* Hashes by member, '-' for no answer; "VERDICT wrong ones" comes back. */
static const char *verdict(const char *hashes)
{
    static const char *const names[] = {"EQUAL", "WRONG", "NOBODY",
                                        "UNDECIDED"};
    static char text[64];
    struct verdict_vote votes[16];
    const size_t count = strlen(hashes);
    for (size_t i = 0; i < count; i++) {
        votes[i] = (struct verdict_vote){.member = i + 1,
                                         .answered = hashes[i] != '-',
                                         .hash = (uint32_t)hashes[i]};
    }
    size_t used = (size_t)snprintf(text, sizeof text, "%s",
                                   names[verdict_of(votes, count)]);
    for (size_t i = 0; i < count; i++) {
        if (votes[i].wrong) {
            used += (size_t)snprintf(text + used, sizeof text - used, " %zu",
                                     i + 1);
        }
    }
    return text;
}

TEST(verdict, a_majority_of_all_members_is_believed_and_nobody_else)
{
    static const struct {
        const char *hashes, *expected;
    } rows[] = {
        {"aaa", "EQUAL"},
        {"a--", "EQUAL"},
        {"aa-", "EQUAL"},
        {"---", "EQUAL"},
        {"aab", "WRONG 3"},
        {"baa", "WRONG 1"}, /* be it the leader */
        {"a-b", "UNDECIDED"},
        {"aab--", "UNDECIDED"},
        {"aaab-", "WRONG 4"},
        {"aaabc", "WRONG 4 5"},
        {"aabbc", "NOBODY 1 2 3 4 5"},
        {"ab", "NOBODY 1 2"},
        {"abc", "NOBODY 1 2 3"},
        {"aabb", "NOBODY 1 2 3 4"},
        {"aaab", "WRONG 4"},
        {"a", "EQUAL"},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        EXPECT_TEXT(verdict(rows[i].hashes), rows[i].expected);
    }
}
