/* Requests that were compressed with gzip. */

#include <zlib.h>

#include "base/must.h"
#include "net/grpc_internal.h"

/* Room that is asked for at a time; also the least. */
#define STEP_MIN ((size_t)4 << 10)

static enum grpc_gzip_outcome run(z_stream *z, size_t size_max, struct buf *to)
{
    for (;;) {
        const size_t room = to->size < STEP_MIN ? STEP_MIN : to->size;
        z->next_out = buf_reserve(to, room);
        z->avail_out = (uInt)room;
        const int result = inflate(z, Z_NO_FLUSH);
        must(z->avail_out <= room);
        (void)buf_extend(to, room - z->avail_out);
        if (to->size > size_max) {
            return GRPC_GZIP_TOO_LARGE;
        }
        if (result == Z_STREAM_END) {
            return z->avail_in == 0 ? GRPC_GZIP_OK : GRPC_GZIP_BAD;
        }
        must(result != Z_MEM_ERROR);
        if (result != Z_OK) {
            return GRPC_GZIP_BAD; /* also when the input ends too soon */
        }
    }
}

enum grpc_gzip_outcome grpc_gzip_inflate(struct bytes from, size_t size_max,
                                         struct buf *to)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } input = {from.data}; /* zlib does not write there */
    z_stream z = {.next_in = input.out, .avail_in = (uInt)from.size};
    buf_clear(to);
    must(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK); /* 16: gzip */
    const enum grpc_gzip_outcome outcome = run(&z, size_max, to);
    must(inflateEnd(&z) == Z_OK);
    return outcome;
}
