#include "tests/sim/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>

#include "base/must.h"
#include "fs/replay.h"
#include "tests/sim/internal.h"

#define BYTES_OF(x) ((struct bytes){(const uint8_t *)&(x), sizeof(x)})

/* A name, and the directory it is in once that has been found. */
struct place {
    uint64_t directory, node;
    bool is_directory;
    char name[NAME_SIZE];
};

struct hand {
    struct task task;
    struct event next; /* it begins, or is done */
    struct crew *crew;
    struct fs_helper *helper;
    const struct fs_order *order;
    const char *rest;       /* of the path that is walked */
    struct place at, other; /* other: of renames */
    struct place *walking;
    void (*walked)(struct hand *h);
    uint64_t handle;
};

struct crew {
    struct fs_crew of_fs;
    struct sim *sim;
    struct kernel *kernel;
    struct fs *fs;
    struct prng prng;
    struct hand hands[FS_HELPERS];
};

static struct hand *hand_of(struct task *t)
{
    return container_of(t, struct hand, task);
}

static struct hand *hand_of_asker(struct fuse_asker *a)
{
    return hand_of(container_of(a, struct task, asker));
}

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text) + 1};
}

/* --- the end --- */

static int64_t soon(struct crew *c)
{
    const bool at_once = c->sim->healed_for_good || prng_chance(&c->prng, 1, 2);
    return c->sim->now_ns +
           (at_once ? 0 : (int64_t)prng_below(&c->prng, 2 * MS));
}

static void report(struct sim *s, struct event *e)
{
    struct hand *h = container_of(e, struct hand, next);
    struct crew *c = h->crew;
    struct member *m = kernel_member(c->kernel);
    if (m->paused) {
        sim_at(s, e, s->now_ns + 10 * MS, report);
        return;
    }
    fs_replay_done(c->fs, h->helper);
    member_serve(m);
}

/* All that the system calls held is let go. */
static void finish(struct hand *h)
{
    task_end(&h->task);
    sim_at(h->crew->sim, &h->next, soon(h->crew), report);
}

static void finish_after(struct fuse_asker *a, int error, struct bytes body)
{
    (void)error;
    (void)body;
    finish(hand_of_asker(a));
}

/* --- files that are written to --- */

static void write_ended(struct fuse_asker *a, int error, struct bytes body)
{
    struct hand *h = hand_of_asker(a);
    (void)body;
    if (error == 0) {
        task_changed(&h->task, h->at.node, h->at.directory, h->at.name);
    }
    task_unlock(&h->task, h->at.node);
    task_changed(&h->task, h->at.node, h->at.directory, h->at.name); /* close */
    const struct fuse_release_in in = {.fh = h->handle};
    mount_tell(kernel_mount(h->crew->kernel), FUSE_RELEASE, h->at.node,
               BYTES_OF(in));
    finish(h);
}

static void write_locked(struct task *t)
{
    struct hand *h = hand_of(t);
    const struct fuse_fallocate_in in = {
        .fh = h->handle, .length = 1, .mode = 1 /* FALLOC_FL_KEEP_SIZE */};
    task_ask(t, FUSE_FALLOCATE, h->at.node, BYTES_OF(in), BYTES_NONE,
             write_ended);
}

static void opened(struct fuse_asker *a, int error, struct bytes body)
{
    struct hand *h = hand_of_asker(a);
    struct fuse_open_out out;
    if (error != 0) {
        finish(h);
        return;
    }
    memcpy(&out, body.data, sizeof out);
    h->handle = out.fh;
    task_lock(&h->task, h->at.node, true, write_locked);
}

static void found_to_write(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    const struct fuse_open_in in = {.flags = O_WRONLY | O_NONBLOCK};
    if (error != 0 || t->found_directory) {
        finish(h);
        return;
    }
    h->at.node = node;
    task_ask(t, FUSE_OPEN, node, BYTES_OF(in), BYTES_NONE, opened);
}

static void created(struct fuse_asker *a, int error, struct bytes body)
{
    struct hand *h = hand_of_asker(a);
    struct fuse_open_out out;
    if (error != 0) {
        finish(h);
        return;
    }
    memcpy(&out, body.data + sizeof(struct fuse_entry_out), sizeof out);
    h->handle = out.fh;
    h->at.node = task_made(&h->task, h->at.directory, h->at.name, body);
    task_unlock(&h->task, h->at.directory);
    task_lock(&h->task, h->at.node, true, write_locked);
}

static void found_to_create(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    const struct fuse_create_in in = {
        .flags = O_WRONLY | O_CREAT | O_EXCL | O_NONBLOCK, .mode = 0644};
    (void)node;
    if (error == 0) { /* EEXIST: written to without O_CREAT */
        task_unlock(t, h->at.directory);
        task_look_up(t, h->at.directory, h->at.name, found_to_write);
    } else if (error == ENOENT) {
        task_ask(t, FUSE_CREATE, h->at.directory, BYTES_OF(in),
                 text_of(h->at.name), created);
    } else {
        finish(h);
    }
}

/* --- names that come and go --- */

