/* A connection that is not HTTP/2; the first byte says how it is cut. */

#include <stdlib.h>

#include "base/must.h"
#include "tests/fuzz/fuzz.h"
#include "tests/net/grpc_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const size_t cut = (size_t)fuzz_byte(&in) + 1;
    struct grpc_rig *r = xcalloc(1, sizeof *r);
    grpc_rig_begin(r);
    nghttp2_session_del(r->client);
    r->client = NULL;
    while (in.left.size > 0 && r->server_alive) {
        (void)grpc_rig_give(r, fuzz_bytes(&in, cut));
        grpc_rig_pump(r);
        buf_clear(&r->raw);
        r->trace[0] = 0;
    }
    (void)grpc_session_tick(r->session, r->now_ns + 100000000000);
    grpc_session_receive_end(r->session);
    grpc_rig_pump(r);
    grpc_rig_end(r);
    free(r);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const char *const seeds[] = {
        "\xffGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x05POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
        "\r\n{}GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "\x01HEAD /x?y HTTP/1.1\nHost: a\nConnection: close\nExpect: "
        "100-continue\n\n",
        "\xffPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\xffPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    if (n >= count_of(seeds)) {
        return false;
    }
    buf_append(to, bytes_of(seeds[n]));
    return true;
}
