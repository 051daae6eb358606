/* Who is in the cluster: what may be changed, and how it is kept. */

#include "node/membership.h"

#include <stdlib.h>

#include "base/prng.h"
#include "node/join.h"
#include "tests/lib/test.h"

static struct membership *three(void)
{
    struct membership *m = xcalloc(1, sizeof *m);
    static const struct membership_member first[] = {
        {.id = 30, .name = "c", .peer_urls = "http://c:1"},
        {.id = 10, .name = "a", .peer_urls = "http://a:1,http://a:2"},
        {.id = 20, .name = "b", .peer_urls = "http://b:1"}};
    for (size_t i = 0; i < count_of(first); i++) {
        EXPECT(membership_add_first(m, &first[i]));
    }
    const uint64_t voters[] = {10, 20};
    const uint64_t learners[] = {30};
    const struct raft_conf_state conf = {.voters = voters,
                                         .voters_count = 2,
                                         .learners = learners,
                                         .learners_count = 1};
    membership_conf_set(&m->conf, &conf);
    return m;
}

static struct membership_change add(uint64_t id, const char *urls)
{
    return (struct membership_change){
        .op = MEMBERSHIP_ADD, .id = id, .peer_urls = bytes_of(urls)};
}

static struct membership_change of(enum membership_op op, uint64_t id)
{
    return (struct membership_change){.op = op, .id = id};
}

/* Danger: members disagree about a change.  etcd's answers
 * (etcd-surface.md 1.3) to each that cannot be made. */
TEST(membership, what_cannot_be_changed_is_refused_by_its_name)
{
    struct membership *m = three();
    struct membership_change c = add(10, "http://d:1");
    EXPECT_INT(membership_check(m, &c), ST_MEMBER_EXISTS);
    c = add(RAFT_APPEND_THREAD, "http://d:1");
    EXPECT_INT(membership_check(m, &c), ST_MEMBER_EXISTS);
    c = add(40, "");
    EXPECT_INT(membership_check(m, &c), ST_MEMBER_BAD_URLS);
    c = add(40, "http://d:1,http://a:2");
    EXPECT_INT(membership_check(m, &c), ST_PEER_URL_EXISTS);
    c = add(40, "http://d:1");
    EXPECT_INT(membership_check(m, &c), ST_OK);
    c = of(MEMBERSHIP_REMOVE, 40);
    EXPECT_INT(membership_check(m, &c), ST_MEMBER_NOT_FOUND);
    c = of(MEMBERSHIP_PROMOTE, 10);
    EXPECT_INT(membership_check(m, &c), ST_MEMBER_NOT_LEARNER);
    c = of(MEMBERSHIP_PROMOTE, 30);
    EXPECT_INT(membership_check(m, &c), ST_OK);
    c = of(MEMBERSHIP_UPDATE, 20);
    c.peer_urls = bytes_of("http://a:1");
    EXPECT_INT(membership_check(m, &c), ST_PEER_URL_EXISTS);
    c.peer_urls = bytes_of("http://b:1"); /* its own */
    EXPECT_INT(membership_check(m, &c), ST_OK);
    free(m);
}

/* Danger: a member that was removed, and has forgotten nothing of its votes,
 * comes back under its id. */
TEST(membership, an_id_that_was_removed_never_comes_back)
{
    struct membership *m = three();
    struct membership_change c = of(MEMBERSHIP_REMOVE, 20);
    membership_apply(m, &c);
    EXPECT(membership_find(m, 20) == NULL);
    EXPECT(membership_was_removed(m, 20));
    c = add(20, "http://b:1");
    EXPECT_INT(membership_check(m, &c), ST_MEMBER_EXISTS);
    c = add(21, "http://b:1"); /* its place may be taken */
    EXPECT_INT(membership_check(m, &c), ST_OK);
    free(m);
}

