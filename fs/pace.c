/* Modifications that rest: at most one for each file. */

#include "fs/pace.h"

#include "base/must.h"

#define LOOK_AFTER    200         /* modifications, ... */
#define LOOK_AFTER_NS 250000000LL /* ... and so much later */

static bool is_modification(const struct fs_op *op)
{
    return op->type == FS_OP_MODIFY || op->type == FS_OP_TRUNCATE;
}

static int64_t interval_ns(const struct fs_pace *p)
{
    return 1000000000LL / (p->unwatched ? FS_PACE_UNWATCHED : FS_PACE_WATCHED);
}

/* A leaky bucket: each modification uses up an interval, and they may be ahead
 * of the clock by as many as the burst has. */
static int64_t free_ns(const struct fs_pace *p)
{
    return p->used_ns - FS_PACE_BURST * interval_ns(p);
}

static bool may_go(const struct fs *fs)
{
    return free_ns(&fs->replay->pace) <= fs->now_ns;
}

static void use_up(struct fs *fs)
{
    struct fs_pace *p = &fs->replay->pace;
    p->used_ns =
        (p->used_ns > fs->now_ns ? p->used_ns : fs->now_ns) + interval_ns(p);
}

void fs_pace_forget(struct fs_op *op)
{
    if (op->resting) {
        must(op->node->resting == op);
        op->node->resting = NULL;
        op->resting = false;
    }
}

static void awake(struct fs *fs, struct fs_op *op)
{
    struct fs_replay *r = fs->replay;
    fs_pace_forget(op);
    list_remove(&op->link);
    list_push(&r->queue, &op->link);
    use_up(fs);
}

static void set_alarm(struct fs *fs)
{
    struct fs_replay *r = fs->replay;
    if (!list_is_empty(&r->resting)) {
        fs_timer_set(fs, &r->pace.alarm, free_ns(&r->pace));
    }
}

static void on_alarm(struct fs *fs, struct fs_timer *timer)
{
    (void)timer;
    struct fs_replay *r = fs->replay;
    while (!list_is_empty(&r->resting) && may_go(fs)) {
        awake(fs, container_of(r->resting.next, struct fs_op, link));
    }
    set_alarm(fs);
    fs_replay_dispatch(fs);
}

void fs_pace_init(struct fs_replay *r)
{
    list_init(&r->resting);
    r->pace.alarm.fire = on_alarm;
}

/* Whoever saw the earlier one will see this one's value. */
static bool join(struct fs *fs, struct fs_op *earlier, struct fs_op *op)
{
    if (!bytes_equal(buf_bytes(&earlier->key), buf_bytes(&op->key))) {
        return false;
    }
    if (op->type == FS_OP_MODIFY) {
        earlier->type = FS_OP_MODIFY; /* which tells more than TRUNCATE */
        earlier->item = op->item;
    }
    if (op->revision > earlier->revision) {
        earlier->revision = op->revision;
    }
    fs_op_free(fs, op);
    return true;
}

bool fs_pace_take(struct fs *fs, struct fs_op *op)
{
    struct fs_replay *r = fs->replay;
    if (!is_modification(op)) {
        list_each_safe (at, &r->resting) {
            struct fs_op *earlier = container_of(at, struct fs_op, link);
            if (fs_op_conflicts(earlier, op)) {
                awake(fs, earlier);
            }
        }
        return false;
    }
    r->pace.told++;
    if (op->node == NULL && op->item.ino != 0) {
        struct fs_node *n = fs_node_find_ino(fs, op->item.ino);
        op->node = n == NULL ? NULL : fs_node_hold(n);
    }
    struct fs_op *earlier = op->node != NULL ? op->node->resting : NULL;
    if (earlier != NULL && join(fs, earlier, op)) {
        return true;
    }
    if (!fs_op_is_wanted(fs, op)) {
        fs_op_free(fs, op);
        return true;
    }
    if (op->node == NULL || earlier != NULL ||
        (may_go(fs) && list_is_empty(&r->resting))) {
        if (earlier != NULL) {
            awake(fs, earlier); /* renamed in between: in order */
        }
        use_up(fs);
        return false;
    }
    op->node->resting = op;
    op->resting = true;
    list_push(&r->resting, &op->link);
    r->queued++;
    set_alarm(fs);
    return true;
}

bool fs_pace_looks(struct fs *fs, const struct fs_op *op)
{
    struct fs_pace *p = &fs->replay->pace;
    if (!is_modification(op) || p->told < LOOK_AFTER ||
        fs->now_ns - p->looked_ns < LOOK_AFTER_NS) {
        return false;
    }
    p->told = 0;
    p->looked_ns = fs->now_ns;
    return true;
}

void fs_pace_saw(struct fs *fs, bool watched)
{
    struct fs_pace *p = &fs->replay->pace;
    if (p->unwatched == watched) {
        p->unwatched = !watched;
        p->used_ns = fs->now_ns; /* in other units from now on */
        set_alarm(fs);
    }
}
