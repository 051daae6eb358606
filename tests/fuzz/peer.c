/* Frames and greetings of members; the first byte says which. */

#include "base/must.h"
#include "net/peer_frame.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % 5;
    struct fault fault;
    struct peer_header header;
    struct peer_hello hello;
    struct peer_welcome welcome;
    struct peer_reject reject;
    uint64_t number;
    if (which == 0 && in.left.size >= PEER_HEADER_SIZE) {
        if (peer_header_read(in.left.data, 1000, &header, &fault) == ST_OK) {
            must(header.size <= PEER_CONTROL_SIZE_MAX);
            (void)peer_header_matches(in.left.data,
                                      bytes_after(in.left, PEER_HEADER_SIZE));
        }
    } else if (which == 1) {
        if (peer_hello_read(in.left, &hello, &fault) == ST_OK) {
            must(memchr(hello.addresses, 0, sizeof hello.addresses) != NULL);
        }
    } else if (which == 2) {
        (void)!peer_welcome_read(in.left, &welcome, &fault);
    } else if (which == 3) {
        if (peer_reject_read(in.left, &reject, &fault) == ST_OK) {
            must(memchr(reject.text, 0, sizeof reject.text) != NULL);
        }
    } else if (which == 4) {
        (void)!peer_ping_read(in.left, &number, &fault);
    }
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    if (n > 4) {
        return false;
    }
    struct buf body = {0};
    buf_append_byte(to, (uint8_t)n);
    if (n == 0) {
        peer_ping_put(&body, 7);
        peer_header_put(buf_extend(to, PEER_HEADER_SIZE), PEER_FRAME_PING,
                        buf_bytes(&body));
    } else if (n == 1) {
        peer_hello_put(to, &(struct peer_hello){.version_min = 1,
                                                .version_max = 1,
                                                .cluster_id = 1,
                                                .from = 2,
                                                .to = 3,
                                                .addresses = "a:1,b:2"});
    } else if (n == 2) {
        peer_welcome_put(to, &(struct peer_welcome){1, 2, 3, 4});
    } else if (n == 3) {
        peer_reject_put(to, &(struct peer_reject){.reason = 1, .text = "no"});
    } else {
        peer_ping_put(to, 7);
    }
    buf_append(to, buf_bytes(&body));
    buf_fini(&body);
    return true;
}
