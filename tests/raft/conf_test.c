/* Configurations as values, and the bytes of their changes. */

#include "base/buf.h"
#include "tests/raft/paper.h"

/* The bytes are protobuf's, as etcd's members write them: field numbers and
 * kinds from raft.proto. */
TEST(conf_change, the_encoding_is_protobufs)
{
    const struct raft_conf_change one = {
        .changes_count = 1,
        .changes = {{RAFT_ADD_LEARNER_NODE, 300}},
        .id = 5,
        .context = bytes_of("ab")};
    struct payload *p = raft_conf_change_encode(RAFT_ENTRY_CONF_CHANGE, &one);
    EXPECT_BYTES(payload_bytes(p),
                 bytes_of("\x08\x05\x10\x03\x18\xac\x02\x22\x02"
                          "ab"));
    payload_drop(p);
    const struct raft_conf_change two = {
        .transition = RAFT_TRANSITION_JOINT_EXPLICIT,
        .changes_count = 2,
        .changes = {{RAFT_REMOVE_NODE, 1}, {RAFT_ADD_LEARNER_NODE, 2}},
        .context = bytes_of("c")};
    p = raft_conf_change_encode(RAFT_ENTRY_CONF_CHANGE_V2, &two);
    EXPECT_BYTES(payload_bytes(p), bytes_of("\x08\x02\x12\x04\x08\x01\x10\x01"
                                            "\x12\x04\x08\x03\x10\x02\x1a\x01"
                                            "c"));
    struct raft_conf_change back;
    EXPECT_INT(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2,
                                       payload_bytes(p), &back),
               ST_OK);
    EXPECT_INT(back.transition, RAFT_TRANSITION_JOINT_EXPLICIT);
    EXPECT_INT(back.changes_count, 2);
    EXPECT_INT(back.changes[1].node, 2);
    EXPECT_BYTES(back.context, bytes_of("c"));
    payload_drop(p);
    const struct raft_conf_change leave = {.changes_count = 0};
    p = raft_conf_change_encode(RAFT_ENTRY_CONF_CHANGE_V2, &leave);
    /* The transition is written also when it is 0, as published: it counts for
     * the limits on sizes.  Nothing at all, the leader's own, reads the same.
     */
    EXPECT_BYTES(payload_bytes(p),
                 ((struct bytes){(const uint8_t *)"\x08", 2}));
    const struct bytes both[] = {payload_bytes(p), BYTES_NONE};
    for (size_t i = 0; i < count_of(both); i++) {
        struct raft_conf_change read;
        EXPECT_INT(
            raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, both[i], &read),
            ST_OK);
        EXPECT(raft_conf_change_leaves_joint(&read));
    }
    payload_drop(p);
}

TEST(conf_change, version_one_is_read_back_and_unknown_fields_are_skipped)
{
    /* id 7, then fields 9 to 11 of a later version, type, node, context. */
    static const char bytes[] = "\x08\x07\x48\x01\x51"
                                "12345678"
                                "\x5d"
                                "1234"
                                "\x10\x01\x18\x03\x22\x01z";
    struct raft_conf_change cc;
    EXPECT_INT(
        raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE, bytes_of(bytes), &cc),
        ST_OK);
    EXPECT_INT(cc.id, 7);
    EXPECT_INT(cc.changes_count, 1);
    EXPECT_INT(cc.changes[0].type, RAFT_REMOVE_NODE);
    EXPECT_INT(cc.changes[0].node, 3);
    EXPECT_BYTES(cc.context, bytes_of("z"));
    /* Every beginning of it that does not end a field is refused. */
    const struct bytes whole = bytes_of(bytes);
    static const size_t ends[] = {0, 2, 4, 13, 18, 20, 22, 25};
    for (size_t size = 0; size <= whole.size; size++) {
        bool is_end = false;
        for (size_t i = 0; i < count_of(ends); i++) {
            is_end = is_end || ends[i] == size;
        }
        EXPECT_INT(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE,
                                           (struct bytes){whole.data, size},
                                           &cc),
                   is_end ? ST_OK : ST_INVALID);
    }
    EXPECT_INT(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE,
                                       bytes_of("\x10\x04"), &cc),
               ST_INVALID);
}

