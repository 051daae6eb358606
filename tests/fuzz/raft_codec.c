/* Messages between members: what is decoded can be encoded and decoded again,
 * and is the same bytes then. */

#include "proto/raft_codec.h"
#include "base/must.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_message m, again;
    struct fault fault;
    if (raft_codec_decode((struct bytes){data, size}, &m, &fault) != ST_OK) {
        return 0;
    }
    struct buf first = {0}, second = {0};
    must(raft_codec_encode(&m, &first, &fault) == ST_OK);
    must(raft_codec_decode(buf_bytes(&first), &again, &fault) == ST_OK);
    must(raft_codec_encode(&again, &second, &fault) == ST_OK);
    must(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    buf_fini(&first);
    buf_fini(&second);
    raft_message_fini(&m);
    raft_message_fini(&again);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const enum raft_message_type types[] = {
        RAFT_MSG_APPEND,    RAFT_MSG_APPEND_RESPONSE, RAFT_MSG_VOTE,
        RAFT_MSG_HEARTBEAT, RAFT_MSG_READ_INDEX,      RAFT_MSG_PROPOSE};
    if (n >= count_of(types)) {
        return false;
    }
    struct raft_message m = {
        .type = types[n], .to = 2, .from = 1, .term = 3, .index = 299};
    struct payload *payload = payload_copy_of(bytes_of("hi"));
    const struct raft_entry entry = {
        .term = 3, .index = 300, .payload = payload};
    if (n == 0 || n >= 4) {
        raft_entries_add(&m.entries, &entry, 1);
    }
    struct fault fault;
    must(raft_codec_encode(&m, to, &fault) == ST_OK);
    raft_message_fini(&m);
    payload_drop(payload);
    return true;
}
