/* The mount's own threads; absent when attached to a socket. */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "fs/internal.h"

/* Starts the replay helpers, and replays with them; unless events are off. */
enum status fs_helpers_start(struct fs *fs, struct fault *reterr) MUST_USE;
/* After the device has been closed: waits for the helpers to end. */
void fs_helpers_stop(struct fs *fs);
/* The descriptor on which helpers' results come; -1: no helpers. */
int fs_helpers_fd(const struct fs *fs);
size_t fs_helpers_on_readable(struct fs *fs);

/* Frees what fs_free() could not, while the store still worked on it. */
void fs_maybe_destroy(struct fs *fs);

#endif
