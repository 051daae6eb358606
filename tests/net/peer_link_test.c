/* Links between members that behave: order, loss and return, bounds. */

#include "tests/net/peer_rig.h"

/* Two members that know each other. */
static void two_begin(struct peer_rig *r, struct member *a, struct member *b)
{
    rig_begin(r);
    const struct peer_hub_options one = member_options(1);
    const struct peer_hub_options two = member_options(2);
    member_begin(a, r, &one, 0);
    member_begin(b, r, &two, 0);
    member_knows(a, b);
    member_knows(b, a);
    member_until_connected(a, 2);
    member_until_connected(b, 1);
}

static void two_end(struct peer_rig *r, struct member *a, struct member *b)
{
    member_end(a);
    member_end(b);
    rig_end(r);
}

/* --- order --- */

/* Number, size and fill of a frame follow from the stream's own prng. */
struct numbered {
    struct prng next[PEER_STREAMS];
    bool wrong;
};

static void fill_numbered(struct prng *p, struct buf *b)
{
    const uint64_t size =
        prng_chance(p, 1, 20) ? prng_below(p, 300000) : prng_below(p, 300);
    prng_fill(p, buf_extend(b, (size_t)size), (size_t)size);
}

static void check_numbered(struct member *m, uint64_t from, enum peer_stream s,
                           struct bytes frame)
{
    (void)from;
    struct numbered *n = m->arg;
    struct buf b = {0};
    fill_numbered(&n->next[s], &b);
    n->wrong |= !bytes_equal(frame, buf_bytes(&b));
    buf_fini(&b);
}

/* Raft's flow control trusts that what is not lost comes in order and whole. */
TEST(peer, frames_arrive_in_order_and_unchanged_on_both_streams)
{
    enum { ROUNDS = 40, FRAMES = 50 };
    struct peer_rig r;
    struct member a, b;
    two_begin(&r, &a, &b);
    struct numbered to_a, to_b;
    struct prng send[2][PEER_STREAMS];
    for (unsigned s = 0; s < PEER_STREAMS; s++) {
        prng_init(&to_a.next[s], test_seed() + s);
        prng_init(&to_b.next[s], test_seed() + 10 + s);
        send[0][s] = to_b.next[s];
        send[1][s] = to_a.next[s];
    }
    to_a.wrong = to_b.wrong = false;
    a.arg = &to_a;
    b.arg = &to_b;
    a.on_message = b.on_message = check_numbered;
    for (size_t round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < FRAMES; i++) {
            for (unsigned s = 0; s < PEER_STREAMS; s++) {
                struct buf f = {0}, g = {0};
                fill_numbered(&send[0][s], &f);
                fill_numbered(&send[1][s], &g);
                EXPECT(peer_hub_send_take(a.hub, 2, (enum peer_stream)s, &f));
                EXPECT(peer_hub_send_take(b.hub, 1, (enum peer_stream)s, &g));
            }
        }
        for (unsigned s = 0; s < PEER_STREAMS; s++) {
            member_until_count(&a, (enum peer_stream)s, round * FRAMES);
            member_until_count(&b, (enum peer_stream)s, round * FRAMES);
        }
    }
    EXPECT(!to_a.wrong);
    EXPECT(!to_b.wrong);
    const struct peer_stream_stats sent = member_stats(&a, 2, PEER_BULK);
    const struct peer_stream_stats got = member_stats(&b, 1, PEER_BULK);
    EXPECT_INT(sent.frames_sent, ROUNDS * FRAMES);
    EXPECT_INT(got.frames_received, ROUNDS * FRAMES);
    EXPECT_INT(got.bytes_received, sent.bytes_sent);
    EXPECT_INT(sent.dropped, 0);
    two_end(&r, &a, &b);
}

/* More than the system's buffers hold: frames leave in parts, and parts of
 * several at once. */
static void check_large(struct member *m, uint64_t from, enum peer_stream s,
                        struct bytes frame)
{
    (void)from;
    struct numbered *n = m->arg;
    struct buf b = {0};
    const size_t size = 1000 + (size_t)prng_below(&n->next[s], 12000000);
    prng_fill(&n->next[s], buf_extend(&b, size), size);
    n->wrong |= !bytes_equal(frame, buf_bytes(&b));
    buf_fini(&b);
}

