/* Requests that come from replay helpers: answered by the operation that the
 * helper carries out, at once, without changing anything.  Each returns false
 * when the request is somebody else's. */
#ifndef FS_ANSWERS_H
#define FS_ANSWERS_H

#include "fs/internal.h"

bool fs_answers_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool fs_answers_attr(fuse_req_t req, fuse_ino_t id);
bool fs_answers_open(fuse_req_t req, struct fuse_file_info *file);
bool fs_answers_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                       struct fuse_file_info *file);
bool fs_answers_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name);
/* Of what has no reply but success: FALLOCATE and the like; */
bool fs_answers_ok(fuse_req_t req);
/* UNLINK, RMDIR and RENAME. */
bool fs_answers_names(fuse_req_t req);
/* FLUSH and RELEASE of a handle that a helper opened; they may come from
 * another thread. */
bool fs_answers_close(fuse_req_t req, const struct fuse_file_info *file);

#endif
