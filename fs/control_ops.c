/* Which requests are the control directory's: by node number, and the name at
 * the root.  All others go on to the tree.
 *
 * It is read-only, but for leases/: what would change it is EROFS, whoever
 * asks, and it has no extended attributes, as /proc has none.
 */

#include <errno.h>

#include "fs/control.h"
#include "fs/lease_dir.h"

static void reply_error(fuse_req_t req, int error)
{
    (void)fuse_reply_err(req, error); /* or aborted: nothing more to do */
}

/* --- names --- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (fs_leases_is_name(parent, name)) {
        fs_leases_lookup(req, parent, name);
    } else if (fs_control_is_name(parent, name)) {
        fs_control_lookup(req, parent, name);
    } else {
        fs_operations.lookup(req, parent, name);
    }
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode, dev_t device)
{
    if (fs_control_is_name(parent, name)) {
        reply_error(req, EROFS);
    } else {
        fs_operations.mknod(req, parent, name, mode, device);
    }
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode)
{
    if (fs_control_is_name(parent, name)) {
        reply_error(req, EROFS);
    } else {
        fs_operations.mkdir(req, parent, name, mode);
    }
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                      mode_t mode, struct fuse_file_info *file)
{
    if (fs_control_is_name(parent, name)) {
        reply_error(req, EROFS);
    } else {
        fs_operations.create(req, parent, name, mode, file);
    }
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (fs_control_is_name(parent, name)) {
        reply_error(req, EROFS);
    } else {
        fs_operations.unlink(req, parent, name);
    }
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (fs_leases_has(parent)) {
        fs_leases_rmdir(req, parent, name);
    } else if (fs_control_is_name(parent, name)) {
        reply_error(req, EROFS);
    } else {
        fs_operations.rmdir(req, parent, name);
    }
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                      fuse_ino_t other_parent, const char *other_name,
                      unsigned int flags)
{
    if (fs_control_is_name(parent, name) ||
        fs_control_is_name(other_parent, other_name)) {
        reply_error(req, EROFS);
    } else {
        fs_operations.rename(req, parent, name, other_parent, other_name,
                             flags);
    }
}

/* --- nodes --- */

static void op_getattr(fuse_req_t req, fuse_ino_t id,
                       struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_getattr(req, id);
    } else if (fs_control_has(id)) {
        fs_control_getattr(req, id);
    } else {
        fs_operations.getattr(req, id, file);
    }
}

static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr,
                       int to_set, struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_setattr(req, id, to_set);
    } else if (fs_control_has(id)) {
        reply_error(req, EROFS);
    } else {
        fs_operations.setattr(req, id, attr, to_set, file);
    }
}

static void op_access(fuse_req_t req, fuse_ino_t id, int mask)
{
    if (fs_leases_has(id)) {
        fs_leases_access(req, id, mask);
    } else if (fs_control_has(id)) {
        fs_control_access(req, id, mask);
    } else {
        fs_operations.access(req, id, mask);
    }
}

static void op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name,
                        const char *value, size_t size, int flags)
{
    if (fs_control_has(id)) {
        reply_error(req, EOPNOTSUPP);
    } else {
        fs_operations.setxattr(req, id, name, value, size, flags);
    }
}

static void op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name,
                        size_t size)
{
    if (fs_control_has(id)) {
        reply_error(req, EOPNOTSUPP);
    } else {
        fs_operations.getxattr(req, id, name, size);
    }
}

static void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
    if (fs_control_has(id)) {
        reply_error(req, EOPNOTSUPP);
    } else {
        fs_operations.listxattr(req, id, size);
    }
}

static void op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name)
{
    if (fs_control_has(id)) {
        reply_error(req, EOPNOTSUPP);
    } else {
        fs_operations.removexattr(req, id, name);
    }
}

/* --- open files --- */

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_open(req, id, file);
    } else if (fs_control_has(id)) {
        fs_control_open(req, id, file);
    } else {
        fs_operations.open(req, id, file);
    }
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_read(req, size, file);
    } else if (fs_control_has(id)) {
        fs_control_read(req, size, offset, file);
    } else {
        fs_operations.read(req, id, size, offset, file);
    }
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *data,
                     size_t size, off_t offset, struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_write(req, data, size, file);
    } else if (fs_control_has(id)) {
        reply_error(req, EBADF);
    } else {
        fs_operations.write(req, id, data, size, offset, file);
    }
}

