/* STATFS, ACCESS, and what this filesystem does not have. */

#include <errno.h>

#include "fs/attr.h"
#include "fs/handlers.h"
#include "fs/path.h"

#define BLOCK_SIZE 4096

void fs_statfs(fuse_req_t req, fuse_ino_t id)
{
    (void)id;
    const struct fs *fs = fuse_req_userdata(req);
    struct kv_status status;
    kv_status(fs->kv, &status);
    const uint64_t size =
        status.quota_bytes != 0 ? status.quota_bytes : status.size_bytes;
    const uint64_t used = status.used_bytes < size ? status.used_bytes : size;
    const struct statvfs reply = {
        .f_bsize = BLOCK_SIZE,
        .f_frsize = BLOCK_SIZE,
        .f_blocks = size / BLOCK_SIZE,
        .f_bfree = (size - used) / BLOCK_SIZE,
        .f_bavail = (size - used) / BLOCK_SIZE,
        .f_files = status.keys_count,
        .f_namemax = FS_NAME_MAX,
    };
    (void)fuse_reply_statfs(req, &reply); /* or aborted */
}

void fs_access(fuse_req_t req, fuse_ino_t id, int mask)
{
    struct fs *fs = fuse_req_userdata(req);
    const struct fs_node *n = fs_node_of(fs, id);
    const struct fs_asker who = fs_asker_of(req);
    const int error = n == NULL                        ? ESTALE
                      : !fs_may(fs, n, &who, mask & 7) ? EACCES
                                                       : 0;
    (void)fuse_reply_err(req, error); /* or aborted */
}

void fs_readlink(fuse_req_t req, fuse_ino_t id)
{
    (void)id;
    (void)fuse_reply_err(req, EINVAL); /* there are none */
}

void fs_symlink(fuse_req_t req, const char *to, fuse_ino_t parent,
                const char *name)
{
    (void)to;
    (void)parent;
    (void)name;
    (void)fuse_reply_err(req, EPERM); /* as a filesystem without them */
}

void fs_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
    (void)id;
    (void)parent;
    (void)name;
    (void)fuse_reply_err(req, EPERM); /* one key has one path */
}
