/* A server that answers our client as it likes: the input is a list of frames,
 * with header blocks that can be read, of raw bytes, and of what the client
 * does meanwhile. Each call ends once; no message is larger than allowed. */

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/must.h"
#include "net/grpc_client.h"
#include "tests/fuzz/fuzz.h"

#define CALLS       6
#define STEPS_MAX   200
#define MESSAGE_MAX 500

struct call {
    struct grpc_client_call call;
    bool out;
};

static struct {
    struct grpc_client *client;
    nghttp2_hd_deflater *headers;
    struct call calls[CALLS];
    bool broken;
} world;

static struct fuzz_input in;

static void on_message(struct grpc_client_call *c, struct bytes message)
{
    must(container_of(c, struct call, call)->out);
    must(message.size <= MESSAGE_MAX);
    fuzz_touch(message);
}

static void on_end(struct grpc_client_call *c, const struct grpc_outcome *how)
{
    struct call *call = container_of(c, struct call, call);
    must(call->out);
    call->out = false;
    must(how->code >= 0);
    fuzz_touch(how->text);
}

static void on_output(void *arg)
{
    (void)arg;
}

/* --- the client --- */

static void begin_call(void)
{
    const uint8_t how = fuzz_byte(&in);
    struct call *c = &world.calls[how % CALLS];
    if (c->out || !grpc_client_is_open(world.client)) {
        return;
    }
    *c = (struct call){.call = {.on_message = on_message, .on_end = on_end},
                       .out = true};
    grpc_client_start(world.client, &c->call, "/etcdserverpb.KV/Range",
                      how % 2 == 0 ? 0 : 1000, NULL, 0);
    for (uint8_t i = how / 64; i > 0; i--) {
        buf_append(grpc_client_begin_message(&c->call),
                   fuzz_bytes(&in, fuzz_byte(&in)));
        grpc_client_end_message(&c->call);
    }
    if (how % 4 < 2) {
        grpc_client_half_close(&c->call);
    }
}

static void cancel_call(void)
{
    struct call *c = &world.calls[fuzz_byte(&in) % CALLS];
    if (c->out) {
        grpc_client_cancel(&c->call);
        c->out = false;
    }
}

/* --- the server --- */

static void receive(struct bytes bytes)
{
    struct fault fault;
    while (bytes.size > 0 && !world.broken) {
        const size_t part = 1 + fuzz_byte(&in);
        const size_t size = part < bytes.size ? part : bytes.size;
        world.broken =
            grpc_client_receive(world.client, (struct bytes){bytes.data, size},
                                &fault) != ST_OK;
        bytes = bytes_after(bytes, size);
    }
}

static void frame(uint8_t type, uint8_t flags, uint32_t stream,
                  struct bytes body)
{
    struct buf b = {0};
    const uint8_t head[] = {(uint8_t)(body.size >> 16),
                            (uint8_t)(body.size >> 8),
                            (uint8_t)body.size,
                            type,
                            flags,
                            (uint8_t)(stream >> 24),
                            (uint8_t)(stream >> 16),
                            (uint8_t)(stream >> 8),
                            (uint8_t)stream};
    buf_append(&b, (struct bytes){head, sizeof head});
    buf_append(&b, body);
    receive(buf_bytes(&b));
    buf_fini(&b);
}

