/* SHA-256 (FIPS 180-4), for files whose readers expect it.  Not for secrets:
 * nothing here is made to take the same time for all inputs. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "base/bytes.h"

#define SHA256_SIZE  32
#define SHA256_BLOCK 64

struct sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    uint8_t block[SHA256_BLOCK];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, struct bytes more);
/* The digest of what was added; the struct is at its end. */
void sha256_end(struct sha256 *s, uint8_t ret[SHA256_SIZE]);

#endif
