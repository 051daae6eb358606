/* The table of operations. */

#include "fs/handlers.h"

static void init(void *userdata, struct fuse_conn_info *conn)
{
    struct fs *fs = userdata;
    const unsigned unwanted = FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                              FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
                              FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS |
                              FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
    conn->want &= ~unwanted;
    /* The flag comes with OPEN, and a changed size or mtime empties the page
     * cache: that is what private mappings read from. */
    conn->want |=
        conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
                         FUSE_CAP_PARALLEL_DIROPS);
    if (fs->options.consistency == FS_SERIALIZABLE) {
        /* Only there does the kernel keep what it brings. */
        conn->want |=
            conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
    }
    if (conn->max_write > FS_WRITE_MAX) {
        conn->max_write = FS_WRITE_MAX;
    }
    fs->write_max = conn->max_write;
    conn->time_gran = 1;
}

const struct fuse_lowlevel_ops fs_operations = {
    .init = init,
    .lookup = fs_lookup,
    .forget = fs_forget,
    .forget_multi = fs_forget_multi,
    .getattr = fs_getattr,
    .setattr = fs_setattr,
    .readlink = fs_readlink,
    .symlink = fs_symlink,
    .link = fs_link,
    .mknod = fs_mknod,
    .mkdir = fs_mkdir,
    .unlink = fs_unlink,
    .rmdir = fs_rmdir,
    .open = fs_open,
    .create = fs_create,
    .read = fs_read,
    .write = fs_write,
    .flush = fs_flush,
    .fsync = fs_fsync,
    .release = fs_release,
    .fallocate = fs_fallocate,
    .copy_file_range = fs_copy_file_range,
    .opendir = fs_opendir,
    .readdir = fs_readdir,
    .readdirplus = fs_readdirplus,
    .releasedir = fs_releasedir,
    .fsyncdir = fs_fsyncdir,
    .rename = fs_rename,
    .setxattr = fs_setxattr,
    .getxattr = fs_getxattr,
    .listxattr = fs_listxattr,
    .removexattr = fs_removexattr,
    .statfs = fs_statfs,
    .access = fs_access,
};
