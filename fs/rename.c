/* RENAME: one transaction.
 *
 *   files        first tried as what it mostly is, a file onto a name that is
 *                no directory; what is there instead comes back when it is not
 *   directories  all keys below move, and the directory's own value with them
 *   exchange     two files change places; with directories: fs/exchange.c
 *
 * The compares name what was seen; when they fail for another reason than the
 * ones that have an errno, somebody was faster and it is tried again.
 */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/must.h"
#include "fs/events.h"
#include "fs/exchange.h"
#include "fs/handle.h"
#include "fs/handlers.h"
#include "fs/names.h"
#include "fs/replay.h"
#include "fs/target.h"

static void rename_ask(struct fs_call *c);

/* The call has told what both names are now. */
static void overtake(struct fs_call *c, int64_t revision)
{
    fs_replay_overtake(c->fs, &c->target, revision);
    fs_replay_overtake(c->fs, &c->other, revision);
}

static struct kv_compare is_absent(struct kv_keys keys)
{
    return (struct kv_compare){.keys = keys, .target = KV_COMPARE_CREATE};
}

static struct kv_compare is_file(const struct fs_target *t)
{
    const struct kv_keys key = fs_target_key(t);
    return fs_key_is_marker(key.key)
               ? (struct kv_compare){.keys = key,
                                     .target = KV_COMPARE_VALUE,
                                     .result = KV_COMPARE_NOT_EQUAL}
               : (struct kv_compare){.keys = key,
                                     .target = KV_COMPARE_CREATE,
                                     .result = KV_COMPARE_GREATER};
}

/* Moves need a store that has them; elsewhere programs copy. */
static void reply_failure(struct fs_call *c, enum status st)
{
    if (st == ST_UNSUPPORTED) {
        fs_reply_errno(c, EXDEV);
        return;
    }
    fs_reply_status(c, st);
}

/* --- directories --- */

static void directory_moved(struct fs_call *c)
{
    struct fs *fs = c->fs;
    const enum status st = fs_call_status(c);
    if (st != ST_OK) {
        reply_failure(c, st);
        return;
    }
    const struct kv_txn_result *r = &c->txn.result;
    if (!r->succeeded) {
        const bool file = r->results[0].range.items_count > 0;
        const bool directory = r->results[1].range.items_count > 0;
        const int error = !file && !directory                  ? 0
                          : (c->flags & RENAME_NOREPLACE) != 0 ? EEXIST
                          : directory                          ? ENOTEMPTY
                                                               : ENOTDIR;
        if (error != 0) {
            fs_reply_errno(c, error);
        } else {
            rename_ask(c); /* what was in the way has gone */
        }
        return;
    }
    const int64_t revision = fs_call_revision(c);
    if (r->results[0].move.moved == 0) {
        rename_ask(c); /* the directory has gone: see what there is now */
        return;
    }
    const struct bytes from = buf_bytes(&c->target.below);
    const struct bytes to = buf_bytes(&c->other.below);
    fs_events_own(fs, revision, to, from);
    overtake(c, revision);
    fs_nodes_move_below(fs, from, to, revision);
    fs_reply_errno(c, 0);
}

/* Within one directory what is moved proves that it is there. */
static void ask_with_new_parent(struct fs_call *c,
                                void (*next)(struct fs_call *c))
{
    if (c->other.parent == c->target.parent) {
        fs_call_ask(c, next);
    } else {
        fs_call_ask_within(c, c->other.parent, next);
    }
}

static void move_directory(struct fs_call *c)
{
    struct kv_txn_spec *txn = fs_call_txn(c);
    const struct bytes from = buf_bytes(&c->target.below);
    const struct bytes to = buf_bytes(&c->other.below);
    /* The new name may be an empty directory: its marker and nothing else. */
    const bool replaces = (c->flags & RENAME_NOREPLACE) == 0;
    if (fs_has_pending_below(c->fs, to)) {
        fs_reply_errno(c, replaces ? ENOTEMPTY : EEXIST);
        return;
    }
    buf_clear(&c->data);
    buf_append(&c->data, to);
    if (replaces) {
        buf_append_byte(&c->data, 0);
    }
    const struct kv_keys rest = {.key = buf_bytes(&c->data),
                                 .end = buf_bytes(&c->other.end)};
    c->compares[0] = is_absent(fs_target_key(&c->other));
    c->compares[1] = is_absent(rest);
    txn->compares_count = 2;
    c->success[0] = (struct kv_op){
        .type = KV_OP_MOVE, .move = {.from = from, .to = to, .prefix = true}};
    txn->success_count = 1;
    if (!fs_key_is_marker(buf_bytes(&c->target.key))) {
        c->success[txn->success_count++] =
            (struct kv_op){.type = KV_OP_MOVE,
                           .move = {.from = buf_bytes(&c->target.key),
                                    .to = buf_bytes(&c->other.key)}};
    }
    txn->failure_count = fs_target_look(&c->other, c->failure);
    ask_with_new_parent(c, directory_moved);
}

