/* What an import does for others in this folder. */
#ifndef STORE_IMPORT_H
#define STORE_IMPORT_H

#include "store/internal.h"
#include "store/transfer.h"

/* Where a defragmentation builds the new file, below the store's directory. */
#define DEFRAGMENT_NAME "defragment"

/* As store_import_begin(), in the directory of that name. */
enum status import_begin_in(const char *path, const char *name,
                            const struct store_options *options,
                            uint64_t cluster_id, struct store_import **ret,
                            struct fault *reterr) MUST_USE;
/* As store_import_install(), by whoever holds the store's lock and has closed
 * its file. */
enum status import_replace(struct store_import *i,
                           struct fault *reterr) MUST_USE;

#endif
