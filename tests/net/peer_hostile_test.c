/* Whoever connects may send anything: its connection ends with a reason, and
 * nothing else happens. */

#include "tests/net/peer_rig.h"

/* Member 1, and member 2 connected to it, which must never notice. */
struct scene {
    struct peer_rig rig;
    struct member a, bystander;
};

static void scene_begin(struct scene *s, struct peer_hub_options one)
{
    rig_begin(&s->rig);
    const struct peer_hub_options two = member_options(2);
    member_begin(&s->a, &s->rig, &one, 0);
    member_begin(&s->bystander, &s->rig, &two, 0);
    member_knows(&s->bystander, &s->a);
    member_until_connected(&s->bystander, 1);
    s->a.trace[0] = 0;
}

static void scene_end(struct scene *s)
{
    s->a.trace[0] = 0;
    s->a.quiet = false;
    EXPECT_TEXT(s->bystander.trace, "");
    EXPECT(member_send(&s->bystander, 1, PEER_MESSAGES, bytes_of("still")));
    member_until(&s->a, "2 messages: still\n");
    member_end(&s->a);
    member_end(&s->bystander);
    rig_end(&s->rig);
}

/* Sends the bytes, sees what member 1 says, and that it hangs up. */
static void expect_end(struct scene *s, struct buf *b, const char *said)
{
    const int fd = raw_connect(s->a.port);
    raw_send(fd, buf_bytes(b));
    member_until(&s->a, said);
    raw_until_closed(&s->rig, fd);
    s->a.trace[0] = 0;
    buf_clear(b);
}

static void greet(struct buf *b)
{
    const struct peer_hello hello = raw_hello(7, 1);
    raw_greet(b, &hello);
}

TEST(hostile, what_is_no_greeting_ends_the_connection)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct buf b = {0};
    buf_append(&b, bytes_of("GET / HTTP/1.1\r\nHost: node\r\n\r\n"));
    expect_end(&s, &b, "malformed 0: a frame of no known type\n");
    raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("no greeting before"));
    expect_end(&s, &b, "malformed 0: no greeting\n");
    raw_frame(&b, PEER_FRAME_HELLO, bytes_of("keelpier"));
    expect_end(&s, &b, "malformed 0: a greeting in another protocol\n");
    raw_frame(&b, PEER_FRAME_HELLO, BYTES_NONE);
    expect_end(&s, &b, "malformed 0: a greeting in another protocol\n");
    raw_frame(&b, PEER_FRAME_HELLO, bytes_of("keelpeer\x01"));
    expect_end(&s, &b, "malformed 0: a greeting without a version\n");
    struct peer_hello hello = raw_hello(7, 1);
    hello.stream = (enum peer_stream)PEER_STREAMS;
    raw_greet(&b, &hello);
    expect_end(&s, &b, "malformed 0: a greeting not well formed\n");
    buf_fini(&b);
    struct peer_hub_stats stats;
    peer_hub_stats(s.a.hub, &stats);
    EXPECT_INT(stats.malformed, 6);
    EXPECT_INT(stats.incoming, 2);
    scene_end(&s);
}

/* Another version is no nonsense: it is told why, for its log. */
TEST(hostile, another_version_is_told_which_are_spoken)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct peer_hello hello = raw_hello(7, 1);
    hello.version_min = 2;
    hello.version_max = 9;
    struct buf b = {0};
    raw_greet(&b, &hello);
    struct raw_ending e = {.fd = raw_connect(s.a.port)};
    raw_send(e.fd, buf_bytes(&b));
    EXPECT(rig_run_ticking(&s.rig, is_closed, &e));
    const char *why = "peer protocol versions 2 to 9 are spoken there, 1 to 1 "
                      "here";
    struct peer_header header;
    struct peer_reject reject;
    EXPECT(e.said.size > PEER_HEADER_SIZE);
    EXPECT_INT(peer_header_read(e.said.data, 1000, &header, NULL), ST_OK);
    EXPECT_INT(header.type, PEER_FRAME_REJECT);
    EXPECT_INT(
        peer_reject_read(bytes_after(buf_bytes(&e.said), PEER_HEADER_SIZE),
                         &reject, NULL),
        ST_OK);
    EXPECT_INT(reject.reason, PEER_REASON_VERSION);
    EXPECT_TEXT(reject.text, why);
    EXPECT(strstr(s.a.trace, why) != NULL);
    (void)close(e.fd);
    buf_fini(&e.said);
    buf_fini(&b);
    scene_end(&s);
}

