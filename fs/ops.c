/* The table of operations. */

#include "fs/answers.h"
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

/* --- what helpers ask is answered apart --- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (!fs_answers_lookup(req, parent, name)) {
        fs_lookup(req, parent, name);
    }
}

static void op_getattr(fuse_req_t req, fuse_ino_t id,
                       struct fuse_file_info *file)
{
    if (!fs_answers_attr(req, id)) {
        fs_getattr(req, id, file);
    }
}

static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr,
                       int to_set, struct fuse_file_info *file)
{
    if (!fs_answers_attr(req, id)) {
        fs_setattr(req, id, attr, to_set, file);
    }
}

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    if (!fs_answers_open(req, file)) {
        fs_open(req, id, file);
    }
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                      mode_t mode, struct fuse_file_info *file)
{
    if (!fs_answers_create(req, parent, name, file)) {
        fs_create(req, parent, name, mode, file);
    }
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode)
{
    if (!fs_answers_mkdir(req, parent, name)) {
        fs_mkdir(req, parent, name, mode);
    }
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (!fs_answers_names(req)) {
        fs_unlink(req, parent, name);
    }
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (!fs_answers_names(req)) {
        fs_rmdir(req, parent, name);
    }
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                      fuse_ino_t other_parent, const char *other_name,
                      unsigned int flags)
{
    if (!fs_answers_names(req)) {
        fs_rename(req, parent, name, other_parent, other_name, flags);
    }
}

static void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset,
                         off_t size, struct fuse_file_info *file)
{
    if (!fs_answers_ok(req)) {
        fs_fallocate(req, id, mode, offset, size, file);
    }
}

static void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    if (!fs_answers_close(req, file)) {
        fs_flush(req, id, file);
    }
}

static void op_release(fuse_req_t req, fuse_ino_t id,
                       struct fuse_file_info *file)
{
    if (!fs_answers_close(req, file)) {
        fs_release(req, id, file);
    }
}

static void op_access(fuse_req_t req, fuse_ino_t id, int mask)
{
    if (!fs_answers_ok(req)) {
        fs_access(req, id, mask);
    }
}

const struct fuse_lowlevel_ops fs_operations = {
    .init = init,
    .lookup = op_lookup,
    .forget = fs_forget,
    .forget_multi = fs_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = fs_readlink,
    .symlink = fs_symlink,
    .link = fs_link,
    .mknod = fs_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .open = op_open,
    .create = op_create,
    .read = fs_read,
    .write = fs_write,
    .flush = op_flush,
    .fsync = fs_fsync,
    .release = op_release,
    .fallocate = op_fallocate,
    .copy_file_range = fs_copy_file_range,
    .opendir = fs_opendir,
    .readdir = fs_readdir,
    .readdirplus = fs_readdirplus,
    .releasedir = fs_releasedir,
    .fsyncdir = fs_fsyncdir,
    .rename = op_rename,
    .setxattr = fs_setxattr,
    .getxattr = fs_getxattr,
    .listxattr = fs_listxattr,
    .removexattr = fs_removexattr,
    .statfs = fs_statfs,
    .access = op_access,
};