TEST(peer, frames_larger_than_the_systems_buffers_arrive_unchanged)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.queue[PEER_BULK].bytes_max = (size_t)1 << 30;
    struct member a, b;
    struct numbered to_b = {.wrong = false};
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    b.on_message = check_large;
    b.arg = &to_b;
    member_knows(&a, &b);
    member_until_connected(&a, 2);
    struct prng p;
    prng_init(&p, test_seed());
    to_b.next[PEER_BULK] = p;
    for (int i = 0; i < 6; i++) {
        struct buf frame = {0};
        const size_t size = 1000 + (size_t)prng_below(&p, 12000000);
        prng_fill(&p, buf_extend(&frame, size), size);
        EXPECT(peer_hub_send_take(a.hub, 2, PEER_BULK, &frame));
    }
    member_until_count(&b, PEER_BULK, 6);
    EXPECT(!to_b.wrong);
    EXPECT_TEXT(b.trace, "");
    two_end(&r, &a, &b);
}

/* The longest frame there may be, and one that is longer. */
TEST(peer, a_frame_is_as_long_as_it_may_be_and_no_longer)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.frame_size_max = two.frame_size_max = 3000000;
    one.queue[PEER_MESSAGES].bytes_max = 1000; /* alone, it passes */
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    b.quiet = true;
    member_knows(&a, &b);
    member_until_connected(&a, 2);
    /* The first heartbeat has left. */
    struct buf frame = {0};
    buf_resize(&frame, 3000000);
    EXPECT(peer_hub_send_take(a.hub, 2, PEER_MESSAGES, &frame));
    EXPECT(!member_send(&a, 2, PEER_MESSAGES, bytes_of("not alone")));
    member_until_count(&b, PEER_MESSAGES, 1);
    buf_resize(&frame, 3000001);
    EXPECT(!peer_hub_send_take(a.hub, 2, PEER_MESSAGES, &frame));
    EXPECT(frame.data == NULL);
    member_until(&a, "unreachable 2 messages\n");
    two_end(&r, &a, &b);
}

/* --- one write for a turn --- */

static int try_writes;
int __real_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[],
                        unsigned count);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[],
                        unsigned count);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[],
                        unsigned count)
{
    try_writes++;
    return __real_uv_try_write(stream, bufs, count);
}

/* A system call for each message would cost more than the messages. */
TEST(peer, frames_of_one_turn_leave_in_one_write)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.heartbeat_ms = two.heartbeat_ms = 100000;
    one.dead_ms = two.dead_ms = 100000;
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    b.quiet = true;
    member_knows(&a, &b);
    member_until_connected(&a, 2);
    member_send(&a, 2, PEER_MESSAGES, bytes_of("first"));
    member_until_count(&b, PEER_MESSAGES, 1); /* heartbeats are over, too */
    try_writes = 0;
    for (int i = 0; i < 200; i++) {
        EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("small")));
    }
    member_until_count(&b, PEER_MESSAGES, 201);
    EXPECT_INT(try_writes, 1);
    two_end(&r, &a, &b);
}

/* A hook that runs behind the hub's own sends; then nothing happens for long.
 * What it sent must not wait for the next event. */
struct late {
    struct loop_hook hook;
    struct member *member;
    bool sent;
};

static bool send_late(void *arg)
{
    struct late *l = arg;
    if (!l->sent) {
        l->sent = true;
        EXPECT(member_send(l->member, 2, PEER_MESSAGES, bytes_of("late")));
    }
    return false;
}

TEST(peer, what_a_later_hook_sends_leaves_before_the_sleep)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.heartbeat_ms = two.heartbeat_ms = 100000; /* longer than patience */
    one.dead_ms = two.dead_ms = 100000;
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    member_knows(&a, &b);
    member_until_connected(&a, 2);
    struct late late = {.hook = {.run = send_late, .arg = &late}, .member = &a};
    loop_hook_add(r.loop, &late.hook);
    member_until(&b, "1 messages: late\n");
    loop_hook_remove(&late.hook);
    two_end(&r, &a, &b);
}

/* --- loss and return --- */

/* A member that restarts is found again, without help. */
TEST(peer, comes_back_when_the_other_does)
{
    struct peer_rig r;
    struct member a, b;
    two_begin(&r, &a, &b);
    const uint16_t port = b.port;
    member_end(&b);
    member_until(&a, "lost 2 messages: ");
    member_until(&a, "lost 2 bulk: ");
    /* What had left may not have arrived: Raft has to know. */
    member_until(&a, "unreachable 2 messages\n");
    member_until(&a, "unreachable 2 bulk\n");
    member_until(&a, "failed 2: connection refused\n");
    a.trace[0] = 0;
    const struct peer_hub_options two = member_options(2);
    member_begin(&b, &r, &two, port);
    member_until_connected(&a, 2);
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("again")));
    member_until(&b, "1 messages: again\n");
    const struct peer_stream_stats s = member_stats(&a, 2, PEER_MESSAGES);
    EXPECT_INT(s.connects, 2);
    EXPECT_INT(s.losses, 1);
    EXPECT(s.connected);
    two_end(&r, &a, &b);
}

