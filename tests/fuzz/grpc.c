/* Calls: the input is a list of steps of a client, of the services and of time;
 * nghttp2's client makes good HTTP/2 of them. */

#include <stdlib.h>

#include "base/must.h"
#include "tests/fuzz/fuzz.h"
#include "tests/net/grpc_rig.h"

#define CALLS_MAX 32

static const char *const paths[] = {"/test.Echo/Say", "/test.Echo/Stream",
                                    "/test.Echo/Hold", "/test.Echo/HoldOne",
                                    "/test.Echo/None"};
static const char *const timeouts[] = {NULL, "1S", "20m", "0n", "x"};
static const char *const encodings[] = {NULL, "gzip", "identity", "zip"};

static void open_call(struct grpc_rig *r, struct fuzz_input *in)
{
    if (r->answers_count == CALLS_MAX) {
        return;
    }
    const uint8_t how = fuzz_byte(in);
    const struct rig_request q = {
        .path = paths[how % count_of(paths)],
        .timeout = timeouts[how / 8 % count_of(timeouts)],
        .encoding = encodings[how / 64],
        .body = fuzz_bytes(in, fuzz_byte(in)),
        .open = true,
    };
    (void)grpc_rig_call(r, &q);
}

static void client_step(struct grpc_rig *r, struct fuzz_input *in, uint8_t what)
{
    if (r->answers_count == 0) {
        return;
    }
    struct rig_answer *a = &r->answers[fuzz_byte(in) % r->answers_count];
    if (a->closed || a->request_end) {
        return;
    }
    if (what == 0) {
        grpc_rig_more(r, a, fuzz_bytes(in, fuzz_byte(in)), false);
    } else if (what == 1) {
        grpc_rig_more(r, a, BYTES_NONE, true);
    } else {
        a->request_end = true;
        grpc_rig_reset(r, a);
    }
}

static void service_step(struct grpc_rig *r, struct fuzz_input *in,
                         uint8_t what)
{
    static const uint8_t large[40000];
    const uint8_t which = fuzz_byte(in) % CALLS_MAX;
    struct grpc_call *c = r->held[which];
    if (c == NULL) {
        return;
    }
    if (what == 0) {
        (void)grpc_send(c, fuzz_bytes(in, fuzz_byte(in)));
    } else if (what == 1) {
        (void)grpc_send(c, (struct bytes){large, sizeof large});
    } else if (what == 2) {
        grpc_pause_reading(c);
    } else if (what == 3) {
        grpc_resume_reading(c);
    } else {
        r->held[which] = NULL;
        grpc_finish(c, fuzz_byte(in) % 17, what == 4 ? NULL : "text\n%");
    }
}

static void time_step(struct grpc_rig *r, uint8_t how)
{
    r->now_ns += (int64_t)how * 100000000;
    (void)grpc_session_tick(r->session, r->now_ns);
    grpc_host_expire(&r->host, r->now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    limits.message_max = 500;
    limits.receiving_max = 2000;
    limits.call_send_max = 2000;
    limits.connection_send_max = 5000;
    struct grpc_rig *r = xcalloc(1, sizeof *r);
    grpc_rig_begin_with(r, &limits);
    while (in.left.size > 0) {
        const uint8_t step = fuzz_byte(&in) % 16;
        if (step < 4) {
            open_call(r, &in);
        } else if (step < 7) {
            client_step(r, &in, (uint8_t)(step - 4));
        } else if (step < 13) {
            service_step(r, &in, (uint8_t)(step - 7));
        } else if (step == 13) {
            time_step(r, fuzz_byte(&in));
        } else if (step == 14) {
            r->reads = !r->reads;
            r->pause_next = (fuzz_byte(&in) & 1) != 0;
        } else {
            grpc_session_drain(r->session);
        }
        grpc_rig_pump(r);
        r->trace[0] = 0;
        buf_clear(&r->raw);
        must(r->held_count <= CALLS_MAX);
    }
    grpc_rig_end(r);
    free(r);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const uint8_t call[] = {
        0,  0, 8,  0,   0,   0, 0,  3, 'a', 'b', 'c', /* Say */
        5,  0,                                        /* its end */
        0,  1, 7,  0,   0,   0, 0,  2, 'a', 'b',      /* Stream */
        4,  1, 8,  0,   0,   0, 0,  3, 'a', 'b', 'c', /* more of it */
        0,  2, 0,                                     /* Hold */
        7,  1, 2,  'x', 'y', 8, 1,  8, 1,   14,  0,   /* sends; nobody reads */
        8,  1, 8,  1,   9,   0, 4,  1, 3,   0,   0,   0, /* paused */
        10, 0, 14, 1,   13,  5, 11, 1, 0,   6,   1, /* resumed, ended, reset */
    };
    if (n >= 5) {
        return false;
    }
    /* The whole, and parts of it. */
    const size_t cuts[] = {0, 13, 22, 33, 36};
    buf_append(to, (struct bytes){call + cuts[n], sizeof call - cuts[n]});
    return true;
}
