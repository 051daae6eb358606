/* The control directory's operations: a directory that never changes, and
 * files that are made when they are opened. */

#include "fs/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/lease_dir.h"
#include "fs/path.h"

#define DOTS 2 /* "." and ".." */

struct open_file {
    struct list link; /* in fs->controls */
    struct buf text;
};

static fuse_ino_t id_of(enum fs_control_file file)
{
    return FS_CONTROL_ID_FIRST + 1 + (fuse_ino_t)file;
}

static bool is_there(fuse_ino_t id)
{
    must(fs_control_has(id) && !fs_leases_has(id));
    return id - FS_CONTROL_ID_FIRST <= FS_CONTROL_FILES_COUNT;
}

static bool is_directory(fuse_ino_t id)
{
    return id == FS_CONTROL_ID_FIRST;
}

bool fs_control_is_name(fuse_ino_t parent, const char *name)
{
    return fs_control_has(parent) ||
           (parent == FUSE_ROOT_ID && strcmp(name, FS_CONTROL_NAME) == 0);
}

static struct stat attr_of(const struct fs *fs, fuse_ino_t id)
{
    /* What a file will say is not known before it is opened: no size, as in
     * /proc, and programs read to the end. */
    const int64_t now_ns = fs_wall_ns(fs);
    struct stat attr = {.st_ino = id,
                        .st_mode =
                            is_directory(id) ? S_IFDIR | 0555 : S_IFREG | 0444,
                        .st_nlink = 1,
                        .st_uid = fs->options.uid,
                        .st_gid = fs->options.gid,
                        .st_blksize = 4096,
                        .st_mtim = {.tv_sec = now_ns / 1000000000,
                                    .tv_nsec = now_ns % 1000000000}};
    attr.st_ctim = attr.st_atim = attr.st_mtim;
    return attr;
}

/* --- names and attributes --- */

/* 0: there is none. */
static fuse_ino_t find(fuse_ino_t parent, const char *name)
{
    if (parent == FUSE_ROOT_ID) {
        return FS_CONTROL_ID_FIRST;
    }
    for (int i = 0; i < FS_CONTROL_FILES_COUNT; i++) {
        if (is_directory(parent) && strcmp(name, fs_control_names[i]) == 0) {
            return id_of((enum fs_control_file)i);
        }
    }
    return 0;
}

void fs_control_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    must(fs_control_is_name(parent, name));
    struct fs *fs = fuse_req_userdata(req);
    const struct fs_asker who = fs_asker_of(req);
    if (!fs_may(fs, fs->root, &who, X_OK)) {
        (void)fuse_reply_err(req, EACCES); /* or aborted, here and below */
        return;
    }
    const fuse_ino_t id = find(parent, name);
    if (id == 0) {
        (void)fuse_reply_err(req, strlen(name) > FS_NAME_MAX ? ENAMETOOLONG
                                                             : ENOENT);
        return;
    }
    const struct fuse_entry_param entry = {.ino = id,
                                           .generation = 1,
                                           .attr = attr_of(fs, id),
                                           .entry_timeout = fs_cache_s(fs)};
    (void)fuse_reply_entry(req, &entry);
}

void fs_control_getattr(fuse_req_t req, fuse_ino_t id)
{
    if (!is_there(id)) {
        (void)fuse_reply_err(req, ESTALE);
        return;
    }
    const struct stat attr = attr_of(fuse_req_userdata(req), id);
    (void)fuse_reply_attr(req, &attr, 0.0);
}

void fs_control_access(fuse_req_t req, fuse_ino_t id, int mask)
{
    const int error = (mask & W_OK) != 0                        ? EROFS
                      : (mask & X_OK) != 0 && !is_directory(id) ? EACCES
                                                                : 0;
    (void)fuse_reply_err(req, error);
}

/* --- files --- */

static struct open_file *open_file_of(const struct fuse_file_info *file)
{
    return (struct open_file *)(uintptr_t)file->fh;
}

static void open_file_free(struct open_file *f)
{
    list_remove(&f->link);
    buf_fini(&f->text);
    free(f);
}