/* A leader must know that a follower is gone without being told for each of
 * thousands of messages. */
TEST(peer, unreachable_is_told_once_in_a_step)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1);
    one.backoff_min_ms = one.backoff_max_ms = 100000;
    struct member a;
    member_begin(&a, &r, &one, 0);
    uint16_t port;
    must(close(raw_listen(&port)) == 0); /* nobody is there */
    member_knows_port(&a, 2, port);
    EXPECT(!member_send(&a, 2, PEER_MESSAGES, bytes_of("nobody yet")));
    member_until(&a, "failed 2: connection refused\n");
    member_until(&a, "failed 2: connection refused\nfailed 2");
    for (int i = 0; i < 1000; i++) {
        EXPECT(!member_send(&a, 2, PEER_MESSAGES, bytes_of("lost")));
    }
    EXPECT(!member_send(&a, 2, PEER_BULK, bytes_of("lost")));
    member_until(&a, "unreachable 2 bulk\n");
    EXPECT_TEXT(a.trace, "unreachable 2 messages\n" /* before the attempt */
                         "failed 2: connection refused\n"
                         "failed 2: connection refused\n"
                         "unreachable 2 messages\n"
                         "unreachable 2 bulk\n");
    EXPECT_INT(member_stats(&a, 2, PEER_MESSAGES).dropped, 1001);
    member_end(&a);
    rig_end(&r);
}

/* Thousands of members' attempts at a dead one are themselves an attack. */
static bool time_is_over(void *arg)
{
    return loop_now_ns() >= *(const int64_t *)arg;
}

static void nothing(void *arg)
{
    (void)arg;
}

TEST(peer, pauses_between_attempts_grow)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1);
    one.backoff_min_ms = 10;
    one.backoff_max_ms = 80;
    struct member a;
    member_begin(&a, &r, &one, 0);
    uint16_t port;
    must(close(raw_listen(&port)) == 0);
    member_knows_port(&a, 2, port);
    int64_t until_ns = loop_now_ns() + 300 * 1000000;
    struct loop_timer *wake = loop_timer_new(r.loop, nothing, NULL);
    loop_timer_at(wake, until_ns);
    EXPECT(rig_run(&r, time_is_over, &until_ns));
    /* At least 5, 10, 20, 40, 40, ... ms of pause: attempts at 0, 5, 15, 35,
     * 75, 115, 155, ... A slow machine makes fewer. */
    const uint64_t attempts = member_stats(&a, 2, PEER_MESSAGES).attempts;
    EXPECT(attempts >= 2);
    EXPECT(attempts <= 12);
    loop_timer_free(wake);
    member_end(&a);
    rig_end(&r);
}

/* The other member just started: no need to sit the pause out. */
TEST(peer, a_member_that_connects_is_connected_to_at_once)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.backoff_min_ms = one.backoff_max_ms = 100000;
    struct member a, b;
    uint16_t port;
    must(close(raw_listen(&port)) == 0);
    member_begin(&a, &r, &one, 0);
    member_knows_port(&a, 2, port);
    member_until(&a, "failed 2: connection refused\nfailed 2");
    a.trace[0] = 0;
    member_begin(&b, &r, &two, port);
    member_knows(&b, &a);
    member_until_connected(&a, 2);
    two_end(&r, &a, &b);
}

static bool has_attempted(void *arg)
{
    return member_stats(arg, 2, PEER_MESSAGES).attempts > 0;
}

/* What is sent while the connection is made goes out when it is there. */
TEST(peer, frames_wait_for_a_connection_that_is_being_made)
{
    struct peer_rig r;
    rig_begin(&r);
    const struct peer_hub_options one = member_options(1);
    struct member a;
    uint16_t port;
    const int listener = raw_listen(&port);
    member_begin(&a, &r, &one, 0);
    member_knows_port(&a, 2, port);
    /* The system accepts; nobody answers HELLO: the link is greeting. */
    EXPECT(rig_run_ticking(&r, has_attempted, &a));
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("one")));
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("two")));
    EXPECT_INT(member_stats(&a, 2, PEER_MESSAGES).queue_frames, 2);
    must(close(listener) == 0); /* resets: the queue goes with it */
    member_until(&a, "unreachable 2 messages\n");
    EXPECT_INT(member_stats(&a, 2, PEER_MESSAGES).dropped, 2);
    EXPECT_INT(member_stats(&a, 2, PEER_MESSAGES).queue_bytes, 0);
    member_end(&a);
    rig_end(&r);
}

