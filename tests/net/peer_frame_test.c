/* Frames, greetings and addresses: bytes there and back, and bytes that are
 * neither. */

#include <stdlib.h>

#include "base/codec.h"
#include "base/prng.h"
#include "net/peer_address.h"
#include "net/peer_frame.h"
#include "tests/lib/test.h"

/* Members of other versions must find each other: the bytes are for ever.  The
 * checksum was worked out bit by bit from RFC 3720's polynomial. */
TEST(frame, has_the_bytes_of_the_format)
{
    uint8_t header[PEER_HEADER_SIZE];
    peer_header_put(header, PEER_FRAME_MESSAGE, bytes_of("hi"));
    static const uint8_t wanted[] = {2, 0, 0,    0,    4,    0,
                                     0, 0, 0xb7, 0xe8, 0x94, 0xc6};
    EXPECT_BYTES(((struct bytes){header, sizeof header}),
                 ((struct bytes){wanted, sizeof wanted}));

    struct peer_hello hello = {.version_min = 1,
                               .version_max = 0x203,
                               .cluster_id = 0x1122334455667788,
                               .from = 5,
                               .to = 6,
                               .stream = PEER_BULK};
    (void)snprintf(hello.addresses, sizeof hello.addresses, "h:1");
    struct buf b = {0};
    peer_hello_put(&b, &hello);
    static const char greeting[] = "keelpeer"
                                   "\x01\x00\x03\x02"
                                   "\x88\x77\x66\x55\x44\x33\x22\x11"
                                   "\x05\0\0\0\0\0\0\0"
                                   "\x06\0\0\0\0\0\0\0"
                                   "\x01"
                                   "\x03h:1";
    EXPECT_BYTES(buf_bytes(&b), ((struct bytes){(const uint8_t *)greeting,
                                                sizeof greeting - 1}));
    buf_fini(&b);
}

