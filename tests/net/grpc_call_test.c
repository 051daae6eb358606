/* Calls against the gRPC specification ("gRPC over HTTP2") and the texts of
 * grpc-go, through a client session of nghttp2. */

#include <stdlib.h>

#include "base/must.h"
#include "base/status.h"
#include "tests/net/grpc_rig.h"

static struct rig_answer *say(struct grpc_rig *r, const char *path,
                              const char *message)
{
    struct buf body = {0};
    grpc_rig_frame(&body, 0, bytes_of(message));
    struct rig_answer *a = grpc_rig_call(
        r, &(struct rig_request){.path = path, .body = buf_bytes(&body)});
    buf_fini(&body);
    return a;
}

/* What every client does first. */
TEST(grpc_call, a_unary_call_is_answered_with_message_and_trailers)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = say(&r, "/test.Echo/Say", "hello");
    grpc_rig_pump(&r);
    EXPECT_TEXT(a->http_status, "200");
    EXPECT_INT(a->grpc_status, 0);
    EXPECT_INT(a->headers, 2);
    EXPECT_INT(grpc_rig_messages(a), 1);
    EXPECT_BYTES(grpc_rig_message(a, 0), bytes_of("hello"));
    EXPECT(a->closed);
    EXPECT_INT(r.host.counts.calls_now, 0);
    grpc_rig_end(&r);
}

/* An error before any message is one HEADERS frame, and its text survives
 * whatever bytes it has. */
TEST(grpc_call, an_error_is_trailers_only_with_its_text_encoded)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = say(&r, "/test.Echo/Say", "fail:5:100% \xc3\xa4\n");
    grpc_rig_pump(&r);
    EXPECT_TEXT(a->http_status, "200");
    EXPECT_INT(a->grpc_status, 5);
    EXPECT_TEXT(a->message, "100%25 %C3%A4%0A");
    EXPECT_INT(a->headers, 1);
    EXPECT_INT(a->body.size, 0);
    EXPECT(a->closed);
    grpc_rig_end(&r);
}

/* DATA frames cut messages anywhere, and hold several. */
TEST(grpc_call, messages_are_found_however_they_are_cut)
{
    struct buf body = {0};
    grpc_rig_frame(&body, 0, bytes_of("one"));
    grpc_rig_frame(&body, 0, BYTES_NONE);
    grpc_rig_frame(&body, 0, bytes_of("three"));
    for (size_t cut = 0; cut <= body.size; cut++) {
        struct grpc_rig r;
        grpc_rig_begin(&r);
        struct rig_answer *a =
            grpc_rig_call(&r, &(struct rig_request){.path = "/test.Echo/Stream",
                                                    .body = {body.data, cut},
                                                    .open = true});
        grpc_rig_pump(&r);
        grpc_rig_more(&r, a, bytes_after(buf_bytes(&body), cut), true);
        grpc_rig_pump(&r);
        EXPECT_TEXT(r.trace, "message:3 message:0 message:5 half-close ");
        EXPECT_INT(a->grpc_status, 0);
        EXPECT_BYTES(buf_bytes(&a->body), buf_bytes(&body));
        EXPECT_INT(r.host.receiving, 0);
        grpc_rig_end(&r);
    }
    buf_fini(&body);
}

/* grpc-go's texts, which clients print. */
TEST(grpc_call, unknown_names_are_unimplemented)
{
    static const struct {
        const char *path, *text;
    } rows[] = {
        {"/test.Echo/None", "unknown method None for service test.Echo"},
        {"/test.None/Say", "unknown service test.None"},
        {"/test.Ech/Say", "unknown service test.Ech"},
        {"/a.b/c/d", "unknown service a.b/c"},
        {"/nothing", "malformed method name: \"/nothing\""},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct grpc_rig r;
        grpc_rig_begin(&r);
        struct rig_answer *a = say(&r, rows[i].path, "");
        grpc_rig_pump(&r);
        EXPECT_INT(a->grpc_status, GRPC_UNIMPLEMENTED);
        EXPECT_TEXT(a->message, rows[i].text);
        EXPECT_INT(a->headers, 1);
        EXPECT(a->closed);
        grpc_rig_end(&r);
    }
}

/* What is no gRPC gets an HTTP status that says so. */
TEST(grpc_call, requests_that_are_no_calls_get_an_http_status)
{
    static const struct {
        const char *method, *type, *timeout, *status;
    } rows[] = {
        {NULL, "application/json", NULL, "415"},
        {NULL, "application/grpcx", NULL, "415"},
        {NULL, "application/grpc+proto", NULL, "200"},
        {NULL, "application/grpc;x=y", NULL, "200"},
        {"GET", NULL, NULL, "405"},
        {NULL, NULL, "1", "400"},
        {NULL, NULL, "1x", "400"},
        {NULL, NULL, "123456789S", "400"},
        {NULL, NULL, "S", "400"},
        {NULL, NULL, "99999999H", "200"},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct grpc_rig r;
        grpc_rig_begin(&r);
        struct buf body = {0};
        grpc_rig_frame(&body, 0, BYTES_NONE);
        struct rig_answer *a = grpc_rig_call(
            &r, &(struct rig_request){.path = "/test.Echo/Say",
                                      .method = rows[i].method,
                                      .content_type = rows[i].type,
                                      .timeout = rows[i].timeout,
                                      .body = buf_bytes(&body)});
        grpc_rig_pump(&r);
        EXPECT_TEXT(a->http_status, rows[i].status);
        EXPECT_INT(a->grpc_status, strcmp(rows[i].status, "200") == 0
                                       ? GRPC_OK
                                       : GRPC_INTERNAL);
        EXPECT(a->closed);
        buf_fini(&body);
        grpc_rig_end(&r);
    }
}

