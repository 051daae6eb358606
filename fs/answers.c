/* Answers to the helpers. */

#include "fs/answers.h"

#include <errno.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/replay.h"
#include "fs/target.h"

static struct fs_helper *helper_of(fuse_req_t req)
{
    return fs_helper_of(fuse_req_userdata(req), req);
}

static void reply_entry(struct fs *fs, fuse_req_t req, struct fs_node *n)
{
    struct fuse_entry_param entry;
    fs_entry_of(fs, n, &entry);
    n->lookups++;
    if (fuse_reply_entry(req, &entry) != 0) {
        n->lookups--;
    }
}

static void reply_errno(fuse_req_t req, int error)
{
    (void)fuse_reply_err(req, error); /* or aborted */
}

/* The file as it is known now; made known when it was not. */
static struct fs_node *file_of(struct fs *fs, struct fs_op *op)
{
    if (op->node == NULL && op->item.ino != 0) {
        struct kv_item item = op->item;
        item.key = buf_bytes(&op->key);
        op->node = fs_node_hold(fs_node_of_item(fs, &item, op->revision));
    }
    if (op->node == NULL) {
        struct fs_node *n = fs_node_find(fs, false, buf_bytes(&op->key));
        op->node = fs_node_hold(n != NULL ? n : fs_node_ghost(fs, false));
    }
    return op->node;
}

/* What was there until this operation takes it away.  A directory that has been
 * made again since stays: the kernel would let nothing be made in it. */
static struct fs_node *victim_of(struct fs *fs, struct fs_op *op)
{
    if (op->type == FS_OP_RMDIR && op->node != NULL && !op->node->gone &&
        op->node->revision > op->revision) {
        fs_node_drop(fs, op->node);
        op->node = fs_node_hold(fs_node_ghost(fs, true));
    }
    if (op->node == NULL) {
        const bool directory = op->type == FS_OP_RMDIR;
        struct fs_node *n =
            directory ? fs_node_find(fs, true, buf_bytes(&op->place.below))
                      : NULL;
        n = n != NULL && n->revision > op->revision ? NULL : n;
        op->node = fs_node_hold(n != NULL ? n : fs_node_ghost(fs, directory));
    }
    return op->node;
}

static bool is_at(const struct fs_place *p, const struct fs_node *parent,
                  const char *name)
{
    return bytes_equal(fs_node_key(parent), buf_bytes(&p->directory)) &&
           bytes_equal(
               bytes_of(name),
               (struct bytes){(const uint8_t *)p->name.text, p->name.size});
}

/* The operation's own name. NULL: not there. */
static struct fs_node *find_name(struct fs *fs, struct fs_op *op)
{
    switch (op->type) {
    case FS_OP_CREATE:
    case FS_OP_MKDIR:
        return NULL;
    case FS_OP_UNLINK:
    case FS_OP_RMDIR:
        return victim_of(fs, op);
    case FS_OP_RENAME:
        if (op->node == NULL && op->item.ino == 0) {
            op->node = fs_node_hold(fs_node_ghost(fs, true));
        }
        return file_of(fs, op);
    case FS_OP_EXCHANGE:
    case FS_OP_MODIFY:
    case FS_OP_REPLACE:
    case FS_OP_ATTRIB:
    case FS_OP_TRUNCATE:
    case FS_OP_STAT:
        break;
    }
    return file_of(fs, op);
}

/* The second name of a rename. */
static struct fs_node *find_other(struct fs *fs, struct fs_op *op)
{
    if (op->type == FS_OP_EXCHANGE && op->other_node == NULL) {
        op->other_node = fs_node_hold(fs_node_ghost(fs, false));
    }
    return op->other_node;
}

