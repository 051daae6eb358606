/* Pings, floods, resets, draining, silence. */

#include <stdlib.h>

#include "base/must.h"
#include "base/status.h"
#include "tests/net/grpc_rig.h"

#define SECOND ((int64_t)1000000000)

static void ping(struct grpc_rig *r, int64_t after_ns)
{
    r->now_ns += after_ns;
    must(nghttp2_submit_ping(r->client, 0, NULL) == 0);
    grpc_rig_pump(r);
}

static struct rig_answer *hold(struct grpc_rig *r)
{
    struct rig_answer *a = grpc_rig_call(
        r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    grpc_rig_pump(r);
    return a;
}

/* A client that pings every five seconds is etcd's own; one that pings faster
 * is told so, in the words that grpc-go's client knows. */
TEST(grpc_guard, pings_that_come_too_fast_end_the_connection)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    (void)hold(&r);
    for (int i = 0; i < 10; i++) {
        ping(&r, 5 * SECOND);
    }
    EXPECT_INT(r.goaways, 0);
    ping(&r, 5 * SECOND - 1);
    ping(&r, 5 * SECOND - 1);
    EXPECT_INT(r.goaways, 0);
    ping(&r, 5 * SECOND - 1);
    EXPECT_INT(r.goaways, 1);
    EXPECT_INT(r.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT_TEXT(r.goaway_text, "too_many_pings");
    EXPECT(!r.server_alive);
    grpc_rig_end(&r);
}

/* Answers in between show that the connection is used. */
TEST(grpc_guard, what_is_sent_forgives_pings)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    (void)hold(&r);
    for (int i = 0; i < 20; i++) {
        ping(&r, SECOND);
        (void)grpc_send(r.held[0], bytes_of("x"));
        grpc_rig_pump(&r);
    }
    /* And what was struck before is forgotten. */
    for (int i = 0; i < 3; i++) {
        ping(&r, SECOND);
    }
    (void)grpc_send(r.held[0], bytes_of("x"));
    grpc_rig_pump(&r);
    for (int i = 0; i < 3; i++) {
        ping(&r, SECOND);
    }
    EXPECT_INT(r.goaways, 0);
    ping(&r, SECOND);
    EXPECT_INT(r.goaways, 1);
    grpc_rig_end(&r);
}

/* Without a call nobody needs to know whether the connection lives. */
TEST(grpc_guard, pings_without_calls_are_too_many)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    grpc_rig_pump(&r);
    for (int i = 0; i < 4; i++) {
        EXPECT_INT(r.goaways, 0);
        ping(&r, 60 * SECOND);
    }
    EXPECT_INT(r.goaways, 1);
    grpc_rig_end(&r);
}

/* A dead client must not hold its watches for ever. */
TEST(grpc_guard, a_silent_connection_is_pinged_then_closed)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    (void)hold(&r);
    const int64_t silence = 2 * 3600 * SECOND;
    EXPECT(grpc_session_tick(r.session, r.now_ns + silence - 1));
    grpc_rig_pump(&r);
    EXPECT_INT(r.pings, 0);
    r.now_ns += silence;
    EXPECT(grpc_session_tick(r.session, r.now_ns));
    grpc_rig_pump(&r); /* the client answers */
    EXPECT_INT(r.pings, 1);
    EXPECT(grpc_session_tick(r.session, r.now_ns + 30 * SECOND));
    r.now_ns += silence;
    r.reads = false;
    EXPECT(grpc_session_tick(r.session, r.now_ns));
    EXPECT(grpc_session_tick(r.session, r.now_ns + 20 * SECOND - 1));
    EXPECT(!grpc_session_tick(r.session, r.now_ns + 20 * SECOND));
    grpc_rig_end(&r);
}

