/* Blocks of a state stream; the first byte says which part. */

#include "store/stream.h"
#include "base/must.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % 3;
    struct stream_place at = {0};
    struct fault fault;
    if (which == 0 && in.left.size >= STREAM_PREAMBLE_SIZE) {
        (void)!stream_read_preamble(fuzz_bytes(&in, STREAM_PREAMBLE_SIZE), &at,
                                    &fault);
    } else if (which == 1 && in.left.size >= STREAM_HEAD_SIZE) {
        const struct bytes head = {in.left.data, STREAM_HEAD_SIZE};
        size_t body;
        if (stream_read_head(head, &at, &body, &fault) == ST_OK) {
            must(body <= STREAM_BODY_MAX);
            if (in.left.size >= STREAM_HEAD_SIZE + body) {
                struct stream_block block;
                (void)!stream_read_block(
                    fuzz_bytes(&in, STREAM_HEAD_SIZE + body), &at, &block,
                    &fault);
            }
        }
    } else if (which == 2) {
        struct state state;
        struct stream_counts counts;
        state_init(&state);
        (void)!stream_read_state(in.left, &state, &counts, &fault);
        state_fini(&state);
    }
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    struct stream_place at = {0};
    if (n > 2) {
        return false;
    }
    buf_append_byte(to, (uint8_t)n);
    struct state state;
    state_init(&state);
    if (n == 0) {
        stream_write_preamble(to, &at);
    } else if (n == 1) {
        struct buf block = {0};
        const size_t begin = stream_block_begin(&block);
        buf_append(&block, bytes_of("body"));
        stream_block_end(&block, begin, STREAM_ROWS, &at);
        buf_append(to, buf_bytes(&block));
        buf_fini(&block);
    } else {
        const struct stream_counts counts = {1, 2};
        stream_write_state(to, &state, &counts);
    }
    state_fini(&state);
    return true;
}
