/* A fuzz target: one file that gives these two.  It is built twice: with the
 * replayer (replay.c), which tries seeds and mutations of them in the fast
 * ring, and under clang with libFuzzer, by ./dev fuzz.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/buf.h"

/* Takes any bytes; a crash, a leak or a broken invariant is a finding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Appends the nth good beginning for mutations; false: there is none. */
bool fuzz_seed(size_t n, struct buf *to);

/* The input of a target that takes several things from it. */
struct fuzz_input {
    struct bytes left;
};
static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
    if (in->left.size == 0) {
        return 0;
    }
    const uint8_t byte = in->left.data[0];
    in->left = bytes_after(in->left, 1);
    return byte;
}
static inline struct bytes fuzz_bytes(struct fuzz_input *in, size_t size)
{
    const struct bytes taken = {in->left.data,
                                size < in->left.size ? size : in->left.size};
    in->left = bytes_after(in->left, taken.size);
    return taken;
}
/* Looks at each byte: that it is there, sanitizers say. */
static inline void fuzz_touch(struct bytes b)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < b.size; i++) {
        sum = (uint8_t)(sum ^ b.data[i]);
    }
}

#endif
