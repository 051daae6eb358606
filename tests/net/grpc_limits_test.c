/* Limits, at the limit and one beyond, and what a client may cost. */

#include <stdlib.h>
#include <zlib.h>

#include "base/must.h"
#include "base/status.h"
#include "net/grpc_internal.h"
#include "tests/net/frames.h"
#include "tests/net/grpc_rig.h"

#define MESSAGE_MAX 1000

static void begin(struct grpc_rig *r)
{
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    limits.message_max = MESSAGE_MAX;
    grpc_rig_begin_with(r, &limits);
}

static struct rig_answer *echo(struct grpc_rig *r, uint8_t flag,
                               struct bytes message, const char *encoding)
{
    struct buf body = {0};
    grpc_rig_frame(&body, flag, message);
    struct rig_answer *a =
        grpc_rig_call(r, &(struct rig_request){.path = "/test.Echo/Say",
                                               .encoding = encoding,
                                               .body = buf_bytes(&body)});
    buf_fini(&body);
    grpc_rig_pump(r);
    EXPECT(a->closed);
    return a;
}

static void gzip(struct buf *to, struct bytes from)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } input = {from.data};
    z_stream z = {.next_in = input.out, .avail_in = (uInt)from.size};
    must(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8,
                      Z_DEFAULT_STRATEGY) == Z_OK);
    buf_clear(to);
    z.next_out = buf_reserve(to, from.size + 1024);
    z.avail_out = (uInt)from.size + 1024;
    must(deflate(&z, Z_FINISH) == Z_STREAM_END);
    (void)buf_extend(to, z.total_out);
    must(deflateEnd(&z) == Z_OK);
}

