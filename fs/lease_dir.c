/* The directories of leases/: names, attributes, listings, rmdir and touch. */

#include "fs/lease_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/lease.h"
#include "fs/path.h"

#define GRANT_NAME "grant"
#define TIMES_NOW  (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)
#define DOTS       2 /* "." and ".." */

bool fs_leases_is_name(fuse_ino_t parent, const char *name)
{
    return fs_leases_has(parent) ||
           (parent == FS_CONTROL_ID_FIRST && strcmp(name, FS_LEASES_NAME) == 0);
}

static bool is_directory(enum fs_leases_part part)
{
    return part == FS_LEASES_TOP || part == FS_LEASES_LEASE;
}

static struct stat attr_of(const struct fs *fs, fuse_ino_t id,
                           enum fs_leases_part part)
{
    const int64_t now_ns = fs_wall_ns(fs);
    struct stat attr = {.st_ino = id,
                        .st_mode = is_directory(part)        ? S_IFDIR | 0755
                                   : part == FS_LEASES_GRANT ? S_IFREG | 0644
                                                             : S_IFREG | 0444,
                        .st_nlink = 1,
                        .st_uid = fs->options.uid,
                        .st_gid = fs->options.gid,
                        .st_blksize = 4096,
                        .st_mtim = {.tv_sec = now_ns / 1000000000,
                                    .tv_nsec = now_ns % 1000000000}};
    attr.st_ctim = attr.st_atim = attr.st_mtim;
    return attr;
}

/* --- names --- */

/* The id that is written like this, and no other way; false: none is. */
static bool lease_of_name(const char *name, int64_t *ret)
{
    char proper[FS_LEASE_NAME_SIZE];
    if (!fs_lease_read_id(bytes_of(name), ret) || *ret == 0) {
        return false;
    }
    fs_lease_name(*ret, proper);
    return strcmp(name, proper) == 0;
}

static void reply_entry(fuse_req_t req, struct fs *fs, int64_t lease,
                        enum fs_leases_part part)
{
    const fuse_ino_t id = fs_leases_id(fs, lease, part);
    const struct fuse_entry_param entry = {
        .ino = id, .generation = 1, .attr = attr_of(fs, id, part)};
    if (fuse_reply_entry(req, &entry) != 0) {
        fs_leases_forget(fs, id, 1); /* the kernel has not got it */
    }
}

static void looked_up(struct fs_call *c)
{
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
    } else if (c->lease.result.ttl_s < 0) {
        fs_reply_errno(c, ENOENT);
    } else {
        reply_entry(c->req, c->fs, c->lease.id, FS_LEASES_LEASE);
        fs_call_replied(c);
    }
}

static void lookup_lease(fuse_req_t req, struct fs *fs, int64_t lease)
{
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_READS);
    if (c != NULL) {
        (void)fs_call_lease(c, KV_LEASE_TTL, lease);
        fs_call_ask(c, looked_up);
    }
}

void fs_leases_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fuse_req_userdata(req);
    const struct fs_asker who = fs_asker_of(req);
    enum fs_leases_part part;
    int64_t lease;
    if (!fs_may(fs, fs->root, &who, X_OK)) {
        (void)fuse_reply_err(req, EACCES); /* or aborted, here and below */
    } else if (!fs_leases_has(parent)) {
        reply_entry(req, fs, 0, FS_LEASES_TOP);
    } else if (!fs_leases_part_of(fs, parent, &part, &lease)) {
        (void)fuse_reply_err(req, ESTALE);
    } else if (part == FS_LEASES_TOP && strcmp(name, GRANT_NAME) == 0) {
        reply_entry(req, fs, 0, FS_LEASES_GRANT);
    } else if (part == FS_LEASES_TOP && lease_of_name(name, &lease)) {
        lookup_lease(req, fs, lease);
    } else {
        for (int i = 0; i < FS_LEASES_FILES && part == FS_LEASES_LEASE; i++) {
            if (strcmp(name, fs_leases_files[i]) == 0) {
                reply_entry(req, fs, lease,
                            (enum fs_leases_part)(FS_LEASES_TTL + i));
                return;
            }
        }
        (void)fuse_reply_err(req, strlen(name) > FS_NAME_MAX ? ENAMETOOLONG
                                                             : ENOENT);
    }
}

/* --- attributes --- */

static void reply_attr(fuse_req_t req, fuse_ino_t id)
{
    const struct fs *fs = fuse_req_userdata(req);
    enum fs_leases_part part;
    int64_t lease;
    if (!fs_leases_part_of(fs, id, &part, &lease)) {
        (void)fuse_reply_err(req, ESTALE);
        return;
    }
    const struct stat attr = attr_of(fs, id, part);
    (void)fuse_reply_attr(req, &attr, 0.0);
}

void fs_leases_getattr(fuse_req_t req, fuse_ino_t id)
{
    reply_attr(req, id);
}

void fs_leases_access(fuse_req_t req, fuse_ino_t id, int mask)
{
    struct fs *fs = fuse_req_userdata(req);
    enum fs_leases_part part;
    int64_t lease;
    int error = 0;
    if (!fs_leases_part_of(fs, id, &part, &lease)) {
        error = ESTALE;
    } else if ((mask & X_OK) != 0 && !is_directory(part)) {
        error = EACCES;
    } else if ((mask & W_OK) != 0) {
        error = part >= FS_LEASES_TTL ? EACCES : fs_leases_may_change(fs, req);
    }
    (void)fuse_reply_err(req, error);
}

static void renewed(struct fs_call *c)
{
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
    } else if (c->lease.result.ttl_s == 0) {
        fs_reply_errno(c, ESTALE); /* it has ended */
    } else {
        reply_attr(c->req, (fuse_ino_t)c->size);
        fs_call_replied(c);
    }
}