/* --- files --- */

/* What a move of a file answers. */
enum { SOURCE, REPLACED, MOVE, MOVED, MOVE_OPS };

/* What stands in the way of a plain move; 0: nothing any more. */
static int obstacle(const struct fs_call *c, struct fs_found from,
                    struct fs_found to)
{
    if (from.file == NULL && from.directory == NULL) {
        return ENOENT;
    }
    if ((c->flags & RENAME_NOREPLACE) != 0 &&
        (to.file != NULL || to.directory != NULL)) {
        return EEXIST;
    }
    if (from.directory == NULL && to.directory != NULL) {
        return EISDIR;
    }
    if (from.directory != NULL && to.file != NULL && to.directory == NULL) {
        return ENOTDIR;
    }
    return 0;
}

/* The table after this mount's own move: who was there the answer says. */
static void file_is_moved(struct fs_call *c)
{
    struct fs *fs = c->fs;
    const struct kv_op_result *results = c->txn.result.results;
    const int64_t revision = fs_call_revision(c);
    must(results[MOVED].range.items_count == 1); /* put there just now */
    const struct kv_item *item = &results[MOVED].range.items[0];
    fs_events_own(fs, revision, BYTES_NONE, BYTES_NONE);
    overtake(c, revision);
    struct fs_node *n =
        fs_node_find_ino(fs, fs_ino_of(&results[SOURCE].range.items[0]));
    struct fs_node *old = NULL;
    if (results[REPLACED].range.items_count > 0) {
        old =
            fs_node_find_ino(fs, fs_ino_of(&results[REPLACED].range.items[0]));
    }
    struct fs_node *pending = fs_node_find(fs, false, buf_bytes(&c->other.key));
    if (pending != NULL && pending->pending) {
        fs_node_end(fs, pending, revision);
    }
    if (old != NULL && old->revision <= revision) {
        fs_node_replace(fs, old, revision); /* its life may go on as n's */
    }
    if (n != NULL && !n->gone && n->revision <= revision) {
        fs_node_move(fs, n, buf_bytes(&c->other.key), revision);
        fs_node_adopt(fs, n, item, revision);
    }
    struct fs_node *left =
        fs_node_find_before(fs, buf_bytes(&c->target.key), revision + 1);
    if (left != NULL) {
        fs_node_displace(fs, left, revision); /* not what was moved just now */
    }
}

static void file_moved(struct fs_call *c)
{
    const enum status st = fs_call_status(c);
    if (st != ST_OK) {
        reply_failure(c, st);
        return;
    }
    if (!c->txn.result.succeeded) {
        const struct kv_op_result *results = c->txn.result.results;
        const size_t skip = c->target.kind == FS_TARGET_VALUE ? 1 : 2;
        const struct fs_found from = fs_target_found(&c->target, results);
        const struct fs_found to = fs_target_found(&c->other, results + skip);
        const int error = obstacle(c, from, to);
        if (error != 0) {
            fs_reply_errno(c, error);
        } else if (from.directory == NULL) {
            rename_ask(c);
        } else if (c->other.kind != FS_TARGET_KEY) {
            fs_reply_errno(c, EINVAL); /* %value is a file's name */
        } else {
            move_directory(c);
        }
        return;
    }
    file_is_moved(c);
    fs_reply_errno(c, 0);
}

static void move_file(struct fs_call *c)
{
    struct kv_txn_spec *txn = fs_call_txn(c);
    size_t count = 0;
    c->compares[count++] = is_file(&c->target);
    if (c->target.kind == FS_TARGET_KEY) {
        c->compares[count++] = is_absent(fs_target_below(&c->target));
    }
    if (c->other.kind == FS_TARGET_KEY) {
        c->compares[count++] = is_absent(fs_target_below(&c->other));
    }
    if ((c->flags & RENAME_NOREPLACE) != 0) {
        c->compares[count++] = is_absent(fs_target_key(&c->other));
    }
    txn->compares_count = count;
    c->success[SOURCE] = fs_op_key(fs_target_key(&c->target));
    c->success[REPLACED] = fs_op_key(fs_target_key(&c->other));
    c->success[MOVE] =
        (struct kv_op){.type = KV_OP_MOVE,
                       .move = {.from = buf_bytes(&c->target.key),
                                .to = buf_bytes(&c->other.key),
                                .keep_target = true}};
    c->success[MOVED] = fs_op_key(fs_target_key(&c->other));
    txn->success_count = MOVE_OPS;
    size_t looks = fs_target_look(&c->target, c->failure);
    looks += fs_target_look(&c->other, c->failure + looks);
    txn->failure_count = looks;
    ask_with_new_parent(c, file_moved);
}