/* An election's first votes are sent before there is a connection. */
TEST(peer, frames_that_waited_for_the_connection_go_out_first)
{
    struct peer_rig r;
    rig_begin(&r);
    const struct peer_hub_options one = member_options(1);
    const struct peer_hub_options two = member_options(2);
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    member_knows(&a, &b);
    EXPECT(rig_run_ticking(&r, has_attempted, &a));
    EXPECT(!member_stats(&a, 2, PEER_MESSAGES).connected);
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("one")));
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("two")));
    member_until_connected(&a, 2);
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("three")));
    member_until(&b, "1 messages: one\n1 messages: two\n1 messages: three\n");
    two_end(&r, &a, &b);
}

/* --- addresses --- */

TEST(peer, is_found_by_name_and_at_the_second_address)
{
    struct peer_rig r;
    rig_begin(&r);
    const struct peer_hub_options one = member_options(1);
    const struct peer_hub_options two = member_options(2);
    const struct peer_hub_options three = member_options(3);
    struct member a, b, c;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    member_begin(&c, &r, &three, 0);
    uint16_t nobody;
    must(close(raw_listen(&nobody)) == 0);
    char address[64];
    (void)snprintf(address, sizeof address, "localhost:%u", b.port);
    EXPECT_INT(peer_hub_set(a.hub, 2, address, NULL), ST_OK);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u,127.0.0.1:%u", nobody,
                   c.port);
    EXPECT_INT(peer_hub_set(a.hub, 3, address, NULL), ST_OK);
    member_until(&a, "connected 2 messages\n");
    member_until(&a, "connected 2 bulk\n");
    member_until(&a, "connected 3 messages\n");
    member_until(&a, "connected 3 bulk\n");
    member_end(&c);
    two_end(&r, &a, &b);
}

TEST(peer, moves_to_a_new_address_and_leaves_when_removed)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.backoff_min_ms = one.backoff_max_ms = 100000;
    two.backoff_min_ms = two.backoff_max_ms = 100000;
    struct member a, b;
    uint16_t nobody;
    must(close(raw_listen(&nobody)) == 0);
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    member_knows_port(&a, 2, nobody);
    member_until(&a, "failed 2: connection refused\nfailed 2");
    a.trace[0] = 0;
    member_knows(&a, &b); /* the new address is tried at once */
    member_until_connected(&a, 2);
    member_knows(&b, &a);
    member_until_connected(&b, 1);

    peer_hub_remove(a.hub, 2);
    peer_hub_remove(a.hub, 2);
    EXPECT(!peer_hub_has(a.hub, 2));
    EXPECT(!member_send(&a, 2, PEER_MESSAGES, bytes_of("nobody")));
    struct peer_stream_stats s;
    EXPECT_INT(peer_hub_peer_stats(a.hub, 2, PEER_BULK, &s), ST_NOT_FOUND);
    member_until(&b, "lost 1 messages: ");
    member_until(&b, "lost 1 bulk: ");
    EXPECT_TEXT(a.trace, ""); /* it asked for it */
    two_end(&r, &a, &b);
}

TEST(peer, refuses_addresses_and_ids_that_make_no_sense)
{
    struct peer_rig r;
    rig_begin(&r);
    const struct peer_hub_options one = member_options(1);
    struct member a;
    member_begin(&a, &r, &one, 0);
    struct fault fault;
    uint16_t port;
    EXPECT_INT(peer_hub_set(a.hub, 0, "h:1", &fault), ST_INVALID);
    EXPECT_INT(peer_hub_set(a.hub, 1, "h:1", &fault), ST_INVALID);
    EXPECT_INT(peer_hub_set(a.hub, 2, "h", &fault), ST_INVALID);
    EXPECT_TEXT(fault.text, "'h' is not an address (host:port)");
    EXPECT(!peer_hub_has(a.hub, 2));
    EXPECT_INT(peer_hub_listen(a.hub, "127.0.0.1", &port, &fault), ST_INVALID);
    EXPECT_INT(peer_hub_listen(a.hub, "127.0.0.1:1,127.0.0.1:2", &port, &fault),
               ST_INVALID);
    char taken[32];
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", a.port);
    EXPECT(peer_hub_listen(a.hub, taken, &port, &fault) != ST_OK);
    EXPECT(strstr(fault.text, "cannot listen at 127.0.0.1") != NULL);
    member_end(&a);
    rig_end(&r);
}

/* --- who may speak to whom --- */

