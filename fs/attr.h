/* What stat shows, and who may do what. */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include "fs/inode.h"

/* How long the kernel may keep entries and attributes, in seconds. */
double fs_cache_s(const struct fs *fs);

void fs_attr_of(const struct fs *fs, const struct fs_node *n, struct stat *ret);
void fs_entry_of(const struct fs *fs, const struct fs_node *n,
                 struct fuse_entry_param *ret);

/* Who asks. */
struct fs_asker {
    fuse_req_t req;
    uint32_t uid, gid, thread;
};
struct fs_asker fs_asker_of(fuse_req_t req);

/* Whether all of R_OK, W_OK, X_OK in `want` are granted on the node. */
bool fs_may(const struct fs *fs, const struct fs_node *n,
            const struct fs_asker *who, int want);
/* Whether the asker owns it, or is root. */
bool fs_owns(const struct fs *fs, const struct fs_node *n,
             const struct fs_asker *who);

#endif
