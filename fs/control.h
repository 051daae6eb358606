/* The control directory: .keelfs at the mount's root, what this member knows
 * about itself and its cluster, as text.
 *
 * It stands outside the inode table: its node numbers are the last ones there
 * are, which the table gives to nobody.  Nothing in it but leases/ asks the
 * cluster, so it answers when nothing else does.  A file's text is made when it
 * is opened and stays what it is for that handle.
 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include "fs/control_text.h"

#define FS_CONTROL_ID_FIRST (UINT64_MAX - 15) /* the directory itself */

/* Below them, as many as there can be: leases/ (lease_dir.h). */
#define FS_LEASES_ID_FIRST (FS_CONTROL_ID_FIRST - (UINT64_C(1) << 40))

static inline bool fs_leases_has(fuse_ino_t id)
{
    return id >= FS_LEASES_ID_FIRST && id < FS_CONTROL_ID_FIRST;
}
static inline bool fs_control_has(fuse_ino_t id)
{
    return id >= FS_LEASES_ID_FIRST;
}

/* Puts the control directory before the operations of the tree. */
void fs_control_wrap(struct fuse_lowlevel_ops *operations);
/* Whether the name is the directory's, or would be in it. */
bool fs_control_is_name(fuse_ino_t parent, const char *name);
/* Frees what is still open. */
void fs_control_fini(struct fs *fs);

/* Adds the entry at `at` to a READDIR's reply; false: no room in `size`. */
bool fs_control_list(fuse_req_t req, struct buf *reply, size_t size, bool plus,
                     const char *name, const struct stat *attr, size_t at);

/* The operations, on nodes and names of the control directory only. */
void fs_control_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_control_getattr(fuse_req_t req, fuse_ino_t id);
void fs_control_access(fuse_req_t req, fuse_ino_t id, int mask);
void fs_control_open(fuse_req_t req, fuse_ino_t id,
                     struct fuse_file_info *file);
void fs_control_read(fuse_req_t req, size_t size, off_t offset,
                     struct fuse_file_info *file);
void fs_control_release(fuse_req_t req, struct fuse_file_info *file);
void fs_control_opendir(fuse_req_t req, fuse_ino_t id,
                        struct fuse_file_info *file);
void fs_control_readdir(fuse_req_t req, size_t size, off_t offset, bool plus);

#endif
