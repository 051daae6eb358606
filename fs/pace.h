/* How often modifications are replayed.
 *
 * A replay is five requests of our own mount: told one by one, the changes of
 * a busy cluster would cost each member more than making them.  inotify itself
 * joins what is the same, and so do we, under a backlog: beyond a burst, and a
 * rate in the long run, a modification rests until its turn, and those of the
 * same file that come meanwhile become one with it.  Creations, removals and
 * renames never rest, and none overtakes a modification of the names it is
 * about.
 *
 * The rate is the one that watchers are promised (shared figures: 10,000 events
 * a second, three for each modification) unless /proc shows none at all
 * (fs/watchers.h); then it is a tenth.  That look is taken again and again
 * while there is much to tell, so who begins to watch has the full rate soon.
 */
#ifndef FS_PACE_H
#define FS_PACE_H

#include "fs/replay.h"

#define FS_PACE_BURST     64   /* modifications at once */
#define FS_PACE_WATCHED   4000 /* a second */
#define FS_PACE_UNWATCHED 400

void fs_pace_init(struct fs_replay *r);
/* Takes an operation that has to rest, or can be joined to one that does;
 * false: its turn is now. */
bool fs_pace_take(struct fs *fs, struct fs_op *op);
/* The operation is over, or its turn has come, before it was awoken. */
void fs_pace_forget(struct fs_op *op);

/* Whether the operation that begins is to look for watchers; what it saw. */
bool fs_pace_looks(struct fs *fs, const struct fs_op *op);
void fs_pace_saw(struct fs *fs, bool watched);

#endif
