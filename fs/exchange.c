/* RENAME_EXCHANGE where at least one side is a directory.
 *
 * All that is called by one name changes places with all that is called by the
 * other: the keys A and A/… with B and B/…, in one transaction.  A key that has
 * a counterpart is exchanged with it, the others move.  The store takes only so
 * many operations at once; beyond that it is EXDEV.
 */

#include "fs/exchange.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "fs/events.h"
#include "fs/path.h"
#include "fs/replay.h"
#include "fs/target.h"

#define OPS_MAX 96 /* below the store's limit */

struct side {
    struct bytes suffixes[OPS_MAX + 1]; /* behind the name; owned, sorted */
    size_t count;
    int64_t mod_revision; /* of the name's own key; 0: none */
};

struct fs_exchange {
    struct side sides[2];
    struct kv_op ops[2 * OPS_MAX + 2];
    struct buf keys[2 * (2 * OPS_MAX + 2)];
    size_t ops_count;
};

static void release(void *exchange)
{
    struct fs_exchange *x = exchange;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < x->sides[i].count; j++) {
            free((void *)(uintptr_t)x->sides[i].suffixes[j].data);
        }
    }
    for (size_t i = 0; i < count_of(x->keys); i++) {
        buf_fini(&x->keys[i]);
    }
    free(x);
}

static void add_suffix(struct side *s, const struct kv_item *item,
                       size_t name_size)
{
    const struct bytes suffix = bytes_after(item->key, name_size);
    uint8_t *copy = xmalloc(suffix.size + 1);
    memcpy(copy, suffix.data, suffix.size);
    s->suffixes[s->count++] = (struct bytes){copy, suffix.size};
}

/* The name's key and all below it; false: too many. */
static bool take_side(struct side *s, const struct fs_target *t,
                      const struct kv_op_result *own,
                      const struct kv_op_result *below)
{
    if (below->range.items_count > OPS_MAX - 1) {
        return false;
    }
    if (own->range.items_count > 0) {
        s->mod_revision = own->range.items[0].mod_revision;
        add_suffix(s, &own->range.items[0], t->key.size);
    }
    for (size_t i = 0; i < below->range.items_count; i++) {
        add_suffix(s, &below->range.items[i], t->key.size);
    }
    return true;
}

static struct bytes full_key(struct fs_exchange *x, const struct fs_target *t,
                             struct bytes suffix, size_t which)
{
    struct buf *key = &x->keys[2 * x->ops_count + which];
    buf_append(key, buf_bytes(&t->key));
    buf_append(key, suffix);
    return buf_bytes(key);
}

static void add_move(struct fs_exchange *x, const struct fs_target *from,
                     const struct fs_target *to, struct bytes suffix,
                     bool exchange)
{
    const struct kv_move move = {.from = full_key(x, from, suffix, 0),
                                 .to = full_key(x, to, suffix, 1),
                                 .exchange = exchange};
    x->ops[x->ops_count++] = (struct kv_op){.type = KV_OP_MOVE, .move = move};
}

/* Both sides are sorted: one walk finds the pairs. */
static void pair_up(struct fs_call *c, struct fs_exchange *x)
{
    const struct side *a = &x->sides[0];
    const struct side *b = &x->sides[1];
    size_t i = 0;
    size_t j = 0;
    while (i < a->count || j < b->count) {
        const int order = i == a->count ? 1
                          : j == b->count
                              ? -1
                              : bytes_compare(a->suffixes[i], b->suffixes[j]);
        if (order < 0) {
            add_move(x, &c->target, &c->other, a->suffixes[i++], false);
        } else if (order > 0) {
            add_move(x, &c->other, &c->target, b->suffixes[j++], false);
        } else {
            add_move(x, &c->target, &c->other, a->suffixes[i++], true);
            j++;
        }
    }
}

/* Neither the nodes of one side nor of the other may be in each other's way.
 * The files that have the names themselves are found by what they are. */
static void swap_nodes(struct fs *fs, const struct fs_target *a,
                       const struct fs_target *b, int64_t revision)
{
    static const uint8_t aside[] = {0, '/'};
    const struct bytes between = {aside, sizeof aside};
    fs_nodes_move_below(fs, buf_bytes(&a->below), between, revision);
    fs_nodes_move_below(fs, buf_bytes(&b->below), buf_bytes(&a->below),
                        revision);
    fs_nodes_move_below(fs, between, buf_bytes(&b->below), revision);
}

