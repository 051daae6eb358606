/* Between SHA-256's two ways to add blocks. */
#ifndef BASE_SHA256_INTERNAL_H
#define BASE_SHA256_INTERNAL_H

#include <stdbool.h>

#include "base/sha256.h"

extern const uint32_t sha256_constants[64];

/* False, with nothing done, when the processor cannot. */
bool sha256_by_instruction(uint32_t state[8], const uint8_t *blocks,
                           size_t count) __attribute__((warn_unused_result));
/* In plain C. */
void sha256_by_table(uint32_t state[8], const uint8_t *blocks, size_t count);

#endif
