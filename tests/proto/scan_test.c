/* The scanner: what protobuf-c must never see. */

#include "proto/budget.h"
#include "tests/proto/rig.h"

#include "proto/raft.pb-c.h"

static const struct proto_limits roomy = {.size_max = 1 << 20,
                                          .depth_max = PROTO_DEPTH_MAX,
                                          .fields_max = 100000,
                                          .repeats_max = 100000,
                                          .memory_max = 1 << 24};

static enum status scan(const char *hex, struct proto_limits limits,
                        struct fault *reterr)
{
    struct buf b = {0};
    for (; *hex != 0; hex += 2) {
        if (*hex == ' ') {
            hex--;
            continue;
        }
        const char digits[3] = {hex[0], hex[1], 0};
        buf_append_byte(&b, (uint8_t)strtoul(digits, NULL, 16));
    }
    size_t memory;
    /* A copy of its own, so that a step too far is seen. */
    uint8_t *exact = malloc(b.size + 1);
    memcpy(exact, b.data != NULL ? b.data : (const uint8_t *)"", b.size);
    uint8_t *tight = realloc(exact, b.size > 0 ? b.size : 1);
    const enum status st =
        proto_scan(&keelfs__raft__message__descriptor,
                   (struct bytes){tight, b.size}, &limits, &memory, reterr);
    free(tight);
    buf_fini(&b);
    return st;
}

/* Lines of the encoding specification, each broken once. */
TEST(scan, knows_well_formed_fields)
{
    const struct {
        const char *hex;
        enum status st;
    } cases[] = {
        {"", ST_OK},
        {"0803", ST_OK},
        {"08", ST_INVALID},                       /* no value */
        {"0880", ST_INVALID},                     /* half a value */
        {"08ffffffffffffffffff01", ST_OK},        /* ten bytes */
        {"08ffffffffffffffffffff01", ST_INVALID}, /* eleven */
        {"088000", ST_OK},                        /* not minimal: fine */
        {"0003", ST_INVALID},                     /* field number 0 */
        {"8000", ST_INVALID},                     /* the same, longer */
        {"f8ffffff0f00", ST_OK},                  /* the largest number */
        {"f8ffffff1f00", ST_INVALID},             /* beyond it */
        {"f8ffffffff0100", ST_INVALID},           /* a tag of six bytes */
        {"0b0c", ST_INVALID},                     /* a group */
        {"a33ea43e", ST_INVALID},                 /* an unknown group */
        {"0e00", ST_INVALID},                     /* no wire type */
        {"3a00", ST_OK},                          /* an empty entry */
        {"3a01", ST_INVALID},                     /* longer than the rest */
        {"3a03080110", ST_INVALID},               /* cut inside */
        {"3a020803 3a020803", ST_OK},             /* entries repeat */
        {"3a8400 08010801", ST_OK},               /* a length so */
        {"3affffffff0f", ST_INVALID},             /* 4 GiB */
        {"3affffffffff01", ST_INVALID},           /* a length of six bytes */
        {"3803", ST_INVALID},                     /* an entry as a number */
        {"0a00", ST_INVALID},                     /* the type as bytes */
        {"0900000000 00000000", ST_INVALID},      /* the type as fixed */
        {"4a00 4a00", ST_INVALID},                /* two snapshots */
        {"4a041a020a00", ST_OK},                  /* conf with empty set */
        {"4a061a040a020102", ST_OK},              /* packed */
        {"4a061a0408010802", ST_OK},              /* the same, one by one */
        {"4a041a020900", ST_INVALID},             /* fixed in a set */
        {"c1b80200000000000000 00", ST_OK},       /* unknown, 8 bytes */
        {"c1b80200000000000000", ST_INVALID},     /* one short */
        {"c5b80200000000", ST_OK},                /* unknown, 4 bytes */
        {"c5b802000000", ST_INVALID},
    };
    for (size_t i = 0; i < count_of(cases); i++) {
        struct fault fault = {{0}};
        const enum status st = scan(cases[i].hex, roomy, &fault);
        if (st != cases[i].st) {
            print_error("%s: %s\n", cases[i].hex, fault.text);
        }
        EXPECT_INT(st, cases[i].st);
    }
}