/* Danger: a damaged or invented configuration comes in force.  C1 to C4. */
TEST(conf, what_breaks_the_invariants_is_not_read)
{
    static const uint64_t a[] = {1, 2}, b[] = {2, 3}, c[] = {3},
                          twice[] = {4, 4}, none[] = {0};
    static const struct raft_conf_state bad[] = {
        {.voters = a, .voters_count = 2, .learners = b, .learners_count = 2},
        {.voters = a,
         .voters_count = 2,
         .voters_outgoing = c,
         .voters_outgoing_count = 1,
         .learners = c,
         .learners_count = 1},
        {.voters = a,
         .voters_count = 2,
         .voters_outgoing = b,
         .voters_outgoing_count = 2,
         .learners_next = b,
         .learners_next_count = 2}, /* 2 stays a voter */
        {.voters = a,
         .voters_count = 2,
         .learners_next = c,
         .learners_next_count = 1}, /* not joint */
        {.voters = a, .voters_count = 2, .auto_leave = true},
        {.voters_outgoing = a, .voters_outgoing_count = 2},
        {.voters = twice, .voters_count = 2},
        {.voters = none, .voters_count = 1},
        {.voters = a,
         .voters_count = 2,
         .learners = none,
         .learners_count = 1}};
    struct raft_conf_sets sets;
    for (size_t i = 0; i < count_of(bad); i++) {
        EXPECT_INT(raft_conf_read(&bad[i], &sets), ST_INVALID);
    }
    uint64_t many[RAFT_MEMBERS_MAX + 1];
    for (uint64_t i = 0; i <= RAFT_MEMBERS_MAX; i++) {
        many[i] = RAFT_MEMBERS_MAX + 1 - i; /* order does not matter */
    }
    const struct raft_conf_state full = {.voters = many,
                                         .voters_count = RAFT_MEMBERS_MAX};
    EXPECT_INT(raft_conf_read(&full, &sets), ST_OK);
    EXPECT_INT(sets.incoming.list[0], 2);
    const struct raft_conf_state over = {.voters = many,
                                         .voters_count = RAFT_MEMBERS_MAX + 1};
    EXPECT_INT(raft_conf_read(&over, &sets), ST_TOO_MANY);
    const struct raft_conf_state good = {.voters = a,
                                         .voters_count = 2,
                                         .voters_outgoing = b,
                                         .voters_outgoing_count = 2,
                                         .learners_next = c,
                                         .learners_next_count = 1,
                                         .auto_leave = true};
    EXPECT_INT(raft_conf_read(&good, &sets), ST_OK);
    const struct raft_conf_state back = raft_conf_view(&sets);
    EXPECT_INT(back.voters_outgoing[1], 3);
    EXPECT_INT(back.learners_next[0], 3);
    EXPECT(back.auto_leave);
}

TEST(conf, steps_that_are_not_possible_are_refused)
{
    struct raft_conf_sets sets = {.auto_leave = false};
    const struct raft_conf_change_single in = {RAFT_ADD_NODE, 1};
    struct raft_conf_step step;
    EXPECT_INT(raft_conf_enter_joint(&sets, true, &in, 1, &step),
               RAFT_CONF_JOINT_WITHOUT_VOTERS);
    EXPECT_INT(raft_conf_leave_joint(&sets, &step), RAFT_CONF_NOT_JOINT);
    EXPECT_INT(raft_conf_simple(&sets, &in, 1, &step), RAFT_CONF_OK);
    sets = step.sets;
    EXPECT_INT(raft_conf_enter_joint(&sets, true, &in, 1, &step), RAFT_CONF_OK);
    sets = step.sets;
    EXPECT_INT(raft_conf_simple(&sets, &in, 1, &step),
               RAFT_CONF_SIMPLE_IN_JOINT);
    EXPECT_INT(raft_conf_enter_joint(&sets, true, &in, 1, &step),
               RAFT_CONF_ALREADY_JOINT);
    EXPECT_INT(raft_conf_leave_joint(&sets, &step), RAFT_CONF_OK);
}

TEST(conf_change, what_cannot_be_read_is_refused)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum status wanted;
    } rows[] = {{"", 0, ST_OK},
                {"\x08\x03", 2, ST_INVALID},         /* no such transition */
                {"\x12\x02\x08\x04", 4, ST_INVALID}, /* no such change */
                {"\x12\x05\x08\x01", 4, ST_INVALID}, /* cut off */
                {"\x0f\x01", 2, ST_INVALID},         /* no such wire type */
                {"\x7a\x01x", 3, ST_OK}};            /* a later field */
    for (size_t i = 0; i < count_of(rows); i++) {
        struct raft_conf_change cc;
        const struct bytes b = {(const uint8_t *)rows[i].bytes, rows[i].size};
        EXPECT_INT(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, b, &cc),
                   rows[i].wanted);
    }
    /* The cap and one more. */
    struct buf many = {NULL, 0, 0};
    for (int i = 0; i < RAFT_CHANGES_MAX; i++) {
        buf_append(&many, bytes_of("\x12\x02\x10\x01"));
    }
    struct raft_conf_change cc;
    EXPECT_INT(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2,
                                       buf_bytes(&many), &cc),
               ST_OK);
    buf_append(&many, bytes_of("\x12\x02\x10\x01"));
    EXPECT_INT(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2,
                                       buf_bytes(&many), &cc),
               ST_TOO_MANY);
    buf_fini(&many);
}

/* The cap of a set of members and one more. */
TEST(conf_change, a_set_has_a_cap)
{
    struct raft_conf_sets sets = {.auto_leave = false};
    for (uint64_t id = 1; id <= RAFT_MEMBERS_MAX; id++) {
        EXPECT(raft_ids_add(&sets.incoming, id));
    }
    struct raft_conf_step step;
    struct raft_conf_change_single in = {RAFT_ADD_NODE, 1000};
    EXPECT_INT(raft_conf_simple(&sets, &in, 1, &step),
               RAFT_CONF_TOO_MANY_MEMBERS);
    in.type = RAFT_ADD_LEARNER_NODE;
    EXPECT_INT(raft_conf_simple(&sets, &in, 1, &step), RAFT_CONF_OK);
}
