/* Messages to bytes and back, and what neither direction lets pass. */

#include "tests/proto/rig.h"

/* --- there and back --- */

/* A field lost on the way is a vote or a commit lost: every field of every
 * kind of message comes back, at every size of number. */
TEST(codec, gives_back_every_message)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (int i = 0; i < 2000; i++) {
        struct raft_message m = random_message(&p), back;
        struct buf b = {0};
        struct fault fault;
        EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_OK);
        EXPECT_INT(raft_codec_decode(buf_bytes(&b), &back, &fault), ST_OK);
        expect_same_message(&back, &m);
        raft_message_fini(&back);
        raft_message_fini(&m);
        buf_fini(&b);
    }
}

/* Members of other versions read these bytes: they are those of the protobuf
 * specification for the numbers in raft.proto, worked out by hand. */
TEST(codec, writes_the_bytes_of_the_format)
{
    struct payload *payload = payload_copy_of(bytes_of("hi"));
    const struct raft_entry entries[2] = {
        {.term = 3, .index = 300, .payload = payload},
        {.term = 3, .index = 301, .type = RAFT_ENTRY_CONF_CHANGE_V2},
    };
    struct raft_message m = {.type = RAFT_MSG_APPEND,
                             .to = 2,
                             .from = 1,
                             .term = 3,
                             .log_term = 2,
                             .index = 299,
                             .commit = 7};
    raft_entries_add(&m.entries, entries, 2);
    struct buf b = {0};
    struct fault fault;
    EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_OK);
    static const uint8_t wanted[] = {
        0x08, 3,                                  /* type */
        0x10, 2,                                  /* to */
        0x18, 1,                                  /* from */
        0x20, 3,                                  /* term */
        0x28, 2,                                  /* log term */
        0x30, 0xab, 0x02,                         /* index 299 */
        0x3a, 9,                                  /* an entry */
        0x10, 3,    0x18, 0xac, 0x02,             /* term, index 300 */
        0x22, 2,    'h',  'i',                    /* payload */
        0x3a, 7,                                  /* an entry */
        0x08, 2,    0x10, 3,    0x18, 0xad, 0x02, /* type, term, index 301 */
        0x40, 7,                                  /* commit */
    };
    EXPECT_BYTES(buf_bytes(&b), ((struct bytes){wanted, sizeof wanted}));
    buf_fini(&b);
    raft_message_fini(&m);
    payload_drop(payload);
}

/* No payload and an empty one count differently against raft's limits. */
TEST(codec, tells_no_payload_from_an_empty_one)
{
    struct payload *empty = payload_new(0);
    const struct raft_entry entries[2] = {
        {.term = 1, .index = 1}, {.term = 1, .index = 2, .payload = empty}};
    struct raft_message m = {
        .type = RAFT_MSG_APPEND, .to = 2, .from = 1, .term = 1};
    raft_entries_add(&m.entries, entries, 2);
    payload_drop(empty);
    struct buf b = {0};
    struct fault fault;
    struct raft_message back;
    EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_OK);
    EXPECT_INT(raft_codec_decode(buf_bytes(&b), &back, &fault), ST_OK);
    EXPECT(back.entries.list[0].payload == NULL);
    EXPECT(back.entries.list[1].payload != NULL);
    EXPECT_INT(back.entries.list[1].payload->size, 0);
    raft_message_fini(&back);
    raft_message_fini(&m);
    buf_fini(&b);
}

/* The caller may have other things in the buffer. */
TEST(codec, appends_and_leaves_the_buffer_alone_on_failure)
{
    struct buf b = {0};
    struct fault fault;
    buf_append(&b, bytes_of("before"));
    struct raft_message m = {.type = RAFT_MSG_HUP, .to = 2, .from = 1};
    EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_INVALID);
    EXPECT_BYTES(buf_bytes(&b), bytes_of("before"));
    m.type = RAFT_MSG_TIMEOUT_NOW;
    EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_OK);
    EXPECT_BYTES(buf_bytes(&b), bytes_of("before\x08\x0e\x10\x02\x18\x01"));
    buf_fini(&b);
}

/* --- what may not pass --- */

