/* OPEN, CREATE and MKNOD.
 *
 * Opening pins one committed revision.  Creating makes the name visible on this
 * mount at once; the key is committed with the first publication, except with
 * O_EXCL, where the one who commits it is the winner.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/events.h"
#include "fs/getattr.h"
#include "fs/handle.h"
#include "fs/handlers.h"
#include "fs/names.h"
#include "fs/path.h"
#include "fs/replay.h"
#include "fs/target.h"

static bool is_for_writing(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

/* A handle on c->node, which has this value (NULL: none yet). */
static struct fs_handle *open_handle(struct fs_call *c, struct fs_node *n,
                                     const struct kv_item *item)
{
    struct fs_handle *h = fs_handle_new(c, n);
    if (item != NULL) {
        h->pinned_revision = item->mod_revision;
        if (item->value.size > 0) {
            h->pinned = payload_copy_of(item->value);
        }
    }
    if ((c->flags & O_TRUNC) != 0 && h->writes) {
        payload_drop(h->pinned);
        h->pinned = NULL;
        if (item != NULL && item->value_size > 0) {
            fs_handle_edit(h);
            fs_draft_truncate(&h->draft, 0);
        } else {
            fs_draft_begin_fresh(&h->draft);
        }
        fs_events_refresh(c->fs, n);
    }
    return h;
}

static int may_open(const struct fs *fs, const struct fs_node *n,
                    const struct fs_asker *who, int flags)
{
    const int access = flags & O_ACCMODE;
    const int want =
        (access != O_WRONLY ? R_OK : 0) | (is_for_writing(flags) ? W_OK : 0);
    /* The kernel opens programs to run them: execution is enough. */
    if (!fs_may(fs, n, who, want) &&
        !(access == O_RDONLY && fs_may(fs, n, who, X_OK))) {
        return EACCES;
    }
    return 0;
}

/* A file that another was renamed over between look-up and open, perhaps time
 * and again: the kernel walks twice at most, so a reader gets what replaced
 * it. */
static bool reads_replacement(const struct fs_call *c)
{
    return c->node->gone && c->node->shown != 0 && c->node->ino == 0 &&
           !is_for_writing(c->flags);
}

static void open_ask(struct fs_call *c);
static void ask_for_value(struct fs_call *c, bool may_presume);

static void opened(struct fs_call *c)
{
    struct fs_node *n = c->node;
    const struct kv_range_result *r = &c->range.result;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (n->pending && r->items_count > 0 && fs_item_is_file(&r->items[0])) {
        if (fs_node_find_ino(c->fs, fs_ino_of(&r->items[0])) != NULL) {
            fs_reply_errno(c, ESTALE); /* it has a node of its own by now */
            return;
        }
        /* Somebody else created it first: as if this open had come later. */
        fs_node_publish(c->fs, n, &r->items[0], fs_call_revision(c));
    }
    if (n->pending) {
        fs_reply_open(c, open_handle(c, n, NULL));
        return;
    }
    if (r->items_count > 0 && reads_replacement(c) &&
        fs_item_is_file(&r->items[0])) {
        fs_reply_open(c, open_handle(c, n, &r->items[0]));
        return;
    }
    if (r->items_count == 0 || fs_ino_of(&r->items[0]) != n->ino ||
        (fs_key_is_marker(r->items[0].key) && r->items[0].value_size == 0)) {
        if (!fs_call_follows(c, open_ask)) {
            fs_reply_errno(c, ESTALE); /* the kernel walks again */
        }
        return;
    }
    if (r->presumed && r->items[0].value_size == 0) {
        ask_for_value(c, false); /* nothing to cut off: no publication */
        return;
    }
    fs_node_update(c->fs, n, &r->items[0], fs_call_revision(c));
    struct fs_handle *h = open_handle(c, n, &r->items[0]);
    h->presumed_term = r->presumed ? c->range.call.header.raft_term : 0;
    fs_reply_open(c, h);
}

/* An open that cuts the value off is followed by its publication, which tells
 * whether the file was there. */
static void ask_for_value(struct fs_call *c, bool may_presume)
{
    struct kv_range_spec *range = fs_call_range(c);
    buf_clear(&c->target.key);
    buf_append(&c->target.key, fs_node_key(c->node));
    range->keys.key = buf_bytes(&c->target.key);
    range->serializable = c->fs->options.consistency == FS_SERIALIZABLE;
    /* A value that is cut off at once need not be fetched. */
    range->keys_only = (c->flags & O_TRUNC) != 0;
    range->may_presume = may_presume && !range->serializable;
    fs_call_ask(c, opened);
}

