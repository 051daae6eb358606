/* Ordinary requests over HTTP/2: what says nothing of gRPC in its content type
 * asks for the pages that HTTP/1.1 serves (/health, /metrics, ...).  None of
 * them takes a body: what comes of one is counted and dropped, and the answer
 * is given at its end. */

#include "base/must.h"
#include "net/grpc_internal.h"
#include "net/grpc_text.h"

#define CONTENT_TYPE "text/plain; charset=utf-8"

bool grpc_page_is_asked(const struct grpc_call *c)
{
    return !c->is_grpc && c->content_type.size == 0 && c->method == NULL &&
           !c->too_large;
}

static bool is_method(const struct grpc_call *c, const char *method)
{
    return bytes_equal(buf_bytes(&c->http_method), bytes_of(method));
}

void grpc_page_begin(struct grpc_call *c)
{
    c->page = (struct grpc_http_request){.session = c->session,
                                         .call = c,
                                         .active = true,
                                         .is_head = is_method(c, "HEAD")};
}

void grpc_page_data(struct grpc_call *c)
{
    if (c->page.active && !c->page.given &&
        c->stream.content_seen >
            (int64_t)c->session->host->limits.http_body_max) {
        grpc_http_answer(&c->page, 413, CONTENT_TYPE, bytes_of("413\n"));
    }
}

void grpc_page_give(struct grpc_call *c)
{
    const struct grpc_http *http = &c->session->host->http;
    const struct bytes method =
        c->is_post ? bytes_of("POST") : buf_bytes(&c->http_method);
    if (!c->page.active) {
        return;
    }
    c->page.given = true;
    if (http->on_request == NULL) {
        grpc_http_answer(&c->page, 404, CONTENT_TYPE,
                         bytes_of("404 page not found\n"));
    } else {
        http->on_request(http->arg, &c->page, method, buf_bytes(&c->path),
                         BYTES_NONE);
    }
}

void grpc_page_answer(struct grpc_call *c, int status, const char *content_type,
                      struct bytes body)
{
    char status_text[GRPC_NUMBER_SIZE], length[GRPC_NUMBER_SIZE];
    const struct http2_field fields[] = {
        {bytes_of(":status"), grpc_text_number(status, status_text)},
        {bytes_of("content-type"), bytes_of(content_type)},
        {bytes_of("content-length"), grpc_text_number((int)body.size, length)},
    };
    if (c->stream.over) {
        return; /* the client has reset it, or broken a rule */
    }
    const bool empty = c->page.is_head || body.size == 0;
    http2_respond(&c->stream, fields, count_of(fields), empty);
    if (!empty) {
        buf_append(http2_body(&c->stream), body);
        http2_body_ready(&c->stream);
        http2_end(&c->stream, NULL, 0);
        grpc_call_count_waiting(c);
    }
    grpc_session_wake(c->session);
}

void grpc_page_gone(struct grpc_call *c)
{
    const struct grpc_http *http = &c->session->host->http;
    const bool waits = c->page.active && c->page.given;
    c->page.active = false;
    if (waits && http->on_gone != NULL) {
        http->on_gone(http->arg, &c->page);
    }
}