static void expect_refused(struct buf *b, const char *why)
{
    struct raft_message m;
    struct fault fault = {{0}};
    EXPECT_INT(raft_codec_decode(buf_bytes(b), &m, &fault), ST_INVALID);
    if (strstr(fault.text, why) == NULL) {
        EXPECT_TEXT(fault.text, why);
    }
    buf_fini(b);
}

/* A forged local message could make a member campaign, or believe that its log
 * is durable. */
TEST(decode, refuses_what_never_comes_from_the_network)
{
    for (unsigned type = 0; type < RAFT_MSG_TYPES; type++) {
        struct buf b = {0};
        wire_envelope(&b, type);
        if (raft_message_type_is_local((enum raft_message_type)type)) {
            expect_refused(&b, "not for the network");
        } else {
            buf_fini(&b);
        }
    }
    const uint64_t unknown[] = {RAFT_MSG_TYPES, 255, UINT32_MAX};
    for (size_t i = 0; i < count_of(unknown); i++) {
        struct buf b = {0};
        wire_envelope(&b, unknown[i]);
        expect_refused(&b, "unknown type");
    }
    struct buf b = {0};
    expect_refused(&b, "type 0"); /* no bytes: all fields zero */
}

TEST(decode, refuses_ids_that_no_member_has)
{
    const uint64_t none[] = {0, RAFT_APPEND_THREAD, RAFT_APPLY_THREAD};
    for (size_t i = 0; i < count_of(none); i++) {
        struct buf b = {0};
        wire_number(&b, 1, RAFT_MSG_HEARTBEAT);
        wire_number(&b, 2, none[i]);
        wire_number(&b, 3, 1);
        expect_refused(&b, "target");
        wire_number(&b, 1, RAFT_MSG_HEARTBEAT);
        wire_number(&b, 2, 1);
        wire_number(&b, 3, none[i]);
        expect_refused(&b, "sender");
    }
}

TEST(decode, refuses_unknown_kinds_of_entries)
{
    struct buf b = {0}, entry = {0};
    wire_envelope(&b, RAFT_MSG_APPEND);
    wire_number(&entry, 1, 3);
    wire_sized(&b, 7, buf_bytes(&entry));
    expect_refused(&b, "unknown type");
    buf_fini(&entry);
}

TEST(decode, wants_a_snapshot_exactly_where_one_belongs)
{
    struct buf b = {0};
    wire_envelope(&b, RAFT_MSG_SNAPSHOT);
    expect_refused(&b, "without a snapshot");
    wire_envelope(&b, RAFT_MSG_APPEND);
    wire_sized(&b, 9, BYTES_NONE);
    expect_refused(&b, "with a snapshot");
}

/* Sets go into arrays of fixed size, and into binary searches. */
TEST(decode, refuses_sets_of_members_too_large_or_out_of_order)
{
    const struct {
        size_t count;
        uint64_t first, step;
        const char *why; /* NULL: fine */
    } cases[] = {
        {RAFT_MEMBERS_MAX, 1, 1, NULL},
        {RAFT_MEMBERS_MAX + 1, 1, 1, "more than 64 members"},
        {100000, 1, 1, "more than 64 members"},
        {2, 5, 0, "not ascending"},
        {2, 5, UINT64_MAX, "not ascending"},
        {2, 0, 1, "not ascending"},
        {1, RAFT_APPLY_THREAD, 1, "not ascending"},
    };
    for (size_t i = 0; i < count_of(cases); i++) {
        for (uint32_t set = 1; set <= 4; set++) {
            struct buf b = {0}, ids = {0}, conf = {0}, snapshot = {0};
            uint64_t id = cases[i].first;
            for (size_t n = 0; n < cases[i].count; n++) {
                write_varint(&ids, id);
                id += cases[i].step;
            }
            wire_sized(&conf, set, buf_bytes(&ids));
            wire_sized(&snapshot, 3, buf_bytes(&conf));
            wire_envelope(&b, RAFT_MSG_SNAPSHOT);
            wire_sized(&b, 9, buf_bytes(&snapshot));
            if (cases[i].why != NULL) {
                expect_refused(&b, cases[i].why);
            } else {
                struct raft_message m;
                EXPECT_INT(raft_codec_decode(buf_bytes(&b), &m, NULL), ST_OK);
                raft_message_fini(&m);
                buf_fini(&b);
            }
            buf_fini(&ids);
            buf_fini(&conf);
            buf_fini(&snapshot);
        }
    }
}

