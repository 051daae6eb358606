/* The queue of replays, and who does them.
 *
 * Operations are queued in the order of the changes.  One may overtake another
 * when they have nothing to do with each other: other files, neither within
 * what the other makes or removes, and not both about the names in one
 * directory.  One whose directory (or file) is
 * locked in the kernel by a parked local call waits, and those behind it that
 * depend on it; a helper that ran into such a lock would be stuck with it.
 */

#include "fs/replay.h"

#include <stdlib.h>

#include "base/must.h"
#include "fs/events.h"
#include "fs/pace.h"
#include "fs/target.h"

/* --- operations --- */

static bool place_set(struct fs *fs, struct fs_place *p, struct bytes key,
                      bool file, bool value)
{
    const struct bytes prefix = buf_bytes(&fs->prefix);
    if (value) {
        buf_append(&p->directory, key);
        buf_append_byte(&p->directory, '/');
        if (!fs_path_of(prefix, buf_bytes(&p->directory), false, &p->path)) {
            return false;
        }
        buf_append(&p->path, bytes_of("/" FS_VALUE_NAME));
        p->name = (struct fs_name){.text = FS_VALUE_NAME,
                                   .size = sizeof FS_VALUE_NAME - 1};
    } else {
        size_t directory_size;
        if (!fs_path_split(prefix, key, file, &directory_size, &p->name) ||
            !fs_path_of(prefix, key, file, &p->path)) {
            return false;
        }
        buf_append(&p->directory, (struct bytes){key.data, directory_size});
        buf_append(&p->below, key);
        if (file) {
            buf_append_byte(&p->below, '/');
        }
    }
    buf_append_byte(&p->path, 0);
    return true;
}

void fs_place_fini(struct fs_place *p)
{
    buf_fini(&p->directory);
    buf_fini(&p->below);
    buf_fini(&p->path);
}

struct fs_op *fs_op_new(struct fs *fs, enum fs_op_type type, struct bytes key,
                        bool file, bool value)
{
    struct fs_op *op = xcalloc(1, sizeof *op);
    list_init(&op->link);
    op->type = type;
    if (!place_set(fs, &op->place, key, file, value)) {
        fs_op_free(fs, op);
        return NULL;
    }
    buf_append(&op->key, key);
    return op;
}

bool fs_op_set_other(struct fs *fs, struct fs_op *op, struct bytes key,
                     bool file, bool value)
{
    op->has_other = place_set(fs, &op->other, key, file, value);
    return op->has_other;
}

void fs_op_free(struct fs *fs, struct fs_op *op)
{
    if (op == NULL) {
        return;
    }
    must(!op->running);
    must(list_is_empty(&op->link));
    fs_node_drop(fs, op->node);
    fs_node_drop(fs, op->other_node);
    fs_place_fini(&op->place);
    fs_place_fini(&op->other);
    buf_fini(&op->key);
    free(op);
}

/* --- which may run --- */

/* Whether the operation changes which names there are. */
static bool changes_names(const struct fs_op *op)
{
    switch (op->type) {
    case FS_OP_MODIFY:
    case FS_OP_ATTRIB:
    case FS_OP_TRUNCATE:
    case FS_OP_STAT:
        return false;
    case FS_OP_CREATE:
    case FS_OP_REPLACE:
    case FS_OP_UNLINK:
    case FS_OP_MKDIR:
    case FS_OP_RMDIR:
    case FS_OP_RENAME:
    case FS_OP_EXCHANGE:
        break;
    }
    return true;
}

static bool is_within(const struct fs_place *inner,
                      const struct fs_place *outer)
{
    return outer->below.size > 0 &&
           bytes_starts_with(buf_bytes(&inner->directory),
                             buf_bytes(&outer->below));
}

static bool places_conflict(const struct fs_place *a, const struct fs_place *b,
                            bool both_change_names)
{
    if (!bytes_equal(buf_bytes(&a->directory), buf_bytes(&b->directory))) {
        return is_within(a, b) || is_within(b, a);
    }
    return both_change_names ||
           (a->name.size == b->name.size &&
            memcmp(a->name.text, b->name.text, a->name.size) == 0);
}

/* Changes of one name, and of the names in one directory, come in order;
 * changes of different files need not. */
bool fs_op_conflicts(const struct fs_op *a, const struct fs_op *b)
{
    const bool both = changes_names(a) && changes_names(b);
    return places_conflict(&a->place, &b->place, both) ||
           (a->has_other && places_conflict(&a->other, &b->place, both)) ||
           (b->has_other && places_conflict(&a->place, &b->other, both)) ||
           (a->has_other && b->has_other &&
            places_conflict(&a->other, &b->other, both));
}