/* --- exchange --- */

static void exchanged(struct fs_call *c)
{
    struct fs *fs = c->fs;
    const enum status st = fs_call_status(c);
    if (st != ST_OK) {
        reply_failure(c, st);
        return;
    }
    if (!c->txn.result.succeeded) {
        const struct kv_op_result *results = c->txn.result.results;
        const size_t skip = c->target.kind == FS_TARGET_VALUE ? 1 : 2;
        const struct fs_found from = fs_target_found(&c->target, results);
        const struct fs_found to = fs_target_found(&c->other, results + skip);
        const bool all = (from.file != NULL || from.directory != NULL) &&
                         (to.file != NULL || to.directory != NULL);
        if (all) {
            fs_exchange_names(c); /* directories, or it was changed meanwhile */
        } else {
            fs_reply_errno(c, ENOENT);
        }
        return;
    }
    const int64_t revision = fs_call_revision(c);
    fs_events_own(fs, revision, BYTES_NONE, BYTES_NONE);
    overtake(c, revision);
    for (size_t i = 1; i < c->txn.result.results_count; i++) {
        const struct kv_range_result *r = &c->txn.result.results[i].range;
        must(r->items_count == 1); /* put there just now */
        fs_node_learn(fs, &r->items[0], revision);
    }
    fs_reply_errno(c, 0);
}

static void exchange(struct fs_call *c)
{
    struct kv_txn_spec *txn = fs_call_txn(c);
    const struct fs_target *targets[] = {&c->target, &c->other};
    size_t count = 0;
    size_t looks = 0;
    for (size_t i = 0; i < count_of(targets); i++) {
        c->compares[count++] = is_file(targets[i]);
        if (targets[i]->kind == FS_TARGET_KEY) {
            c->compares[count++] = is_absent(fs_target_below(targets[i]));
        }
        looks += fs_target_look(targets[i], c->failure + looks);
    }
    txn->compares_count = count;
    txn->failure_count = looks;
    c->success[0] = (struct kv_op){.type = KV_OP_MOVE,
                                   .move = {.from = buf_bytes(&c->target.key),
                                            .to = buf_bytes(&c->other.key),
                                            .exchange = true}};
    c->success[1] = fs_op_key(fs_target_key(&c->target));
    c->success[2] = fs_op_key(fs_target_key(&c->other));
    txn->success_count = 3;
    fs_call_ask(c, exchanged);
}

/* --- what both names need first --- */

static void settled(struct fs_call *c)
{
    if (c->handle->outcome != ST_OK) {
        fs_reply_status(c, c->handle->outcome);
        return;
    }
    rename_ask(c);
}

/* A file without a revision gets one, so that there is a key to move. */
static bool publishes_first(struct fs_call *c, const struct fs_target *t)
{
    const struct fs_node *n = fs_node_find(c->fs, false, buf_bytes(&t->key));
    if (n == NULL || !n->pending) {
        return false;
    }
    list_each (at, &n->handles) {
        struct fs_handle *h = container_of(at, struct fs_handle, node_link);
        if (h->writes) {
            c->handle = h;
            fs_call_wait(c, &h->waiters, settled);
            fs_publish(h, FS_PUBLISH_LATE);
            return true;
        }
    }
    return false;
}

static void rename_ask(struct fs_call *c)
{
    const bool swap = (c->flags & RENAME_EXCHANGE) != 0;
    if (fs_waits_for_file(c, &c->target, rename_ask) ||
        fs_waits_for_file(c, &c->other, rename_ask) ||
        publishes_first(c, &c->target) ||
        (swap && publishes_first(c, &c->other))) {
        return;
    }
    struct fs_node *there =
        fs_node_find(c->fs, false, buf_bytes(&c->other.key));
    if (there != NULL && there->pending && (c->flags & RENAME_NOREPLACE) != 0) {
        fs_reply_errno(c, EEXIST);
        return;
    }
    if (swap) {
        exchange(c);
    } else {
        move_file(c);
    }
}

void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
               fuse_ino_t other_parent, const char *other_name,
               unsigned int flags)
{
    struct fs_call *c =
        fs_names_begin(req, &(struct fs_names){.parent = parent,
                                               .name = name,
                                               .other_parent = other_parent,
                                               .other_name = other_name});
    if (c == NULL) {
        return;
    }
    if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 ||
        c->target.kind == FS_TARGET_DIRECTORY ||
        c->other.kind == FS_TARGET_DIRECTORY) {
        fs_reply_errno(c, EINVAL);
        return;
    }
    if (bytes_equal(buf_bytes(&c->target.key), buf_bytes(&c->other.key))) {
        fs_reply_errno(c, 0);
        return;
    }
    c->flags = (int)flags;
    rename_ask(c);
}