/* A deadline that nobody keeps leaves calls behind for ever. */
TEST(grpc_call, a_deadline_ends_the_call_for_both_sides)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = grpc_rig_call(
        &r, &(struct rig_request){
                .path = "/test.Echo/Hold", .timeout = "250m", .open = true});
    grpc_rig_pump(&r);
    EXPECT_INT(grpc_host_deadline_ns(&r.host), r.now_ns + 250000000);
    EXPECT_INT(grpc_call_deadline_ns(r.held[0]), r.now_ns + 250000000);
    grpc_host_expire(&r.host, r.now_ns + 249999999);
    grpc_rig_pump(&r);
    EXPECT_INT(a->grpc_status, -1);
    grpc_host_expire(&r.host, r.now_ns + 250000000);
    grpc_rig_pump(&r);
    EXPECT_INT(a->grpc_status, GRPC_DEADLINE_EXCEEDED);
    EXPECT_TEXT(a->message, "context deadline exceeded");
    EXPECT_TEXT(r.trace, "cancel ");
    EXPECT(a->closed);
    EXPECT_INT(r.host.counts.calls_now, 0);
    EXPECT_INT(grpc_host_deadline_ns(&r.host), INT64_MAX);
    grpc_rig_end(&r);
}

/* Watches and locks end with their callers. */
TEST(grpc_call, a_reset_and_a_lost_connection_cancel_calls)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = grpc_rig_call(
        &r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    (void)grpc_rig_call(
        &r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    grpc_rig_pump(&r);
    grpc_rig_reset(&r, a);
    grpc_rig_pump(&r);
    EXPECT_TEXT(r.trace, "cancel ");
    grpc_session_free(r.session);
    r.session = NULL;
    EXPECT_TEXT(r.trace, "cancel cancel ");
    EXPECT_INT(r.host.counts.calls_now, 0);
    grpc_rig_end(&r);
}

/* etcdctl's token and hasleader come as metadata. */
TEST(grpc_call, metadata_is_there_by_name)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    (void)grpc_rig_call(&r, &(struct rig_request){.path = "/test.Echo/Hold",
                                                  .extra_name = "token",
                                                  .extra_value = "abc.123",
                                                  .open = true});
    grpc_rig_pump(&r);
    EXPECT_TEXT(r.trace, "token:abc.123 ");
    EXPECT_INT(grpc_call_metadata(r.held[0], "hasleader").size, 0);
    grpc_rig_end(&r);
}

/* The service may answer at any time, and before the client has ended. */
TEST(grpc_call, a_stream_that_the_server_ends_tells_the_client_to_stop)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = grpc_rig_call(
        &r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    grpc_rig_pump(&r);
    (void)grpc_send(r.held[0], bytes_of("a"));
    (void)grpc_send(r.held[0], bytes_of("b"));
    grpc_finish(r.held[0], GRPC_UNAVAILABLE, "etcdserver: no leader");
    EXPECT(r.woken);
    grpc_rig_pump(&r);
    EXPECT_INT(grpc_rig_messages(a), 2);
    EXPECT_INT(a->grpc_status, GRPC_UNAVAILABLE);
    EXPECT_TEXT(a->message, "etcdserver: no leader");
    EXPECT(a->closed);
    EXPECT_INT(a->reset_code, 0); /* NO_ERROR */
    EXPECT_TEXT(r.trace, "");
    grpc_rig_end(&r);
}

/* A unary method must never see half a request, nor two. */
TEST(grpc_call, a_unary_call_has_exactly_one_message)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *none =
        grpc_rig_call(&r, &(struct rig_request){.path = "/test.Echo/Say"});
    struct rig_answer *cut = grpc_rig_call(
        &r,
        &(struct rig_request){.path = "/test.Echo/Say",
                              .body = {(const uint8_t *)"\0\0\0\0\5ab", 7}});
    struct buf two = {0};
    grpc_rig_frame(&two, 0, bytes_of("a"));
    grpc_rig_frame(&two, 0, bytes_of("b"));
    struct rig_answer *both =
        grpc_rig_call(&r, &(struct rig_request){.path = "/test.Echo/HoldOne",
                                                .body = buf_bytes(&two)});
    grpc_rig_pump(&r);
    EXPECT_INT(none->grpc_status, GRPC_INTERNAL);
    EXPECT_INT(cut->grpc_status, GRPC_INTERNAL);
    EXPECT_TEXT(cut->message, "unexpected EOF");
    EXPECT_INT(both->grpc_status, GRPC_INTERNAL);
    EXPECT_TEXT(r.trace, "cancel cancel message:1 cancel ");
    buf_fini(&two);
    grpc_rig_end(&r);
}
