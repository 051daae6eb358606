/* Whether anybody watches a filesystem with inotify or fanotify, as far as
 * /proc tells.  A guess that is allowed to be wrong: it decides how often the
 * modifications of a busy cluster are told, never whether (fs/pace.h). */
#ifndef FS_WATCHERS_H
#define FS_WATCHERS_H

#include <stdbool.h>
#include <sys/types.h>

/* Looks at all processes: some milliseconds, so never on the loop.  True also
 * when there may be processes that cannot be seen. */
bool fs_watchers_exist(dev_t device);

#endif
