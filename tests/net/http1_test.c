/* HTTP/1.1 against RFC 9112, and on a session. */

#include <stdio.h>

#include "base/must.h"
#include "net/http1.h"
#include "tests/net/grpc_rig.h"

static const struct http1_limits limits = {.head_max = 200, .body_max = 10};

/* "GET / 0 close", "400", or "more". */
static const char *parse(const char *text, size_t size, char to[64])
{
    struct http1_request q;
    size_t used = 0;
    int status = 0;
    switch (http1_parse((struct bytes){(const uint8_t *)text, size}, &limits,
                        &q, &used, &status)) {
    case HTTP1_INCOMPLETE:
        (void)snprintf(to, 64, "%s", q.expects_continue ? "continue" : "more");
        break;
    case HTTP1_BAD:
        (void)snprintf(to, 64, "%d", status);
        break;
    case HTTP1_FOREIGN:
        (void)snprintf(to, 64, "foreign");
        break;
    case HTTP1_REQUEST:
        (void)snprintf(to, 64, "%.*s %.*s '%.*s' %s +%zu", (int)q.method.size,
                       (const char *)q.method.data, (int)q.target.size,
                       (const char *)q.target.data, (int)q.body.size,
                       (const char *)q.body.data,
                       q.keep_alive ? "keep" : "close", size - used);
        break;
    }
    return to;
}

/* What a proxy and we understand differently is a smuggled request. */
TEST(http1, requests_are_taken_or_refused_as_the_rfc_has_it)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / '' keep +0"},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / '' keep +0"},
        {"GET / HTTP/1.1\nHost: a\n\n", "GET / '' keep +0"},
        {"GET / HTTP/1.0\r\n\r\n", "GET / '' close +0"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET / '' keep +0"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n",
         "GET / '' close +0"},
        {"POST /v3 HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\n\r\nabcGET",
         "POST /v3 'abc' keep +3"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", "more"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
         "Expect: 100-continue\r\n\r\n",
         "continue"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        {"GET /\r\n\r\n", "400"},
        {"GET / HTTP/2.0x\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\n\r\n", "505"},
        {"SOME OTHER PREFACE\r\n\r\n", "foreign"},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nx: \x7f\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", "413"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
         "Content-Length: 2\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999"
         "\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
         "411"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
         "Content-Length: 1\r\n\r\n",
         "400"},
        {"\x16\x03\x01\x02\n\r\n", "400"}, /* TLS */
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        char got[64];
        EXPECT_TEXT(parse(rows[i].text, strlen(rows[i].text), got),
                    rows[i].wanted);
    }
}

/* Wherever a read ends, the answer is the same, and never too early. */
TEST(http1, a_request_may_arrive_byte_by_byte)
{
    static const char text[] =
        "POST /v3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    char got[64];
    for (size_t size = 0; size < sizeof text - 1; size++) {
        EXPECT_TEXT(parse(text, size, got), "more");
    }
    EXPECT_TEXT(parse(text, sizeof text - 1, got), "POST /v3 'abc' keep +0");
}

TEST(http1, heads_have_a_limit)
{
    char text[512], got[64];
    for (int size = 190; size <= 210; size++) {
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nx: %*s",
                       size - 32, "y\r\n\r\n");
        EXPECT_INT(strlen(text), size - 4);
        EXPECT_TEXT(parse(text, strlen(text), got),
                    strlen(text) <= 200 ? "GET / '' keep +0" : "431");
    }
    /* Without an end: refused as soon as it is too long. */
    memset(text, 'a', sizeof text);
    EXPECT_TEXT(parse(text, 200, got), "more");
    EXPECT_TEXT(parse(text, 201, got), "431");
}

/* curl, probes and Prometheus on the port of gRPC. */
TEST(http1, requests_on_one_connection_are_answered_in_order)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    nghttp2_session_del(r.client);
    r.client = NULL;
    EXPECT(grpc_rig_give(&r, bytes_of("P"))); /* could become either */
    EXPECT(grpc_rig_give(&r, bytes_of("OST /a HTTP/1.1\r\nHost: x\r\n"
                                      "Content-Length: 2\r\n\r\nhiGET /b "
                                      "HTTP/1.1\r\nHost: x\r\n\r\nHEAD")));
    grpc_rig_pump(&r);
    EXPECT_TEXT(r.trace, "POST /a 2;GET /b 0;");
    EXPECT(!grpc_rig_give(
        &r, bytes_of(" /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")));
    grpc_rig_pump(&r);
    EXPECT_BYTES(buf_bytes(&r.raw),
                 bytes_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                          "Content-Type: text/plain\r\n\r\n/a"
                          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                          "Content-Type: text/plain\r\n\r\n/b"
                          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                          "Content-Type: text/plain\r\n"
                          "Connection: close\r\n\r\n"));
    EXPECT(grpc_session_is_over(r.session));
    grpc_rig_end(&r);
}

/* Thirty bytes may ask for kilobytes: answers wait until some were sent. */
TEST(http1, pipelined_requests_are_answered_as_the_client_reads)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    nghttp2_session_del(r.client);
    r.client = NULL;
    struct buf requests = {0}, out = {0};
    for (int i = 0; i < 2000; i++) {
        buf_append(&requests, bytes_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    EXPECT(grpc_rig_give(&r, buf_bytes(&requests)));
    EXPECT(grpc_session_is_busy(r.session));
    size_t answers = 0;
    for (int pulls = 0; grpc_session_has_output(r.session); pulls++) {
        buf_clear(&out);
        grpc_session_pull(r.session, &out, 1000);
        EXPECT(out.size <= (size_t)70 << 10);
        answers += out.size;
        EXPECT(pulls < 100);
    }
    EXPECT(!grpc_session_is_busy(r.session));
    EXPECT_INT(answers, 2000 * strlen("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                                      "Content-Type: text/plain\r\n\r\n/"));
    buf_fini(&requests);
    buf_fini(&out);
    grpc_rig_end(&r);
}

/* Slow-loris: a head that never ends, and connections that are kept for
 * nothing. */
TEST(http1, slow_and_idle_clients_are_closed)
{
    const int64_t second = 1000000000;
    struct grpc_rig r;
    grpc_rig_begin(&r);
    nghttp2_session_del(r.client);
    r.client = NULL;
    EXPECT(grpc_rig_give(&r, bytes_of("GET / HT")));
    EXPECT(grpc_session_tick(r.session, r.now_ns + 10 * second - 1));
    EXPECT(!grpc_session_has_output(r.session));
    EXPECT(grpc_session_tick(r.session, r.now_ns + 10 * second));
    grpc_rig_pump(&r);
    EXPECT_INT(memcmp(r.raw.data, "HTTP/1.1 408 ", 13), 0);
    EXPECT(grpc_session_is_over(r.session));
    grpc_rig_end(&r);

    grpc_rig_begin(&r);
    nghttp2_session_del(r.client);
    r.client = NULL;
    EXPECT(grpc_rig_give(&r, bytes_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    EXPECT(grpc_session_tick(r.session, r.now_ns + 60 * second - 1));
    EXPECT(!grpc_session_tick(r.session, r.now_ns + 60 * second));
    grpc_rig_end(&r);
}
