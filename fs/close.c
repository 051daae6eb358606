/* FLUSH, FSYNC and RELEASE: when a draft is published (fs/README.md, P1-P4).
 *
 * A shell's `> f` opens, duplicates the descriptor and closes the first copy
 * before anything was written, and each child that inherited it closes it too.
 * So a close publishes only what was written, and only when the process that
 * opened the file closes it; what is left goes out with the last close.
 */

#include "base/must.h"
#include "fs/attr.h"
#include "fs/handle.h"
#include "fs/handlers.h"

static void published(struct fs_call *c)
{
    fs_reply_status(c, c->handle->outcome);
}

static void flush_step(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    if (h->publication.running) {
        fs_call_wait(c, &h->waiters, flush_step);
        return;
    }
    if (!h->draft.written ||
        !fs_handle_opened_by(h, fs_asker_of(c->req).thread)) {
        fs_reply_status(c, ST_OK);
        return;
    }
    fs_call_wait(c, &h->waiters, published);
    fs_publish(h, FS_PUBLISH_CLOSE);
}

void fs_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    (void)id;
    struct fs_call *c =
        fs_call_begin(fuse_req_userdata(req), req, FS_CALL_CLOSES);
    if (c == NULL) {
        return;
    }
    c->handle = fs_handle_of(file);
    flush_step(c);
}

static void fsync_step(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    if (h->publication.running) {
        fs_call_wait(c, &h->waiters, fsync_step);
        return;
    }
    if (!fs_draft_is_dirty(&h->draft) && !(h->node->pending && h->writes)) {
        fs_reply_status(c, ST_OK);
        return;
    }
    fs_call_wait(c, &h->waiters, published);
    fs_publish(h, FS_PUBLISH_SYNC);
}

void fs_fsync(fuse_req_t req, fuse_ino_t id, int data_only,
              struct fuse_file_info *file)
{
    (void)id;
    (void)data_only;
    struct fs_call *c =
        fs_call_begin(fuse_req_userdata(req), req, FS_CALL_WRITES);
    if (c == NULL) {
        return;
    }
    c->handle = fs_handle_of(file);
    fs_call_locks_once(c, c->handle->node);
    fsync_step(c);
}

void fs_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    (void)id;
    (void)fuse_reply_err(req, 0); /* nobody waits for the outcome */
    fs_handle_release(fs_handle_of(file));
}
