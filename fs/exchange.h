/* Exchanging names of which at least one is a directory's. */
#ifndef FS_EXCHANGE_H
#define FS_EXCHANGE_H

#include "fs/call.h"

/* Ends the call, whose targets are the two names: 0, ENOENT, EXDEV (too much
 * below them for one transaction), EINVAL. */
void fs_exchange_names(struct fs_call *c);

#endif
