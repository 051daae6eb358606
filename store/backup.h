/* The whole state as a file, for keeping: a stream (transfer.h) in a frame that
 * etcd's tools accept as a snapshot.
 *
 *   512 bytes   who, when, what; with a checksum
 *   the stream
 *   zeros, then the size of the stream in the last 8 bytes: the size so far is
 *   a multiple of 512
 *   32 bytes    SHA-256 of everything before
 *
 * docs/FORMATS.md, "Snapshot files".
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "base/sha256.h"
#include "store/transfer.h"

#define BACKUP_HEAD_SIZE 512u
/* The end of a file: the stream's size and the digest. */
#define BACKUP_END_SIZE (8u + SHA256_SIZE)

struct store_backup_head {
    struct store_identity identity; /* of the member that made it */
    uint64_t index, term;
    int64_t revision, compact_revision;
    int64_t made_ns;     /* Unix time */
    uint64_t keys_count; /* live ones */
};

/* --- making one --- */

struct store_backup;

/* Takes a view of what is durable, as store_export_begin(), with its rules.
 * Loop thread; does not block. */
enum status store_backup_begin(struct store *s, int64_t made_ns,
                               struct store_backup **ret,
                               struct fault *reterr) MUST_USE;
/* Appends the next piece of the file; *ret_done: there is none after it.  On
 * any one thread at a time; blocks.  Failures are store_export_next()'s. */
enum status store_backup_next(struct store_backup *b, struct buf *to,
                              bool *ret_done, struct fault *reterr) MUST_USE;
/* Bytes that are still to come: about, and not less than 1 until the last
 * piece was given out. */
uint64_t store_backup_remaining(const struct store_backup *b);
void store_backup_free(struct store_backup *b); /* NULL is fine */

/* --- taking one apart --- */

/* The first BACKUP_HEAD_SIZE bytes.
 *   ST_INVALID  no snapshot of ours, or of another format
 *   ST_CORRUPT  its checksum is wrong                                        */
enum status store_backup_read_head(struct bytes head,
                                   struct store_backup_head *ret,
                                   struct fault *reterr) MUST_USE;
/* The last BACKUP_END_SIZE bytes of a file of that size; *ret_stream_size: the
 * stream is behind the head.
 *   ST_CORRUPT  the sizes do not fit each other                              */
enum status store_backup_read_end(struct bytes end, uint64_t file_size,
                                  uint64_t *ret_stream_size,
                                  struct fault *reterr) MUST_USE;

#endif
