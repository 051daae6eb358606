/* LOOKUP: (directory, name) -> entry.
 *
 * A name that is there may be answered from applied state: the call that ends
 * the walk confirms it.  That there is none is confirmed with the leader.
 */

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/handlers.h"
#include "fs/target.h"

static void ask(struct fs_call *c, bool serializable);

static void looked(struct fs_call *c)
{
    struct fs *fs = c->fs;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    const int64_t revision = fs_call_revision(c);
    const struct fs_found found =
        fs_target_found(&c->target, c->txn.result.results);
    if (found.directory != NULL) {
        fs_reply_entry(c, fs_node_of_directory(fs, buf_bytes(&c->target.below),
                                               found.directory, revision));
        return;
    }
    if (found.file != NULL) {
        fs_reply_entry(c, fs_node_of_item(fs, found.file, revision));
        return;
    }
    struct fs_node *here = fs_node_find(fs, false, buf_bytes(&c->target.key));
    if (here != NULL && here->pending) {
        fs_reply_entry(c, here); /* created here, not yet published */
        return;
    }
    if (c->success[0].range.serializable &&
        fs->options.consistency == FS_LINEARIZABLE) {
        fs_call_locks(c, c->target.parent); /* shared, in the kernel */
        fs_intent_begin(c);
        ask(c, false);
        return;
    }
    fs_reply_errno(c, ENOENT);
}

static void ask(struct fs_call *c, bool serializable)
{
    struct kv_txn_spec *txn = fs_call_txn(c);
    txn->success_count = fs_target_look(&c->target, c->success);
    c->success[0].range.serializable = serializable;
    fs_call_ask(c, looked);
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_call *c =
        fs_call_begin(fuse_req_userdata(req), req, FS_CALL_READS);
    if (c == NULL) {
        return;
    }
    const int error = fs_target_resolve(c, &c->target, parent, name);
    if (error != 0) {
        fs_reply_errno(c, error == EINVAL ? ENOENT : error);
        return;
    }
    const struct fs_asker who = fs_asker_of(req);
    if (!fs_may(c->fs, c->target.parent, &who, X_OK)) {
        fs_reply_errno(c, EACCES);
        return;
    }
    if (c->target.kind == FS_TARGET_DIRECTORY) {
        /* Always there by name, so that keys can be created below it. */
        fs_reply_entry(c, fs_node_of_directory(
                              c->fs, buf_bytes(&c->target.below), NULL, 0));
        return;
    }
    ask(c, c->fs->options.consistency == FS_SERIALIZABLE ||
               !fs_call_walks_again(c));
}

void fs_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups)
{
    fs_node_forget(fuse_req_userdata(req), id, lookups);
    fuse_reply_none(req);
}

void fs_forget_multi(fuse_req_t req, size_t count,
                     struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++) {
        fs_node_forget(fuse_req_userdata(req), forgets[i].ino,
                       forgets[i].nlookup);
    }
    fuse_reply_none(req);
}
