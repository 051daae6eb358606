/* The data directory: what is in it and whether it is ours.
 *
 *   DIR/wal/     the log (wal/), whose lock guards the whole directory
 *   DIR/store/   the state (store/)
 */
#ifndef NODE_DATA_DIR_H
#define NODE_DATA_DIR_H

#include "base/fault.h"

#define DATA_DIR_PATH_MAX 4096

struct data_dir {
    char wal[DATA_DIR_PATH_MAX];
    char store[DATA_DIR_PATH_MAX];
};

/* Makes the directory (mode 0700, parents must exist) when it is missing.
 *   ST_INVALID  it holds something that is not ours, which is named
 *   ST_NOT_FOUND, ST_DENIED, ST_NO_SPACE, ST_IO                              */
enum status data_dir_open(const char *path, struct data_dir *ret,
                          struct fault *reterr) MUST_USE;

#endif