/* Connections that never say anything cost a descriptor each. */
TEST(grpc_guard, a_client_has_ten_seconds_to_begin)
{
    static const char *const beginnings[] = {
        "", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    for (size_t i = 0; i < count_of(beginnings); i++) {
        struct grpc_rig r;
        grpc_rig_begin(&r);
        (void)grpc_rig_give(&r, bytes_of(beginnings[i]));
        EXPECT(grpc_session_tick(r.session, r.now_ns + 10 * SECOND - 1));
        EXPECT(!grpc_session_tick(r.session, r.now_ns + 10 * SECOND));
        grpc_rig_end(&r);
    }
}

/* "Rapid reset": requests that are taken back at once cost us more than the
 * client. */
TEST(grpc_guard, endless_resets_end_the_connection)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    int resets = 0;
    for (; r.server_alive && resets < 20000; resets++) {
        r.answers_count = 0;
        struct rig_answer *a = hold(&r);
        grpc_rig_reset(&r, a);
        grpc_rig_pump(&r);
        buf_fini(&a->request);
        buf_fini(&a->body);
        r.server_alive &= !grpc_session_is_over(r.session);
    }
    EXPECT(resets >= 5000);
    EXPECT(resets < 15000);
    EXPECT_INT(r.host.counts.calls_now, 0);
    r.answers_count = 0;
    grpc_rig_end(&r);
}

static void begin_raw(struct grpc_rig *r)
{
    static const uint8_t settings[9] = {0, 0, 0, 4};
    grpc_rig_begin(r);
    nghttp2_session_del(r->client);
    r->client = NULL;
    (void)grpc_rig_give(r, bytes_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    (void)grpc_rig_give(r, (struct bytes){settings, sizeof settings});
    grpc_rig_pump(r);
}

/* Frames that mean nothing, as fast as they come. */
TEST(grpc_guard, floods_of_idle_frames_end_the_connection)
{
    static const struct {
        const char *name;
        uint8_t frame[15];
        size_t size;
    } rows[] = {
        {"SETTINGS", {0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9}, 15},
        {"PRIORITY", {0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 9}, 14},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct grpc_rig r;
        begin_raw(&r);
        int frames = 0;
        while (r.server_alive && frames < 10000) {
            frames++;
            (void)grpc_rig_give(&r,
                                (struct bytes){rows[i].frame, rows[i].size});
            grpc_rig_pump(&r);
        }
        EXPECT(frames > 900 && frames < 1100);
        grpc_rig_end(&r);
        /* Spread over time they do no harm. */
        begin_raw(&r);
        for (frames = 0; frames < 3000; frames++) {
            r.now_ns += SECOND / 50;
            (void)grpc_rig_give(&r,
                                (struct bytes){rows[i].frame, rows[i].size});
            grpc_rig_pump(&r);
        }
        EXPECT(r.server_alive);
        grpc_rig_end(&r);
    }
}

/* Answers to pings that nobody reads must not pile up. */
TEST(grpc_guard, answers_that_are_not_read_are_bounded)
{
    static const uint8_t settings[9] = {0, 0, 0, 4};
    struct grpc_rig r;
    begin_raw(&r);
    r.reads = false;
    int frames = 0;
    while (r.server_alive && frames < 10000) {
        frames++;
        (void)grpc_rig_give(&r, (struct bytes){settings, sizeof settings});
    }
    EXPECT(frames < 1000);
    grpc_rig_end(&r);
}

/* A member that stops lets its clients finish, and sends them elsewhere. */
TEST(grpc_guard, draining_lets_calls_end_and_takes_no_new_ones)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = hold(&r);
    grpc_session_drain(r.session);
    EXPECT(!grpc_session_is_over(r.session));
    grpc_rig_pump(&r); /* two GOAWAYs, with the answer to a PING in between */
    EXPECT_INT(r.goaways, 2);
    EXPECT_INT(r.goaway_code, NGHTTP2_NO_ERROR);
    EXPECT(!grpc_session_is_over(r.session));
    (void)grpc_send(r.held[0], bytes_of("last"));
    grpc_finish(r.held[0], GRPC_OK, NULL);
    grpc_rig_pump(&r);
    EXPECT_INT(a->grpc_status, GRPC_OK);
    EXPECT(a->closed);
    EXPECT(grpc_session_is_over(r.session));
    grpc_rig_end(&r);
}

TEST(grpc_guard, draining_does_not_wait_for_a_client_that_is_silent)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    grpc_rig_pump(&r);
    r.reads = false;
    grpc_session_drain(r.session);
    EXPECT(grpc_session_tick(r.session, r.now_ns + SECOND));
    struct buf out = {0};
    grpc_session_pull(r.session, &out, 1 << 20);
    EXPECT(grpc_session_is_over(r.session));
    buf_fini(&out);
    grpc_rig_end(&r);
}
