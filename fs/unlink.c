/* UNLINK, and what all calls begin with that change names. */

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/events.h"
#include "fs/handle.h"
#include "fs/handlers.h"
#include "fs/names.h"
#include "fs/replay.h"
#include "fs/target.h"

static int may_change(struct fs_call *c, struct fs_target *t, fuse_ino_t parent,
                      const char *name)
{
    const int error = fs_target_resolve(c, t, parent, name);
    if (error != 0) {
        return error;
    }
    if (t->parent->gone) {
        return ESTALE;
    }
    const struct fs_asker who = fs_asker_of(c->req);
    if (!fs_may(c->fs, t->parent, &who, W_OK | X_OK)) {
        return EACCES;
    }
    fs_call_locks(c, t->parent);
    return 0;
}

struct fs_call *fs_names_begin(fuse_req_t req, const struct fs_names *names)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_WRITES);
    if (c == NULL) {
        return NULL;
    }
    int error = may_change(c, &c->target, names->parent, names->name);
    if (error == 0 && names->other_name != NULL) {
        error =
            may_change(c, &c->other, names->other_parent, names->other_name);
        c->renames = names->parent != names->other_parent;
        fs->renames_parked += c->renames ? 1 : 0;
    }
    if (error == 0 && !fs_is_writable(fs)) {
        error = EROFS;
    }
    if (error != 0) {
        fs_reply_errno(c, error);
        return NULL;
    }
    return c;
}

static void unlink_ask(struct fs_call *c);

static void unlinked(struct fs_call *c)
{
    struct fs *fs = c->fs;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (!c->txn.result.succeeded) {
        const struct fs_found found =
            fs_target_found(&c->target, c->txn.result.results);
        if (found.directory != NULL) {
            fs_reply_errno(c, EISDIR);
            return;
        }
        /* A file that only this mount has seen goes without a revision. */
        struct fs_node *n = fs_node_find(fs, false, buf_bytes(&c->target.key));
        if (n != NULL && n->pending) {
            if (fs_waits_for_file(c, &c->target, unlink_ask)) {
                return; /* it has begun to be published meanwhile */
            }
            fs_node_end(fs, n, n->revision);
            fs_reply_errno(c, 0);
            return;
        }
        if (n != NULL && n->revision > fs_call_revision(c)) {
            unlink_ask(c); /* published, or looked up, since this was asked */
            return;
        }
        fs_reply_errno(c, ENOENT);
        return;
    }
    const int64_t revision = fs_call_revision(c);
    const struct kv_range_result *was = &c->txn.result.results[0].range;
    must(was->items_count == 1); /* compared by this very transaction */
    fs_events_own(fs, revision, BYTES_NONE, BYTES_NONE);
    fs_replay_overtake(fs, &c->target, revision);
    const uint64_t ino = fs_ino_of(&was->items[0]);
    if (fs_key_is_marker(buf_bytes(&c->target.key))) {
        struct fs_node *n = fs_node_find_ino(fs, ino);
        if (n != NULL && n->revision <= revision) {
            fs_node_replace(fs, n, revision); /* the key lives on */
        }
    } else {
        fs_node_unlinked(fs, buf_bytes(&c->target.key), ino, revision);
    }
    fs_reply_errno(c, 0);
}

/* Publications on their way out would come after the file has gone. */
bool fs_waits_for_file(struct fs_call *c, const struct fs_target *t,
                       void (*next)(struct fs_call *c))
{
    struct fs_node *n = fs_node_find(c->fs, false, buf_bytes(&t->key));
    if (n == NULL) {
        return false;
    }
    if (n->closing > 0) {
        fs_call_wait(c, &n->waiters, next);
        return true;
    }
    list_each (at, &n->handles) {
        struct fs_handle *h = container_of(at, struct fs_handle, node_link);
        if (h->publication.running) {
            fs_call_wait(c, &h->waiters, next);
            return true;
        }
    }
    return false;
}

static void unlink_ask(struct fs_call *c)
{
    if (fs_waits_for_file(c, &c->target, unlink_ask)) {
        return;
    }
    struct kv_txn_spec *txn = fs_call_txn(c);
    const struct kv_keys key = fs_target_key(&c->target);
    if (fs_key_is_marker(key.key)) {
        /* With an empty value it is the directory's marker, not a file. */
        c->compares[0] = (struct kv_compare){.keys = key,
                                             .target = KV_COMPARE_VALUE,
                                             .result = KV_COMPARE_NOT_EQUAL};
    } else {
        c->compares[0] = (struct kv_compare){.keys = key,
                                             .target = KV_COMPARE_CREATE,
                                             .result = KV_COMPARE_GREATER};
    }
    txn->compares_count = 1;
    if (c->target.kind == FS_TARGET_KEY) {
        c->compares[txn->compares_count++] = (struct kv_compare){
            .keys = fs_target_below(&c->target), .target = KV_COMPARE_CREATE};
    }
    /* The directory stays, whose marker's value was the file. */
    c->success[0] = fs_op_key(key); /* which file it is */
    c->success[1] =
        fs_key_is_marker(key.key)
            ? (struct kv_op){.type = KV_OP_PUT,
                             .put = {.key = key.key, .keep_lease = true}}
            : (struct kv_op){.type = KV_OP_DELETE_RANGE,
                             .delete_range = {.keys = key}};
    txn->success_count = 2;
    txn->failure_count = fs_target_look(&c->target, c->failure);
    fs_call_ask(c, unlinked);
}

void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_call *c =
        fs_names_begin(req, &(struct fs_names){.parent = parent, .name = name});
    if (c == NULL) {
        return;
    }
    if (c->target.kind == FS_TARGET_DIRECTORY) {
        fs_reply_errno(c, EISDIR);
        return;
    }
    unlink_ask(c);
}