static void swapped(struct fs_call *c)
{
    struct fs *fs = c->fs;
    const enum status st = fs_call_status(c);
    if (st != ST_OK) {
        fs_reply_status(c, st);
        return;
    }
    if (!c->txn.result.succeeded) {
        fs_exchange_names(c); /* somebody was faster */
        return;
    }
    const int64_t revision = fs_call_revision(c);
    fs_events_own(fs, revision, buf_bytes(&c->target.below),
                  buf_bytes(&c->other.below));
    fs_replay_overtake(fs, &c->target, revision);
    fs_replay_overtake(fs, &c->other, revision);
    swap_nodes(fs, &c->target, &c->other, revision);
    fs_reply_errno(c, 0);
}

static struct kv_compare unchanged(struct kv_keys keys, int64_t mod_revision,
                                   enum kv_compare_result result)
{
    return (struct kv_compare){.keys = keys,
                               .target = KV_COMPARE_MOD,
                               .result = result,
                               .number = mod_revision};
}

static void looked(struct fs_call *c)
{
    const enum status st = fs_call_status(c);
    if (st != ST_OK) {
        fs_reply_status(c, st);
        return;
    }
    const struct kv_op_result *results = c->txn.result.results;
    const int64_t revision = fs_call_revision(c);
    struct fs_exchange *x = xcalloc(1, sizeof *x);
    fs_call_keep(c, x, release);
    if (!take_side(&x->sides[0], &c->target, &results[0], &results[1]) ||
        !take_side(&x->sides[1], &c->other, &results[2], &results[3])) {
        fs_reply_errno(c, EXDEV);
        return;
    }
    if (x->sides[0].count == 0 || x->sides[1].count == 0) {
        fs_reply_errno(c, ENOENT);
        return;
    }
    pair_up(c, x);
    if (x->ops_count > OPS_MAX) {
        fs_reply_errno(c, EXDEV);
        return;
    }
    struct kv_txn_spec *txn = fs_call_txn(c);
    c->compares[0] = unchanged(fs_target_key(&c->target),
                               x->sides[0].mod_revision, KV_COMPARE_EQUAL);
    c->compares[1] = unchanged(fs_target_key(&c->other),
                               x->sides[1].mod_revision, KV_COMPARE_EQUAL);
    c->compares[2] =
        unchanged(fs_target_below(&c->target), revision + 1, KV_COMPARE_LESS);
    c->compares[3] =
        unchanged(fs_target_below(&c->other), revision + 1, KV_COMPARE_LESS);
    txn->compares_count = 4;
    txn->success = x->ops;
    txn->success_count = x->ops_count;
    fs_call_ask(c, swapped);
}

void fs_exchange_names(struct fs_call *c)
{
    struct kv_txn_spec *txn = fs_call_txn(c);
    const struct fs_target *targets[] = {&c->target, &c->other};
    if (c->target.kind != FS_TARGET_KEY || c->other.kind != FS_TARGET_KEY ||
        fs_key_is_marker(buf_bytes(&c->target.key)) ||
        fs_key_is_marker(buf_bytes(&c->other.key))) {
        fs_reply_errno(c, EINVAL); /* names that stand for one key only */
        return;
    }
    if (bytes_starts_with(buf_bytes(&c->target.key),
                          buf_bytes(&c->other.below)) ||
        bytes_starts_with(buf_bytes(&c->other.key),
                          buf_bytes(&c->target.below))) {
        /* The kernel refuses it where it knows; but it may not have heard yet
         * that one was moved into the other. */
        fs_reply_errno(c, EINVAL);
        return;
    }
    for (size_t i = 0; i < count_of(targets); i++) {
        c->success[2 * i] = fs_op_key(fs_target_key(targets[i]));
        c->success[2 * i + 1] = fs_op_key(fs_target_below(targets[i]));
        c->success[2 * i + 1].range.limit = OPS_MAX;
    }
    txn->success_count = 4;
    fs_call_ask(c, looked);
}
