/* SHA-1 (FIPS 180-4), for names only: where others' formats ask for it.  It
 * protects nothing. */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "base/bytes.h"

#define SHA1_SIZE 20

void sha1(struct bytes of, uint8_t ret[SHA1_SIZE]);

#endif
