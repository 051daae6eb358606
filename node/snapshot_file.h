/* A snapshot file, open for reading (restore.h). */
#ifndef NODE_SNAPSHOT_FILE_H
#define NODE_SNAPSHOT_FILE_H

#include "node/restore.h"

struct snapshot_file {
    int fd; /* -1: not open */
    const char *path;
    struct snapshot_file_info info;
    uint64_t stream_size;
};

/* Opens it and reads both ends. */
enum status snapshot_file_open(struct snapshot_file *f, const char *path,
                               struct fault *reterr) MUST_USE;
void snapshot_file_close(struct snapshot_file *f);

/* Gives the bytes from `at`, `size` of them, to take() in pieces, until that
 * fails. */
enum status snapshot_file_each(
    const struct snapshot_file *f, uint64_t at, uint64_t size,
    enum status (*take)(void *arg, struct bytes piece, struct fault *reterr),
    void *arg, struct fault *reterr) MUST_USE;
/* Compares the digest.
 *   ST_CORRUPT                                                               */
enum status snapshot_file_verify(const struct snapshot_file *f,
                                 const struct restore_progress *progress,
                                 struct fault *reterr) MUST_USE;

#endif
