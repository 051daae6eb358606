/* The FUSE session, however its bytes come and go. */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "fs/internal.h"

/* A filesystem without a session. */
struct fs *fs_new(struct kv *kv, const struct fs_options *options);
enum status fs_session_open(struct fs *fs, struct fault *reterr) MUST_USE;
/* All but the unmounting. */
void fs_close(struct fs *fs);

#endif
