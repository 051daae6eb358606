/* The order of a turn: posts, then hooks, in rounds. */

#include "net/loop_spin.h"
#include "tests/net/rig.h"

/* Work left in a hook when the loop goes to sleep is a request that hangs. */
TEST(turn, hooks_run_in_order_until_none_asks_for_more)
{
    struct rig r;
    rig_begin(&r, 0);
    struct rig_hook a = {.rounds = 1}, b = {.rounds = 2, .turns = 1};
    struct rig_post p = {0};
    rig_hook_add(&r, &a, "a");
    rig_hook_add(&r, &b, "b");
    rig_post(&r, &p, "post");
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "post a b a b a b ");
    loop_hook_remove(&a.hook);
    loop_hook_remove(&b.hook);
    rig_end(&r);
}

/* A hook that ends its owner, or its neighbour, must not make the loop walk
 * through what is gone, nor skip the hooks behind. */
TEST(turn, a_hook_may_remove_itself_and_others)
{
    struct rig r;
    rig_begin(&r, 0);
    struct rig_hook a = {0}, b = {0}, c = {.rounds = 1, .turns = 1};
    struct rig_post p = {0};
    rig_hook_add(&r, &a, "a");
    rig_hook_add(&r, &b, "b");
    rig_hook_add(&r, &c, "c");
    a.removes = &b;
    rig_post(&r, &p, "post");
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "post a c a c ");

    r.trace[0] = '\0';
    a.removes = &a;
    c.rounds = 1;
    c.turns = 1;
    rig_post(&r, &p, "post");
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "post a c c ");
    loop_hook_remove(&c.hook);
    rig_end(&r);
}

/* A post that posts itself again must not keep the hooks from running: the
 * batch of the turn would never be written. */
TEST(turn, a_post_that_comes_again_waits_for_the_next_turn)
{
    struct rig r;
    rig_begin(&r, 0);
    struct rig_hook h = {.turns = 3};
    struct rig_post p = {.again = 2}, q = {0};
    rig_hook_add(&r, &h, "hook");
    rig_post(&r, &p, "p");
    rig_post(&r, &q, "q");
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "p q hook p hook p hook ");
    loop_hook_remove(&h.hook);
    rig_end(&r);
}

/* The reverse: a hook that is never done must leave everybody else a turn. */
struct busy {
    struct loop_hook hook;
    struct loop *loop;
    struct loop_post post;
    int rounds;
};

static bool busy_run(void *arg)
{
    struct busy *b = arg;
    b->rounds++;
    assert_true(b->rounds < 100000); /* the post never came */
    return true;
}

static void busy_stop(struct loop_post *p)
{
    loop_stop(container_of(p, struct busy, post)->loop);
}

static void busy_first(struct loop_post *p)
{
    struct busy *b = container_of(p, struct busy, post);
    b->post.run = busy_stop;
    loop_post(b->loop, &b->post);
}

TEST(turn, a_hook_that_is_never_done_does_not_starve_posts)
{
    struct rig r;
    rig_begin(&r, 0);
    struct busy b = {.loop = r.loop, .post = {.run = busy_first}};
    b.hook = (struct loop_hook){.run = busy_run, .arg = &b};
    loop_hook_add(r.loop, &b.hook);
    loop_post(r.loop, &b.post);
    loop_run(r.loop);
    EXPECT(b.rounds > 1);
    loop_hook_remove(&b.hook);
    rig_end(&r);
}

/* An owner that ends takes its posts back; a post run afterwards would run in
 * freed memory. */
TEST(turn, a_cancelled_post_does_not_run)
{
    struct rig r;
    rig_begin(&r, 0);
    struct rig_hook h = {.turns = 1};
    struct rig_post a = {0}, b = {0}, never = {0};
    rig_hook_add(&r, &h, "hook");
    rig_post(&r, &a, "a");
    rig_post(&r, &b, "b");
    loop_post_cancel(r.loop, &a.post);
    loop_post_cancel(r.loop, &never.post);
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "b hook ");

    /* A post that was cancelled, or has run, may be posted anew. */
    h.turns = 1;
    rig_post(&r, &b, "b");
    rig_post(&r, &a, "a");
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "b hook b a hook ");
    loop_hook_remove(&h.hook);
    rig_end(&r);
}

/* Cancelled by a post that runs before it in the same turn. */
struct canceller {
    struct rig *rig;
    struct loop_post post;
    struct rig_post victim;
};

static void cancel_victim(struct loop_post *p)
{
    struct canceller *c = container_of(p, struct canceller, post);
    say(c->rig, "cancel");
    loop_post_cancel(c->rig->loop, &c->victim.post);
}

TEST(turn, a_post_may_cancel_one_that_is_due_in_the_same_turn)
{
    struct rig r;
    rig_begin(&r, 0);
    struct rig_hook h = {.turns = 1};
    struct canceller c = {.rig = &r, .post = {.run = cancel_victim}};
    rig_hook_add(&r, &h, "hook");
    loop_post(r.loop, &c.post);
    rig_post(&r, &c.victim, "victim");
    loop_run(r.loop);
    EXPECT_TEXT(r.trace, "cancel hook ");
    loop_hook_remove(&h.hook);
    rig_end(&r);
}

/* Danger: a member that spins takes the core from the one it waits for; three
 * on two cores wrote a third less that way. */
TEST(turn, spinning_ends_while_others_want_the_core)
{
    struct loop_spin s = {.fd = -1};
    loop_spin_look(&s, "1000000 50000 12\n");
    EXPECT(!s.crowded);
    loop_spin_look(&s, "2000000 350000 20\n");
    EXPECT(s.crowded);
    loop_spin_look(&s, "3000000 360000 30\n"); /* and begins again */
    EXPECT(!s.crowded);
    loop_spin_look(&s, "3000000 360000 30\n"); /* it slept all the time */
    EXPECT(!s.crowded);
}

TEST(turn, a_lone_loop_may_spin_and_asks_now_and_then)
{
    struct loop_spin s = {.open = false};
    (void)loop_spin_pays(&s, 1);
    EXPECT(s.open);
    EXPECT_INT(s.looked_ns, 1);
    (void)loop_spin_pays(&s, 2);
    EXPECT_INT(s.looked_ns, 1);
    loop_spin_close(&s);
}