static struct fs_node *directory_of(struct fs *fs, const struct fs_place *p)
{
    return fs_node_find(fs, true, buf_bytes(&p->directory));
}

static bool is_locked(struct fs *fs, const struct fs_place *p)
{
    const struct fs_node *n = directory_of(fs, p);
    return n != NULL && n->mutations_parked > 0;
}

static bool can_run(struct fs *fs, const struct fs_op *op)
{
    if (is_locked(fs, &op->place) ||
        (op->has_other && is_locked(fs, &op->other)) ||
        (op->node != NULL && op->node->mutations_parked > 0)) {
        return false;
    }
    return !op->has_other || fs->renames_parked == 0 ||
           bytes_equal(buf_bytes(&op->place.directory),
                       buf_bytes(&op->other.directory));
}

/* A file of that name is being made here. */
static bool is_being_made(struct fs *fs, const struct fs_place *p)
{
    const struct bytes below = buf_bytes(&p->below);
    const struct fs_node *n =
        below.size == 0
            ? NULL
            : fs_node_find(fs, false,
                           (struct bytes){below.data, below.size - 1});
    return n != NULL && n->pending;
}

/* Whether the kernel holds what the operation is about. */
bool fs_op_is_wanted(struct fs *fs, const struct fs_op *op)
{
    const struct fs_node *d = directory_of(fs, &op->place);
    if (op->type == FS_OP_UNLINK && is_being_made(fs, &op->place)) {
        return false; /* the name stays, of another file */
    }
    if (op->type == FS_OP_STAT || op->type == FS_OP_TRUNCATE) {
        return op->node->lookups > 0 && !op->node->gone;
    }
    return (d != NULL && (d->lookups > 0 || d == fs->root)) ||
           (op->node != NULL && op->node->lookups > 0);
}

/* --- running --- */

/* A directory gets its new name in the table when its turn has come: what was
 * queued before finds it under the old one. */
void fs_op_follow(struct fs *fs, struct fs_op *op)
{
    if (op->moves_below) {
        op->moves_below = false;
        fs_nodes_move_below(fs, buf_bytes(&op->place.below),
                            buf_bytes(&op->other.below), op->revision);
    }
}

void fs_op_finish(struct fs *fs, struct fs_op *op)
{
    struct fs_replay *r = fs->replay;
    fs_pace_forget(op);
    list_remove(&op->link);
    must(r->queued > 0);
    r->queued--;
    fs_op_follow(fs, op);
    if (op->type == FS_OP_STAT) {
        op->node->refresh_queued = false;
    }
    if (op->type == FS_OP_RMDIR && op->node != NULL && !op->node->gone &&
        op->node->revision <= op->revision) {
        fs_node_end(fs, op->node, op->revision);
    }
    if (op->type == FS_OP_UNLINK && op->node != NULL && !op->node->gone &&
        op->node->ino == op->item.ino && op->node->revision <= op->revision &&
        bytes_equal(fs_node_key(op->node), buf_bytes(&op->key))) {
        fs_node_end(fs, op->node, op->revision);
    }
    fs_op_free(fs, op);
}

static void start(struct fs *fs, struct fs_helper *h, struct fs_op *op)
{
    fs_op_follow(fs, op);
    if (op->node == NULL && op->item.ino != 0) {
        /* Somebody may have looked it up meanwhile. */
        struct fs_node *n = fs_node_find_ino(fs, op->item.ino);
        op->node = n == NULL ? NULL : fs_node_hold(n);
    }
    op->order = (struct fs_order){
        .type = op->type,
        .mount_point = fs->mount_point,
        .path = (const char *)op->place.path.data,
        .other_path = op->has_other ? (const char *)op->other.path.data : NULL,
        .size = op->node != NULL ? op->node->size : 0,
        .refresh = fs->options.consistency == FS_SERIALIZABLE,
        .looks = fs_pace_looks(fs, op),
    };
    op->running = true;
    h->op = op;
    fs->replay->crew->perform(fs->replay->crew, h);
}

static struct fs_helper *idle_helper(struct fs_replay *r)
{
    for (size_t i = 0; i < FS_HELPERS; i++) {
        if (r->helpers[i].op == NULL) {
            return &r->helpers[i];
        }
    }
    return NULL;
}

/* The first operation that can run and that no earlier one is in the way of;
 * those that nobody wants are dropped. */
static struct fs_op *next_op(struct fs *fs)
{
    struct fs_op *blocked[FS_OPS_WINDOW];
    size_t count = 0;
    list_each_safe (at, &fs->replay->queue) {
        struct fs_op *op = container_of(at, struct fs_op, link);
        bool free = !op->running;
        for (size_t i = 0; free && i < count; i++) {
            free = !fs_op_conflicts(op, blocked[i]);
        }
        if (free && !fs_op_is_wanted(fs, op)) {
            fs_op_finish(fs, op);
            continue;
        }
        if (free && can_run(fs, op)) {
            return op;
        }
        blocked[count++] = op;
        if (count == FS_OPS_WINDOW) {
            return NULL;
        }
    }
    return NULL;
}

