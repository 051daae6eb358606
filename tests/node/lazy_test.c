/* Messages that nobody waits for (node/lazy.h). */

#include "node/lazy.h"

#include "tests/lib/test.h"

static struct raft_message notice(uint64_t term, uint64_t commit)
{
    return (struct raft_message){.type = RAFT_MSG_APPEND,
                                 .to = 2,
                                 .from = 1,
                                 .term = term,
                                 .index = commit,
                                 .commit = commit};
}

static struct raft_message append(uint64_t term, uint64_t commit)
{
    struct raft_message m = notice(term, commit);
    const struct raft_entry e = {.term = term, .index = commit + 1};
    raft_entries_add(&m.entries, &e, 1);
    return m;
}

static struct raft_message answer(enum raft_message_type type, uint64_t term,
                                  uint64_t index)
{
    return (struct raft_message){
        .type = type, .to = 2, .from = 1, .term = term, .index = index};
}

static bool kept(struct lazy *l, struct raft_message m, int64_t now_ns)
{
    const bool is_kept = lazy_keep(l, &m, now_ns);
    raft_message_fini(&m);
    return is_kept;
}

/* Telling two followers what is committed, and hearing that they heard it, is
 * half of the messages of a lone write.  The next append says the same. */
TEST(lazy, a_notice_waits_for_the_next_append)
{
    struct lazy l = {.keeps = false};
    EXPECT(!kept(&l, append(1, 4), 0));
    EXPECT(kept(&l, notice(1, 5), 1000));
    EXPECT_INT(l.due_ns, 1000 + LAZY_NOTICE_NS);
    EXPECT(!kept(&l, append(1, 5), 2000));
    EXPECT(!l.keeps);
    /* One after the other: the time of the first counts. */
    EXPECT(kept(&l, notice(1, 6), 3000));
    EXPECT(kept(&l, notice(1, 7), 4000));
    EXPECT_INT(l.due_ns, 3000 + LAZY_NOTICE_NS);
    struct raft_message m;
    EXPECT(lazy_take(&l, &m));
    EXPECT_INT(m.commit, 7);
    EXPECT(!lazy_take(&l, &m));
    lazy_fini(&l);
}

/* Who writes, waits until a watcher on another member has seen it, and writes
 * again, would wait for every notice's time. */
TEST(lazy, notices_that_nothing_overtakes_go_at_once)
{
    struct lazy l = {.keeps = false};
    struct raft_message m;
    EXPECT(kept(&l, notice(1, 5), 0));
    EXPECT(lazy_expire(&l, &m));
    EXPECT(!lazy_expire(&l, &m));
    for (int i = 0; i < LAZY_EAGER; i++) {
        EXPECT(!kept(&l, notice(1, 6), 0));
    }
    EXPECT(kept(&l, notice(1, 7), 0)); /* perhaps the times have changed */
    EXPECT(!kept(&l, append(1, 7), 0));
    EXPECT(kept(&l, notice(1, 8), 0)); /* they have */
    EXPECT(lazy_take(&l, &m)); /* pushed out by something else: no sign */
    EXPECT(kept(&l, notice(1, 9), 0));
    lazy_fini(&l);
}

/* A client of the follower sits there until its member knows of the commit. */
TEST(lazy, a_notice_that_a_client_waits_for_goes_at_once)
{
    struct lazy l = {.keeps = false};
    lazy_owe(&l, 5); /* its proposal became entry 5 */
    EXPECT(!kept(&l, append(1, 4), 0));
    EXPECT(!kept(&l, notice(1, 4), 0)); /* not yet */
    EXPECT(!kept(&l, notice(1, 5), 0));
    EXPECT(kept(&l, notice(1, 6), 0));
    /* A read there has to reach entry 6: the notice goes before the answer. */
    EXPECT(!kept(&l, answer(RAFT_MSG_READ_INDEX_RESPONSE, 1, 7), 0));
    EXPECT(l.keeps);
    struct raft_message m;
    EXPECT(lazy_take(&l, &m));
    EXPECT_INT(m.commit, 6);
    EXPECT(!kept(&l, notice(1, 7), 0)); /* and this one as soon as it can */
    lazy_fini(&l);
}

/* Danger: the leader counts acknowledgements to commit.  Only one that it has
 * had may wait. */
TEST(lazy, an_acknowledgement_waits_only_when_it_is_old)
{
    struct lazy l = {.keeps = false};
    EXPECT(!kept(&l, answer(RAFT_MSG_APPEND_RESPONSE, 1, 5), 0));
    EXPECT(kept(&l, answer(RAFT_MSG_APPEND_RESPONSE, 1, 5), 0));
    EXPECT_INT(l.due_ns, LAZY_ECHO_NS);
    EXPECT(!kept(&l, answer(RAFT_MSG_APPEND_RESPONSE, 1, 6), 0));
    EXPECT(!l.keeps); /* the new one says as much */
    EXPECT(!kept(&l, answer(RAFT_MSG_APPEND_RESPONSE, 2, 6), 0)); /* new term */
    struct raft_message no = answer(RAFT_MSG_APPEND_RESPONSE, 2, 3);
    no.reject = true;
    EXPECT(!kept(&l, no, 0));
    /* The connection broke: the leader may not have had it. */
    lazy_on_loss(&l);
    EXPECT(!kept(&l, answer(RAFT_MSG_APPEND_RESPONSE, 2, 6), 0));
    lazy_fini(&l);
}

/* Danger: a message of a former life as leader, or as follower, holds up what
 * matters now, or is sent in its place. */
TEST(lazy, a_later_term_ends_what_is_kept)
{
    struct lazy l = {.keeps = false};
    EXPECT(kept(&l, notice(1, 5), 0));
    EXPECT(!kept(&l, answer(RAFT_MSG_VOTE, 2, 5), 0));
    EXPECT(!l.keeps);
    EXPECT(!kept(&l, answer(RAFT_MSG_APPEND_RESPONSE, 2, 6), 0));
    EXPECT(kept(&l, answer(RAFT_MSG_APPEND_RESPONSE, 2, 6), 0));
    EXPECT(!kept(&l, append(3, 6), 0));
    EXPECT(!l.keeps);
    lazy_fini(&l);
}