/* A hub that speaks 1 to 1 accepts a later one that still speaks 1. */
TEST(hostile, a_later_version_that_speaks_ours_is_welcome)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct peer_hello hello = raw_hello(7, 1);
    hello.version_max = 9;
    struct buf b = {0};
    raw_greet(&b, &hello);
    raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("hello"));
    const int fd = raw_connect(s.a.port);
    raw_send(fd, buf_bytes(&b));
    member_until(&s.a, "7 messages: hello\n");
    (void)close(fd);
    buf_fini(&b);
    scene_end(&s);
}

TEST(hostile, a_member_that_breaks_the_frames_is_cut_off)
{
    struct scene s;
    struct peer_hub_options one = member_options(1);
    one.frame_size_max = 100000;
    scene_begin(&s, one);
    struct buf b = {0};

    greet(&b);
    raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("flipped"));
    b.data[b.size - 1] ^= 0x10;
    expect_end(&s, &b, "malformed 7: a frame with a wrong checksum\n");

    greet(&b);
    raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("x"));
    put_u32(b.data + b.size - PEER_HEADER_SIZE - 1, 100001);
    expect_end(&s, &b,
               "malformed 7: a frame of 100001 bytes, more than 100000\n");

    greet(&b);
    raw_frame(&b, PEER_FRAME_WELCOME, BYTES_NONE);
    expect_end(&s, &b, "malformed 7: a frame out of turn\n");

    greet(&b);
    greet(&b);
    expect_end(&s, &b, "malformed 7: a frame out of turn\n");

    greet(&b);
    raw_frame(&b, PEER_FRAME_PING, bytes_of("1234567"));
    expect_end(&s, &b, "malformed 7: a heartbeat not well formed\n");
    buf_fini(&b);
    EXPECT_INT(s.a.messages[PEER_MESSAGES], 0);
    scene_end(&s);
}

/* Before the greeting nobody gets more than a little of our memory. */
TEST(hostile, a_stranger_may_not_send_long_frames)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct buf b = {0}, body = {0};
    buf_resize(&body, PEER_CONTROL_SIZE_MAX + 1);
    raw_frame(&b, PEER_FRAME_MESSAGE, buf_bytes(&body));
    expect_end(&s, &b, "malformed 0: a frame of 2049 bytes, more than 2048\n");
    buf_fini(&b);
    buf_fini(&body);
    scene_end(&s);
}

static const struct peer_incoming *incoming_from(const struct member *m,
                                                 uint64_t id)
{
    list_each (link, &m->hub->incoming) {
        const struct peer_incoming *i =
            container_of(link, struct peer_incoming, link);
        if (i->from == id) {
            return i;
        }
    }
    return NULL;
}

struct half {
    const struct member *member;
    size_t size;
};

static bool has_arrived(void *arg)
{
    const struct half *h = arg;
    const struct peer_incoming *i = incoming_from(h->member, 7);
    return i != NULL && i->conn->in.size >= h->size;
}

/* A promise of 64 MiB is free to make: memory follows the bytes. */
TEST(hostile, memory_follows_the_bytes_and_not_the_promise)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct buf b = {0};
    greet(&b);
    uint8_t header[PEER_HEADER_SIZE] = {0};
    put_u32(header, 64 << 20);
    header[4] = PEER_FRAME_MESSAGE;
    buf_append(&b, (struct bytes){header, sizeof header});
    const int fd = raw_connect(s.a.port);
    raw_send(fd, buf_bytes(&b));
    static const uint8_t some[50000];
    struct half h = {&s.a, sizeof header};
    for (int i = 0; i < 30; i++) {
        EXPECT(rig_run_ticking(&s.rig, has_arrived, &h));
        const struct buf *in = &incoming_from(&s.a, 7)->conn->in;
        EXPECT(in->capacity <= 2 * in->size + (128 << 10));
        raw_send(fd, (struct bytes){some, sizeof some});
        h.size += sizeof some;
    }
    /* Half a frame and then nothing: closed and forgotten. */
    (void)close(fd);
    member_until(&s.a, "closed 7: closed by the other side\n");
    EXPECT_INT(s.a.messages[PEER_MESSAGES], 0);
    buf_fini(&b);
    scene_end(&s);
}

static bool never(void *arg)
{
    /* One look at the loop after each byte. */
    return (*(int *)arg)++ > 0;
}