/* A flipped bit in an entry would be a different command: none passes. */
TEST(frame, no_flipped_bit_passes)
{
    uint8_t frame[PEER_HEADER_SIZE + 20];
    const struct bytes body = {frame + PEER_HEADER_SIZE, 20};
    memset(frame, 'x', sizeof frame);
    peer_header_put(frame, PEER_FRAME_MESSAGE, body);
    EXPECT(peer_header_matches(frame, body));
    for (size_t bit = 0; bit < 8 * sizeof frame; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct peer_header h;
        const enum status st = peer_header_read(frame, 1000, &h, NULL);
        /* A longer one is waited for, and then covers other bytes. */
        EXPECT(st != ST_OK || h.size > body.size ||
               !peer_header_matches(frame, (struct bytes){body.data, h.size}));
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

TEST(frame, is_no_longer_than_its_type_may_be)
{
    const struct {
        enum peer_frame_type type;
        uint32_t size;
        size_t size_max;
        bool fine;
    } cases[] = {
        {PEER_FRAME_MESSAGE, 100, 100, true},
        {PEER_FRAME_MESSAGE, 101, 100, false},
        {PEER_FRAME_MESSAGE, UINT32_MAX, 64 << 20, false},
        {PEER_FRAME_PING, PEER_CONTROL_SIZE_MAX, 64 << 20, true},
        {PEER_FRAME_PING, PEER_CONTROL_SIZE_MAX + 1, 64 << 20, false},
        {(enum peer_frame_type)0, 1, 100, false},
        {(enum peer_frame_type)9, 1, 100, false},
    };
    for (size_t i = 0; i < count_of(cases); i++) {
        uint8_t header[PEER_HEADER_SIZE];
        peer_header_put(header, cases[i].type, BYTES_NONE);
        put_u32(header, cases[i].size);
        struct peer_header h;
        EXPECT_INT(peer_header_read(header, cases[i].size_max, &h, NULL),
                   cases[i].fine ? ST_OK : ST_INVALID);
    }
}

TEST(frame, greetings_come_back)
{
    struct peer_hello hello = {.version_min = 1,
                               .version_max = 7,
                               .cluster_id = UINT64_MAX,
                               .from = 1,
                               .to = UINT64_MAX - 5,
                               .stream = PEER_BULK};
    memset(hello.addresses, 'a', PEER_ADDRESSES_SIZE_MAX);
    struct buf b = {0};
    struct peer_hello back;
    peer_hello_put(&b, &hello);
    EXPECT(b.size <= PEER_CONTROL_SIZE_MAX);
    EXPECT_INT(peer_hello_read(buf_bytes(&b), &back, NULL), ST_OK);
    EXPECT_INT(back.version_max, 7);
    EXPECT_INT(back.cluster_id, hello.cluster_id);
    EXPECT_INT(back.from, hello.from);
    EXPECT_INT(back.to, hello.to);
    EXPECT_INT(back.stream, PEER_BULK);
    EXPECT_TEXT(back.addresses, hello.addresses);
    for (size_t size = 0; size < b.size; size++) {
        EXPECT_INT(peer_hello_read((struct bytes){b.data, size}, &back, NULL),
                   ST_INVALID);
    }
    buf_append(&b, bytes_of("what a later version adds"));
    EXPECT_INT(peer_hello_read(buf_bytes(&b), &back, NULL), ST_OK);
    buf_fini(&b);
}

/* Versions are found before anything else is looked at. */
TEST(frame, versions_without_overlap_are_told_apart_from_nonsense)
{
    const struct {
        uint16_t min, max;
        enum status st;
    } cases[] = {{1, 1, ST_OK},          {0, 1, ST_OK},
                 {1, UINT16_MAX, ST_OK}, {2, 3, ST_UNSUPPORTED},
                 {0, 0, ST_UNSUPPORTED}, {2, 1, ST_INVALID}};
    for (size_t i = 0; i < count_of(cases); i++) {
        const struct peer_hello hello = {.version_min = cases[i].min,
                                         .version_max = cases[i].max};
        struct peer_hello back;
        struct buf b = {0};
        peer_hello_put(&b, &hello);
        if (cases[i].st == ST_UNSUPPORTED) {
            b.size = 8 + 4; /* the rest is theirs to say */
        }
        EXPECT_INT(peer_hello_read(buf_bytes(&b), &back, NULL), cases[i].st);
        buf_fini(&b);
    }
}

TEST(frame, random_bodies_are_read_or_refused)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (int i = 0; i < 50000; i++) {
        uint8_t bytes[80];
        const size_t size = (size_t)prng_below(&p, sizeof bytes + 1);
        prng_fill(&p, bytes, size);
        if (size >= 8 && prng_chance(&p, 1, 2)) {
            memcpy(bytes, "keelpeer", 8);
        }
        /* Memory that ends where the body ends. */
        uint8_t *exact = malloc(size > 0 ? size : 1);
        memcpy(exact, bytes, size);
        const struct bytes body = {exact, size};
        struct peer_hello hello;
        struct peer_welcome welcome;
        struct peer_reject reject;
        uint64_t number;
        struct fault fault;
        (void)(peer_hello_read(body, &hello, &fault) == ST_OK);
        (void)(peer_welcome_read(body, &welcome, &fault) == ST_OK);
        (void)(peer_reject_read(body, &reject, &fault) == ST_OK);
        EXPECT_INT(peer_ping_read(body, &number, &fault),
                   size == 8 ? ST_OK : ST_INVALID);
        free(exact);
    }
}

/* --- addresses --- */

TEST(address, parses_what_is_one)
{
    const struct {
        const char *text, *host, *port; /* of the last; NULL: refused */
        size_t count;
    } cases[] = {
        {"127.0.0.1:2380", "127.0.0.1", "2380", 1},
        {"node-1.example:1", "node-1.example", "1", 1},
        {"[::1]:0", "::1", "0", 1},
        {"a:1,b:2,[fe80::1]:65535", "fe80::1", "65535", 3},
        {"a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1", "a", "1", 8},
        {"", NULL, NULL, 0},
        {"a", NULL, NULL, 0},
        {"a:", NULL, NULL, 0},
        {":1", NULL, NULL, 0},
        {"[]:1", NULL, NULL, 0},
        {"::1:2380", NULL, NULL, 0},
        {"a:65536", NULL, NULL, 0},
        {"a:123456", NULL, NULL, 0},
        {"a:-1", NULL, NULL, 0},
        {"a:1x", NULL, NULL, 0},
        {"a:1,", NULL, NULL, 0},
        {",a:1", NULL, NULL, 0},
        {"a: 1", NULL, NULL, 0},
        {"a b:1", NULL, NULL, 0},
        {"http://a:1", NULL, NULL, 0},
        {"a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1", NULL, NULL, 0},
    };
    for (size_t i = 0; i < count_of(cases); i++) {
        struct peer_addresses a;
        struct fault fault = {{0}};
        const enum status st = peer_addresses_parse(cases[i].text, &a, &fault);
        if (cases[i].host == NULL) {
            EXPECT(st != ST_OK);
            EXPECT(fault.text[0] != 0);
        } else {
            EXPECT_INT(st, ST_OK);
            EXPECT_INT(a.count, cases[i].count);
            EXPECT_TEXT(a.list[a.count - 1].host, cases[i].host);
            EXPECT_TEXT(a.list[a.count - 1].port, cases[i].port);
        }
    }
}

TEST(address, text_of_numbers_is_what_was_parsed)
{
    const char *texts[] = {"127.0.0.1:2380", "[::1]:65535"};
    for (size_t i = 0; i < count_of(texts); i++) {
        struct peer_addresses a;
        union peer_socket_address s;
        char back[PEER_ADDRESS_TEXT_SIZE];
        EXPECT_INT(peer_addresses_parse(texts[i], &a, NULL), ST_OK);
        EXPECT(peer_address_is_numeric(&a.list[0], &s));
        peer_address_text(&s.any, back);
        EXPECT_TEXT(back, texts[i]);
    }
    struct peer_addresses a;
    union peer_socket_address s;
    EXPECT_INT(peer_addresses_parse("localhost:1", &a, NULL), ST_OK);
    EXPECT(!peer_address_is_numeric(&a.list[0], &s));
}