void fs_control_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    struct fs *fs = fuse_req_userdata(req);
    const bool writes =
        (file->flags & O_ACCMODE) != O_RDONLY || (file->flags & O_TRUNC) != 0;
    if (!is_there(id) || is_directory(id) || writes) {
        (void)fuse_reply_err(req, !is_there(id)      ? ESTALE
                                  : is_directory(id) ? EISDIR
                                                     : EROFS);
        return;
    }
    struct open_file *f = xcalloc(1, sizeof *f);
    list_push(&fs->controls, &f->link);
    fs_control_text(fs, (enum fs_control_file)(id - FS_CONTROL_ID_FIRST - 1),
                    &f->text);
    file->fh = (uint64_t)(uintptr_t)f;
    file->direct_io = 1; /* or the size, 0, would end it */
    if (fuse_reply_open(req, file) != 0) {
        open_file_free(f); /* nobody will release it */
    }
}

void fs_control_read(fuse_req_t req, size_t size, off_t offset,
                     struct fuse_file_info *file)
{
    const struct bytes text = buf_bytes(&open_file_of(file)->text);
    if (offset < 0 || (uint64_t)offset >= text.size) {
        (void)fuse_reply_buf(req, NULL, 0);
        return;
    }
    const struct bytes rest = bytes_after(text, (size_t)offset);
    (void)fuse_reply_buf(req, (const char *)rest.data,
                         rest.size < size ? rest.size : size);
}

void fs_control_release(fuse_req_t req, struct fuse_file_info *file)
{
    open_file_free(open_file_of(file));
    (void)fuse_reply_err(req, 0);
}

void fs_control_fini(struct fs *fs)
{
    while (!list_is_empty(&fs->controls)) {
        open_file_free(container_of(fs->controls.next, struct open_file, link));
    }
}

/* --- the directory --- */

void fs_control_opendir(fuse_req_t req, fuse_ino_t id,
                        struct fuse_file_info *file)
{
    if (!is_directory(id)) {
        (void)fuse_reply_err(req, is_there(id) ? ENOTDIR : ESTALE);
        return;
    }
    file->fh = 0; /* there is nothing to remember */
    (void)fuse_reply_open(req, file);
}

/* The entry at that position; NULL behind the last. */
static const char *entry_at(size_t at, struct stat *ret)
{
    *ret = (struct stat){.st_ino = FS_CONTROL_ID_FIRST, .st_mode = S_IFDIR};
    if (at == 0) {
        return ".";
    }
    if (at == 1) {
        ret->st_ino = FUSE_ROOT_ID;
        return "..";
    }
    if (at == DOTS + FS_CONTROL_FILES_COUNT) {
        ret->st_ino = FS_LEASES_ID_FIRST;
        return FS_LEASES_NAME;
    }
    if (at > DOTS + FS_CONTROL_FILES_COUNT) {
        return NULL;
    }
    ret->st_ino = id_of((enum fs_control_file)(at - DOTS));
    ret->st_mode = S_IFREG;
    return fs_control_names[at - DOTS];
}

bool fs_control_list(fuse_req_t req, struct buf *reply, size_t size, bool plus,
                     const char *name, const struct stat *attr, size_t at)
{
    const size_t need =
        plus ? fuse_add_direntry_plus(req, NULL, 0, name, NULL, 0)
             : fuse_add_direntry(req, NULL, 0, name, NULL, 0);
    if (need > size - reply->size) {
        return false;
    }
    char *to = (char *)buf_extend(reply, need);
    if (plus) {
        /* Node 0: the kernel looks it up when it is wanted. */
        const struct fuse_entry_param entry = {.ino = 0, .attr = *attr};
        (void)fuse_add_direntry_plus(req, to, need, name, &entry,
                                     (off_t)at + 1);
    } else {
        (void)fuse_add_direntry(req, to, need, name, attr, (off_t)at + 1);
    }
    return true;
}

void fs_control_readdir(fuse_req_t req, size_t size, off_t offset, bool plus)
{
    struct buf reply = {.size = 0};
    struct stat attr;
    const char *name;
    size_t at = offset < 0 ? SIZE_MAX : (size_t)offset;
    while ((name = entry_at(at, &attr)) != NULL &&
           fs_control_list(req, &reply, size, plus, name, &attr, at)) {
        at++;
    }
    (void)fuse_reply_buf(req, (const char *)reply.data, reply.size);
    buf_fini(&reply);
}
