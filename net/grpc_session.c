/* One connection, from its first byte; see grpc_session.h. */

#include <stdlib.h>

#include "base/must.h"
#include "net/grpc_internal.h"

#define STREAM_WINDOW     ((uint32_t)1 << 20)
#define CONNECTION_WINDOW ((uint32_t)8 << 20)
#define FIELDS_SIZE_MAX   ((size_t)64 << 10)
#define FIELDS_COUNT_MAX  256
/* What a session that is ended by force may still say. */
#define LAST_WORDS_MAX ((size_t)16 << 10)
#define NS_PER_MS      1000000

/* RFC 9113, 3.4. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct grpc_session *grpc_session_new(struct grpc_host *h, void *owner,
                                      int64_t now_ns)
{
    struct grpc_session *s = xcalloc(1, sizeof *s);
    s->host = h;
    s->owner = owner;
    s->now_ns = now_ns;
    s->since_ns = now_ns;
    s->request.session = s;
    list_init(&s->parked);
    list_init(&s->throttled);
    list_push(&h->sessions, &s->link);
    return s;
}

void grpc_session_free(struct grpc_session *s)
{
    if (s == NULL) {
        return;
    }
    s->woken = true; /* nobody is to be woken for it any more */
    http2_free(s->h2);
    must(list_is_empty(&s->parked));
    must(list_is_empty(&s->throttled));
    must(s->waiting == 0);
    must(s->receiving == 0);
    list_remove(&s->link);
    grpc_http_gone(s);
    buf_fini(&s->in);
    buf_fini(&s->out);
    free(s);
}

void grpc_session_wake(struct grpc_session *s)
{
    if (!s->woken) {
        s->woken = true;
        s->host->wake(s->owner);
    }
}

/* --- in --- */

static void begin_http2(struct grpc_session *s)
{
    const struct grpc_limits *l = &s->host->limits;
    const struct http2_options options = {
        .memory = &s->host->memory,
        .streams_max = l->streams_max,
        .stream_window = STREAM_WINDOW,
        .connection_window = CONNECTION_WINDOW,
        .fields_size_max = FIELDS_SIZE_MAX,
        .fields_count_max = FIELDS_COUNT_MAX,
        .ping_interval_min_ms = l->ping_interval_min_ms,
        .keepalive_ms = l->keepalive_ms,
        .keepalive_timeout_ms = l->keepalive_timeout_ms,
    };
    s->mode = GRPC_MODE_HTTP2;
    s->h2 = http2_new(&options, &grpc_call_ops, s, s->now_ns);
    if (s->draining) {
        http2_drain(s->h2);
    }
}

/* The beginning decides as soon as it differs, or is whole. */
static void sniff(struct grpc_session *s, struct bytes bytes)
{
    const size_t have = s->in.size;
    const size_t whole = sizeof preface - 1;
    const size_t size = bytes.size < whole - have ? bytes.size : whole - have;
    if (memcmp(bytes.data, preface + have, size) != 0) {
        s->mode = GRPC_MODE_HTTP1;
    } else if (have + size == whole) {
        begin_http2(s);
    }
}

static bool receive_http2(struct grpc_session *s, struct bytes bytes)
{
    if (!http2_receive(s->h2, bytes, s->now_ns)) {
        s->closing = true;
    }
    return !s->closing;
}

static bool receive_first(struct grpc_session *s, struct bytes bytes)
{
    sniff(s, bytes);
    buf_append(&s->in, bytes);
    switch (s->mode) {
    case GRPC_MODE_UNKNOWN:
        return true;
    case GRPC_MODE_HTTP1:
        grpc_http_run(s);
        return !s->closing;
    case GRPC_MODE_HTTP2: {
        struct buf in = s->in;
        s->in = (struct buf){0};
        const bool ok = receive_http2(s, buf_bytes(&in));
        buf_fini(&in);
        return ok;
    }
    }
    unreachable("a mode");
}

bool grpc_session_receive(struct grpc_session *s, struct bytes bytes,
                          int64_t now_ns)
{
    s->now_ns = now_ns;
    if (s->closing) {
        return false;
    }
    if (bytes.size == 0) {
        return true;
    }
    switch (s->mode) {
    case GRPC_MODE_UNKNOWN:
        return receive_first(s, bytes);
    case GRPC_MODE_HTTP1:
        buf_append(&s->in, bytes);
        grpc_http_run(s);
        return !s->closing;
    case GRPC_MODE_HTTP2:
        return receive_http2(s, bytes);
    }
    unreachable("a mode");
}

