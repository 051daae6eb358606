/* Changes: what the store's watch says, and what this mount did itself. */
#ifndef FS_EVENTS_H
#define FS_EVENTS_H

#include "fs/handle.h"

void fs_events_init(struct fs *fs);
void fs_events_fini(struct fs *fs);
/* After replays were done: the watch may have been waiting for room. */
void fs_events_resume(struct fs *fs);

/* This mount's own call made this revision: its VFS call has produced the
 * events.  Directories below `made` and `moved` (empty: none) came and went by
 * that call too; all others did not. */
void fs_events_own(struct fs *fs, int64_t revision, struct bytes made,
                   struct bytes moved);

/* A draft has been published. */
void fs_events_published(struct fs *fs, struct fs_node *n,
                         enum fs_publish_cause cause);
/* A file that was made here, and never got into the store, is gone. */
void fs_events_unmade(struct fs *fs, struct fs_node *n);
/* The kernel's idea of the file's size may be an unpublished one, and there
 * are readers whose page cache depends on it. */
void fs_events_refresh(struct fs *fs, struct fs_node *n);

/* No change up to `revision` is to come through the watch, or waits for its
 * operations to be queued. */
bool fs_events_are_past(const struct fs *fs, int64_t revision);
/* All changes up to this revision have been told: the table has them. */
int64_t fs_events_told(struct fs *fs);
/* What was changed up to this revision may never have been told; 0: nothing. */
int64_t fs_events_missed(const struct fs *fs);

#endif
