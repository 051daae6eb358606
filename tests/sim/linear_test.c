/* The general checker, on histories whose verdict is known: a checker that
 * says yes to everything would let every bug pass. */

#include "tests/lib/test.h"
#include "tests/sim/linear.h"

#define READ(b, e, v)                                                          \
    {                                                                          \
        LINEAR_READ, b, e, v, 0, false                                         \
    }
#define WRITE(b, e, v)                                                         \
    {                                                                          \
        LINEAR_WRITE, b, e, v, 0, false                                        \
    }
#define SWAP(b, e, was, v, took)                                               \
    {                                                                          \
        LINEAR_SWAP, b, e, v, was, took                                        \
    }
#define LOST INT64_MAX

#define EXPECT_VERDICT(verdict, ...)                                           \
    do {                                                                       \
        const struct linear_op ops[] = {__VA_ARGS__};                          \
        EXPECT_INT(linear_check(ops, sizeof ops / sizeof ops[0], 1000000),     \
                   verdict);                                                   \
    } while (0)

/* Herlihy and Wing (1990), figure 1: overlapping calls may take effect in
 * either order, those that do not overlap in theirs. */
TEST(linear, what_overlaps_may_be_ordered_freely)
{
    EXPECT_VERDICT(LINEAR_YES, WRITE(0, 10, 1), READ(5, 6, 0), READ(7, 8, 1));
    EXPECT_VERDICT(LINEAR_YES, WRITE(0, 10, 1), WRITE(0, 10, 2),
                   READ(11, 12, 1), READ(13, 14, 1));
    EXPECT_VERDICT(LINEAR_YES, WRITE(0, 5, 1), READ(5, 6, 0)); /* touching */
}

/* A stale read: the classic of reading from a deposed leader. */
TEST(linear, a_stale_read_is_found)
{
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, 1, 1), READ(2, 3, 0));
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, 1, 1), WRITE(2, 3, 2), READ(4, 5, 1));
}

/* New, then old again, while the write is still under way. */
TEST(linear, time_travel_between_two_readers_is_found)
{
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, 100, 1), READ(1, 2, 1), READ(3, 4, 0));
}

TEST(linear, two_orders_at_once_are_found)
{
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, 10, 1), WRITE(0, 10, 2), READ(11, 12, 1),
                   READ(13, 14, 2));
}

TEST(linear, a_lost_write_is_found)
{
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, 1, 1), SWAP(2, 3, 1, 2, true),
                   READ(4, 5, 1));
}

/* Both saw 1 and both were told that they had won. */
TEST(linear, two_winners_of_one_swap_are_found)
{
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, 1, 1), SWAP(2, 9, 1, 2, true),
                   SWAP(2, 9, 1, 3, true));
    EXPECT_VERDICT(LINEAR_YES, WRITE(0, 1, 1), SWAP(2, 9, 1, 2, true),
                   SWAP(2, 9, 1, 3, false));
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, 1, 1), SWAP(2, 3, 1, 2, false));
}

/* A call without an answer may take effect late, or never, but not before it
 * was made, and not twice. */
TEST(linear, an_unanswered_call_happens_once_or_never)
{
    EXPECT_VERDICT(LINEAR_YES, WRITE(0, LOST, 1), READ(5, 6, 0),
                   READ(50, 60, 1));
    EXPECT_VERDICT(LINEAR_YES, WRITE(0, LOST, 1), READ(5, 6, 0));
    EXPECT_VERDICT(LINEAR_NO, READ(0, 1, 1), WRITE(5, LOST, 1));
    EXPECT_VERDICT(LINEAR_NO, WRITE(0, LOST, 1), READ(5, 6, 1), WRITE(7, 8, 2),
                   READ(9, 10, 1));
    EXPECT_VERDICT(LINEAR_YES, SWAP(0, LOST, 0, 1, false), READ(5, 6, 1));
}

/* A hundred writers at once: the memory of dead ends keeps the search short. */
TEST(linear, many_overlapping_calls_are_decided)
{
    struct linear_op ops[101];
    for (int i = 0; i < 50; i++) {
        ops[2 * i] = (struct linear_op)WRITE(10 * i, 10 * i + 15, 100 + i);
        ops[2 * i + 1] = (struct linear_op)READ(10 * i + 16, 10 * i + 19, 0);
        ops[2 * i + 1].value = (uint64_t)(100 + i);
    }
    /* Reads end before the write after the next begins: each sees its own. */
    for (int i = 0; i < 50; i++) {
        ops[2 * i + 1].begin = 10 * i + 1;
    }
    EXPECT_INT(linear_check(ops, 100, 1000000), LINEAR_YES);
    ops[100] = (struct linear_op)READ(1000, 1001, 100);
    EXPECT_INT(linear_check(ops, 101, 1000000), LINEAR_NO);
}
