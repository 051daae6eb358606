/* What this mount's own calls have told already.
 *
 * A call that makes, removes or renames a name produces its events when it is
 * answered.  Changes from before it may still wait for their replay, may be
 * under way, or may not even have come through the watch: told later, they
 * would say that what exists is gone, or the other way round.  So each call
 * takes its names, as of its revision, until the watch is past that.
 */

#include <stdlib.h>

#include "base/must.h"
#include "fs/events.h"
#include "fs/pace.h"
#include "fs/replay.h"

#define TAKES_MAX                                                              \
    65536 /* then the oldest may be told late, as somebody else's */

struct take {
    struct omap_node by_name;
    struct list link; /* the last changed is the last */
    int64_t revision;
    struct buf below; /* the name, as fs_place.below */
};

static void forget_node(struct fs *fs, struct fs_op *op)
{
    fs_node_drop(fs, op->node); /* its life is no longer the queue's */
    op->node = NULL;
}

bool fs_op_reduce(struct fs *fs, struct fs_op *op, bool first, bool second)
{
    fs_op_follow(fs, op);
    fs_pace_forget(op);
    if (!op->has_other || (first && second)) {
        forget_node(fs, op);
        return false;
    }
    const bool directory = op->type == FS_OP_RENAME && op->item.ino == 0;
    if (op->type == FS_OP_EXCHANGE) {
        op->type = FS_OP_MODIFY; /* of what has the name since */
        forget_node(fs, op);
        op->item.ino = 0;
    } else if (first) {
        op->type = directory ? FS_OP_MKDIR : FS_OP_CREATE;
    } else {
        op->type = directory ? FS_OP_RMDIR : FS_OP_UNLINK;
        forget_node(fs, op); /* what had the name lives elsewhere */
        op->item.ino = 0;
    }
    if (first) {
        const struct fs_place rest = op->other;
        fs_place_fini(&op->place);
        op->place = rest;
    } else {
        fs_place_fini(&op->other);
    }
    op->other = (struct fs_place){.path = {.size = 0}};
    op->has_other = false;
    /* A file's key; a directory's own value has no name below. */
    const struct bytes below = buf_bytes(
        op->place.below.size > 0 ? &op->place.below : &op->place.directory);
    buf_clear(&op->key);
    buf_append(&op->key, (struct bytes){below.data, below.size - 1});
    return true;
}

/* Whether what the operation says of names is older than that. */
static bool is_older(const struct fs_op *op, int64_t revision)
{
    return op->revision < revision && op->type != FS_OP_STAT &&
           op->type != FS_OP_TRUNCATE;
}

static bool is_at(const struct fs_place *p, struct bytes below)
{
    return bytes_equal(buf_bytes(&p->below), below);
}

static void overtake(struct fs *fs, struct list *in, struct bytes below,
                     int64_t revision)
{
    list_each_safe (at, in) {
        struct fs_op *op = container_of(at, struct fs_op, link);
        const bool first = is_at(&op->place, below);
        const bool second = op->has_other && is_at(&op->other, below);
        if ((!first && !second) || op->told || !is_older(op, revision)) {
            continue;
        }
        if (op->running) {
            op->overtaken[0] |= first;
            op->overtaken[1] |= second;
        } else if (!fs_op_reduce(fs, op, first, second)) {
            fs_op_finish(fs, op);
        }
    }
}

static struct take *take_of(struct fs_replay *r, struct bytes below)
{
    struct omap_node *at =
        below.size == 0 ? NULL : omap_find(&r->takes_by_name, below);
    return at == NULL ? NULL : container_of(at, struct take, by_name);
}

static void give_back(struct fs_replay *r, struct take *t)
{
    list_remove(&t->link);
    omap_remove(&r->takes_by_name, &t->by_name);
    buf_fini(&t->below);
    free(t);
}

static void take(struct fs_replay *r, struct bytes below, int64_t revision)
{
    struct take *t = take_of(r, below);
    if (t == NULL && r->takes_by_name.count == TAKES_MAX) {
        give_back(r, container_of(r->takes.next, struct take, link));
    }
    if (t == NULL) {
        t = xcalloc(1, sizeof *t);
        list_init(&t->link);
        buf_append(&t->below, below);
        t->by_name.key = buf_bytes(&t->below);
        struct omap_node *other = omap_insert(&r->takes_by_name, &t->by_name);
        must(other == NULL);
    }
    t->revision = revision > t->revision ? revision : t->revision;
    list_remove(&t->link);
    list_push(&r->takes, &t->link);
}

void fs_replay_overtake(struct fs *fs, const struct fs_target *t,
                        int64_t revision)
{
    struct fs_replay *r = fs->replay;
    if (r == NULL || t->kind == FS_TARGET_VALUE) {
        return;
    }
    const struct bytes below = buf_bytes(&t->below);
    overtake(fs, &r->resting, below, revision);
    overtake(fs, &r->queue, below, revision);
    if (!fs_events_are_past(fs, revision - 1)) {
        take(r, below, revision);
    }
}

bool fs_overtake_new(struct fs *fs, struct fs_op *op)
{
    struct fs_replay *r = fs->replay;
    const struct take *a = take_of(r, buf_bytes(&op->place.below));
    const struct take *b =
        op->has_other ? take_of(r, buf_bytes(&op->other.below)) : NULL;
    const bool first = a != NULL && is_older(op, a->revision);
    const bool second = b != NULL && is_older(op, b->revision);
    return (!first && !second) || fs_op_reduce(fs, op, first, second);
}

void fs_overtake_forget(struct fs *fs, int64_t revision)
{
    struct fs_replay *r = fs->replay;
    list_each_safe (at, &r->takes) {
        struct take *t = container_of(at, struct take, link);
        if (t->revision > revision) {
            break;
        }
        give_back(r, t);
    }
}
