/* Clients that ask too often, and connections that are dead.
 *
 * Pings, as gRPC's servers police them (grpc proposal A8 and grpc-go): one that
 * comes sooner than the least interval after the one before is a strike, unless
 * headers or data were sent in between; without streams that interval is two
 * hours. The third strike ends the connection with "too_many_pings". */

#include "base/must.h"
#include "net/http2_internal.h"

#define STRIKES_MAX          2
#define NS_PER_MS            1000000
#define WITHOUT_STREAMS_MS   (2 * 3600 * (int64_t)1000)
#define DRAIN_MS             1000
#define IDLE_FRAMES_BURST    1000
#define IDLE_FRAMES_A_SECOND 100

static const uint8_t ping_alive[8] = "alive?";
static const uint8_t ping_drain[8] = "drain";

static void goaway(struct http2 *h, int32_t last, uint32_t code,
                   const char *why)
{
    must(nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, last, code,
                               (const uint8_t *)why, strlen(why)) == 0);
}

void http2_fail(struct http2 *h, uint32_t code, const char *why)
{
    if (h->failed) {
        return;
    }
    h->failed = true;
    goaway(h, nghttp2_session_get_last_proc_stream_id(h->session), code, why);
}

/* --- the end, orderly --- */

static void last_goaway(struct http2 *h)
{
    if (h->draining && !h->drained) {
        h->drained = true;
        goaway(h, nghttp2_session_get_last_proc_stream_id(h->session),
               HTTP2_NO_ERROR, "");
    }
}

/* Requests that are on their way when the first GOAWAY is sent are taken: it
 * names no last stream. The answer to the ping, or a second, tells that the
 * client has read it. */
void http2_drain(struct http2 *h)
{
    if (h->draining || h->failed) {
        return;
    }
    h->draining = true;
    h->draining_ns = h->now_ns;
    must(nghttp2_submit_shutdown_notice(h->session) == 0);
    must(nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, ping_drain) == 0);
}

/* --- pings --- */

void http2_guard_init(struct http2 *h)
{
    h->pinged_ns = INT64_MIN / 2;
    h->heard_ns = h->now_ns;
    h->idle_frames = (struct http2_bucket){IDLE_FRAMES_BURST, h->now_ns};
}

void http2_guard_ping(struct http2 *h)
{
    const int64_t before_ns = h->pinged_ns;
    h->pinged_ns = h->now_ns;
    if (h->sent_since) {
        h->sent_since = false;
        h->strikes = 0;
        return;
    }
    const int64_t least_ms = h->streams_count == 0
                                 ? WITHOUT_STREAMS_MS
                                 : h->options.ping_interval_min_ms;
    if (h->now_ns - before_ns < least_ms * NS_PER_MS &&
        ++h->strikes > STRIKES_MAX) {
        http2_fail(h, HTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    }
}

void http2_guard_pong(struct http2 *h, const uint8_t opaque[8])
{
    if (memcmp(opaque, ping_drain, sizeof ping_drain) == 0) {
        last_goaway(h);
    } else {
        h->ping_sent_ns = 0;
    }
}

void http2_guard_idle_frame(struct http2 *h)
{
    struct http2_bucket *b = &h->idle_frames;
    const int64_t step_ns = 1000000000 / IDLE_FRAMES_A_SECOND;
    const int64_t new = (h->now_ns - b->filled_ns) / step_ns;
    if (new > 0) {
        b->filled_ns += new *step_ns;
        b->level = new >= IDLE_FRAMES_BURST - (int64_t)b->level
                       ? IDLE_FRAMES_BURST
                       : b->level + (uint32_t) new;
    }
    if (b->level == 0) {
        http2_fail(h, HTTP2_ENHANCE_YOUR_CALM, "too many idle frames");
        return;
    }
    b->level--;
}

bool http2_tick(struct http2 *h, int64_t now_ns)
{
    h->now_ns = now_ns;
    if (now_ns - h->draining_ns >= DRAIN_MS * NS_PER_MS) {
        last_goaway(h);
    }
    if (h->ping_sent_ns != 0) {
        return now_ns - h->ping_sent_ns <
               h->options.keepalive_timeout_ms * NS_PER_MS;
    }
    if (h->options.keepalive_ms > 0 && !h->failed &&
        now_ns - h->heard_ns >= h->options.keepalive_ms * NS_PER_MS) {
        must(nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, ping_alive) ==
             0);
        h->ping_sent_ns = now_ns;
    }
    return true;
}