bool fs_answers_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_helper *h = helper_of(req);
    if (h == NULL) {
        return false;
    }
    struct fs *fs = h->replay->fs;
    struct fs_op *op = h->op;
    const struct fs_node *d = fs_node_of(fs, parent);
    struct fs_node *n = NULL;
    if (d == NULL || !d->directory) {
        reply_errno(req, ESTALE);
        return true;
    }
    if (fs_op_is_overtaken(op)) {
        reply_errno(req, EIO); /* whatever it is doing, it fails */
        return true;
    }
    if (is_at(&op->place, d, name)) {
        n = find_name(fs, op);
    } else if (op->has_other && is_at(&op->other, d, name)) {
        n = find_other(fs, op);
    } else if (op->type == FS_OP_REPLACE && strcmp(name, FS_SOURCE_NAME) == 0) {
        if (op->other_node == NULL) {
            op->other_node = fs_node_hold(fs_node_ghost(fs, false));
        }
        n = op->other_node;
    } else {
        n = fs_directory_below(fs, d, name);
    }
    if (n == NULL) {
        reply_errno(req, ENOENT);
    } else {
        reply_entry(fs, req, n);
    }
    return true;
}

bool fs_answers_attr(fuse_req_t req, fuse_ino_t id)
{
    struct fs_helper *h = helper_of(req);
    if (h == NULL) {
        return false;
    }
    struct fs *fs = h->replay->fs;
    const struct fs_node *n = fs_node_of(fs, id);
    struct stat attr;
    if (n == NULL) {
        reply_errno(req, ESTALE);
        return true;
    }
    fs_attr_of(fs, n, &attr);
    (void)fuse_reply_attr(req, &attr, fs_cache_s(fs)); /* or aborted */
    return true;
}

/* A handle of a helper: no file behind it. */
static void fill(struct fuse_file_info *file)
{
    file->fh = 0;
    file->direct_io = 1;
    file->noflush = 1;
}

bool fs_answers_open(fuse_req_t req, struct fuse_file_info *file)
{
    if (helper_of(req) == NULL) {
        return false;
    }
    fill(file);
    (void)fuse_reply_open(req, file); /* or aborted: nothing was opened */
    return true;
}

bool fs_answers_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                       struct fuse_file_info *file)
{
    struct fs_helper *h = helper_of(req);
    if (h == NULL) {
        return false;
    }
    struct fs *fs = h->replay->fs;
    const struct fs_node *d = fs_node_of(fs, parent);
    if (d == NULL || h->op->type != FS_OP_CREATE ||
        !is_at(&h->op->place, d, name)) {
        reply_errno(req, EIO);
        return true;
    }
    struct fs_node *n = file_of(fs, h->op);
    h->op->told = true;
    struct fuse_entry_param entry;
    fs_entry_of(fs, n, &entry);
    fill(file);
    n->lookups++;
    if (fuse_reply_create(req, &entry, file) != 0) {
        n->lookups--;
    }
    return true;
}

bool fs_answers_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_helper *h = helper_of(req);
    if (h == NULL) {
        return false;
    }
    struct fs *fs = h->replay->fs;
    const struct fs_node *d = fs_node_of(fs, parent);
    if (d == NULL || h->op->type != FS_OP_MKDIR ||
        !is_at(&h->op->place, d, name)) {
        reply_errno(req, EIO);
        return true;
    }
    h->op->told = true;
    reply_entry(fs, req,
                fs_node_of_directory(fs, buf_bytes(&h->op->place.below), NULL,
                                     h->op->revision));
    return true;
}

bool fs_answers_ok(fuse_req_t req)
{
    if (helper_of(req) == NULL) {
        return false;
    }
    reply_errno(req, 0);
    return true;
}

bool fs_answers_names(fuse_req_t req)
{
    struct fs_helper *h = helper_of(req);
    if (h == NULL) {
        return false;
    }
    h->op->told = true;
    reply_errno(req, 0);
    return true;
}

bool fs_answers_close(fuse_req_t req, const struct fuse_file_info *file)
{
    if (file->fh != 0) {
        return false;
    }
    reply_errno(req, 0);
    return true;
}
