/* Attributes and permissions.  The store keeps neither mode nor owner: the
 * mount's defaults hold for all. */

#include "fs/attr.h"

#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE 512
#define GROUPS_MAX 256

double fs_cache_s(const struct fs *fs)
{
    /* What is cached is brought up to date by replaying changes. */
    return fs->options.consistency == FS_SERIALIZABLE && fs->replay != NULL
               ? FS_CACHE_S
               : 0.0;
}

static uint32_t mode_of(const struct fs *fs, const struct fs_node *n)
{
    return n->directory ? S_IFDIR | fs->options.directory_mode
                        : S_IFREG | fs->options.file_mode;
}

void fs_attr_of(const struct fs *fs, const struct fs_node *n, struct stat *ret)
{
    *ret = (struct stat){
        .st_ino = fs_node_shown_ino(fs, n),
        .st_mode = mode_of(fs, n),
        .st_nlink = n->gone ? 0 : 1, /* 2 would promise no subdirectories */
        .st_uid = fs->options.uid,
        .st_gid = fs->options.gid,
        .st_size = (off_t)n->size,
        .st_blksize = 4096,
        .st_blocks = (blkcnt_t)((n->size + BLOCK_SIZE - 1) / BLOCK_SIZE),
        .st_mtim = {.tv_sec = n->mtime_ns / 1000000000,
                    .tv_nsec = n->mtime_ns % 1000000000},
    };
    ret->st_ctim = ret->st_mtim;
    ret->st_atim = ret->st_mtim;
}

void fs_entry_of(const struct fs *fs, const struct fs_node *n,
                 struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){
        .ino = n->id,
        .generation = 1, /* a number stands for one life of one key */
        .attr_timeout = fs_cache_s(fs),
        .entry_timeout = fs_cache_s(fs),
    };
    fs_attr_of(fs, n, &ret->attr);
}

struct fs_asker fs_asker_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    return (struct fs_asker){.req = req,
                             .uid = ctx->uid,
                             .gid = ctx->gid,
                             .thread = (uint32_t)ctx->pid};
}

static bool is_in_group(const struct fs_asker *who, uint32_t gid)
{
    if (who->gid == gid) {
        return true;
    }
    gid_t groups[GROUPS_MAX];
    const int count = fuse_req_getgroups(who->req, GROUPS_MAX, groups);
    for (int i = 0; i < count && i < GROUPS_MAX; i++) {
        if (groups[i] == gid) {
            return true;
        }
    }
    return false;
}

bool fs_may(const struct fs *fs, const struct fs_node *n,
            const struct fs_asker *who, int want)
{
    const uint32_t mode = mode_of(fs, n);
    if (who->uid == 0) {
        return (want & X_OK) == 0 || n->directory || (mode & 0111) != 0;
    }
    const uint32_t wanted = (uint32_t)want & 7;
    if (who->uid == fs->options.uid) {
        return ((mode >> 6) & wanted) == wanted;
    }
    /* The groups are read from /proc: only when they decide. */
    const bool group = ((mode >> 3) & wanted) == wanted;
    const bool other = (mode & wanted) == wanted;
    if (group == other) {
        return other;
    }
    return is_in_group(who, fs->options.gid) ? group : other;
}

bool fs_owns(const struct fs *fs, const struct fs_node *n,
             const struct fs_asker *who)
{
    (void)n; /* all belong to the mount's owner */
    return who->uid == 0 || who->uid == fs->options.uid;
}
