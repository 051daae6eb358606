/* Reading and writing through handles: nothing here asks the store, except a
 * write that must be durable when it returns. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "base/must.h"
#include "fs/handle.h"
#include "fs/handlers.h"

static struct bytes slice(struct bytes b, off_t offset, size_t size)
{
    if (offset < 0 || (uint64_t)offset >= b.size) {
        return BYTES_NONE;
    }
    const struct bytes rest = bytes_after(b, (size_t)offset);
    return (struct bytes){rest.data, rest.size < size ? rest.size : size};
}

/* tail reads as much as fstat says and never beyond: one that stops exactly at
 * the end may be told more by the next fstat, but by a read only after it was
 * told the end. */
static void note_end(struct fs_handle *h, off_t offset, struct bytes b)
{
    h->came_to_end =
        h->came_to_end ||
        (offset >= 0 && (uint64_t)offset + b.size >= fs_handle_content(h).size);
    h->at_end = h->at_end || b.size == 0;
}

static void read_on(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    const struct bytes b = slice(fs_handle_content(h), c->offset, c->size);
    h->at_end = false;
    note_end(h, c->offset, b);
    fs_reply_bytes(c, b);
}

void fs_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
             struct fuse_file_info *file)
{
    (void)id;
    struct fs_handle *h = fs_handle_of(file);
    const struct bytes b = slice(fs_handle_content(h), offset, size);
    if (b.size > 0 || size == 0 || !h->at_end || !fs_handle_is_behind(h)) {
        if (size > 0) {
            note_end(h, offset, b);
        }
        /* or aborted: nothing more to do */
        (void)fuse_reply_buf(req, (const char *)b.data, b.size);
        return;
    }
    struct fs_call *c = fs_call_begin(h->fs, req, FS_CALL_READS);
    if (c == NULL) {
        return;
    }
    c->offset = offset;
    c->size = size;
    fs_handle_catch_up(c, h, read_on);
}

/* 0, or the errno for a handle that is to hold `end` bytes. */
static int may_grow(const struct fs_handle *h, off_t offset, uint64_t size)
{
    const uint64_t max = fs_value_size_max(h->fs, fs_node_key(h->node));
    if (offset < 0 || size > max || (uint64_t)offset > max - size) {
        return EFBIG;
    }
    return h->writes ? 0 : EBADF;
}

/* --- WRITE --- */

static void write_synced(struct fs_call *c)
{
    const struct fs_handle *h = c->handle;
    if (h->outcome != ST_OK) {
        fs_reply_status(c, h->outcome);
    } else {
        fs_reply_write(c, c->size);
    }
}

static void write_step(struct fs_call *c)
{
    struct fs *fs = c->fs;
    struct fs_handle *h = c->handle;
    if (h->publication.running) {
        fs_call_locks_once(c, h->node);
        fs_call_wait(c, &h->waiters, write_step);
        return;
    }
    const bool append = (c->flags & O_APPEND) != 0;
    const off_t offset = append ? (off_t)fs_handle_content(h).size : c->offset;
    const int error = may_grow(h, offset, c->size);
    if (error != 0) {
        fs_reply_errno(c, error);
        return;
    }
    fs_handle_edit(h);
    if (append) {
        fs_draft_append(&h->draft, buf_bytes(&c->data));
    } else {
        fs_draft_write(&h->draft, (uint64_t)offset, buf_bytes(&c->data));
    }
    fs_handle_edited(h);
    if ((c->flags & O_DSYNC) == 0 || !h->draft.written) {
        fs_reply_write(c, c->size);
    } else if (c->size == fs->write_max) {
        /* The kernel cuts what is longer: more may follow at once. */
        fs_timer_set(fs, &h->idle, fs->now_ns + FS_SYNC_GATHER_NS);
        fs_reply_write(c, c->size);
    } else {
        fs_call_locks_once(c, h->node);
        fs_call_wait(c, &h->waiters, write_synced);
        fs_publish(h, FS_PUBLISH_SYNC);
    }
}

void fs_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size,
              off_t offset, struct fuse_file_info *file)
{
    (void)id;
    struct fs_call *c =
        fs_call_begin(fuse_req_userdata(req), req, FS_CALL_WRITES);
    if (c == NULL) {
        return;
    }
    c->handle = fs_handle_of(file);
    c->flags = file->flags;
    c->offset = offset;
    c->size = size;
    buf_clear(&c->data);
    buf_append(&c->data, (struct bytes){(const uint8_t *)data, size});
    write_step(c);
}

/* --- FALLOCATE --- */

static void fallocate_step(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    if (h->publication.running) {
        fs_call_locks_once(c, h->node);
        fs_call_wait(c, &h->waiters, fallocate_step);
        return;
    }
    const uint64_t offset = (uint64_t)c->offset;
    fs_handle_edit(h);
    if ((c->mode & FALLOC_FL_KEEP_SIZE) == 0) {
        fs_draft_extend(&h->draft, offset + c->size);
    }
    if ((c->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
        fs_draft_zero(&h->draft, offset, c->size);
    }
    fs_handle_edited(h);
    fs_reply_errno(c, 0);
}

void fs_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset,
                  off_t size, struct fuse_file_info *file)
{
    (void)id;
    struct fs_handle *h = fs_handle_of(file);
    const int known =
        FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    if ((mode & ~known) != 0) {
        (void)fuse_reply_err(req, EOPNOTSUPP); /* or aborted */
        return;
    }
    const int error = may_grow(h, offset, (uint64_t)size);
    if (error != 0 && !(error == EFBIG && (mode & FALLOC_FL_KEEP_SIZE) != 0)) {
        (void)fuse_reply_err(req, error); /* or aborted */
        return;
    }
    struct fs_call *c =
        fs_call_begin(fuse_req_userdata(req), req, FS_CALL_WRITES);
    if (c == NULL) {
        return;
    }
    c->handle = h;
    c->mode = (mode_t)mode;
    c->offset = offset;
    c->size = (size_t)size;
    fallocate_step(c);
}

/* --- COPY_FILE_RANGE --- */

void fs_copy_file_range(fuse_req_t req, fuse_ino_t id_in, off_t offset_in,
                        struct fuse_file_info *in, fuse_ino_t id_out,
                        off_t offset_out, struct fuse_file_info *out,
                        size_t size, int flags)
{
    (void)id_in;
    if (flags != 0) {
        (void)fuse_reply_err(req, EINVAL); /* or aborted */
        return;
    }
    /* The bytes that the source's handle has pinned, not the page cache's. */
    const struct bytes b =
        slice(fs_handle_content(fs_handle_of(in)), offset_in, size);
    struct fuse_file_info file = *out;
    file.flags &= ~O_APPEND;
    fs_write(req, id_out, (const char *)b.data, b.size, offset_out, &file);
}
