/* HTTP/1.1 on a session: one request at a time, pipelined ones wait. */

#include "base/must.h"
#include "net/grpc_internal.h"

#define NS_PER_MS 1000000
/* Answers to pipelined requests before they are sent. */
#define OUT_MAX ((size_t)64 << 10)

static struct http1_limits limits_of(const struct grpc_session *s)
{
    const struct grpc_limits *l = &s->host->limits;
    return (struct http1_limits){l->http_head_max, l->http_body_max};
}

static void drop(struct grpc_session *s, size_t used)
{
    must(used <= s->in.size);
    if (used == 0) {
        return;
    }
    s->in.size -= used;
    memmove(s->in.data, s->in.data + used, s->in.size);
}

static void refuse(struct grpc_session *s, int status)
{
    char text[] = "000\n";
    text[0] = (char)('0' + status / 100);
    text[1] = (char)('0' + status / 10 % 10);
    text[2] = (char)('0' + status % 10);
    http1_answer(&s->out, status, "text/plain; charset=utf-8", bytes_of(text),
                 false, false);
    s->closing = true;
    grpc_session_wake(s);
}

static void give(struct grpc_session *s, const struct http1_request *request)
{
    struct grpc_http_request *r = &s->request;
    const struct grpc_http *http = &s->host->http;
    *r = (struct grpc_http_request){.session = s,
                                    .active = true,
                                    .keep_alive =
                                        request->keep_alive && !s->draining,
                                    .is_head = request->is_head};
    s->since_ns = s->now_ns;
    s->continued = false;
    if (http->on_request == NULL) {
        grpc_http_answer(r, 404, "text/plain; charset=utf-8",
                         bytes_of("404 page not found\n"));
    } else {
        http->on_request(http->arg, r, request->method, request->target,
                         request->body);
    }
}

/* False: no more requests are to be taken now. */
static bool take(struct grpc_session *s, struct bytes in, size_t *ret_used)
{
    const struct http1_limits limits = limits_of(s);
    struct http1_request request;
    int status;
    switch (http1_parse(in, &limits, &request, ret_used, &status)) {
    case HTTP1_INCOMPLETE:
        if (request.expects_continue && !s->continued) {
            s->continued = true;
            buf_append(&s->out, bytes_of("HTTP/1.1 100 Continue\r\n\r\n"));
            grpc_session_wake(s);
        }
        return false;
    case HTTP1_BAD:
        refuse(s, status);
        return false;
    case HTTP1_FOREIGN:
        s->closing = true; /* it would not understand an answer */
        return false;
    case HTTP1_REQUEST:
        give(s, &request);
        return true;
    }
    unreachable("an outcome of parsing");
}

void grpc_http_run(struct grpc_session *s)
{
    size_t at = 0;
    s->work = false;
    while (!s->request.active && !s->closing && at < s->in.size) {
        if (s->out.size > OUT_MAX) {
            s->work = true; /* the rest waits until that has been sent */
            break;
        }
        size_t used = 0;
        if (!take(s, bytes_after(buf_bytes(&s->in), at), &used)) {
            break;
        }
        at += used;
    }
    drop(s, at);
}

void grpc_http_gone(struct grpc_session *s)
{
    struct grpc_http_request *r = &s->request;
    if (r->active) {
        r->active = false;
        if (s->host->http.on_gone != NULL) {
            s->host->http.on_gone(s->host->http.arg, r);
        }
    }
}

bool grpc_http_tick(struct grpc_session *s)
{
    const struct grpc_limits *l = &s->host->limits;
    if (s->request.active || s->closing) {
        return true;
    }
    const int64_t idle_ns = s->now_ns - s->since_ns;
    if (s->in.size > 0 && idle_ns >= l->handshake_ms * NS_PER_MS) {
        refuse(s, 408);
    } else if (idle_ns >= l->http_idle_ms * NS_PER_MS) {
        return false;
    }
    return true;
}

void grpc_http_set_state(struct grpc_http_request *r, void *state)
{
    r->state = state;
}

void *grpc_http_state(const struct grpc_http_request *r)
{
    return r->state;
}

void grpc_http_answer(struct grpc_http_request *r, int status,
                      const char *content_type, struct bytes body)
{
    struct grpc_session *s = r->session;
    must(r->active);
    r->active = false;
    if (r->call != NULL) {
        grpc_page_answer(r->call, status, content_type, body);
        return;
    }
    http1_answer(&s->out, status, content_type, body, r->is_head,
                 r->keep_alive);
    s->since_ns = s->now_ns;
    s->closing |= !r->keep_alive;
    grpc_session_wake(s);
}