/* Who asked over HTTP/1 may still wait for the answer; a client of HTTP/2 that
 * says no more takes no more. */
void grpc_session_receive_end(struct grpc_session *s)
{
    s->closing = true;
    if (s->h2 != NULL) {
        http2_free(s->h2);
        s->h2 = NULL;
        s->work = false;
        s->mode = GRPC_MODE_HTTP1;
    }
}

struct grpc_session *grpc_session_greediest(const struct grpc_host *h,
                                            bool waiting)
{
    struct grpc_session *greediest = NULL;
    size_t most = 0;
    list_each (link, &h->sessions) {
        struct grpc_session *s = container_of(link, struct grpc_session, link);
        const size_t has = waiting ? s->waiting : s->receiving;
        if (greediest == NULL || has > most) {
            greediest = s;
            most = has;
        }
    }
    must(greediest != NULL);
    return greediest;
}

void grpc_host_shed(struct grpc_host *h)
{
    while (h->waiting > h->limits.sending_max) {
        grpc_session_shed(grpc_session_greediest(h, true));
    }
}

void grpc_session_shed(struct grpc_session *s)
{
    must(s->h2 != NULL);
    http2_fail(s->h2, HTTP2_ENHANCE_YOUR_CALM, "holds too much memory");
    (void)http2_pull(s->h2, &s->out, LAST_WORDS_MAX); /* it is over anyhow */
    grpc_session_receive_end(s);
    grpc_session_wake(s);
}

bool grpc_session_is_busy(const struct grpc_session *s)
{
    return s->h2 == NULL &&
           (s->work ||
            (s->request.active && s->in.size > s->host->limits.http_head_max));
}

/* --- out --- */

static void pull_http1(struct grpc_session *s, struct buf *to)
{
    if (s->out.size == 0 || !s->work) {
        grpc_http_run(s);
    }
    buf_append(to, buf_bytes(&s->out));
    buf_fini(&s->out);
    s->out = (struct buf){0};
}

void grpc_session_pull(struct grpc_session *s, struct buf *to, size_t size_max)
{
    if (s->h2 == NULL) {
        pull_http1(s, to);
        s->woken = false;
        return;
    }
    /* What leaves makes room, and what has room brings more. */
    do {
        if (s->work) {
            grpc_calls_run(s);
        }
        if (!http2_pull(s->h2, to, size_max)) {
            s->closing = true;
            break;
        }
    } while (s->work && to->size < size_max);
    s->woken = false;
}

bool grpc_session_has_output(const struct grpc_session *s)
{
    return s->work ||
           (s->h2 != NULL ? http2_has_output(s->h2) : s->out.size > 0);
}

bool grpc_session_is_over(const struct grpc_session *s)
{
    if (s->h2 != NULL) {
        return http2_is_over(s->h2) && !s->work;
    }
    return s->closing && !s->work && s->out.size == 0 && !s->request.active;
}

/* --- time --- */

bool grpc_session_tick(struct grpc_session *s, int64_t now_ns)
{
    const int64_t handshake_ns = s->host->limits.handshake_ms * NS_PER_MS;
    s->now_ns = now_ns;
    switch (s->mode) {
    case GRPC_MODE_UNKNOWN:
        return now_ns - s->since_ns < handshake_ns;
    case GRPC_MODE_HTTP1:
        return grpc_http_tick(s);
    case GRPC_MODE_HTTP2:
        if (!http2_has_begun(s->h2) && now_ns - s->since_ns >= handshake_ns) {
            return false;
        }
        return http2_tick(s->h2, now_ns);
    }
    unreachable("a mode");
}

void grpc_session_drain(struct grpc_session *s)
{
    s->draining = true;
    if (s->h2 != NULL) {
        http2_drain(s->h2);
    } else if (!s->request.active && s->in.size == 0) {
        s->closing = true; /* nothing is asked */
    }
}

void grpc_session_stop(struct grpc_session *s)
{
    if (s->h2 != NULL) {
        http2_visit(s->h2, grpc_call_stop);
    }
}