/* Several at once (dissertation section 4.3): all of them or none. */
TEST(membership, several_changes_are_made_together_or_not_at_all)
{
    struct membership *m = three();
    const struct membership_change good[] = {of(MEMBERSHIP_REMOVE, 10),
                                             add(40, "http://a:1"),
                                             of(MEMBERSHIP_PROMOTE, 30)};
    const struct membership_change bad[] = {of(MEMBERSHIP_REMOVE, 20),
                                            of(MEMBERSHIP_REMOVE, 20)};
    struct raft_conf_change cc;
    EXPECT_INT(membership_apply_all(m, bad, count_of(bad)),
               ST_MEMBER_NOT_FOUND);
    EXPECT(membership_find(m, 20) != NULL);
    EXPECT_INT(membership_apply_all(m, good, count_of(good)), ST_OK);
    EXPECT(membership_find(m, 10) == NULL && membership_find(m, 40) != NULL);
    EXPECT_INT(m->conf.voters_count, 2); /* raft's to say */
    EXPECT(membership_to_raft(good, count_of(good), &cc));
    EXPECT_INT(cc.changes_count, 3);
    EXPECT_INT(cc.changes[0].type, RAFT_REMOVE_NODE);
    EXPECT_INT(cc.changes[1].type, RAFT_ADD_NODE);
    EXPECT_INT(cc.changes[2].type, RAFT_ADD_NODE);
    free(m);
}

/* Danger: who was removed by several changes at once ends, or is refused, while
 * the old half of the joint configuration still needs its vote to leave it; a
 * leader that replaces itself would take the group with it. */
TEST(membership, who_a_joint_configuration_still_needs_has_not_left)
{
    struct membership *m = three();
    const struct membership_change gone = of(MEMBERSHIP_REMOVE, 20);
    membership_apply(m, &gone);
    m->conf.outgoing[0] = 10;
    m->conf.outgoing[1] = 20;
    m->conf.outgoing_count = 2;
    EXPECT(membership_was_removed(m, 20) && !membership_has_left(m, 20));
    m->conf.outgoing_count = 0;
    EXPECT(membership_has_left(m, 20) && !membership_has_left(m, 10));
    free(m);
}

static void hear(struct join_result *sum, uint64_t from,
                 const struct membership *known)
{
    struct join_result one = {
        .cluster_id = 7, .member_id = from, .members = xmalloc(sizeof *known)};
    *one.members = *known;
    join_take_answer(sum, &one);
}

/* Members 10 and 20 vote, 30 learns; 40, at d, is to vote and was just added.
 * Ends up NULL when it may not join. */
static enum status join_by(const uint64_t *by, size_t count, bool last_knows)
{
    struct membership *m = three();
    struct join_result sum = {0};
    struct fault fault;
    struct membership_change c = add(40, "http://d:1");
    membership_apply(m, &c);
    m->conf.voters[m->conf.voters_count++] = 40;
    for (size_t i = 0; i < count; i++) {
        if (last_knows && i + 1 == count) {
            c = of(MEMBERSHIP_PUBLISH, 40);
            membership_apply(m, &c);
        }
        hear(&sum, by[i], m);
    }
    const enum status st = join_take_place(&sum, "http://d:1", &fault);
    EXPECT(st != ST_OK ||
           (sum.member_id == 40 && membership_waits(sum.members)));
    free(sum.members);
    free(m);
    return st;
}

/* Danger: a member whose data is lost asks one that is behind who it is, is
 * taken for a new one, and votes a second time in the same term. */
TEST(membership, who_joins_is_judged_by_enough_to_know_whether_it_was_here)
{
    const uint64_t one[] = {10, 30, 10}, two[] = {10, 20};
    EXPECT_INT(join_by(one, 3, false), ST_NOT_FOUND); /* 30 only learns */
    EXPECT_INT(join_by(two, 2, false), ST_OK);
    EXPECT_INT(join_by(two, 2, true), ST_INVALID);
    EXPECT_INT(join_by(one, 2, true), ST_INVALID); /* any of them may know */
}