/* TCP keeps no borders: frames arrive in pieces of any size. */
TEST(hostile, frames_may_come_byte_by_byte)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct buf b = {0};
    greet(&b);
    raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("one"));
    raw_frame(&b, PEER_FRAME_MESSAGE, BYTES_NONE);
    raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("three"));
    const int fd = raw_connect(s.a.port);
    for (size_t i = 0; i < b.size; i++) {
        raw_send(fd, (struct bytes){b.data + i, 1});
        int looks = 0;
        EXPECT(rig_run_ticking(&s.rig, never, &looks));
    }
    member_until(&s.a, "7 messages: three\n");
    EXPECT_TEXT(s.a.trace,
                "7 messages: one\n7 messages: \n7 messages: three\n");
    (void)close(fd);
    buf_fini(&b);
    scene_end(&s);
}

/* Heartbeats cost answers: who never reads them is not served for ever. */
TEST(hostile, heartbeats_without_reading_the_answers_end)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct buf b = {0}, ping = {0};
    greet(&b);
    peer_ping_put(&ping, 5);
    for (int i = 0; i < 20000; i++) {
        raw_frame(&b, PEER_FRAME_PING, buf_bytes(&ping));
    }
    const int fd = raw_connect(s.a.port);
    struct wanted w = {&s.a,
                       "malformed 7: heartbeats, and no answer is read\n"};
    for (int i = 0; i < 200 && strstr(s.a.trace, w.text) == NULL; i++) {
        const ssize_t n = send(fd, b.data, b.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            memmove(b.data, b.data + n, b.size - (size_t)n);
            b.size -= (size_t)n;
        }
        while (b.size < 20 * 20000) {
            raw_frame(&b, PEER_FRAME_PING, buf_bytes(&ping));
        }
        int looks = 0;
        EXPECT(rig_run_ticking(&s.rig, never, &looks));
    }
    EXPECT(strstr(s.a.trace, w.text) != NULL);
    (void)close(fd);
    buf_fini(&b);
    buf_fini(&ping);
    scene_end(&s);
}

/* A member that sends without end: everybody else still gets a turn. */
TEST(hostile, a_flood_does_not_drown_the_others)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    s.a.quiet = true;
    struct buf b = {0};
    greet(&b);
    const int fd = raw_connect(s.a.port);
    raw_send(fd, buf_bytes(&b));
    buf_clear(&b);
    for (int i = 0; i < 5000; i++) {
        raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("flood"));
    }
    size_t at = 0;
    for (size_t round = 1; round <= 15; round++) {
        ssize_t n;
        while ((n = send(fd, b.data + at, b.size - at,
                         MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
            at = (at + (size_t)n) % b.size;
        }
        EXPECT(member_send(&s.bystander, 1, PEER_BULK, bytes_of("me, too")));
        member_until_count(&s.a, PEER_BULK, round);
    }
    EXPECT(s.a.messages[PEER_MESSAGES] > 10000);
    (void)close(fd);
    buf_fini(&b);
    scene_end(&s);
}

/* The same member twice: the newer connection counts, its frames alone. */
TEST(hostile, a_newer_connection_takes_the_place_of_the_older)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct buf b = {0};
    greet(&b);
    raw_frame(&b, PEER_FRAME_MESSAGE, bytes_of("first"));
    const int first = raw_connect(s.a.port);
    raw_send(first, buf_bytes(&b));
    member_until(&s.a, "7 messages: first\n");
    const int second = raw_connect(s.a.port);
    raw_send(second, buf_bytes(&b));
    member_until(&s.a, "closed 7: replaced by a newer connection\n7 messages: "
                       "first\n");
    raw_until_closed(&s.rig, first);
    (void)close(second);
    buf_fini(&b);
    scene_end(&s);
}

/* --- sessions with a few bytes changed --- */

static void mutate(struct prng *p, struct buf *b)
{
    for (uint64_t times = 1 + prng_below(p, 3); times > 0 && b->size > 0;
         times--) {
        const size_t at = (size_t)prng_below(p, b->size);
        switch (prng_below(p, 3)) {
        case 0:
            b->data[at] ^= (uint8_t)(1u << prng_below(p, 8));
            break;
        case 1:
            b->data[at] = (uint8_t)prng_next(p);
            break;
        case 2:
            b->size = at;
            break;
        }
    }
}

