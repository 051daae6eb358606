/* A data directory out of a snapshot file, for a new cluster that begins with
 * that state.
 *
 * The directory is built under another name beside it, verified, synced, and
 * renamed: a crash or a failure leaves nothing under its name.  What is there
 * already is never touched; an empty directory is nothing.
 *
 * Blocks; no threads, no loop.
 */
#ifndef NODE_RESTORE_H
#define NODE_RESTORE_H

#include "store/backup.h"

/* Called now and then with bytes done and bytes in all. May be NULL. */
struct restore_progress {
    void (*moved)(void *arg, uint64_t done, uint64_t all);
    void *arg;
};

struct snapshot_file_info {
    struct store_backup_head head;
    uint64_t size;               /* bytes of the file */
    uint8_t digest[SHA256_SIZE]; /* as the file says at its end */
};

/* Verifies a whole file.
 *   ST_NOT_FOUND, ST_DENIED, ST_IO
 *   ST_INVALID  it is no snapshot of ours, or of another format
 *   ST_CORRUPT  it is damaged or cut                                         */
enum status snapshot_file_check(const char *path,
                                const struct restore_progress *progress,
                                struct snapshot_file_info *ret,
                                struct fault *reterr) MUST_USE;

struct restore_options {
    const char *file;
    const char *data_dir;
    const char *name, *initial_cluster, *cluster_token;
    bool skip_hash_check;   /* of the file's SHA-256; the stream in it has
                               checksums of its own, which are verified */
    uint64_t bump_revision; /* the next revision is so much higher */
    bool mark_compacted;    /* history before that is gone: watches end */
    struct restore_progress progress;
};

struct restore_result {
    struct store_backup_head head;
    uint64_t cluster_id, member_id;
    int64_t revision; /* after the bump */
};

/* Those of snapshot_file_check(), and
 *   ST_EXISTS    the data directory is there and not empty
 *   ST_BUSY      another process restores into it
 *   ST_INVALID   the cluster's description; a revision that is too high
 *   ST_NO_SPACE, ST_DENIED, ST_IO                                            */
enum status restore_snapshot(const struct restore_options *o,
                             struct restore_result *ret,
                             struct fault *reterr) MUST_USE;

#endif