static void expect_refusal(struct peer_hub_options one,
                           struct peer_hub_options two, uint64_t asked_for,
                           const char *denies, const char *here,
                           const char *there)
{
    struct peer_rig r;
    rig_begin(&r);
    one.backoff_min_ms = one.backoff_max_ms = 100000;
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    (void)snprintf(b.denies.text, sizeof b.denies.text, "%s", denies);
    member_knows_port(&a, asked_for, b.port);
    char text[512];
    (void)snprintf(text, sizeof text, "rejected %d: %s\n", (int)asked_for,
                   here);
    member_until(&a, text);
    (void)snprintf(text, sizeof text, "refused 0: %s\n", there);
    member_until(&b, text);
    EXPECT(strstr(a.trace, "connected") == NULL);
    two_end(&r, &a, &b);
}

/* A node of another cluster at a reused address would be taken for a member
 * and poison the log. */
TEST(handshake, refuses_another_cluster_with_a_reason)
{
    struct peer_hub_options one = member_options(1), two = member_options(2);
    two.cluster_id = 0xc2;
    const char *why = "cluster 00000000000000c1 was asked for, this is "
                      "cluster 00000000000000c2";
    expect_refusal(one, two, 2, "", why, why);
}

TEST(handshake, refuses_when_another_member_is_meant)
{
    const char *why = "member 0000000000000003 was asked for, this is member "
                      "0000000000000002";
    expect_refusal(member_options(1), member_options(2), 3, "", why, why);
}

TEST(handshake, refuses_itself)
{
    struct peer_hub_options one = member_options(2);
    /* Member 2 that thinks it is another one's neighbour: both say 2. */
    struct peer_rig r;
    rig_begin(&r);
    struct member a;
    member_begin(&a, &r, &one, 0);
    member_knows_port(&a, 3, a.port); /* its own address for another's */
    member_until(&a, "rejected 3: member 0000000000000003 was asked for");
    member_end(&a);
    rig_end(&r);
}

TEST(handshake, refuses_whom_the_owner_refuses)
{
    expect_refusal(member_options(1), member_options(2), 2,
                   "the member was removed", "the member was removed",
                   "the member was removed");
}

/* A follower that has not heard of its new leader yet can answer it: the
 * greeting says where. */
TEST(handshake, says_where_the_member_lives)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1);
    one.advertise = "node1.example:2380,10.0.0.1:2380";
    const struct peer_hub_options two = member_options(2);
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    member_knows(&a, &b);
    member_until_connected(&a, 2);
    EXPECT_TEXT(b.claimed, "node1.example:2380,10.0.0.1:2380");
    two_end(&r, &a, &b);
}

/* --- three members, and callbacks that change the hub --- */

static void echo(struct member *m, uint64_t from, enum peer_stream s,
                 struct bytes frame)
{
    (void)member_send(m, from, s, frame);
}

TEST(peer, three_members_talk_at_once)
{
    struct peer_rig r;
    rig_begin(&r);
    struct member m[3];
    for (uint64_t i = 0; i < 3; i++) {
        const struct peer_hub_options o = member_options(i + 1);
        member_begin(&m[i], &r, &o, 0);
        m[i].quiet = true;
    }
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            if (i != k) {
                member_knows(&m[i], &m[k]);
            }
        }
    }
    for (uint64_t i = 0; i < 3; i++) {
        for (uint64_t k = 1; k <= 3; k++) {
            if (k != i + 1) {
                char text[64];
                (void)snprintf(text, sizeof text, "connected %d messages\n",
                               (int)k);
                member_until(&m[i], text);
            }
        }
    }
    m[1].on_message = m[2].on_message = echo;
    for (int i = 0; i < 500; i++) {
        EXPECT(member_send(&m[0], 2, PEER_MESSAGES, bytes_of("to two")));
        EXPECT(member_send(&m[0], 3, PEER_MESSAGES, bytes_of("to three")));
    }
    member_until_count(&m[0], PEER_MESSAGES, 1000);
    EXPECT(member_stats(&m[0], 2, PEER_MESSAGES).round_trip_ns > 0);
    for (int i = 0; i < 3; i++) {
        member_end(&m[i]);
    }
    rig_end(&r);
}

/* The owner may remove the very member it is being told about. */
static void remove_sender(struct member *m, uint64_t from, enum peer_stream s,
                          struct bytes frame)
{
    (void)s;
    (void)frame;
    peer_hub_remove(m->hub, from);
}

TEST(peer, may_be_removed_by_its_own_message)
{
    struct peer_rig r;
    struct member a, b;
    two_begin(&r, &a, &b);
    b.on_message = remove_sender;
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("one")));
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("two")));
    member_until(&a, "lost 2 messages");
    EXPECT_INT(b.messages[PEER_MESSAGES], 1);
    two_end(&r, &a, &b);
}
