/* Ordinary requests over HTTP/2: what HTTP/1.1 serves, to those who say nothing
 * of gRPC (RFC 9113, 8.1). */

#include "tests/net/grpc_rig.h"

static struct rig_answer *ask(struct grpc_rig *r, const char *method,
                              const char *path, struct bytes body, bool open)
{
    struct rig_answer *a =
        grpc_rig_call(r, &(struct rig_request){.path = path,
                                               .method = method,
                                               .content_type = "",
                                               .body = body,
                                               .open = open});
    grpc_rig_pump(r);
    return a;
}

static struct bytes zeros(size_t size)
{
    static uint8_t some[4 << 20];
    return (struct bytes){some, size};
}

TEST(grpc_page, is_served_as_over_http_1)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = ask(&r, "GET", "/x?y=z", BYTES_NONE, false);
    EXPECT_TEXT(a->http_status, "200");
    EXPECT_BYTES(buf_bytes(&a->body), bytes_of("/x?y=z"));
    EXPECT_INT(a->grpc_status, -1);
    EXPECT(a->closed);
    EXPECT_TEXT(r.trace, "GET /x?y=z 0;");
    a = ask(&r, "HEAD", "/x", BYTES_NONE, false);
    EXPECT_TEXT(a->http_status, "200");
    EXPECT_INT(a->body.size, 0);
    EXPECT(a->closed);
    (void)ask(&r, "POST", "/x", BYTES_NONE, false);
    EXPECT_TEXT(r.trace, "GET /x?y=z 0;HEAD /x 0;POST /x 0;");
    /* A call's name without gRPC's content type is a mistake, as it was. */
    a = ask(&r, NULL, "/test.Echo/Say", BYTES_NONE, false);
    EXPECT_TEXT(a->http_status, "415");
    grpc_rig_end(&r);
}

/* Danger: an answer before the request's end resets the stream, and what the
 * client does wrong from then on is not told from what was on its way. */
TEST(grpc_page, is_answered_at_the_request_s_end)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = ask(&r, "PUT", "/x", zeros(10), true);
    EXPECT_INT(a->headers, 0);
    grpc_rig_more(&r, a, zeros(10), true);
    grpc_rig_pump(&r);
    EXPECT_TEXT(a->http_status, "200");
    EXPECT_TEXT(r.trace, "PUT /x 0;"); /* no page takes a body */
    EXPECT(a->closed);
    grpc_rig_end(&r);
}

TEST(grpc_page, a_body_has_a_limit)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    const size_t max = r.host.limits.http_body_max;
    struct rig_answer *a = ask(&r, "PUT", "/x", zeros(max), true);
    EXPECT_INT(a->headers, 0);
    grpc_rig_more(&r, a, zeros(1), false);
    grpc_rig_pump(&r);
    EXPECT_TEXT(a->http_status, "413");
    EXPECT(a->closed);
    EXPECT_TEXT(r.trace, "");
    grpc_rig_end(&r);
}

TEST(grpc_page, who_goes_before_the_answer_is_told_to_the_service)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = ask(&r, "GET", "/held", BYTES_NONE, false);
    EXPECT_INT(a->headers, 0);
    grpc_rig_reset(&r, a);
    grpc_rig_pump(&r);
    EXPECT_TEXT(r.trace, "GET /held 0;gone ");
    /* Before it was given to the service there is nobody to tell. */
    a = ask(&r, "GET", "/held", BYTES_NONE, true);
    grpc_rig_reset(&r, a);
    grpc_rig_pump(&r);
    EXPECT_TEXT(r.trace, "GET /held 0;gone ");
    grpc_rig_end(&r);
}