void fs_replay_dispatch(struct fs *fs)
{
    struct fs_replay *r = fs->replay;
    if (r == NULL || fs->stopping) {
        return;
    }
    struct fs_helper *h;
    while (!list_is_empty(&r->queue) && (h = idle_helper(r)) != NULL) {
        struct fs_op *op = next_op(fs);
        if (op == NULL) {
            break;
        }
        start(fs, h, op);
    }
    fs_events_resume(fs); /* operations that nobody wants were dropped */
}

/* A modification behind one that has not begun is the same to a watcher. */
static bool collapses(struct fs_replay *r, const struct fs_op *op)
{
    if (op->type != FS_OP_MODIFY || r->queued < FS_COLLAPSE_AT) {
        return false;
    }
    size_t looked = 0;
    for (struct list *at = r->queue.prev;
         at != &r->queue && looked < FS_OPS_WINDOW; at = at->prev, looked++) {
        struct fs_op *earlier = container_of(at, struct fs_op, link);
        if (!fs_op_conflicts(op, earlier)) {
            continue;
        }
        if (earlier->type != FS_OP_MODIFY || earlier->running ||
            earlier->item.ino != op->item.ino ||
            !bytes_equal(buf_bytes(&earlier->key), buf_bytes(&op->key))) {
            return false;
        }
        earlier->item = op->item;
        earlier->revision = op->revision;
        return true;
    }
    return false;
}

void fs_replay_add_own(struct fs *fs, struct fs_op *op)
{
    struct fs_replay *r = fs->replay;
    if (collapses(r, op)) {
        fs_op_free(fs, op);
        return;
    }
    if (fs_pace_take(fs, op)) {
        return;
    }
    list_push(&r->queue, &op->link);
    r->queued++;
    fs_replay_dispatch(fs);
}

void fs_replay_add(struct fs *fs, struct fs_op *op)
{
    if (op == NULL) {
        return;
    }
    if (fs->replay == NULL || !fs_overtake_new(fs, op)) {
        fs_op_free(fs, op);
        return;
    }
    fs_replay_add_own(fs, op);
}

void fs_replay_done(struct fs *fs, struct fs_helper *h)
{
    struct fs_op *op = h->op;
    must(op != NULL && op->running);
    h->op = NULL;
    op->running = false;
    if (op->order.looks) {
        fs_pace_saw(fs, h->watched);
    }
    if (!fs_op_is_overtaken(op) || op->told ||
        !fs_op_reduce(fs, op, op->overtaken[0], op->overtaken[1])) {
        fs_op_finish(fs, op);
    } else {
        op->overtaken[0] = op->overtaken[1] = false;
    }
    fs_replay_dispatch(fs);
}

struct fs_helper *fs_helper_of(struct fs *fs, fuse_req_t req)
{
    struct fs_replay *r = fs->replay;
    if (r == NULL) {
        return NULL;
    }
    const uint32_t thread = (uint32_t)fuse_req_ctx(req)->pid;
    for (size_t i = 0; i < FS_HELPERS; i++) {
        if (r->helpers[i].thread_id == thread && r->helpers[i].op != NULL) {
            return &r->helpers[i];
        }
    }
    return NULL;
}

/* --- life --- */

void fs_replay_begin(struct fs *fs, struct fs_crew *crew)
{
    must(fs->replay == NULL);
    struct fs_replay *r = xcalloc(1, sizeof *r);
    r->fs = fs;
    r->crew = crew;
    list_init(&r->queue);
    list_init(&r->takes);
    fs_pace_init(r);
    for (size_t i = 0; i < FS_HELPERS; i++) {
        r->helpers[i].replay = r;
    }
    fs->replay = r;
}

void fs_replay_end(struct fs *fs)
{
    struct fs_replay *r = fs->replay;
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < FS_HELPERS; i++) {
        struct fs_op *op = r->helpers[i].op;
        if (op != NULL) {
            op->running = false;
        }
    }
    fs_timer_stop(fs, &r->pace.alarm);
    struct list *at;
    list_each (rests, &r->resting) {
        fs_pace_forget(container_of(rests, struct fs_op, link));
    }
    list_splice(&r->queue, &r->resting);
    while ((at = list_pop(&r->queue)) != NULL) {
        fs_op_free(fs, container_of(at, struct fs_op, link));
    }
    fs_overtake_forget(fs, INT64_MAX);
    fs->replay = NULL;
    free(r);
}
