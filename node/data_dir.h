/* The data directory: what is in it and whether it is ours.
 *
 *   DIR/wal/     the log (wal/), whose lock guards the whole directory
 *   DIR/store/   the state (store/)
 *   DIR/installing  while another member's state takes the place of ours: the
 *                index and term it is of, so that a start after a crash in
 *                between knows that the log has to begin behind it
 *   DIR/mending  while entries that the log lost are not all back: index and
 *                term of the last one it had (node/mend.h)
 */
#ifndef NODE_DATA_DIR_H
#define NODE_DATA_DIR_H

#include <stdint.h>

#include "base/fault.h"

#define DATA_DIR_PATH_MAX 4096

struct data_dir {
    char wal[DATA_DIR_PATH_MAX];
    char store[DATA_DIR_PATH_MAX];
    char installing[DATA_DIR_PATH_MAX];
    char mending[DATA_DIR_PATH_MAX];
    char path[DATA_DIR_PATH_MAX];
};

/* Makes the directory (mode 0700, parents must exist) when it is missing.
 *   ST_INVALID  it holds something that is not ours, which is named
 *   ST_NOT_FOUND, ST_DENIED, ST_NO_SPACE, ST_IO                              */
enum status data_dir_open(const char *path, struct data_dir *ret,
                          struct fault *reterr) MUST_USE;

/* Says durably what is being installed; takes it back; reads it (ST_NOT_FOUND
 * when nothing was being installed, ST_CORRUPT). */
enum status data_dir_mark(const struct data_dir *d, uint64_t index,
                          uint64_t term, struct fault *reterr) MUST_USE;
enum status data_dir_unmark(const struct data_dir *d,
                            struct fault *reterr) MUST_USE;
enum status data_dir_marked(const struct data_dir *d, uint64_t *ret_index,
                            uint64_t *ret_term, struct fault *reterr) MUST_USE;

/* The same of entries that were lost.  Of two the later one stays: it is the
 * greater promise. */
enum status data_dir_set_mending(const struct data_dir *d, uint64_t index,
                                 uint64_t term, struct fault *reterr) MUST_USE;
enum status data_dir_end_mending(const struct data_dir *d,
                                 struct fault *reterr) MUST_USE;
enum status data_dir_mending(const struct data_dir *d, uint64_t *ret_index,
                             uint64_t *ret_term, struct fault *reterr) MUST_USE;

#endif