static void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset,
                         off_t size, struct fuse_file_info *file)
{
    if (fs_control_has(id)) {
        reply_error(req, EBADF);
    } else {
        fs_operations.fallocate(req, id, mode, offset, size, file);
    }
}

static void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    if (fs_control_has(id)) {
        reply_error(req, 0);
    } else {
        fs_operations.flush(req, id, file);
    }
}

static void op_fsync(fuse_req_t req, fuse_ino_t id, int data_only,
                     struct fuse_file_info *file)
{
    if (fs_control_has(id)) {
        reply_error(req, 0);
    } else {
        fs_operations.fsync(req, id, data_only, file);
    }
}

static void op_release(fuse_req_t req, fuse_ino_t id,
                       struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_release(req, file);
    } else if (fs_control_has(id)) {
        fs_control_release(req, file);
    } else {
        fs_operations.release(req, id, file);
    }
}

/* The kernel copies by reading and writing instead. */
static void op_copy_file_range(fuse_req_t req, fuse_ino_t id_in,
                               off_t offset_in, struct fuse_file_info *in,
                               fuse_ino_t id_out, off_t offset_out,
                               struct fuse_file_info *out, size_t size,
                               int flags)
{
    if (fs_control_has(id_in) || fs_control_has(id_out)) {
        reply_error(req, EXDEV);
    } else {
        fs_operations.copy_file_range(req, id_in, offset_in, in, id_out,
                                      offset_out, out, size, flags);
    }
}

/* --- open directories --- */

static void op_opendir(fuse_req_t req, fuse_ino_t id,
                       struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_opendir(req, id, file);
    } else if (fs_control_has(id)) {
        fs_control_opendir(req, id, file);
    } else {
        fs_operations.opendir(req, id, file);
    }
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_readdir(req, id, size, offset, file, false);
    } else if (fs_control_has(id)) {
        fs_control_readdir(req, size, offset, false);
    } else {
        fs_operations.readdir(req, id, size, offset, file);
    }
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size,
                           off_t offset, struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_readdir(req, id, size, offset, file, true);
    } else if (fs_control_has(id)) {
        fs_control_readdir(req, size, offset, true);
    } else {
        fs_operations.readdirplus(req, id, size, offset, file);
    }
}

static void op_releasedir(fuse_req_t req, fuse_ino_t id,
                          struct fuse_file_info *file)
{
    if (fs_leases_has(id)) {
        fs_leases_releasedir(req, file);
    } else if (fs_control_has(id)) {
        reply_error(req, 0);
    } else {
        fs_operations.releasedir(req, id, file);
    }
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only,
                        struct fuse_file_info *file)
{
    if (fs_control_has(id)) {
        reply_error(req, 0);
    } else {
        fs_operations.fsyncdir(req, id, data_only, file);
    }
}

/* --- what the kernel forgets --- */

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups)
{
    if (fs_leases_has(id)) {
        fs_leases_forget(fuse_req_userdata(req), id, lookups);
        fuse_reply_none(req);
    } else {
        fs_operations.forget(req, id, lookups);
    }
}

static void op_forget_multi(fuse_req_t req, size_t count,
                            struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++) {
        if (fs_leases_has(forgets[i].ino)) {
            fs_leases_forget(fuse_req_userdata(req), forgets[i].ino,
                             forgets[i].nlookup);
        }
    }
    fs_operations.forget_multi(req, count, forgets); /* knows them not */
}

void fs_control_wrap(struct fuse_lowlevel_ops *operations)
{
    operations->forget = op_forget;
    operations->forget_multi = op_forget_multi;
    operations->lookup = op_lookup;
    operations->mknod = op_mknod;
    operations->mkdir = op_mkdir;
    operations->create = op_create;
    operations->unlink = op_unlink;
    operations->rmdir = op_rmdir;
    operations->rename = op_rename;
    operations->getattr = op_getattr;
    operations->setattr = op_setattr;
    operations->access = op_access;
    operations->setxattr = op_setxattr;
    operations->getxattr = op_getxattr;
    operations->listxattr = op_listxattr;
    operations->removexattr = op_removexattr;
    operations->open = op_open;
    operations->read = op_read;
    operations->write = op_write;
    operations->fallocate = op_fallocate;
    operations->flush = op_flush;
    operations->fsync = op_fsync;
    operations->release = op_release;
    operations->copy_file_range = op_copy_file_range;
    operations->opendir = op_opendir;
    operations->readdir = op_readdir;
    operations->readdirplus = op_readdirplus;
    operations->releasedir = op_releasedir;
    operations->fsyncdir = op_fsyncdir;
}
