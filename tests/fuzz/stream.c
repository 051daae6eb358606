/* Blocks of a state stream, and both ends of a snapshot file; the first byte
 * says which part. */

#include "store/stream.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"
#include "store/backup.h"
#include "tests/fuzz/fuzz.h"

/* With a checksum that is right, unless `as_it_is`. */
static void file_head(struct bytes from, bool as_it_is)
{
    struct store_backup_head head;
    struct fault fault;
    uint8_t bytes[BACKUP_HEAD_SIZE] = {0};
    memcpy(bytes, from.data,
           from.size < sizeof bytes ? from.size : sizeof bytes);
    if (!as_it_is) {
        put_u32(bytes + 20,
                crc32c(0, (struct bytes){bytes + 24, sizeof bytes - 24}));
    }
    (void)!store_backup_read_head((struct bytes){bytes, sizeof bytes}, &head,
                                  &fault);
}

static void file_end(struct fuzz_input *in)
{
    struct fault fault;
    uint64_t file_size = 0, stream_size;
    for (int i = 0; i < 8; i++) {
        file_size = file_size << 8 | fuzz_byte(in);
    }
    if (in->left.size >= BACKUP_END_SIZE &&
        store_backup_read_end(fuzz_bytes(in, BACKUP_END_SIZE), file_size,
                              &stream_size, &fault) == ST_OK) {
        must(stream_size <= file_size - BACKUP_HEAD_SIZE - BACKUP_END_SIZE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % 6;
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
    } else if (which == 3 || which == 4) {
        if (in.left.size > 0) {
            file_head(in.left, which == 3);
        }
    } else if (which == 5) {
        file_end(&in);
    }
    return 0;
}

static void seed_file(size_t n, struct buf *to)
{
    if (n < 5) {
        buf_append(to, bytes_of("keelfs snapshot\n"));
        write_u32(to, 1);
        buf_resize(to, to->size + 80);
    } else {
        const uint64_t stream = 1000;
        const uint64_t size = (BACKUP_HEAD_SIZE + stream + 8 + 511) / 512 * 512;
        put_u64_be(buf_extend(to, 8), size + SHA256_SIZE);
        write_u64(to, stream);
        buf_resize(to, to->size + SHA256_SIZE);
    }
}

bool fuzz_seed(size_t n, struct buf *to)
{
    struct stream_place at = {0};
    if (n > 5) {
        return false;
    }
    buf_append_byte(to, (uint8_t)n);
    if (n > 2) {
        seed_file(n, to);
        return true;
    }
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