static void made(struct fuse_asker *a, int error, struct bytes body)
{
    struct hand *h = hand_of_asker(a);
    if (error == 0) {
        (void)task_made(&h->task, h->at.directory, h->at.name, body);
    }
    finish(h);
}

static void found_to_make(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    const struct fuse_mkdir_in in = {.mode = 0755};
    (void)node;
    if (error != ENOENT) {
        finish(h);
        return;
    }
    task_ask(t, FUSE_MKDIR, h->at.directory, BYTES_OF(in), text_of(h->at.name),
             made);
}

static void removed(struct fuse_asker *a, int error, struct bytes body)
{
    struct hand *h = hand_of_asker(a);
    (void)body;
    if (error == 0) {
        task_removed(&h->task, h->at.directory, h->at.name);
    }
    finish(h);
}

static void remove_locked(struct task *t)
{
    struct hand *h = hand_of(t);
    task_ask(t, h->order->type == FS_OP_RMDIR ? FUSE_RMDIR : FUSE_UNLINK,
             h->at.directory, BYTES_NONE, text_of(h->at.name), removed);
}

static void found_to_remove(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    if (error != 0 || t->found_directory != (h->order->type == FS_OP_RMDIR)) {
        finish(h);
        return;
    }
    task_lock(t, node, true, remove_locked);
}

static void parent_locked(struct task *t)
{
    struct hand *h = hand_of(t);
    task_look_up(t, h->at.directory, h->at.name,
                 h->order->type == FS_OP_CREATE  ? found_to_create
                 : h->order->type == FS_OP_MKDIR ? found_to_make
                                                 : found_to_remove);
}

/* --- renames --- */

static void renamed(struct fuse_asker *a, int error, struct bytes body)
{
    struct hand *h = hand_of_asker(a);
    (void)body;
    if (error == 0) {
        task_renamed(
            &h->task,
            &(struct renaming){.parent = h->at.directory,
                               .name = h->at.name,
                               .other_parent = h->other.directory,
                               .other_name = h->other.name,
                               .exchange = h->order->type == FS_OP_EXCHANGE});
    }
    finish(h);
}

static void rename_now(struct task *t)
{
    const struct hand *h = hand_of(t);
    char names[2 * NAME_SIZE];
    const struct fuse_rename2_in in = {
        .newdir = h->other.directory,
        .flags = h->order->type == FS_OP_EXCHANGE ? RENAME_EXCHANGE : 0};
    const struct bytes first = text_of(h->at.name);
    const struct bytes second = text_of(h->other.name);
    memcpy(names, first.data, first.size);
    memcpy(names + first.size, second.data, second.size);
    task_ask(t, FUSE_RENAME2, h->at.directory, BYTES_OF(in),
             (struct bytes){(const uint8_t *)names, first.size + second.size},
             renamed);
}

static void file_locked(struct task *t)
{
    const struct hand *h = hand_of(t);
    const uint64_t second =
        h->at.node > h->other.node ? h->at.node : h->other.node;
    task_lock(t, second, true, rename_now);
}

static void found_other(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    const bool exchange = h->order->type == FS_OP_EXCHANGE;
    h->other.node = node;
    h->other.is_directory = t->found_directory;
    if ((error != 0 && (exchange || error != ENOENT)) || node == h->at.node ||
        (error == 0 && !exchange &&
         h->other.is_directory != h->at.is_directory)) {
        finish(h);
    } else if (h->at.is_directory) {
        if (error == 0 && !exchange) {
            task_lock(t, node, true, rename_now);
        } else {
            rename_now(t);
        }
    } else if (error != 0 || h->other.is_directory) {
        task_lock(t, h->at.node, true, rename_now);
    } else {
        task_lock(t, h->at.node < node ? h->at.node : node, true, file_locked);
    }
}

static void found_first(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    if (error != 0) {
        finish(h);
        return;
    }
    h->at.node = node;
    h->at.is_directory = t->found_directory;
    task_look_up(t, h->other.directory, h->other.name, found_other);
}

static void both_locked(struct task *t)
{
    const struct hand *h = hand_of(t);
    task_look_up(t, h->at.directory, h->at.name, found_first);
}

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (; *path != '\0'; path++) {
        depth += *path == '/';
    }
    return depth;
}

/* Whoever is above the other is locked first. */
static bool first_is_above(const struct hand *h)
{
    return depth_of(h->order->path) <= depth_of(h->order->other_path);
}

static void one_locked(struct task *t)
{
    const struct hand *h = hand_of(t);
    task_lock(t, first_is_above(h) ? h->other.directory : h->at.directory, true,
              both_locked);
}

static void renames_locked(struct task *t)
{
    const struct hand *h = hand_of(t);
    task_lock(t, first_is_above(h) ? h->at.directory : h->other.directory, true,
              one_locked);
}

static void rename_walked(struct hand *h)
{
    if (h->at.directory == h->other.directory) {
        task_lock(&h->task, h->at.directory, true, both_locked);
    } else {
        task_lock(&h->task, RENAME_LOCK, true, renames_locked);
    }
}

/* --- attributes --- */

