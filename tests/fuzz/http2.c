/* Bytes behind the client's preface; the first says how they are cut. */

#include <stdlib.h>

#include "base/must.h"
#include "tests/fuzz/fuzz.h"
#include "tests/net/frames.h"
#include "tests/net/grpc_rig.h"

static const struct {
    const char *section, *rule, *script, *expected;
} rows[] = {
#include "tests/net/http2_conformance_rows.inc"
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const size_t cut = (size_t)fuzz_byte(&in) * 16 + 1;
    struct grpc_rig *r = xcalloc(1, sizeof *r);
    grpc_rig_begin(r);
    nghttp2_session_del(r->client);
    r->client = NULL;
    struct buf preface = {0};
    frames_preface(&preface);
    (void)grpc_rig_give(r, buf_bytes(&preface));
    buf_fini(&preface);
    while (in.left.size > 0 && r->server_alive) {
        (void)grpc_rig_give(r, fuzz_bytes(&in, cut));
        r->now_ns += 10000000;
        grpc_rig_pump(r);
        buf_clear(&r->raw);
        r->trace[0] = 0;
    }
    (void)grpc_session_tick(r->session, r->now_ns);
    grpc_host_expire(&r->host, r->now_ns);
    grpc_rig_pump(r);
    grpc_rig_end(r);
    free(r);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    if (n >= count_of(rows)) {
        return false;
    }
    buf_append_byte(to, n % 2 == 0 ? 255 : 3);
    const char *script = rows[n].script;
    while (script != NULL && strncmp(script, "RAW", 3) != 0) {
        script = frames_put(to, script);
    }
    return true;
}
