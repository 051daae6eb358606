/* How versions, groups and the state are written in LMDB rows
 * (docs/FORMATS.md).  Decoders take bytes whose checksum held, and still
 * believe nothing: anything odd is false. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/buf.h"
#include "store/version.h"

/* The head of a version's row; its value follows the head in the row. */
void record_write_version(struct buf *to, const struct version *v);
/* Fills in all but the value. Bytes are borrowed from `head`. */
bool record_read_version(struct bytes head, struct version *ret);

void record_write_group(struct buf *to, const struct group *g);
bool record_read_group(struct bytes head, struct group *ret);

void record_write_lease(struct buf *to, const struct lease_row *l);
bool record_read_lease(struct bytes head, struct lease_row *ret);

/* The key of a history row: (key, revision), newest first. */
void record_history_key(struct buf *to, struct bytes key, int64_t revision);
/* A string that sorts before all history rows of keys >= key, and after those
 * of smaller keys. */
void record_history_from(struct buf *to, struct bytes key);
/* A string that sorts after all history rows of the key and before the next
 * key's. */
void record_history_after(struct buf *to, struct bytes key);
/* Takes a history row's key apart. *ret_key is borrowed from `from` when no
 * byte of it is escaped, and from *scratch otherwise (which is overwritten). */
bool record_read_history_key(struct bytes from, struct buf *scratch,
                             struct bytes *ret_key, int64_t *ret_revision);

#endif