static void attr_set(struct fuse_asker *a, int error, struct bytes body)
{
    struct hand *h = hand_of_asker(a);
    (void)body;
    if (error == 0) {
        task_changed(&h->task, h->at.node, h->at.directory, h->at.name);
    }
    finish(h);
}

static void attr_locked(struct task *t)
{
    const struct hand *h = hand_of(t);
    const bool truncates = h->order->type == FS_OP_TRUNCATE;
    const struct fuse_setattr_in in = {
        .valid = truncates ? FATTR_SIZE
                           : FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW |
                                 FATTR_MTIME_NOW,
        .size = h->order->size};
    task_ask(t, FUSE_SETATTR, h->at.node, BYTES_OF(in), BYTES_NONE, attr_set);
}

static void found_for_attr(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    const struct fuse_getattr_in in = {.dummy = 0};
    if (error != 0) {
        finish(h);
        return;
    }
    h->at.node = node;
    if (h->order->type == FS_OP_STAT) {
        task_ask(t, FUSE_GETATTR, node, BYTES_OF(in), BYTES_NONE, finish_after);
    } else {
        task_lock(t, node, true, attr_locked);
    }
}

/* --- the walk --- */

static void walk_on(struct hand *h);

static void walked_into(struct task *t, int error, uint64_t node)
{
    struct hand *h = hand_of(t);
    if (error != 0 || !t->found_directory) {
        finish(h);
        return;
    }
    h->walking->directory = node;
    walk_on(h);
}

static void walk_on(struct hand *h)
{
    const char *end = strchrnul(h->rest, '/');
    const size_t size = (size_t)(end - h->rest);
    char name[NAME_SIZE];
    must(size < sizeof name);
    memcpy(name, h->rest, size);
    name[size] = '\0';
    if (*end == '\0') {
        memcpy(h->walking->name, name, sizeof name);
        h->walked(h);
        return;
    }
    h->rest = end + 1;
    task_look_up(&h->task, h->walking->directory, name, walked_into);
}

static void walk(struct hand *h, struct place *to, const char *path,
                 void (*walked)(struct hand *h))
{
    *to = (struct place){.directory = FUSE_ROOT_ID};
    h->walking = to;
    h->rest = path;
    h->walked = walked;
    walk_on(h);
}

static void carry_out(struct hand *h)
{
    switch (h->order->type) {
    case FS_OP_CREATE:
    case FS_OP_MKDIR:
    case FS_OP_UNLINK:
    case FS_OP_RMDIR:
        task_lock(&h->task, h->at.directory, true, parent_locked);
        break;
    case FS_OP_MODIFY:
        task_look_up(&h->task, h->at.directory, h->at.name, found_to_write);
        break;
    case FS_OP_REPLACE:
        h->other = h->at;
        (void)snprintf(h->at.name, sizeof h->at.name, "%s", FS_SOURCE_NAME);
        rename_walked(h);
        break;
    case FS_OP_RENAME:
    case FS_OP_EXCHANGE:
        walk(h, &h->other, h->order->other_path, rename_walked);
        break;
    case FS_OP_ATTRIB:
    case FS_OP_TRUNCATE:
    case FS_OP_STAT:
        task_look_up(&h->task, h->at.directory, h->at.name, found_for_attr);
        break;
    }
}

/* --- orders --- */

static void begin(struct sim *s, struct event *e)
{
    struct hand *h = container_of(e, struct hand, next);
    struct member *m = kernel_member(h->crew->kernel);
    if (m->paused) {
        sim_at(s, e, s->now_ns + 10 * MS, begin);
        return;
    }
    task_begin(&h->task, h->crew->kernel);
    walk(h, &h->at, h->order->path, carry_out);
    member_serve(m);
}

static void perform(struct fs_crew *of_fs, struct fs_helper *helper)
{
    struct crew *c = container_of(of_fs, struct crew, of_fs);
    struct hand *h = &c->hands[helper - helper->replay->helpers];
    must(!helper->op->order.refresh); /* of mounts that are not simulated */
    h->helper = helper;
    h->order = &helper->op->order;
    helper->watched = true;
    sim_at(c->sim, &h->next, soon(c), begin);
}

struct crew *crew_new(struct sim *s, struct kernel *k, struct fs *fs)
{
    struct crew *c = xcalloc(1, sizeof *c);
    c->of_fs.perform = perform;
    c->sim = s;
    c->kernel = k;
    c->fs = fs;
    prng_init(&c->prng, prng_next(&s->prng));
    fs_replay_begin(fs, &c->of_fs);
    for (size_t i = 0; i < FS_HELPERS; i++) {
        struct hand *h = &c->hands[i];
        h->crew = c;
        h->task.sim = s;
        h->task.of_daemon = true;
        h->task.asker = (struct fuse_asker){.number = ASKER_HELPERS + i,
                                            .pid = 7000000 + (uint32_t)i};
        fs->replay->helpers[i].thread_id = h->task.asker.pid;
    }
    return c;
}

void crew_free(struct crew *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < FS_HELPERS; i++) {
        heap_remove(&c->sim->events, &c->hands[i].next.at);
        task_drop(&c->hands[i].task);
    }
    free(c);
}