TEST(membership, a_record_comes_back_as_it_was)
{
    struct membership *m = three();
    struct membership *back = xcalloc(1, sizeof *back);
    struct membership_change c = of(MEMBERSHIP_PUBLISH, 20);
    c.name = bytes_of("bee");
    c.client_urls = bytes_of("http://b:2379");
    membership_apply(m, &c);
    c = of(MEMBERSHIP_REMOVE, 10);
    membership_apply(m, &c);
    m->changed_index = 77;
    m->ignored_index = 5;
    struct buf bytes = {0};
    membership_write(m, &bytes);
    EXPECT_INT(membership_read(buf_bytes(&bytes), back), ST_OK);
    EXPECT_INT(back->count, 2);
    EXPECT_INT(back->changed_index, 77);
    EXPECT_INT(back->ignored_index, 5);
    EXPECT_TEXT(membership_find(back, 20)->name, "bee");
    EXPECT_TEXT(membership_find(back, 20)->client_urls, "http://b:2379");
    EXPECT(membership_find(back, 20)->started);
    EXPECT(!membership_find(back, 30)->started);
    EXPECT(membership_is_learner(back, 30));
    EXPECT(membership_was_removed(back, 10));
    /* Cut anywhere it is no record. */
    for (size_t i = 0; i < bytes.size; i++) {
        EXPECT_INT(membership_read((struct bytes){bytes.data, i}, back),
                   ST_INVALID);
    }
    buf_fini(&bytes);
    free(back);
    free(m);
}

/* Danger: a record that came with another member's state, or whose checksum
 * was made for what is wrong, breaks what the rest of the code relies on. */
TEST(membership, a_record_that_contradicts_itself_is_refused)
{
    struct membership *m = three();
    struct membership *back = xcalloc(1, sizeof *back);
    const uint64_t wrong[] = {RAFT_NONE, RAFT_APPLY_THREAD, 30};
    const uint64_t first = m->members[0].id;
    struct buf bytes = {0};
    for (size_t i = 0; i < count_of(wrong); i++) {
        m->members[0].id = wrong[i]; /* 30 is the third's, too */
        buf_clear(&bytes);
        membership_write(m, &bytes);
        EXPECT_INT(membership_read(buf_bytes(&bytes), back), ST_INVALID);
    }
    m->members[0].id = first;
    buf_clear(&bytes);
    membership_write(m, &bytes);
    EXPECT_INT(membership_read(buf_bytes(&bytes), back), ST_OK);
    uint8_t *url = memmem(bytes.data, bytes.size, "http", 4);
    url[1] = 0; /* a text with an end inside */
    EXPECT_INT(membership_read(buf_bytes(&bytes), back), ST_INVALID);
    m->removed[m->removed_count++] = first;
    buf_clear(&bytes);
    membership_write(m, &bytes);
    EXPECT_INT(membership_read(buf_bytes(&bytes), back), ST_INVALID);
    buf_fini(&bytes);
    free(back);
    free(m);
}

/* Danger: bytes of another kind, or hostile ones, are believed or crash. */
TEST(membership, commands_come_back_and_anything_else_is_refused)
{
    const struct membership_stamp stamp = {7, 8};
    const struct membership_change changes[] = {
        add(40, "http://d:1,http://d:2"), of(MEMBERSHIP_REMOVE, 10)};
    struct membership_change back[RAFT_CHANGES_MAX];
    struct membership_stamp stamp_back;
    struct buf bytes = {0};
    size_t count = 0;
    membership_encode(&stamp, changes, 2, &bytes);
    EXPECT(membership_is_command(buf_bytes(&bytes)));
    EXPECT(!membership_is_command(BYTES_NONE));
    EXPECT(!membership_is_command(bytes_of("\x01\x01")));
    EXPECT_INT(membership_decode(buf_bytes(&bytes), &stamp_back, back, &count),
               ST_OK);
    EXPECT_INT(count, 2);
    EXPECT_INT(stamp_back.ticket, 7);
    EXPECT_INT(stamp_back.member, 8);
    EXPECT_INT(back[0].op, MEMBERSHIP_ADD);
    EXPECT_BYTES(back[0].peer_urls, bytes_of("http://d:1,http://d:2"));
    EXPECT_INT(back[1].id, 10);
    struct prng p;
    prng_init(&p, test_seed());
    struct membership *m = xcalloc(1, sizeof *m);
    for (int i = 0; i < 20000; i++) {
        const size_t at = (size_t)prng_below(&p, bytes.size);
        const uint8_t was = bytes.data[at];
        bytes.data[at] = (uint8_t)prng_next(&p);
        const size_t size = (size_t)prng_below(&p, bytes.size + 1);
        (void)!membership_decode((struct bytes){bytes.data, size}, &stamp_back,
                                 back, &count);
        (void)!membership_read((struct bytes){bytes.data, size}, m);
        bytes.data[at] = was;
    }
    free(m);
    buf_fini(&bytes);
}
