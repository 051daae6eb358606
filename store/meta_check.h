/* LMDB's two meta pages, held against each other. */
#ifndef STORE_META_CHECK_H
#define STORE_META_CHECK_H

#include "store/lmdb_env.h"

/* Each commit writes one of the two meta pages, in turn, so their transaction
 * numbers always differ by one and have the parity of their page.  They have no
 * checksum: one that was damaged would let LMDB go on from the commit before,
 * of which the log may be gone.
 *   ST_CORRUPT, ST_IO */
enum status meta_check(const struct lmdb_env *e, struct fault *reterr) MUST_USE;

#endif