TEST(hostile, mutated_sessions_end_and_harm_nobody)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    s.a.quiet = true;
    struct prng p;
    prng_init(&p, test_seed());
    for (int i = 0; i < 300; i++) {
        struct buf b = {0}, body = {0};
        greet(&b);
        for (int k = 0; k < 3; k++) {
            const size_t size = (size_t)prng_below(&p, 200);
            buf_clear(&body);
            prng_fill(&p, buf_extend(&body, size), size);
            raw_frame(&b, PEER_FRAME_MESSAGE, buf_bytes(&body));
        }
        mutate(&p, &b);
        const int fd = raw_connect(s.a.port);
        raw_send(fd, buf_bytes(&b));
        must(shutdown(fd, SHUT_WR) == 0);
        raw_until_closed(&s.rig, fd);
        s.a.trace[0] = 0;
        buf_fini(&b);
        buf_fini(&body);
    }
    struct peer_hub_stats stats;
    peer_hub_stats(s.a.hub, &stats);
    EXPECT_INT(stats.incoming, 2);
    EXPECT(stats.malformed > 50);
    EXPECT(stats.malformed + stats.refused + stats.accepted >= 300);
    scene_end(&s);
}

/* --- the other direction: what answers our connections --- */

struct liar {
    int listener;
    struct loop_poll *poll;
    struct bytes answer;
    int conns[8]; /* kept: closing with HELLO unread would reset */
    size_t count;
};

static void liar_called(void *arg, int fd)
{
    struct liar *l = arg;
    must(l->count < count_of(l->conns));
    const int conn = accept(fd, NULL, NULL);
    must(conn >= 0);
    l->conns[l->count++] = conn;
    raw_send(conn, l->answer);
}

static void expect_answer_refused(struct scene *s, struct buf *answer,
                                  const char *said)
{
    struct liar l = {.answer = buf_bytes(answer)};
    uint16_t port;
    l.listener = raw_listen(&port);
    l.poll = loop_poll_start(s->rig.loop, l.listener, liar_called, &l);
    member_knows_port(&s->a, 9, port);
    member_until(&s->a, said);
    EXPECT(strstr(s->a.trace, "connected 9") == NULL);
    peer_hub_remove(s->a.hub, 9);
    loop_poll_stop(l.poll);
    (void)close(l.listener);
    while (l.count > 0) {
        (void)close(l.conns[--l.count]);
    }
    s->a.trace[0] = 0;
    buf_clear(answer);
}

TEST(hostile, answers_are_not_believed_either)
{
    struct scene s;
    scene_begin(&s, member_options(1));
    struct buf b = {0}, body = {0};
    raw_frame(&b, PEER_FRAME_PONG, bytes_of("12345678"));
    expect_answer_refused(&s, &b, "malformed 9: a frame out of turn\n");
    raw_frame(&b, PEER_FRAME_WELCOME, bytes_of("keelpeer"));
    expect_answer_refused(&s, &b, "malformed 9: a welcome not well formed\n");
    raw_frame(&b, PEER_FRAME_REJECT, bytes_of("\x01"));
    expect_answer_refused(&s, &b, "malformed 9: a refusal not well formed\n");
    buf_append(&b, bytes_of("220 smtp.example ESMTP\r\n"));
    expect_answer_refused(&s, &b, "malformed 9: a frame of no known type\n");
    const struct peer_welcome wrong[] = {
        {.version = 1, .cluster_id = 0xbad, .from = 9, .to = 1},
        {.version = 1, .cluster_id = CLUSTER, .from = 8, .to = 1},
        {.version = 1, .cluster_id = CLUSTER, .from = 9, .to = 2},
        {.version = 2, .cluster_id = CLUSTER, .from = 9, .to = 1},
    };
    for (size_t i = 0; i < count_of(wrong); i++) {
        buf_clear(&body);
        peer_welcome_put(&body, &wrong[i]);
        raw_frame(&b, PEER_FRAME_WELCOME, buf_bytes(&body));
        expect_answer_refused(&s, &b, "rejected 9: welcomed by member");
    }
    /* What ends up in our log is printable. */
    const struct peer_reject reject = {.reason = 5, .text = "\x1b[31mgo\naway"};
    buf_clear(&body);
    peer_reject_put(&body, &reject);
    raw_frame(&b, PEER_FRAME_REJECT, buf_bytes(&body));
    expect_answer_refused(&s, &b, "rejected 9: ?[31mgo?away\n");
    buf_fini(&b);
    buf_fini(&body);
    scene_end(&s);
}
