/* Peers that are slow or dead: they cost a bounded queue and nobody else's
 * time. */

#include "tests/net/peer_rig.h"

/* A peer that welcomes everybody and then reads nothing more. */
struct deaf {
    struct peer_rig *rig;
    uint64_t id;
    uint16_t port;
    int listener;
    struct loop_poll *listening;
    struct deaf_conn {
        struct deaf *deaf;
        int fd;
        struct loop_poll *greeting;
    } conns[8];
    size_t count;
};

static void deaf_greeted(void *arg, int fd)
{
    struct deaf_conn *c = arg;
    uint8_t bytes[PEER_CONTROL_SIZE_MAX];
    const ssize_t size = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    struct peer_header header;
    struct peer_hello hello;
    if (size < PEER_HEADER_SIZE ||
        peer_header_read(bytes, sizeof bytes, &header, NULL) != ST_OK ||
        (size_t)size < PEER_HEADER_SIZE + header.size) {
        return; /* there is more to come */
    }
    size_t left = PEER_HEADER_SIZE + header.size;
    must(recv(fd, bytes, left, 0) == (ssize_t)left);
    must(peer_hello_read((struct bytes){bytes + PEER_HEADER_SIZE, header.size},
                         &hello, NULL) == ST_OK);
    const struct peer_welcome w = {.version = 1,
                                   .cluster_id = hello.cluster_id,
                                   .from = c->deaf->id,
                                   .to = hello.from};
    struct buf body = {0}, out = {0};
    peer_welcome_put(&body, &w);
    raw_frame(&out, PEER_FRAME_WELCOME, buf_bytes(&body));
    raw_send(fd, buf_bytes(&out));
    buf_fini(&body);
    buf_fini(&out);
    loop_poll_stop(c->greeting);
    c->greeting = NULL;
}

static void deaf_called(void *arg, int fd)
{
    struct deaf *d = arg;
    must(d->count < count_of(d->conns));
    struct deaf_conn *c = &d->conns[d->count++];
    c->deaf = d;
    c->fd = accept(fd, NULL, NULL);
    must(c->fd >= 0);
    c->greeting = loop_poll_start(d->rig->loop, c->fd, deaf_greeted, c);
}

static void deaf_begin(struct deaf *d, struct peer_rig *r, uint64_t id)
{
    *d = (struct deaf){.rig = r, .id = id};
    d->listener = raw_listen(&d->port);
    d->listening = loop_poll_start(r->loop, d->listener, deaf_called, d);
}

static void deaf_end(struct deaf *d)
{
    loop_poll_stop(d->listening);
    (void)close(d->listener);
    for (size_t i = 0; i < d->count; i++) {
        loop_poll_stop(d->conns[i].greeting);
        (void)close(d->conns[i].fd);
    }
}

/* One reads nothing; the other must get everything, at once, and memory for
 * the first stays within its bound. */
TEST(slow, a_peer_that_never_reads_costs_a_bounded_queue_and_nobody_else)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    const size_t bytes_max = 1 << 20;
    one.queue[PEER_MESSAGES].bytes_max = bytes_max;
    struct member a, b;
    struct deaf deaf;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    b.quiet = true;
    deaf_begin(&deaf, &r, 3);
    member_knows(&a, &b);
    member_knows_port(&a, 3, deaf.port);
    member_until(&a, "connected 2 messages\n");
    member_until(&a, "connected 2 bulk\n");
    member_until(&a, "connected 3 messages\n");
    member_until(&a, "connected 3 bulk\n");
    a.trace[0] = 0;
    static uint8_t big[60000];
    size_t queue_max = 0;
    for (size_t i = 1; i <= 400; i++) { /* 24 MB */
        (void)member_send(&a, 3, PEER_MESSAGES,
                          (struct bytes){big, sizeof big});
        EXPECT(
            member_send(&a, 2, PEER_MESSAGES, (struct bytes){big, sizeof big}));
        member_until_count(&b, PEER_MESSAGES, i);
        const size_t queued = member_stats(&a, 3, PEER_MESSAGES).queue_bytes;
        queue_max = queued > queue_max ? queued : queue_max;
    }
    const struct peer_stream_stats s = member_stats(&a, 3, PEER_MESSAGES);
    EXPECT(queue_max > bytes_max / 2);
    EXPECT(queue_max <= bytes_max);
    EXPECT(s.dropped > 100);
    /* None is in two places; heartbeats may wait in the queue, too. */
    EXPECT(s.dropped + s.frames_sent <= 400);
    EXPECT(s.dropped + s.frames_sent + s.queue_frames >= 400);
    EXPECT_INT(member_stats(&a, 2, PEER_MESSAGES).dropped, 0);
    /* Told, and not for each of the hundreds. */
    EXPECT_TEXT(a.trace, "unreachable 3 messages\n");
    deaf_end(&deaf);
    member_end(&a);
    member_end(&b);
    rig_end(&r);
}

