/* GETATTR.
 *
 * The kernel does not say which handle an fstat is for.  A thread group that
 * has the file open sees what its youngest handle sees; everybody else what is
 * committed.
 */

#include <errno.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/getattr.h"
#include "fs/handle.h"
#include "fs/handlers.h"
#include "fs/path.h"
#include "fs/target.h"

bool fs_directory_is_virtual(const struct fs *fs, const struct fs_node *n)
{
    const struct bytes beginning = fs_node_key(n);
    return n != fs->root &&
           (beginning.size == 0 || fs_path_is_continued(beginning));
}

static void reply(struct fs_call *c)
{
    struct stat attr;
    fs_attr_of(c->fs, c->node, &attr);
    fs_reply_attr(c, &attr);
}

static void ask_again(struct fs_call *c)
{
    if (c->node->gone) {
        fs_reply_errno(c, ESTALE);
    } else {
        fs_getattr_ask(c);
    }
}

static void got_file(struct fs_call *c)
{
    struct fs_node *n = c->node;
    const struct kv_range_result *r = &c->range.result;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (!n->pending) {
        if (r->items_count == 0 || !fs_item_is_file(&r->items[0]) ||
            fs_ino_of(&r->items[0]) != n->ino) {
            if (!fs_call_follows(c, ask_again)) {
                fs_reply_errno(c, ESTALE); /* the kernel walks again */
            }
            return;
        }
        fs_node_update(c->fs, n, &r->items[0], fs_call_revision(c));
    }
    reply(c);
}

static void got_directory(struct fs_call *c)
{
    const struct kv_range_result *r = &c->range.result;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (r->items_count > 0) {
        if (r->items[0].mtime_ns != 0) {
            c->node->mtime_ns = r->items[0].mtime_ns;
        }
    } else if (c->node != c->fs->root) {
        if (!bytes_equal(fs_node_key(c->node), buf_bytes(&c->target.key))) {
            ask_again(c); /* it was renamed meanwhile */
        } else {
            fs_reply_errno(c, ESTALE);
        }
        return;
    }
    reply(c);
}

void fs_getattr_ask(struct fs_call *c)
{
    struct fs *fs = c->fs;
    struct fs_node *n = c->node;
    const bool serializable = fs->options.consistency == FS_SERIALIZABLE;
    buf_clear(&c->target.key);
    buf_append(&c->target.key, fs_node_key(n));
    const struct bytes key = buf_bytes(&c->target.key);
    if (!n->directory) {
        struct kv_range_spec *range = fs_call_range(c);
        *range = fs_op_key((struct kv_keys){.key = key}).range;
        range->serializable = serializable;
        fs_call_ask(c, got_file);
        return;
    }
    if (fs_directory_is_virtual(fs, n)) {
        reply(c);
        return;
    }
    struct kv_range_spec *range = fs_call_range(c);
    fs_path_end(key, &c->target.end);
    *range = fs_op_group(key, buf_bytes(&c->target.end)).range;
    range->serializable = serializable;
    fs_call_ask(c, got_directory);
}

bool fs_getattr_of_handle(struct fs *fs, const struct fs_node *n,
                          uint32_t thread, struct stat *ret)
{
    const struct fs_handle *h = fs_handle_of_group(fs, n, thread);
    if (h == NULL) {
        return false;
    }
    fs_attr_of(fs, n, ret);
    const uint64_t size = fs_handle_content(h).size;
    ret->st_size = (off_t)size;
    ret->st_blocks = (blkcnt_t)((size + 511) / 512);
    return true;
}

/* The handle may have been closed meanwhile: whatever the group has now. */
static void caught_up(struct fs_call *c)
{
    struct stat attr;
    if (fs_getattr_of_handle(c->fs, c->node, fs_asker_of(c->req).thread,
                             &attr)) {
        fs_reply_attr(c, &attr);
    } else if (c->node->gone) {
        fs_reply_errno(c, ESTALE);
    } else {
        fs_getattr_ask(c);
    }
}

void fs_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    (void)file; /* the kernel does not send it */
    struct fs *fs = fuse_req_userdata(req);
    struct fs_node *n = fs_node_of(fs, id);
    if (n == NULL) {
        (void)fuse_reply_err(req, ESTALE); /* the kernel's affair */
        return;
    }
    struct stat attr;
    const uint32_t thread = fs_asker_of(req).thread;
    struct fs_handle *h = fs_handle_of_group(fs, n, thread);
    const bool follows = h != NULL && fs_handle_is_behind(h);
    if (!follows && fs_getattr_of_handle(fs, n, thread, &attr)) {
        (void)fuse_reply_attr(req, &attr, 0); /* not for others to see */
        return;
    }
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_READS);
    if (c == NULL) {
        return;
    }
    fs_call_hold_node(c, n);
    if (follows) {
        fs_handle_catch_up(c, h, caught_up);
    } else if (n->gone) {
        fs_reply_errno(c, ESTALE);
    } else {
        fs_getattr_ask(c);
    }
}
