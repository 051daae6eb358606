/* Where things are: nothing that the server needs may lie inside one of its own
 * mounts, for it would wait for itself. */
#ifndef CMD_PATHS_H
#define CMD_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"

struct paths {
    const char *data_dir; /* need not exist yet */
    const char *log;      /* a file that need not exist yet; NULL: none */
    const char *const *mounts;
    size_t mounts_count;
};

/* Symbolic links are followed, and directories compared by identity too, so
 * that a bind mount hides nothing.  A dead mount counts as a directory.
 *
 *   ST_NOT_FOUND  a mount point does not exist
 *   ST_INVALID    it is no directory, or something is inside a mount: the data
 *                 directory, the log, the working directory, standard output
 *                 or error, another mount; or a mount is in the data directory;
 *                 or that is in a mount of another node
 *   others        a path cannot be looked at */
enum status paths_check(const struct paths *p, struct fault *reterr) MUST_USE;

/* Makes the directories above it that are missing, mode 0700. */
enum status paths_make_parents(const char *path, struct fault *reterr) MUST_USE;

/* The directory holds no log yet. */
bool paths_is_fresh(const char *data_dir);

/* True when the mount point holds files, which a mount would hide. */
bool paths_hides_files(const char *mount);

/* The absolute path without links; for parts that do not exist yet, as written.
 * ST_NOT_FOUND when the path is empty. */
enum status paths_resolve(const char *path, char *ret, size_t size,
                          struct fault *reterr) MUST_USE;

#endif
