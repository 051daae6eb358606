#include "tests/sim/told.h"

#include <linux/fuse.h>
#include <stdlib.h>

#include "base/hmap.h"
#include "base/must.h"
#include "tests/sim/internal.h"

#define DIRECTORY "dir"
#define PREFIX    "/dir/"
#define NAMES_MAX 2048
#define ASK_NS    (200 * MS)

struct name {
    char text[NAME_SIZE]; /* empty: no name's place */
    enum { UNKNOWN, THERE, GONE } state;
    int64_t heard; /* the store's revision when it was last told of; 0: never */
    bool checked;
};

struct told {
    struct task task;
    struct event next;
    struct mount *mount;
    uint64_t directory; /* 0: it has not begun */
    int64_t since;      /* what comes later must be told */
    struct name names[NAMES_MAX];
};

static void try_later(struct told *x);

static struct member *member_of(struct told *x)
{
    return kernel_member(mount_kernel(x->mount));
}

static int64_t revision_now(struct told *x)
{
    struct kv_status status;
    kv_status(replica_kv(member_of(x)->replica), &status);
    return status.header.revision;
}

static struct name *name_of(struct told *x, struct bytes text)
{
    must(text.size > 0 && text.size < NAME_SIZE);
    for (uint64_t at = hash_bytes(text, 0);; at++) {
        struct name *n = &x->names[at % NAMES_MAX];
        if (n->text[0] == '\0') {
            memcpy(n->text, text.data, text.size);
        }
        if (bytes_equal(bytes_of(n->text), text)) {
            return n;
        }
    }
}

void told_hear(struct told *x, uint64_t directory, const char *name,
               enum told_what what)
{
    if (x->directory != 0 && directory == FUSE_ROOT_ID && what == TOLD_GONE &&
        strcmp(name, DIRECTORY) == 0) {
        x->directory = 0; /* the watch has ended, and begins on the next one */
        task_end(&x->task);
        try_later(x);
    }
    if (x->directory == 0 || directory != x->directory) {
        return;
    }
    struct name *n = name_of(x, bytes_of(name));
    n->heard = revision_now(x);
    if (what != TOLD_CHANGED) {
        n->state = what == TOLD_THERE ? THERE : GONE;
    } else if (n->state == UNKNOWN) {
        n->state = THERE; /* made before the watch began */
    }
    static const char *const words[] = {"there", "gone", "changed"};
    sim_note(x->task.sim, "%u told %s %s", member_number(member_of(x)), name,
             words[what]);
}

/* All names in the directory, in this member's store. */
static void each_name(struct told *x,
                      void (*visit)(struct told *x, const struct kv_item *item,
                                    struct name *n))
{
    struct store_results *results = store_results_new();
    const struct kv_range_spec spec = {
        .keys = {.key = bytes_of(PREFIX), .end = bytes_of("/dir0")}};
    struct kv_range_result found;
    struct fault fault;
    must(store_range(member_of(x)->store, &spec, results, &found, &fault) ==
         ST_OK);
    for (size_t i = 0; i < found.items_count; i++) {
        const struct bytes name =
            bytes_after(found.items[i].key, strlen(PREFIX));
        if (name.size > 0 && memchr(name.data, '/', name.size) == NULL) {
            visit(x, &found.items[i], name_of(x, name));
        }
    }
    store_results_free(results);
}

static void note_there(struct told *x, const struct kv_item *item,
                       struct name *n)
{
    (void)x;
    (void)item;
    n->state = THERE;
}

static void begin(struct told *x)
{
    memset(x->names, 0, sizeof x->names);
    x->since = revision_now(x);
    each_name(x, note_there);
}

static void check_item(struct told *x, const struct kv_item *item,
                       struct name *n)
{
    n->checked = true;
    if (item->mod_revision <= x->since) {
        return;
    }
    if (n->state != THERE || n->heard < item->mod_revision) {
        sim_fail(x->task.sim,
                 "a watcher on member %u's mount was told that %s %s at "
                 "revision %lld; it was changed at %lld",
                 member_number(member_of(x)), n->text,
                 n->state == GONE ? "went" : "was", (long long)n->heard,
                 (long long)item->mod_revision);
    }
}

void told_check_end(struct told *x)
{
    if (x->directory == 0) {
        return;
    }
    each_name(x, check_item);
    for (size_t i = 0; i < NAMES_MAX; i++) {
        const struct name *n = &x->names[i];
        if (!n->checked && n->state == THERE) {
            sim_fail(x->task.sim,
                     "a watcher on member %u's mount was last told of %s at "
                     "revision %lld, and not that it is gone",
                     member_number(member_of(x)), n->text, (long long)n->heard);
        }
    }
}

/* --- the beginning --- */

static void found(struct task *t, int error, uint64_t node)
{
    struct told *x = container_of(t, struct told, task);
    if (error != 0) {
        task_end(t);
        try_later(x);
        return;
    }
    x->directory = node; /* the task never ends: the watch holds the inode */
    begin(x);
}

static void try_now(struct sim *s, struct event *e)
{
    struct told *x = container_of(e, struct told, next);
    struct kernel *k = mount_kernel(x->mount);
    (void)s;
    task_begin(&x->task, k);
    task_look_up(&x->task, FUSE_ROOT_ID, DIRECTORY, found);
    member_serve(kernel_member(k));
}

static void try_later(struct told *x)
{
    struct sim *s = x->task.sim;
    sim_at(s, &x->next, s->now_ns + (int64_t)prng_below(&s->prng, ASK_NS),
           try_now);
}

struct told *told_new(struct sim *s, struct mount *m)
{
    struct told *x = xcalloc(1, sizeof *x);
    x->mount = m;
    x->task.sim = s;
    x->task.asker =
        (struct fuse_asker){.number = ASKER_WATCHER, .pid = 6000000};
    kernel_watch(mount_kernel(m), x);
    try_later(x);
    return x;
}

void told_free(struct told *x)
{
    if (x != NULL) {
        heap_remove(&x->task.sim->events, &x->next.at);
        task_drop(&x->task);
        free(x);
    }
}

void told_check(struct sim *s)
{
    for (uint32_t i = 0; i < s->members_count; i++) {
        for (size_t k = 0; s->members[i].up && k < MOUNTS; k++) {
            if (s->members[i].mounts[k] != NULL) {
                mount_check_end(s->members[i].mounts[k]);
            }
        }
    }
}
