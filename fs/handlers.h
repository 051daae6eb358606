/* The FUSE operations, one for each; see <fuse_lowlevel.h> for their duties. */
#ifndef FS_HANDLERS_H
#define FS_HANDLERS_H

#include "fs/internal.h"

/* lookup.c */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups);
void fs_forget_multi(fuse_req_t req, size_t count,
                     struct fuse_forget_data *forgets);
/* getattr.c */
void fs_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
/* setattr.c */
void fs_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
                struct fuse_file_info *file);
/* open.c */
void fs_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *file);
void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
              dev_t device);
/* io.c */
void fs_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
             struct fuse_file_info *file);
void fs_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size,
              off_t offset, struct fuse_file_info *file);
void fs_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset,
                  off_t size, struct fuse_file_info *file);
void fs_copy_file_range(fuse_req_t req, fuse_ino_t id_in, off_t offset_in,
                        struct fuse_file_info *in, fuse_ino_t id_out,
                        off_t offset_out, struct fuse_file_info *out,
                        size_t size, int flags);
/* close.c */
void fs_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_fsync(fuse_req_t req, fuse_ino_t id, int data_only,
              struct fuse_file_info *file);
void fs_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
/* readdir.c */
void fs_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                struct fuse_file_info *file);
void fs_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file);
void fs_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only,
                 struct fuse_file_info *file);
/* directory.c */
void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
/* unlink.c */
void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
/* rename.c */
void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
               fuse_ino_t other_parent, const char *other_name,
               unsigned int flags);
/* xattr.c */
void fs_setxattr(fuse_req_t req, fuse_ino_t id, const char *name,
                 const char *value, size_t size, int flags);
void fs_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void fs_listxattr(fuse_req_t req, fuse_ino_t id, size_t size);
void fs_removexattr(fuse_req_t req, fuse_ino_t id, const char *name);
/* intent.c: while this look-up waits, it may turn out that it cannot end well,
 * as it is for a call that writes. */
struct fs_call;
void fs_intent_begin(struct fs_call *c);
/* misc.c */
void fs_statfs(fuse_req_t req, fuse_ino_t id);
void fs_access(fuse_req_t req, fuse_ino_t id, int mask);
void fs_readlink(fuse_req_t req, fuse_ino_t id);
void fs_symlink(fuse_req_t req, const char *to, fuse_ino_t parent,
                const char *name);
void fs_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent,
             const char *name);

#endif
