/* The whole state from one member's store to another's, as one stream.
 *
 * For a member that is behind the log, and for backups.  The sender reads one
 * consistent view while it goes on writing, and needs no room on its disk; the
 * receiver builds a new file beside its own, verifies everything, and only then
 * lets it take the old one's place, which is one rename(2).
 *
 *  T1  A stream is a function of the view and the size of its blocks: whoever
 *      begins again at a position gets the same bytes.
 *  T2  Nothing that fails a checksum leaves the sender or enters a receiver's
 *      file: rows travel as they are stored, with their own checksums and
 *      links, which both ends verify; the stream has its own around them.
 *  T3  A file that is not complete, verified and synced never has the store's
 *      name: a crash leaves the old state or the new one.
 *  T4  Neither end needs memory beyond a few blocks, or for the largest row.
 *
 * The format is docs/FORMATS.md, "State transfer".  A stream carries the
 * cluster's id and no member's.
 */
#ifndef STORE_TRANSFER_H
#define STORE_TRANSFER_H

#include "store/store.h"

/* What a stream says of its view. */
struct store_transfer_info {
    uint64_t cluster_id; /* 0: the sender never had one */
    uint64_t index, term;
    int64_t revision, compact_revision;
    uint64_t keys_count;  /* live ones */
    uint64_t rows_count;  /* in the stream; for showing progress, */
    uint64_t bytes_count; /* and so is this: an estimate from above */
};

/* --- sending --- */

struct store_export;

#define STORE_EXPORT_BLOCK_BYTES ((size_t)256 << 10)

/* Takes a view of what is durable: what is only in the memtables is not in it,
 * so its index is store_durable_index() or, while a flush runs, maybe that
 * flush's.  Loop thread; does not block.  The log must be kept from the index
 * of the view on until the receiver has got that far.
 *
 * While the view is held, LMDB does not reuse the pages that later writes free,
 * and the file grows: free it as soon as the receiver has everything, and do
 * not wait for ever for one that does not answer.
 *
 * block_bytes: how much about one store_export_next() brings, except for rows
 * that are larger: at least 1 and at most 64 MiB.
 *   ST_IO (also: too many readers), ST_CORRUPT */
enum status store_export_begin(struct store *s, size_t block_bytes,
                               struct store_export **ret,
                               struct fault *reterr) MUST_USE;
void store_export_info(const struct store_export *e,
                       struct store_transfer_info *ret);

/* Appends the next piece of the stream; *ret_done: there is no more after it.
 * May block (it reads the disk): on any one thread at a time, not the loop;
 * flushes and the loop's use of the store may go on.  After a failure nothing
 * was appended, and the export can only be freed.
 *   ST_CORRUPT    a row failed its checksum; the fault names it
 *   ST_TOO_LARGE  a row is larger than a block may be (256 MiB)
 *   ST_IO */
enum status store_export_next(struct store_export *e, struct buf *to,
                              bool *ret_done, struct fault *reterr) MUST_USE;

/* Bytes given out so far: where the next piece begins. */
uint64_t store_export_position(const struct store_export *e);
/* The next piece begins at this byte, which the export has come to before: for
 * a receiver whose connection broke (store_import_position()).  Blocks, as
 * store_export_next() does; reads again up to 16 MiB, or more where keys are
 * very long.
 *   ST_INVALID  the export never was there
 *   ST_CORRUPT, ST_IO */
enum status store_export_seek(struct store_export *e, uint64_t position,
                              struct fault *reterr) MUST_USE;
/* On any thread, while no call is under way, and before store_close() of its
 * store. NULL is fine. */
void store_export_free(struct store_export *e);

/* --- receiving --- */

/* Order of calls: begin, write…, finish, [store_open() of
 * store_import_path(), to compare, and its store_close()], store_close() of
 * the store that is to be replaced, install, store_open().
 *
 * All of these block; they come from one thread at a time, which may change.
 * After a failure everything but store_import_free() fails likewise. */
struct store_import;

/* Removes what an interrupted import left: before store_open() at start. */
enum status store_import_discard(const char *path,
                                 struct fault *reterr) MUST_USE;

/* `path` is the directory of the store whose state is to be replaced; it is
 * made when missing and may be in use.  The new state is built below it, in
 * "incoming"; what was there before is removed.  One import for a store at a
 * time.  Of the options map_size counts, of the quota nothing.  With a
 * cluster_id that is not 0, another cluster's state is refused.
 *   ST_NO_SPACE, ST_DENIED, ST_IO, ST_INVALID (the path is too long) */
enum status store_import_begin(const char *path,
                               const struct store_options *options,
                               uint64_t cluster_id, struct store_import **ret,
                               struct fault *reterr) MUST_USE;
/* Takes the next bytes of the stream, cut anywhere.
 *   ST_INVALID   not a stream, of another format, of another cluster
 *   ST_CORRUPT   anything else that is not as it should be
 *   ST_NO_SPACE  the disk or the map is full
 *   ST_IO, ST_DENIED */
enum status store_import_write(struct store_import *i, struct bytes more,
                               struct fault *reterr) MUST_USE;
/* Bytes taken so far. */
uint64_t store_import_position(const struct store_import *i);
/* False until the stream's beginning is there and verified. */
bool store_import_info(const struct store_import *i,
                       struct store_transfer_info *ret);

/* For a new cluster that begins with this state: after the last byte, before
 * finish.  The old cluster's records (its members, alarms) go; the index is at
 * least 1, so that whoever joins with an empty store gets the state.
 *   ST_INVALID  there is no such revision
 *   and those of store_import_write() */
struct store_restart {
    uint64_t bump_revision; /* added to the revision */
    bool mark_compacted;    /* the revision after that is the compact one */
};
enum status store_import_restart(struct store_import *i,
                                 const struct store_restart *restart,
                                 struct fault *reterr) MUST_USE;
/* After the last byte: verifies that the stream is whole, writes the identity
 * that the state is to have here, and makes all durable.
 *   ST_CORRUPT  the stream ends early
 *   and those of store_import_write() */
enum status store_import_finish(struct store_import *i,
                                const struct store_identity *identity,
                                struct fault *reterr) MUST_USE;
/* After finish: the directory that store_open() opens the new state in. */
const char *store_import_path(const struct store_import *i);

/* After finish: the new state takes the old one's place, durably.
 *   ST_BUSY  a store is open on the path; nothing was done
 *   ST_IO, ST_DENIED, ST_NO_SPACE  which of the two has the name after a crash
 *            is not known: stop; store_open() finds one of them, whole */
enum status store_import_install(struct store_import *i,
                                 struct fault *reterr) MUST_USE;
/* Removes what was not installed, or gives the file that was replaced back to
 * the disk, which takes its time when it is large: on any thread. NULL is fine.
 */
void store_import_free(struct store_import *i);

#endif
