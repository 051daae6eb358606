/* The head of a record of the log, and its identifiers. */

#include "base/must.h"
#include "tests/fuzz/fuzz.h"
#include "wal/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes all = {data, size};
    struct record_head head;
    if (size < SEGMENT_HEAD_SIZE ||
        record_head_read(all, 1000, &head) != RECORD_OK) {
        return 0;
    }
    const uint64_t meta_size = record_meta_size(head.type, head.entries);
    must(head.sectors <= 1000);
    if (meta_size <= size) {
        const struct bytes meta = {data, (size_t)meta_size};
        if (record_meta_is_right(&head, meta)) {
            for (uint32_t i = 0; i < head.entries; i++) {
                (void)record_identifier(&head, meta, i);
            }
        }
    }
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    struct payload *payload = payload_copy_of(bytes_of("hello"));
    const struct raft_entry entries[3] = {
        {.term = 1, .index = 1, .payload = payload},
        {.term = 1, .index = 2, .payload = payload},
        {.term = 2, .index = 3},
    };
    struct record_head head = {.type = n == 0 ? RECORD_SEGMENT : RECORD_BATCH,
                               .entries = n == 0 ? 0 : (uint32_t)n,
                               .last_index = 0,
                               .file_sectors = 100,
                               .cluster_id = 1,
                               .member_id = 2};
    if (n <= 3) {
        struct buf sectors = {0};
        record_write(&sectors, (struct sector_place){1, 0}, 1, &head, entries);
        for (size_t at = 0; at < sectors.size; at += SECTOR_SIZE) {
            buf_append(to,
                       (struct bytes){sectors.data + at + SECTOR_ROOM_OFFSET,
                                      SECTOR_ROOM});
        }
        buf_fini(&sectors);
    }
    payload_drop(payload);
    return n <= 3;
}