/* The cap, and one beyond, in both directions. */
TEST(codec, holds_as_many_entries_as_it_says)
{
    struct raft_message m = {
        .type = RAFT_MSG_APPEND, .to = 2, .from = 1, .term = 1};
    const struct raft_entry e = {.term = 1, .index = 1};
    for (size_t i = 0; i < RAFT_CODEC_ENTRIES_MAX; i++) {
        raft_entries_add(&m.entries, &e, 1);
    }
    struct buf b = {0};
    struct fault fault;
    struct raft_message back;
    EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_OK);
    EXPECT_INT(raft_codec_decode(buf_bytes(&b), &back, &fault), ST_OK);
    EXPECT_INT(back.entries.count, RAFT_CODEC_ENTRIES_MAX);
    raft_message_fini(&back);
    wire_sized(&b, 7, BYTES_NONE);
    expect_refused(&b, "elements");

    raft_entries_add(&m.entries, &e, 1);
    EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_TOO_LARGE);
    EXPECT_INT(b.size, 0);
    raft_message_fini(&m);
}

TEST(codec, holds_a_context_as_long_as_it_says)
{
    struct raft_message m = {.type = RAFT_MSG_READ_INDEX, .to = 2, .from = 1};
    struct buf b = {0};
    struct fault fault;
    for (size_t more = 0; more < 2; more++) {
        m.context = payload_new(RAFT_CODEC_CONTEXT_SIZE_MAX + more);
        memset(m.context->data, 'c', m.context->size);
        EXPECT_INT(raft_codec_encode(&m, &b, &fault),
                   more == 0 ? ST_OK : ST_TOO_LARGE);
        if (more == 1) {
            wire_envelope(&b, RAFT_MSG_READ_INDEX);
            wire_sized(&b, 12, payload_bytes(m.context));
            expect_refused(&b, "context");
        }
        buf_fini(&b);
        payload_drop(m.context);
    }
}

/* A message of all there is room for, and one that no peer would take. */
TEST(codec, holds_as_many_bytes_as_it_says)
{
    struct raft_message m = {.type = RAFT_MSG_PROPOSE, .to = 2, .from = 1};
    /* type, to, from: 6; entry and payload: a tag and 4 or 5 of length. */
    const size_t around = 6 + (1 + 4) + (1 + 4);
    for (size_t more = 0; more < 2; more++) {
        struct raft_entry e = {
            .payload = payload_new(RAFT_CODEC_SIZE_MAX - around + more)};
        memset(e.payload->data, 'p', e.payload->size);
        raft_entries_add(&m.entries, &e, 1);
        payload_drop(e.payload);
        struct buf b = {0};
        struct fault fault;
        const enum status st = raft_codec_encode(&m, &b, &fault);
        if (more == 0) {
            struct raft_message back;
            EXPECT_INT(st, ST_OK);
            EXPECT_INT(b.size, RAFT_CODEC_SIZE_MAX);
            EXPECT_INT(raft_codec_decode(buf_bytes(&b), &back, &fault), ST_OK);
            EXPECT_INT(back.entries.list[0].payload->size, e.payload->size);
            raft_message_fini(&back);
            buf_append_byte(&b, 0);
            expect_refused(&b, "more than 67108864");
        } else {
            EXPECT_INT(st, ST_TOO_LARGE);
        }
        raft_message_fini(&m);
        m = (struct raft_message){.type = RAFT_MSG_PROPOSE, .to = 2, .from = 1};
        buf_fini(&b);
    }
}

/* Members of the next version may say more. */
TEST(decode, passes_over_fields_it_does_not_know)
{
    struct buf b = {0};
    struct raft_message m;
    struct fault fault;
    wire_envelope(&b, RAFT_MSG_HEARTBEAT);
    wire_number(&b, 900, UINT64_MAX);
    wire_sized(&b, 1001, bytes_of("extension"));
    write_varint(&b, 902 << 3 | 1);
    write_u64(&b, 5);
    write_varint(&b, 903 << 3 | 5);
    write_u32(&b, 5);
    wire_number(&b, 8, 17);
    EXPECT_INT(raft_codec_decode(buf_bytes(&b), &m, &fault), ST_OK);
    EXPECT_INT(m.commit, 17);
    raft_message_fini(&m);
    buf_fini(&b);
}
