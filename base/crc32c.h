/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the processor's instruction
 * where it has one (SSE 4.2), by table elsewhere; both give the same. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/bytes.h"

/* The checksum of the bytes that gave `before`, followed by `more`; begin with
 * 0.  crc32c(0, "123456789") is 0xE3069283. */
uint32_t crc32c(uint32_t before, struct bytes more);

/* The same by table on every machine; for the test that compares the two. */
uint32_t crc32c_by_table(uint32_t before, struct bytes more);

#endif