void fs_leases_setattr(fuse_req_t req, fuse_ino_t id, int to_set)
{
    struct fs *fs = fuse_req_userdata(req);
    enum fs_leases_part part;
    int64_t lease;
    if (!fs_leases_part_of(fs, id, &part, &lease)) {
        (void)fuse_reply_err(req, ESTALE);
        return;
    }
    if (part == FS_LEASES_GRANT && to_set == FUSE_SET_ATTR_SIZE) {
        reply_attr(req, id); /* `>` empties what has no contents */
        return;
    }
    if (part != FS_LEASES_LEASE || (to_set & TIMES_NOW) != TIMES_NOW) {
        (void)fuse_reply_err(req, EROFS);
        return;
    }
    const int error = fs_leases_may_change(fs, req);
    struct fs_call *c =
        error != 0 ? NULL : fs_call_begin(fs, req, FS_CALL_WRITES);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
    } else if (c != NULL) {
        c->size = (size_t)id;
        (void)fs_call_lease(c, KV_LEASE_KEEPALIVE, lease);
        fs_call_ask(c, renewed);
    }
}

/* --- revoking --- */

static void revoked(struct fs_call *c)
{
    fs_reply_status(c, fs_call_status(c));
}

void fs_leases_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fuse_req_userdata(req);
    enum fs_leases_part part;
    int64_t lease;
    int error = fs_leases_may_change(fs, req);
    if (!fs_leases_part_of(fs, parent, &part, &lease)) {
        error = ESTALE;
    } else if (part != FS_LEASES_TOP || !lease_of_name(name, &lease)) {
        error = strcmp(name, GRANT_NAME) == 0 ? ENOTDIR : ENOENT;
    }
    struct fs_call *c =
        error != 0 ? NULL : fs_call_begin(fs, req, FS_CALL_WRITES);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
    } else if (c != NULL) {
        (void)fs_call_lease(c, KV_LEASE_REVOKE, lease);
        fs_call_ask(c, revoked);
    }
}

/* --- listings --- */

static void listed(struct fs_call *c)
{
    const struct kv_lease_result *r = &c->lease.result;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    struct fs_lease_list *l =
        xmalloc(sizeof *l + r->ids_count * sizeof l->ids[0]);
    l->count = r->ids_count;
    if (l->count > 0) {
        memcpy(l->ids, r->ids, l->count * sizeof l->ids[0]);
    }
    list_init(&l->link);
    fs_leases_keep_list(c->fs, l);
    c->file.fh = (uint64_t)(uintptr_t)l;
    if (fuse_reply_open(c->req, &c->file) != 0) {
        fs_leases_drop_list(l); /* nobody will release it */
    }
    fs_call_replied(c);
}

void fs_leases_opendir(fuse_req_t req, fuse_ino_t id,
                       struct fuse_file_info *file)
{
    struct fs *fs = fuse_req_userdata(req);
    enum fs_leases_part part;
    int64_t lease;
    file->fh = 0;
    if (!fs_leases_part_of(fs, id, &part, &lease)) {
        (void)fuse_reply_err(req, ESTALE);
    } else if (part == FS_LEASES_LEASE) {
        (void)fuse_reply_open(req, file);
    } else if (part != FS_LEASES_TOP) {
        (void)fuse_reply_err(req, ENOTDIR);
    } else {
        struct fs_call *c = fs_call_begin(fs, req, FS_CALL_READS);
        if (c != NULL) {
            c->file = *file;
            (void)fs_call_lease(c, KV_LEASE_LIST, 0);
            fs_call_ask(c, listed);
        }
    }
}

/* The entry at that position; false behind the last.  l is NULL in a lease's
 * own directory. */
static bool entry_at(const struct fs_lease_list *l, size_t at,
                     char ret_name[32], struct stat *ret)
{
    *ret = (struct stat){.st_ino = FS_LEASES_ID_FIRST, .st_mode = S_IFDIR};
    if (at < DOTS) {
        memcpy(ret_name, "..", at + 1);
        ret_name[at + 1] = '\0';
        return true;
    }
    at -= DOTS;
    if (l == NULL) {
        ret->st_mode = S_IFREG;
        if (at < FS_LEASES_FILES) {
            memcpy(ret_name, fs_leases_files[at],
                   strlen(fs_leases_files[at]) + 1);
        }
        return at < FS_LEASES_FILES;
    }
    if (at == 0) {
        memcpy(ret_name, GRANT_NAME, sizeof GRANT_NAME);
        ret->st_mode = S_IFREG;
        return true;
    }
    if (at <= l->count) {
        fs_lease_name(l->ids[at - 1], ret_name);
    }
    return at <= l->count;
}

void fs_leases_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *file, bool plus)
{
    (void)id;
    const struct fs_lease_list *l =
        (const struct fs_lease_list *)(uintptr_t)file->fh;
    struct buf reply = {.size = 0};
    struct stat attr;
    char name[32];
    size_t at = offset < 0 ? SIZE_MAX - DOTS : (size_t)offset;
    while (entry_at(l, at, name, &attr) &&
           fs_control_list(req, &reply, size, plus, name, &attr, at)) {
        at++;
    }
    (void)fuse_reply_buf(req, (const char *)reply.data, reply.size);
    buf_fini(&reply);
}

void fs_leases_releasedir(fuse_req_t req, struct fuse_file_info *file)
{
    struct fs_lease_list *l = (struct fs_lease_list *)(uintptr_t)file->fh;
    if (l != NULL) {
        fs_leases_drop_list(l);
    }
    (void)fuse_reply_err(req, 0);
}