static uint32_t some_stream(void)
{
    const uint8_t which = fuzz_byte(&in);
    return which < 240 ? 1U + 2U * (which % 8) : which - 240U;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
                        strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void say_headers(void)
{
    static const char *const fields[][2] = {
        {":status", "200"},
        {"content-type", "application/grpc"},
        {"grpc-status", "0"},
        {"grpc-status", "14"},
        {"grpc-status", "99999999999"},
        {"grpc-message", "a%20b%"},
        {":status", "503"},
        {"content-type", "text/html"},
        {"grpc-encoding", "gzip"},
        {":status", "100"}};
    nghttp2_nv list[8];
    size_t count = 0;
    const uint8_t how = fuzz_byte(&in);
    if (how % 2 == 0) {
        list[count++] = field(fields[0][0], fields[0][1]);
        list[count++] = field(fields[1][0], fields[1][1]);
    }
    for (uint8_t i = how / 2 % 4; i > 0; i--) {
        const uint8_t which = fuzz_byte(&in) % count_of(fields);
        list[count++] = field(fields[which][0], fields[which][1]);
    }
    uint8_t block[1024];
    const ssize_t size =
        nghttp2_hd_deflate_hd(world.headers, block, sizeof block, list, count);
    must(size >= 0);
    frame(1, (how >= 128 ? 1 : 0) | (how % 16 != 8 ? 4 : 0), some_stream(),
          (struct bytes){block, (size_t)size});
}

static void say_message(void)
{
    struct buf b = {0};
    const uint8_t how = fuzz_byte(&in);
    const struct bytes body = fuzz_bytes(&in, fuzz_byte(&in));
    const uint32_t size = how < 200   ? (uint32_t)body.size
                          : how < 230 ? (uint32_t)body.size + how
                                      : (uint32_t)how << 24;
    buf_append_byte(&b, how % 32 == 31);
    for (int shift = 24; shift >= 0; shift -= 8) {
        buf_append_byte(&b, (uint8_t)(size >> shift));
    }
    buf_append(&b, body);
    frame(0, how % 8 == 7, some_stream(), buf_bytes(&b));
    buf_fini(&b);
}

static void step(void)
{
    struct buf out = {0};
    const uint8_t what = fuzz_byte(&in);
    switch (what % 8) {
    case 0:
        begin_call();
        break;
    case 1:
    case 2:
        say_headers();
        break;
    case 3:
        say_message();
        break;
    case 4: {
        const uint8_t type = fuzz_byte(&in) % 11;
        const uint8_t flags = fuzz_byte(&in);
        frame(type, flags, some_stream(), fuzz_bytes(&in, fuzz_byte(&in) % 64));
        break;
    }
    case 5:
        if (what < 64) {
            cancel_call();
        } else if (what < 128) {
            grpc_client_ping(world.client);
        } else {
            frame(4, 0, 0, BYTES_NONE); /* SETTINGS */
        }
        break;
    case 6:
        if (what >= 224) {
            receive(fuzz_bytes(&in, fuzz_byte(&in)));
        }
        break;
    default:
        grpc_client_collect(world.client, &out, 1 + what * 16U);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct grpc_client_options options = {.authority = "a:1",
                                                .message_size_max = MESSAGE_MAX,
                                                .on_output = on_output};
    struct buf out = {0};
    in.left = (struct bytes){data, size};
    memset(&world, 0, sizeof world);
    world.client = grpc_client_new(&options);
    must(nghttp2_hd_deflate_new(&world.headers, 4096) == 0);
    frame(4, 0, 0, BYTES_NONE);
    for (int i = 0; in.left.size > 0 && i < STEPS_MAX && !world.broken; i++) {
        step();
    }
    if (!world.broken) {
        grpc_client_collect(world.client, &out, 1 << 20);
    }
    grpc_client_fail(world.client, "the end");
    for (size_t i = 0; i < CALLS; i++) {
        must(!world.calls[i].out);
    }
    must(grpc_client_calls(world.client) == 0);
    grpc_client_free(world.client);
    nghttp2_hd_deflate_del(world.headers);
    buf_fini(&out);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    /* A call, its answer and its end; one that is refused; two at once, a
     * message in parts, a reset, GOAWAY. */
    static const uint8_t work[] = {
        0,   64,  3,   'a', 'b', 'c',                 /* a call */
        255,                                          /* it leaves */
        1,   0,   0,   50,                            /* headers */
        3,   0,   4,   'd', 'e', 'f', 'g', 0, 50,     /* a message */
        1,   131, 2,   0,   50,                       /* trailers, the end */
        0,   2,   255, 0,   3,   255,                 /* two more */
        1,   134, 3,   5,   1,   50,                  /* one is refused */
        3,   210, 2,   'x', 'y', 2,   50,             /* a part */
        4,   3,   0,   2,   4,   0,   0,   0, 8,  50, /* RST_STREAM */
        4,   7,   0,   240, 8,   0,   0,   0, 0,  0,  0, 0, 0, 50, /* GOAWAY */
    };
    const size_t sizes[] = {7, 11, 20, 25, 37, 44, sizeof work};
    if (n >= count_of(sizes)) {
        return false;
    }
    buf_append(to, (struct bytes){work, sizes[n]});
    return true;
}