/* The bound in frames, at the bound and one beyond. */
TEST(slow, a_queue_holds_as_many_frames_as_it_may)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.heartbeat_ms = two.heartbeat_ms = 100000;
    one.dead_ms = two.dead_ms = 100000;
    one.queue[PEER_MESSAGES].frames_max = 10;
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    b.quiet = true;
    member_knows(&a, &b);
    member_until_connected(&a, 2);
    (void)member_send(&a, 2, PEER_MESSAGES, bytes_of("heartbeats are over"));
    member_until_count(&b, PEER_MESSAGES, 1);
    for (int i = 0; i < 10; i++) {
        EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("fits")));
    }
    EXPECT(!member_send(&a, 2, PEER_MESSAGES, bytes_of("one too many")));
    EXPECT(member_send(&a, 2, PEER_BULK, bytes_of("another queue")));
    member_until(&a, "drained 2 messages\n");
    EXPECT_TEXT(a.trace, "unreachable 2 messages\ndrained 2 messages\n");
    EXPECT(member_send(&a, 2, PEER_MESSAGES, bytes_of("fits again")));
    member_until_count(&b, PEER_MESSAGES, 12);
    EXPECT_INT(member_stats(&a, 2, PEER_MESSAGES).dropped, 1);
    member_end(&a);
    member_end(&b);
    rig_end(&r);
}

/* A peer whose machine is gone without a word: no close, no reset. */
TEST(slow, a_silent_peer_is_given_up)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1);
    one.heartbeat_ms = 5;
    one.dead_ms = 50;
    struct member a;
    struct deaf deaf;
    member_begin(&a, &r, &one, 0);
    deaf_begin(&deaf, &r, 3);
    member_knows_port(&a, 3, deaf.port);
    member_until(&a, "connected 3 messages\n");
    member_until(&a, "lost 3 messages: no sign of life\n");
    deaf_end(&deaf);
    member_end(&a);
    rig_end(&r);
}

/* A busy or idle, healthy link is not: heartbeats go through. */
static bool is_later(void *arg)
{
    return loop_now_ns() > *(const int64_t *)arg;
}

TEST(slow, an_idle_peer_is_kept)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.heartbeat_ms = two.heartbeat_ms = 5;
    one.dead_ms = two.dead_ms = 2000;
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    member_knows(&a, &b);
    member_until_connected(&a, 2);
    int64_t until_ns = peer_ms_from_now(100);
    EXPECT(rig_run_ticking(&r, is_later, &until_ns));
    EXPECT_TEXT(a.trace, "");
    EXPECT_TEXT(b.trace, "");
    EXPECT(member_stats(&a, 2, PEER_MESSAGES).round_trip_ns > 0);
    member_end(&a);
    member_end(&b);
    rig_end(&r);
}

/* Somebody who says hello and is never heard of again holds a connection for
 * so long and no longer. */
TEST(slow, an_incoming_connection_that_falls_silent_is_closed)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1);
    one.heartbeat_ms = 5;
    one.dead_ms = 25;
    one.handshake_ms = 25;
    struct member a;
    member_begin(&a, &r, &one, 0);
    const int mute = raw_connect(a.port);
    member_until(&a, "refused 0: no greeting in time\n");
    raw_until_closed(&r, mute);
    const int fd = raw_connect(a.port);
    struct buf b = {0};
    const struct peer_hello hello = raw_hello(7, 1);
    raw_greet(&b, &hello);
    raw_send(fd, buf_bytes(&b));
    member_until(&a, "closed 7: no sign of life\n");
    raw_until_closed(&r, fd);
    buf_fini(&b);
    struct peer_hub_stats stats;
    peer_hub_stats(a.hub, &stats);
    EXPECT_INT(stats.incoming, 0);
    member_end(&a);
    rig_end(&r);
}

/* Fake members without a greeting take all places; a real one gets in. */
TEST(slow, silent_strangers_keep_no_member_out)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.incoming_max = 8;
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    int fds[40];
    for (size_t i = 0; i < count_of(fds); i++) {
        fds[i] = raw_connect(a.port);
    }
    member_begin(&b, &r, &two, 0);
    member_knows(&b, &a);
    member_until_connected(&b, 1);
    struct peer_hub_stats stats;
    peer_hub_stats(a.hub, &stats);
    EXPECT(stats.incoming <= 8);
    EXPECT(stats.evicted >= 32);
    for (size_t i = 0; i < count_of(fds); i++) {
        (void)close(fds[i]);
    }
    member_end(&a);
    member_end(&b);
    rig_end(&r);
}
