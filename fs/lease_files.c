/* The files of leases/.
 *
 * A lease's files say what was so when they were opened.  grant answers what is
 * written to it: a handle's next read gives the id, whatever its offset, since
 * a shell that writes and reads on one descriptor has moved on by then.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "fs/lease.h"
#include "fs/lease_dir.h"

static struct fs_lease_file *file_of(const struct fuse_file_info *file)
{
    return (struct fs_lease_file *)(uintptr_t)file->fh;
}

/* A key in a line of its own: what would break it, or look like an escape, is
 * written as in names. */
static void add_key(struct buf *to, struct bytes key)
{
    for (size_t i = 0; i < key.size; i++) {
        const uint8_t c = key.data[i];
        if (c < ' ' || c == 0x7f || c == '%') {
            char escape[4];
            (void)snprintf(escape, sizeof escape, "%%%02X", c);
            buf_append(to, bytes_of(escape));
        } else {
            buf_append_byte(to, c);
        }
    }
    buf_append_byte(to, '\n');
}

static void describe(const struct kv_lease_result *r, enum fs_leases_part part,
                     struct buf *to)
{
    char text[32];
    if (part == FS_LEASES_KEYS) {
        for (size_t i = 0; i < r->keys_count; i++) {
            add_key(to, r->keys[i]);
        }
        return;
    }
    (void)snprintf(text, sizeof text, "%" PRId64 "\n",
                   part == FS_LEASES_TTL ? r->ttl_s : r->granted_ttl_s);
    buf_append(to, bytes_of(text));
}

static void reply_open(struct fs *fs, fuse_req_t req,
                       struct fuse_file_info *file, struct fs_lease_file *f)
{
    list_init(&f->link);
    fs_leases_keep_file(fs, f);
    file->fh = (uint64_t)(uintptr_t)f;
    file->direct_io = 1; /* or the size, 0, would end it */
    file->nonseekable = 1;
    if (fuse_reply_open(req, file) != 0) {
        fs_leases_drop_file(f); /* nobody will release it */
    }
}

static void opened(struct fs_call *c)
{
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (c->lease.result.ttl_s < 0) {
        fs_reply_errno(c, ESTALE); /* it has ended */
        return;
    }
    struct fs_lease_file *f = xcalloc(1, sizeof *f);
    describe(&c->lease.result, (enum fs_leases_part)c->flags, &f->text);
    reply_open(c->fs, c->req, &c->file, f);
    fs_call_replied(c);
}

static void open_of_lease(fuse_req_t req, struct fs *fs, int64_t lease,
                          enum fs_leases_part part,
                          const struct fuse_file_info *file)
{
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_READS);
    if (c != NULL) {
        c->file = *file;
        c->flags = (int)part;
        fs_call_lease(c, KV_LEASE_TTL, lease)->with_keys =
            part == FS_LEASES_KEYS;
        fs_call_ask(c, opened);
    }
}

void fs_leases_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    struct fs *fs = fuse_req_userdata(req);
    const bool writes = (file->flags & O_ACCMODE) != O_RDONLY;
    enum fs_leases_part part;
    int64_t lease;
    int error = 0;
    if (!fs_leases_part_of(fs, id, &part, &lease)) {
        error = ESTALE;
    } else if (part == FS_LEASES_TOP || part == FS_LEASES_LEASE) {
        error = EISDIR;
    } else if (part == FS_LEASES_GRANT) {
        error = writes ? fs_leases_may_change(fs, req) : 0;
    } else if (writes) {
        error = EROFS;
    }
    if (error != 0) {
        (void)fuse_reply_err(req, error);
    } else if (part == FS_LEASES_GRANT) {
        struct fs_lease_file *f = xcalloc(1, sizeof *f);
        f->grants = true;
        reply_open(fs, req, file, f);
    } else {
        open_of_lease(req, fs, lease, part, file);
    }
}

void fs_leases_read(fuse_req_t req, size_t size, struct fuse_file_info *file)
{
    struct fs_lease_file *f = file_of(file);
    const struct bytes rest = bytes_after(buf_bytes(&f->text), f->read);
    const size_t given = rest.size < size ? rest.size : size;
    if (fuse_reply_buf(req, (const char *)rest.data, given) == 0) {
        f->read += given;
    }
}

static void granted(struct fs_call *c)
{
    char name[FS_LEASE_NAME_SIZE];
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    struct fs_lease_file *f = file_of(&c->file);
    fs_lease_name(c->lease.result.id, name);
    buf_clear(&f->text);
    f->read = 0;
    buf_append(&f->text, bytes_of(name));
    buf_append_byte(&f->text, '\n');
    fs_reply_write(c, c->size);
}

void fs_leases_write(fuse_req_t req, const char *data, size_t size,
                     struct fuse_file_info *file)
{
    struct fs *fs = fuse_req_userdata(req);
    int64_t ttl_s;
    if (!file_of(file)->grants) {
        (void)fuse_reply_err(req, EBADF);
        return;
    }
    if (!fs_lease_read_ttl((struct bytes){(const uint8_t *)data, size},
                           &ttl_s)) {
        (void)fuse_reply_err(req, EINVAL);
        return;
    }
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_WRITES);
    if (c != NULL) {
        c->file = *file;
        c->size = size;
        fs_call_lease(c, KV_LEASE_GRANT, 0)->ttl_s = ttl_s;
        fs_call_ask(c, granted);
    }
}

void fs_leases_release(fuse_req_t req, struct fuse_file_info *file)
{
    fs_leases_drop_file(file_of(file));
    (void)fuse_reply_err(req, 0);
}