static void open_ask(struct fs_call *c)
{
    struct fs_node *n = c->node;
    if (n->closing > 0) {
        /* A process reads its own writes: the last close is on its way. */
        fs_call_wait(c, &n->waiters, open_ask);
        return;
    }
    if (n->gone && !reads_replacement(c)) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    /* A file that is being made here may have been published, and replaced, by
     * a leader of whom this member knows nothing: a publication that finds it
     * gone would not know whether that was before this open. */
    ask_for_value(c, (c->flags & O_TRUNC) != 0 &&
                         (c->flags & O_ACCMODE) != O_RDONLY && !n->pending);
}

void fs_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    struct fs *fs = fuse_req_userdata(req);
    const bool writes = is_for_writing(file->flags);
    struct fs_call *c =
        fs_call_begin(fs, req, writes ? FS_CALL_WRITES : FS_CALL_READS);
    if (c == NULL) {
        return;
    }
    struct fs_node *n = fs_node_of(fs, id);
    if (n == NULL || n->directory) {
        fs_reply_errno(c, n == NULL ? ESTALE : EISDIR);
        return;
    }
    const struct fs_asker who = fs_asker_of(req);
    const int error = may_open(fs, n, &who, file->flags);
    if (error != 0 || (writes && !fs_is_writable(fs))) {
        fs_reply_errno(c, error != 0 ? error : EROFS);
        return;
    }
    c->file = *file;
    c->flags = file->flags;
    fs_call_hold_node(c, n);
    if (!fs_call_doubts_path(c)) {
        open_ask(c);
    }
}

/* --- creation --- */

static void created_exclusively(struct fs_call *c)
{
    struct fs *fs = c->fs;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (!c->txn.result.succeeded) {
        fs_reply_errno(c, EEXIST);
        return;
    }
    const struct kv_op_result *result = &c->txn.result.results[1];
    must(result->range.items_count == 1); /* put by this very transaction */
    const struct kv_item *item = &result->range.items[0];
    fs_events_own(fs, item->mod_revision, BYTES_NONE, BYTES_NONE);
    fs_replay_overtake(fs, &c->target, item->mod_revision);
    struct fs_node *n = fs_node_of_item(fs, item, fs_call_revision(c));
    if (c->mode != 0) {
        fs_reply_entry(c, n); /* MKNOD opens nothing */
        return;
    }
    fs_reply_create(c, n, open_handle(c, n, item));
}

/* The key, provided that there is neither a file nor a directory. */
static void create_exclusively(struct fs_call *c)
{
    struct kv_txn_spec *txn = fs_call_txn(c);
    const struct kv_keys key = fs_target_key(&c->target);
    c->compares[txn->compares_count++] = (struct kv_compare){
        .keys = key, .target = KV_COMPARE_CREATE, .number = 0};
    if (c->target.kind == FS_TARGET_KEY) {
        c->compares[txn->compares_count++] =
            (struct kv_compare){.keys = fs_target_below(&c->target),
                                .target = KV_COMPARE_CREATE,
                                .number = 0};
    }
    c->success[0] = (struct kv_op){.type = KV_OP_PUT, .put = {.key = key.key}};
    c->success[1] = fs_op_key(key);
    txn->success_count = 2;
    fs_call_ask_within(c, c->target.parent, created_exclusively);
}

/* A file in a directory that was removed meanwhile would bring it back: asks
 * for it too. The answer's place; 0: it cannot go. */
static size_t look_at_parent(struct fs_call *c, struct kv_txn_spec *txn)
{
    const struct fs_node *parent = c->target.parent;
    if (parent == c->fs->root || fs_directory_is_virtual(c->fs, parent)) {
        return 0;
    }
    buf_clear(&c->other.below);
    buf_append(&c->other.below, fs_node_key(parent));
    fs_path_end(fs_node_key(parent), &c->other.end);
    c->success[txn->success_count] =
        fs_op_group(buf_bytes(&c->other.below), buf_bytes(&c->other.end));
    return txn->success_count++;
}

static bool parent_is_gone(const struct fs_call *c)
{
    return c->size > 0 &&
           c->txn.result.results[c->size].range.items_count == 0 &&
           !fs_has_pending_below(c->fs, buf_bytes(&c->other.below));
}

