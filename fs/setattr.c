/* SETATTR.
 *
 * The size is the file's contents: through a handle it edits the draft, by path
 * it is a publication of its own.  Mode, owner and times belong to the mount
 * and not to the key: setting them is accepted and forgotten, since programs
 * that copy files die of a refusal.
 */

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/getattr.h"
#include "fs/handle.h"
#include "fs/handlers.h"
#include "fs/lease.h"
#include "fs/target.h"

#define TIMES_NOW (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)
#define TIMES                                                                  \
    (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME |         \
     TIMES_NOW)
#define OWNERSHIP (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)

static void finish(struct fs_call *c)
{
    struct stat attr;
    const struct fs_asker who = fs_asker_of(c->req);
    if (fs_getattr_of_handle(c->fs, c->node, who.thread, &attr)) {
        fs_reply_attr(c, &attr);
        return;
    }
    if (c->node->gone) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    fs_getattr_ask(c);
}

/* --- through a handle --- */

static void truncate_handle(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    if (h->publication.running) {
        fs_call_wait(c, &h->waiters, truncate_handle);
        return;
    }
    fs_handle_edit(h);
    fs_draft_truncate(&h->draft, c->size);
    h->draft.written = true; /* asked for in so many words */
    fs_handle_edited(h);
    struct stat attr;
    fs_attr_of(c->fs, c->node, &attr);
    attr.st_size = (off_t)c->size;
    fs_reply_attr(c, &attr);
}

/* --- by path --- */

static void truncated(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    const enum status st = h->outcome;
    c->handle = NULL;
    if (st != ST_OK) {
        fs_reply_status(c, st);
        return;
    }
    struct stat attr;
    fs_attr_of(c->fs, c->node, &attr);
    fs_reply_attr(c, &attr);
}

static void truncate_path(struct fs_call *c);

static void truncate_got(struct fs_call *c)
{
    struct fs *fs = c->fs;
    const struct kv_range_result *r = &c->range.result;
    struct fs_node *n = c->node;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    const struct kv_item *item = r->items_count > 0 ? &r->items[0] : NULL;
    if (!n->pending &&
        (item == NULL || !fs_item_is_file(item) || fs_ino_of(item) != n->ino)) {
        if (!fs_call_follows(c, truncate_path)) {
            fs_reply_errno(c, ESTALE);
        }
        return;
    }
    if (item != NULL && item->value_size == c->size) {
        fs_node_update(fs, n, item, fs_call_revision(c));
        finish(c);
        return;
    }
    struct fs_handle *h = fs_handle_inner(fs, n);
    h->writes = true;
    if (item != NULL) {
        h->pinned_revision = item->mod_revision;
        h->pinned = item->value.size > 0 ? payload_copy_of(item->value) : NULL;
    }
    fs_handle_edit(h);
    fs_draft_truncate(&h->draft, c->size);
    c->handle = h;
    fs_call_wait(c, &h->waiters, truncated);
    fs_handle_release(h); /* publishes, and then frees it */
}

static void truncate_path(struct fs_call *c)
{
    struct fs_node *n = c->node;
    if (n->closing > 0) {
        fs_call_wait(c, &n->waiters, truncate_path);
        return;
    }
    if (n->gone) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    buf_clear(&c->target.key);
    buf_append(&c->target.key, fs_node_key(n));
    struct kv_range_spec *range = fs_call_range(c);
    range->keys.key = buf_bytes(&c->target.key);
    fs_call_ask(c, truncate_got);
}

/* --- times --- */

static void touched(struct fs_call *c)
{
    if (c->handle->outcome != ST_OK) {
        fs_reply_status(c, c->handle->outcome);
        return;
    }
    finish(c);
}

/* `touch` on a new file: created and nothing else, so now is the time. */
static bool publishes_creation(struct fs_call *c, int to_set)
{
    if ((to_set & TIMES_NOW) == 0 || !c->node->pending) {
        return false;
    }
    list_each (at, &c->node->handles) {
        struct fs_handle *h = container_of(at, struct fs_handle, node_link);
        if (h->writes && !h->publication.running &&
            !fs_draft_is_dirty(&h->draft)) {
            c->handle = h;
            fs_call_wait(c, &h->waiters, touched);
            fs_publish(h, FS_PUBLISH_SYNC);
            return true;
        }
    }
    return false;
}

/* 0, or the errno. */
static int may_set(struct fs_call *c, int to_set, bool by_handle)
{
    const struct fs_asker who = fs_asker_of(c->req);
    const struct fs_node *n = c->node;
    const bool owner = fs_owns(c->fs, n, &who);
    const bool writer = by_handle || fs_may(c->fs, n, &who, W_OK);
    if ((to_set & OWNERSHIP) != 0 && !owner) {
        return EPERM;
    }
    if ((to_set & TIMES) != 0 && !owner) {
        const bool now = (to_set & TIMES_NOW) != 0;
        if (!now || !writer) {
            return now ? EACCES : EPERM;
        }
    }
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0 && !writer) {
        return EACCES;
    }
    return 0;
}

void fs_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
                struct fuse_file_info *file)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_WRITES);
    if (c == NULL) {
        return;
    }
    struct fs_node *n = fs_node_of(fs, id);
    if (n == NULL) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    fs_call_hold_node(c, n);
    const bool sizes = (to_set & FUSE_SET_ATTR_SIZE) != 0;
    int error = may_set(c, to_set, file != NULL);
    if (error == 0 && sizes && n->directory) {
        error = EISDIR;
    } else if (error == 0 && sizes && attr->st_size < 0) {
        error = EINVAL;
    } else if (error == 0 && sizes &&
               (uint64_t)attr->st_size >
                   fs_value_size_max(fs, fs_node_key(n))) {
        error = EFBIG;
    } else if (error == 0 && !fs_is_writable(fs)) {
        error = EROFS;
    }
    if (error != 0) {
        fs_reply_errno(c, error);
        return;
    }
    if (sizes) {
        c->size = (size_t)attr->st_size;
        fs_call_locks(c, n); /* the kernel keeps the inode's lock */
        if (file != NULL) {
            c->handle = fs_handle_of(file);
            truncate_handle(c);
        } else if (!fs_call_doubts_path(c)) {
            truncate_path(c);
        }
        return;
    }
    if (publishes_creation(c, to_set)) {
        return;
    }
    if ((to_set & TIMES_NOW) == TIMES_NOW && !n->directory && !n->pending &&
        !n->gone) {
        fs_lease_touch(c, finish);
    } else {
        finish(c);
    }
}