/* Each limit at its value and one below what is there. */
TEST(scan, holds_each_limit)
{
    /* A message with a snapshot with a configuration of three voters. */
    const char *hex = "0807 4a09 0801 1a05 0a03 010203";
    struct fault fault;
    struct proto_limits l = roomy;
    EXPECT_INT(scan(hex, l, &fault), ST_OK);
    l.depth_max = 3;
    l.repeats_max = 3;
    l.fields_max = 5;
    l.size_max = 13;
    EXPECT_INT(scan(hex, l, &fault), ST_OK);
    l.depth_max = 2;
    EXPECT_INT(scan(hex, l, &fault), ST_TOO_LARGE);
    l.depth_max = 3, l.repeats_max = 2;
    EXPECT_INT(scan(hex, l, &fault), ST_TOO_LARGE);
    l.repeats_max = 3, l.fields_max = 4;
    EXPECT_INT(scan(hex, l, &fault), ST_TOO_LARGE);
    l.fields_max = 5, l.size_max = 12;
    EXPECT_INT(scan(hex, l, &fault), ST_TOO_LARGE);
    l.size_max = 13, l.memory_max = 100;
    EXPECT_INT(scan(hex, l, &fault), ST_TOO_LARGE);
}

/* Two bytes for an empty entry must not buy a hundred bytes of memory without
 * end (reliability: 1.5 MB of them took 87 MB). */
TEST(scan, a_flood_of_empty_messages_stays_within_the_memory)
{
    struct buf b = {0};
    for (int i = 0; i < 100000; i++) {
        wire_sized(&b, 7, BYTES_NONE);
    }
    struct proto_limits l = roomy;
    l.memory_max = 40 * b.size;
    size_t memory;
    struct fault fault;
    EXPECT_INT(proto_scan(&keelfs__raft__message__descriptor, buf_bytes(&b), &l,
                          &memory, &fault),
               ST_TOO_LARGE);
    EXPECT(strstr(fault.text, "bytes when unpacked") != NULL);
    buf_fini(&b);
}

/* Types that contain themselves: the stack is the limit of protobuf-c. */
TEST(scan, nesting_takes_no_stack)
{
    /* raft.proto has no such type; this one is made by hand. */
    static ProtobufCMessageDescriptor nested;
    static const ProtobufCFieldDescriptor field = {
        .name = "inside",
        .id = 1,
        .label = PROTOBUF_C_LABEL_OPTIONAL,
        .type = PROTOBUF_C_TYPE_MESSAGE,
        .descriptor = &nested,
    };
    nested = (ProtobufCMessageDescriptor){.name = "nested",
                                          .sizeof_message = 32,
                                          .n_fields = 1,
                                          .fields = &field};
    for (uint32_t depth = 99; depth <= 10000; depth += depth < 101 ? 1 : 9899) {
        struct buf b = {0}, inside = {0};
        for (uint32_t i = 1; i < depth; i++) {
            buf_clear(&b);
            wire_sized(&b, 1, buf_bytes(&inside));
            buf_clear(&inside);
            buf_append(&inside, buf_bytes(&b));
        }
        size_t memory;
        struct fault fault;
        EXPECT_INT(proto_scan(&nested, buf_bytes(&b), &roomy, &memory, &fault),
                   depth <= PROTO_DEPTH_MAX ? ST_OK : ST_TOO_LARGE);
        buf_fini(&b);
        buf_fini(&inside);
    }
}

/* The promise of the budget: what was scanned can be unpacked. */
TEST(scan, its_bound_is_never_too_small)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (int i = 0; i < 500; i++) {
        struct raft_message m = random_message(&p);
        struct buf b = {0};
        EXPECT_INT(raft_codec_encode(&m, &b, NULL), ST_OK);
        for (uint64_t more = prng_below(&p, 100); more > 0; more--) {
            wire_number(&b, 500, more);
            wire_sized(&b, 501, bytes_of("unknown"));
        }
        struct proto_budget budget;
        ProtobufCMessage *back;
        struct fault fault;
        EXPECT_INT(proto_unpack(&keelfs__raft__message__descriptor,
                                buf_bytes(&b), &roomy, &budget, &back, &fault),
                   ST_OK);
        proto_free(&budget, back);
        buf_fini(&b);
        raft_message_fini(&m);
    }
}
