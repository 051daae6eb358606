/* MKDIR and RMDIR: directory markers. */

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/events.h"
#include "fs/getattr.h"
#include "fs/handlers.h"
#include "fs/names.h"
#include "fs/replay.h"
#include "fs/target.h"

bool fs_has_pending_below(const struct fs *fs, struct bytes below)
{
    list_each (at, &fs->pending) {
        const struct fs_node *n = container_of(at, struct fs_node, state_link);
        if (bytes_starts_with(fs_node_key(n), below)) {
            return true;
        }
    }
    return false;
}

/* --- MKDIR --- */

static void made(struct fs_call *c)
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
    const struct kv_range_result *r = &c->txn.result.results[1].range;
    must(r->items_count == 1); /* put by this very transaction */
    const struct bytes below = buf_bytes(&c->target.below);
    fs_events_own(fs, fs_call_revision(c), below, BYTES_NONE);
    fs_replay_overtake(fs, &c->target, fs_call_revision(c));
    fs_reply_entry(
        c, fs_node_of_directory(fs, below, &r->items[0], fs_call_revision(c)));
}

void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)mode; /* the mount's defaults hold */
    struct fs_call *c =
        fs_names_begin(req, &(struct fs_names){.parent = parent, .name = name});
    if (c == NULL) {
        return;
    }
    const struct fs_node *here =
        c->target.kind == FS_TARGET_KEY
            ? fs_node_find(c->fs, false, buf_bytes(&c->target.key))
            : NULL;
    if (c->target.kind != FS_TARGET_KEY || (here != NULL && here->pending)) {
        /* %root and the like are always there; %value is a file's name. */
        fs_reply_errno(c, c->target.kind == FS_TARGET_VALUE ? EINVAL : EEXIST);
        return;
    }
    struct kv_txn_spec *txn = fs_call_txn(c);
    const struct bytes below = buf_bytes(&c->target.below);
    if (!fs_key_is_marker(buf_bytes(&c->target.key))) {
        c->compares[txn->compares_count++] =
            (struct kv_compare){.keys = fs_target_key(&c->target),
                                .target = KV_COMPARE_CREATE,
                                .number = 0};
    }
    c->compares[txn->compares_count++] =
        (struct kv_compare){.keys = fs_target_below(&c->target),
                            .target = KV_COMPARE_CREATE,
                            .number = 0};
    c->success[0] = (struct kv_op){.type = KV_OP_PUT, .put = {.key = below}};
    c->success[1] = fs_op_group(below, buf_bytes(&c->target.end));
    txn->success_count = 2;
    fs_call_ask_within(c, c->target.parent, made);
}

/* --- RMDIR --- */

static void removed(struct fs_call *c)
{
    struct fs *fs = c->fs;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    const struct kv_op_result *results = c->txn.result.results;
    const struct bytes below = buf_bytes(&c->target.below);
    if (!c->txn.result.succeeded) {
        const bool any = results[0].range.items_count > 0;
        const bool file = results[1].range.items_count > 0;
        fs_reply_errno(c, any ? ENOTEMPTY : file ? ENOTDIR : ENOENT);
        return;
    }
    fs_events_own(fs, fs_call_revision(c), below, BYTES_NONE);
    fs_replay_overtake(fs, &c->target, fs_call_revision(c));
    struct fs_node *n = fs_node_find(fs, true, below);
    if (n != NULL && n->revision <= fs_call_revision(c)) {
        fs_node_end(fs, n, fs_call_revision(c));
    }
    fs_reply_errno(c, 0);
}

/* %root and continued names: nothing to remove, but they may not be empty. */
static void virtual_removed(struct fs_call *c)
{
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    fs_reply_errno(c, c->range.result.items_count > 0 ? ENOTEMPTY : 0);
}

static void remove_virtual(struct fs_call *c)
{
    struct kv_range_spec *range = fs_call_range(c);
    if (c->target.below.size == 0) {
        fs_reply_errno(c, EBUSY); /* %root stays */
        return;
    }
    *range = fs_op_key(fs_target_below(&c->target)).range;
    range->limit = 1;
    fs_call_ask(c, virtual_removed);
}

void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_call *c =
        fs_names_begin(req, &(struct fs_names){.parent = parent, .name = name});
    if (c == NULL) {
        return;
    }
    if (c->target.kind == FS_TARGET_VALUE) {
        fs_reply_errno(c, ENOTDIR);
        return;
    }
    const struct bytes below = buf_bytes(&c->target.below);
    if (fs_has_pending_below(c->fs, below)) {
        fs_reply_errno(c, ENOTEMPTY);
        return;
    }
    if (c->target.kind == FS_TARGET_DIRECTORY) {
        remove_virtual(c);
        return;
    }
    /* The marker is there and is no file; nothing comes behind it; the
     * directory has no value of its own. */
    struct kv_txn_spec *txn = fs_call_txn(c);
    buf_clear(&c->data);
    buf_append(&c->data, below);
    buf_append_byte(&c->data, 0);
    const struct kv_keys rest = {.key = buf_bytes(&c->data),
                                 .end = buf_bytes(&c->target.end)};
    c->compares[0] =
        (struct kv_compare){.keys = {.key = below}, .target = KV_COMPARE_VALUE};
    c->compares[1] =
        (struct kv_compare){.keys = rest, .target = KV_COMPARE_CREATE};
    txn->compares_count = 2;
    if (!fs_key_is_marker(buf_bytes(&c->target.key))) {
        c->compares[txn->compares_count++] = (struct kv_compare){
            .keys = fs_target_key(&c->target), .target = KV_COMPARE_CREATE};
    }
    c->success[0] = (struct kv_op){.type = KV_OP_DELETE_RANGE,
                                   .delete_range = {.keys = {.key = below}}};
    txn->success_count = 1;
    c->failure[0] = fs_op_group(below, buf_bytes(&c->target.end));
    c->failure[1] = fs_op_key(fs_target_key(&c->target));
    txn->failure_count = 2;
    fs_call_ask(c, removed);
}