/* Clients match on grpc-go's text. */
TEST(grpc_limits, a_message_that_is_too_large_is_refused_by_its_prefix)
{
    static const uint8_t zeros[MESSAGE_MAX + 1];
    struct grpc_rig r;
    begin(&r);
    struct rig_answer *a =
        echo(&r, 0, (struct bytes){zeros, MESSAGE_MAX}, NULL);
    EXPECT_INT(a->grpc_status, GRPC_OK);
    a = echo(&r, 0, (struct bytes){zeros, MESSAGE_MAX + 1}, NULL);
    EXPECT_INT(a->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    EXPECT_TEXT(a->message,
                "grpc: received message larger than max (1001 vs. 1000)");
    /* The length alone is enough: none of the rest is waited for. */
    a = grpc_rig_call(&r,
                      &(struct rig_request){
                          .path = "/test.Echo/Say",
                          .body = {(const uint8_t *)"\0\xff\xff\xff\xff", 5},
                          .open = true});
    grpc_rig_pump(&r);
    EXPECT_INT(a->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    EXPECT_TEXT(a->message,
                "grpc: received message larger than max (4294967295 vs. 1000)");
    EXPECT(a->closed);
    grpc_rig_end(&r);
}

/* A kilobyte of gzip can be a megabyte. */
TEST(grpc_limits, compressed_messages_are_bounded_by_what_they_become)
{
    static const uint8_t zeros[(size_t)1 << 20];
    struct grpc_rig r;
    begin(&r);
    struct buf packed = {0};
    gzip(&packed, (struct bytes){zeros, MESSAGE_MAX});
    struct rig_answer *a = echo(&r, 1, buf_bytes(&packed), "gzip");
    EXPECT_INT(a->grpc_status, GRPC_OK);
    EXPECT_BYTES(grpc_rig_message(a, 0), ((struct bytes){zeros, MESSAGE_MAX}));
    gzip(&packed, (struct bytes){zeros, MESSAGE_MAX + 1});
    a = echo(&r, 1, buf_bytes(&packed), "gzip");
    EXPECT_INT(a->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    gzip(&packed, (struct bytes){zeros, MESSAGE_MAX * 100});
    EXPECT(packed.size <= MESSAGE_MAX);
    a = echo(&r, 1, buf_bytes(&packed), "gzip");
    EXPECT_INT(a->grpc_status, GRPC_RESOURCE_EXHAUSTED);
    EXPECT(r.host.plain.capacity < 100 * (size_t)MESSAGE_MAX);
    /* Cut, and not gzip at all. */
    gzip(&packed, bytes_of("hello"));
    a = echo(&r, 1, (struct bytes){packed.data, packed.size - 1}, "gzip");
    EXPECT_INT(a->grpc_status, GRPC_INTERNAL);
    a = echo(&r, 1, bytes_of("hello"), "gzip");
    EXPECT_INT(a->grpc_status, GRPC_INTERNAL);
    buf_fini(&packed);
    grpc_rig_end(&r);
}

TEST(grpc_limits, encodings_that_do_not_fit_are_refused)
{
    struct grpc_rig r;
    begin(&r);
    struct rig_answer *a = echo(&r, 0, bytes_of("a"), "snappy");
    EXPECT_INT(a->grpc_status, GRPC_UNIMPLEMENTED);
    EXPECT_TEXT(a->message, "grpc: Decompressor is not installed for "
                            "grpc-encoding \"snappy\"");
    EXPECT_TEXT(a->accept_encoding, "gzip");
    a = echo(&r, 1, bytes_of("a"), NULL);
    EXPECT_INT(a->grpc_status, GRPC_INTERNAL);
    EXPECT_TEXT(a->message,
                "grpc: compressed flag set with identity or empty encoding");
    a = echo(&r, 2, bytes_of("a"), "gzip");
    EXPECT_INT(a->grpc_status, GRPC_INTERNAL);
    EXPECT_TEXT(a->message, "grpc: received unexpected payload format 2");
    a = echo(&r, 0, bytes_of("a"), "gzip"); /* the flag decides */
    EXPECT_INT(a->grpc_status, GRPC_OK);
    grpc_rig_end(&r);
}

/* Header lists: 64 KiB and 256 fields are taken, a little more is answered,
 * much more ends the connection. */
TEST(grpc_limits, header_floods_are_answered_then_cut_off)
{
    static char value[30000];
    static uint8_t name[] = {'x'};
    memset(value, 'v', sizeof value - 1);
    for (unsigned count = 1; count <= 10; count++) {
        struct grpc_rig r;
        begin(&r);
        nghttp2_nv nvs[16];
        for (unsigned i = 0; i < count; i++) {
            nvs[i] = (nghttp2_nv){.name = name,
                                  .value = (uint8_t *)value,
                                  .namelen = 1,
                                  .valuelen = sizeof value - 1};
        }
        struct rig_answer *a =
            grpc_rig_call_with(&r, "/test.Echo/Say", nvs, count);
        grpc_rig_pump(&r);
        if (count <= 2) {
            EXPECT_TEXT(a->http_status, "200");
        } else if (count <= 5) {
            EXPECT_TEXT(a->http_status, "431");
        } else { /* more than eight CONTINUATIONs */
            EXPECT(!r.server_alive);
        }
        grpc_rig_end(&r);
    }
}

/* Names that the client's table holds make a large list of few bytes. */
TEST(grpc_limits, a_header_list_is_counted_as_what_it_becomes)
{
    static const unsigned counts[] = {60, 900, 1100};
    for (size_t i = 0; i < count_of(counts); i++) {
        struct grpc_rig r;
        begin(&r);
        struct buf bytes = {0};
        buf_append(&bytes, bytes_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        static const uint8_t settings[9] = {0, 0, 0, 4};
        buf_append(&bytes, (struct bytes){settings, sizeof settings});
        struct buf block = {0};
        grpc_rig_fields(&block, "/test.Echo/Hold");
        buf_append(&block, bytes_of("\x40\x01x\x01y"));
        for (unsigned n = 0; n < counts[i]; n++) {
            buf_append_byte(&block, 0xbe); /* index 62: the newest */
        }
        const uint8_t head[9] = {
            0, (uint8_t)(block.size >> 8), (uint8_t)block.size, 1, 4, 0, 0, 0,
            1};
        buf_append(&bytes, (struct bytes){head, sizeof head});
        buf_append(&bytes, buf_bytes(&block));
        nghttp2_session_del(r.client);
        r.client = NULL;
        (void)grpc_rig_give(&r, buf_bytes(&bytes));
        grpc_rig_pump(&r);
        EXPECT_INT(r.held_count, i == 0);
        EXPECT_INT(r.server_alive, i < 2);
        buf_fini(&bytes);
        buf_fini(&block);
        grpc_rig_end(&r);
    }
}

/* Half of a message, many times over, is memory that nothing gives back. */
TEST(grpc_limits, half_received_messages_are_bounded_altogether)
{
    static const uint8_t half[600] = {0, 0, 0, 3, 232};
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    limits.message_max = MESSAGE_MAX;
    limits.receiving_max = 10 * sizeof half;
    struct grpc_rig r;
    grpc_rig_begin_with(&r, &limits);
    struct rig_answer *a[12];
    for (size_t i = 0; i < 12; i++) {
        a[i] =
            grpc_rig_call(&r, &(struct rig_request){.path = "/test.Echo/Say",
                                                    .body = {half, sizeof half},
                                                    .open = true});
        grpc_rig_pump(&r);
        EXPECT_INT(a[i]->grpc_status, i < 10 ? -1 : GRPC_RESOURCE_EXHAUSTED);
        EXPECT(r.host.receiving <= limits.receiving_max);
    }
    grpc_rig_reset(&r, a[0]);
    grpc_rig_pump(&r);
    EXPECT_INT(r.host.receiving, 9 * sizeof half);
    grpc_rig_end(&r);
}

/* Who sends large messages beside an attacker is not the one to pay. */
TEST(grpc_limits, the_connection_that_holds_most_pays_for_others)
{
    static const uint8_t half[600] = {0, 0, 0, 3, 232};
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    limits.message_max = MESSAGE_MAX;
    limits.receiving_max = 10 * sizeof half;
    struct grpc_rig r;
    grpc_rig_begin_with(&r, &limits);
    for (size_t i = 0; i < 10; i++) {
        (void)grpc_rig_call(&r,
                            &(struct rig_request){.path = "/test.Echo/Hold",
                                                  .body = {half, sizeof half},
                                                  .open = true});
        grpc_rig_pump(&r);
    }
    struct grpc_session *other = grpc_session_new(&r.host, &r, r.now_ns);
    struct buf bytes = {0};
    frames_preface(&bytes);
    (void)frames_put(&bytes, "HEADERS 1 H post\nDATA 1 . x00000003e8+z500");
    EXPECT(grpc_session_receive(other, buf_bytes(&bytes), r.now_ns));
    EXPECT_INT(r.host.receiving, 505);
    EXPECT_TEXT(r.trace, "cancel cancel cancel cancel cancel cancel cancel "
                         "cancel cancel cancel ");
    grpc_rig_pump(&r);
    EXPECT_INT(r.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT(grpc_session_is_over(r.session));
    EXPECT(!grpc_session_is_over(other));
    grpc_session_free(other);
    buf_fini(&bytes);
    grpc_rig_end(&r);
}

/* A watcher that does not read must cost a bounded buffer, and nobody else. */
TEST(grpc_limits, a_call_whose_client_does_not_read_is_told_to_pause)
{
    static const uint8_t kib[1024];
    struct grpc_rig r;
    grpc_rig_begin(&r);
    struct rig_answer *a = grpc_rig_call(
        &r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    grpc_rig_pump(&r);
    r.reads = false;
    size_t sent = 0;
    while (grpc_send(r.held[0], (struct bytes){kib, sizeof kib})) {
        sent += sizeof kib;
        must(sent < (size_t)64 << 20);
    }
    EXPECT(sent <= r.host.limits.call_send_max);
    EXPECT(sent >= r.host.limits.call_send_max / 2);
    EXPECT_TEXT(r.trace, "");
    r.reads = true;
    grpc_rig_pump(&r); /* the client's window lets it all through, in turns */
    EXPECT_TEXT(r.trace, "writable ");
    EXPECT_INT(a->body.size, (sent / 1024 + 1) * (1024 + 5));
    grpc_rig_end(&r);
}

/* Takes one pull of at most that many bytes to the client. */
static void pull(struct grpc_rig *r, size_t size_max)
{
    struct buf out = {0};
    grpc_session_pull(r->session, &out, size_max);
    EXPECT_INT(nghttp2_session_mem_recv(r->client, out.data, out.size),
               out.size);
    buf_fini(&out);
}

/* A stream that is never quite empty must not keep what it has sent, nor lose
 * what it has not. */
TEST(grpc_limits, a_stream_that_never_drains_keeps_its_order)
{
    static uint8_t piece[3000];
    struct grpc_rig r;
    grpc_rig_begin(&r);
    must(nghttp2_session_set_local_window_size(r.client, 0, 0, 1 << 30) == 0);
    must(nghttp2_submit_settings(
             r.client, 0,
             &(nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                       1 << 30},
             1) == 0);
    struct rig_answer *a = grpc_rig_call(
        &r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    grpc_rig_pump(&r);
    r.reads = false;
    size_t sent = 0;
    size_t most = 0;
    for (int round = 0; round < 400; round++) {
        for (int i = 0; i < 3 || r.host.waiting < 150000; i++, sent++) {
            memset(piece, (int)(sent % 251), sizeof piece);
            (void)grpc_send(r.held[0], (struct bytes){piece, sizeof piece});
        }
        while (r.host.waiting > 100000) {
            pull(&r, 1);
        }
        const size_t held =
            container_of(r.host.sessions.next, struct grpc_session, link)
                ->waiting;
        most = held > most ? held : most;
    }
    EXPECT(most < 200000);
    r.reads = true;
    grpc_rig_pump(&r);
    EXPECT_INT(grpc_rig_messages(a), sent);
    struct bytes left = buf_bytes(&a->body);
    for (size_t i = 0; i < sent; i++) {
        EXPECT_INT(left.data[5], i % 251);
        EXPECT_INT(left.data[5 + sizeof piece - 1], i % 251);
        left = bytes_after(left, 5 + sizeof piece);
    }
    grpc_rig_end(&r);
}

/* Thousands of clients that do not read: whoever has most unsent goes. */
TEST(grpc_limits, unsent_answers_are_bounded_altogether)
{
    static const uint8_t kib[1024];
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    limits.sending_max = 20 * sizeof kib;
    struct grpc_rig r;
    grpc_rig_begin_with(&r, &limits);
    (void)grpc_rig_call(
        &r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    grpc_rig_pump(&r);
    r.reads = false;
    for (int i = 0; i < 19; i++) {
        (void)grpc_send(r.held[0], (struct bytes){kib, sizeof kib});
    }
    grpc_host_shed(&r.host);
    EXPECT_TEXT(r.trace, "");
    (void)grpc_send(r.held[0], (struct bytes){kib, sizeof kib});
    grpc_host_shed(&r.host);
    EXPECT_TEXT(r.trace, "cancel ");
    EXPECT_INT(r.host.waiting, 0);
    r.reads = true;
    grpc_rig_pump(&r);
    EXPECT_INT(r.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT(grpc_session_is_over(r.session));
    grpc_rig_end(&r);
}

/* One stream that is stuck leaves the others of its connection alone. */
TEST(grpc_limits, a_stuck_stream_holds_no_other)
{
    static const uint8_t kib[1024];
    struct grpc_rig r;
    grpc_rig_begin(&r);
    must(
        nghttp2_submit_settings(r.client, 0,
                                &(nghttp2_settings_entry){
                                    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000},
                                1) == 0);
    (void)grpc_rig_call(
        &r, &(struct rig_request){.path = "/test.Echo/Hold", .open = true});
    grpc_rig_pump(&r);
    must(nghttp2_session_set_local_window_size(r.client, 0, 1, 0) == 0);
    while (grpc_send(r.held[0], (struct bytes){kib, sizeof kib})) {
    }
    grpc_rig_pump(&r);
    struct rig_answer *b = echo(&r, 0, bytes_of("other"), NULL);
    EXPECT_INT(b->grpc_status, GRPC_OK);
    grpc_rig_end(&r);
}

/* Who pauses reading gets no message, and the client's window stays shut. */
TEST(grpc_limits, a_paused_call_holds_its_client_back)
{
    struct grpc_rig r;
    grpc_rig_begin(&r);
    r.pause_next = true;
    struct buf body = {0};
    grpc_rig_frame(&body, 0, bytes_of("one"));
    grpc_rig_frame(&body, 0, bytes_of("three"));
    struct rig_answer *a =
        grpc_rig_call(&r, &(struct rig_request){.path = "/test.Echo/Stream",
                                                .body = buf_bytes(&body),
                                                .open = true});
    grpc_rig_pump(&r);
    EXPECT_TEXT(r.trace, "message:3 ");
    buf_clear(&body);
    (void)buf_extend(&body, (size_t)4 << 20);
    memset(body.data, 0, body.size);
    grpc_rig_more(&r, a, buf_bytes(&body), true);
    grpc_rig_pump(&r);
    EXPECT_TEXT(r.trace, "message:3 ");
    EXPECT(a->request_at < a->request.size);
    EXPECT(r.host.receiving <= (size_t)2 << 20);
    grpc_resume_reading(r.held[0]);
    EXPECT_TEXT(r.trace, "message:3 "); /* not from inside the call */
    EXPECT(r.woken);
    r.trace[0] = 0;
    grpc_rig_pump(&r);
    EXPECT_INT(a->request_at, a->request.size);
    EXPECT_INT(r.host.receiving, 0);
    EXPECT_INT(a->grpc_status, GRPC_INTERNAL); /* the zeros end in a prefix */
    buf_fini(&body);
    grpc_rig_end(&r);
}