/* What is there was looked at: open it, or create it. */
static void create_looked(struct fs_call *c)
{
    struct fs *fs = c->fs;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    const struct fs_found found =
        fs_target_found(&c->target, c->txn.result.results);
    if (found.directory != NULL) {
        fs_reply_errno(c, EISDIR);
        return;
    }
    struct fs_node *n;
    if (found.file != NULL && (c->flags & O_EXCL) != 0) {
        fs_reply_errno(c, EEXIST);
        return;
    }
    if (found.file != NULL) {
        n = fs_node_of_item(fs, found.file, fs_call_revision(c));
        const struct fs_asker who = fs_asker_of(c->req);
        const int error = may_open(fs, n, &who, c->flags);
        if (error != 0) {
            (void)fs_node_hold(n);
            fs_node_drop(fs, n); /* nobody may want it */
            fs_reply_errno(c, error);
            return;
        }
    } else {
        n = fs_node_find(fs, false, buf_bytes(&c->target.key));
        if (n == NULL && parent_is_gone(c)) {
            fs_reply_errno(c, ESTALE); /* the kernel walks again */
            return;
        }
        if (n == NULL || !n->pending) {
            const int64_t absent = fs_call_revision(c);
            n = fs_node_create(fs, buf_bytes(&c->target.key), absent);
            fs_replay_overtake(fs, &c->target, absent + 1);
        }
    }
    fs_reply_create(c, n, open_handle(c, n, found.file));
}

static void create_look(struct fs_call *c)
{
    struct fs_node *n = fs_node_find(c->fs, false, buf_bytes(&c->target.key));
    if (n != NULL && n->closing > 0) {
        fs_call_wait(c, &n->waiters, create_look);
        return;
    }
    struct kv_txn_spec *txn = fs_call_txn(c);
    txn->success_count = fs_target_look(&c->target, c->success);
    c->size = look_at_parent(c, txn);
    c->success[0].range.keys_only = (c->flags & O_TRUNC) != 0;
    /* Within the same system call the kernel has looked the name up, and was
     * told that it is not there, which was confirmed (fs/lookup.c): what is
     * applied here is at least as new. */
    c->success[0].range.serializable = true;
    fs_call_ask(c, create_looked);
}

/* What CREATE and MKNOD begin with; NULL: answered. */
static struct fs_call *create_begin(fuse_req_t req, fuse_ino_t parent,
                                    const char *name)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_WRITES);
    if (c == NULL) {
        return NULL;
    }
    int error = fs_target_resolve(c, &c->target, parent, name);
    const struct fs_asker who = fs_asker_of(req);
    if (error == 0 && c->target.kind == FS_TARGET_DIRECTORY) {
        error = EISDIR;
    } else if (error == 0 && c->target.parent->gone) {
        error = ESTALE;
    } else if (error == 0 && !fs_may(fs, c->target.parent, &who, W_OK | X_OK)) {
        error = EACCES;
    } else if (error == 0 && !fs_is_writable(fs)) {
        error = EROFS;
    }
    if (error != 0) {
        fs_reply_errno(c, error);
        return NULL;
    }
    fs_call_locks(c, c->target.parent);
    return c;
}

static bool is_pending_here(struct fs_call *c)
{
    const struct fs_node *n =
        fs_node_find(c->fs, false, buf_bytes(&c->target.key));
    return n != NULL && n->pending;
}

void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *file)
{
    (void)mode; /* the mount's defaults hold */
    struct fs_call *c = create_begin(req, parent, name);
    if (c == NULL) {
        return;
    }
    c->file = *file;
    c->flags = file->flags;
    if ((c->flags & O_EXCL) == 0) {
        create_look(c);
        return;
    }
    if (is_pending_here(c)) {
        fs_reply_errno(c, EEXIST);
        return;
    }
    if (fs_key_is_marker(buf_bytes(&c->target.key))) {
        /* Without a value this key is a directory's marker, not a file. */
        create_look(c);
        return;
    }
    create_exclusively(c);
}

void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
              dev_t device)
{
    (void)device;
    struct fs_call *c = create_begin(req, parent, name);
    if (c == NULL) {
        return;
    }
    if (!S_ISREG(mode) && (mode & S_IFMT) != 0) {
        fs_reply_errno(c, EPERM);
        return;
    }
    if (is_pending_here(c)) {
        fs_reply_errno(c, EEXIST);
        return;
    }
    if (fs_key_is_marker(buf_bytes(&c->target.key))) {
        fs_reply_errno(c, EINVAL);
        return;
    }
    c->mode = S_IFREG;
    create_exclusively(c);
}
