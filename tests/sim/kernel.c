#include "tests/sim/internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/must.h"
#include "tests/sim/told.h"

#define INODES_MAX   512
#define DENTRIES_MAX 96

struct inode {
    uint64_t id;
    uint64_t lookups; /* what a FORGET says */
    uint32_t uses;    /* by tasks, and by names in memory */
    uint32_t readers;
    bool alone;
};

struct dentry {
    uint64_t parent, inode;
    char name[NAME_SIZE];
};

struct kernel {
    struct member *member;
    struct mount *mount;
    struct prng prng; /* its own */
    int64_t lag_ns;   /* at most, between a task's requests */
    uint32_t keeps;   /* one name of so many goes when a call ends */
    struct inode inodes[INODES_MAX];
    size_t inodes_count;
    struct dentry dentries[DENTRIES_MAX];
    size_t dentries_count;
    struct list waiting; /* tasks, for locks, in order */
    struct told *told;
};

struct member *kernel_member(const struct kernel *k)
{
    return k->member;
}

struct mount *kernel_mount(const struct kernel *k)
{
    return k->mount;
}

void kernel_watch(struct kernel *k, struct told *told)
{
    k->told = told;
}

/* --- inodes --- */

static struct inode *inode_find(struct kernel *k, uint64_t id)
{
    for (size_t i = 0; i < k->inodes_count; i++) {
        if (k->inodes[i].id == id) {
            return &k->inodes[i];
        }
    }
    return NULL;
}

static struct inode *inode_of(struct kernel *k, uint64_t id)
{
    struct inode *n = inode_find(k, id);
    must(n != NULL);
    return n;
}

static void use(struct kernel *k, uint64_t id)
{
    inode_of(k, id)->uses++;
}

static void unuse(struct kernel *k, uint64_t id)
{
    struct inode *n = inode_of(k, id);
    must(n->uses > 0);
    if (--n->uses == 0) {
        const struct fuse_forget_in in = {.nlookup = n->lookups};
        must(n->readers == 0 && !n->alone);
        mount_tell(k->mount, FUSE_FORGET, id,
                   (struct bytes){(const uint8_t *)&in, sizeof in});
        *n = k->inodes[--k->inodes_count];
    }
}

static void hold(struct task *t, uint64_t id)
{
    must(t->holds_count < TASK_HOLDS_MAX);
    t->holds[t->holds_count++] = id;
    use(t->kernel, id);
}

/* An answer has brought the inode once more. */
static void take_entry(struct task *t, uint64_t id)
{
    struct kernel *k = t->kernel;
    struct inode *n = inode_find(k, id);
    if (n == NULL) {
        must(k->inodes_count < INODES_MAX);
        n = &k->inodes[k->inodes_count++];
        *n = (struct inode){.id = id};
    }
    n->lookups++;
    hold(t, id);
}

/* --- names --- */

static struct dentry *dentry_find(struct kernel *k, uint64_t parent,
                                  const char *name)
{
    for (size_t i = 0; i < k->dentries_count; i++) {
        struct dentry *d = &k->dentries[i];
        if (d->parent == parent && strcmp(d->name, name) == 0) {
            return d;
        }
    }
    return NULL;
}

static void dentry_drop(struct kernel *k, struct dentry *d)
{
    const struct dentry gone = *d;
    *d = k->dentries[--k->dentries_count];
    unuse(k, gone.inode);
    unuse(k, gone.parent);
}

/* Any that nobody uses; of so many names there are some. */
static void lose_one(struct kernel *k)
{
    const size_t first = prng_below(&k->prng, k->dentries_count);
    for (size_t i = 0; i < k->dentries_count; i++) {
        struct dentry *d = &k->dentries[(first + i) % k->dentries_count];
        if (inode_of(k, d->inode)->uses == 1) {
            dentry_drop(k, d);
            return;
        }
    }
}

static void forget_name(struct kernel *k, uint64_t parent, const char *name)
{
    struct dentry *d = dentry_find(k, parent, name);
    if (d != NULL) {
        dentry_drop(k, d);
    }
}

static void remember_name(struct kernel *k, uint64_t parent, const char *name,
                          uint64_t id)
{
    struct dentry *d = dentry_find(k, parent, name);
    if (d != NULL && d->inode == id) {
        return;
    }
    if (d != NULL) {
        dentry_drop(k, d);
    }
    while (k->dentries_count == DENTRIES_MAX) {
        lose_one(k);
    }
    d = &k->dentries[k->dentries_count++];
    *d = (struct dentry){.parent = parent, .inode = id};
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    use(k, parent);
    use(k, id);
}

static void lose_some(struct kernel *k)
{
    while (k->dentries_count > 0 && prng_chance(&k->prng, 1, k->keeps)) {
        lose_one(k);
    }
}

/* --- locks --- */

static bool is_free(struct kernel *k, uint64_t inode, bool alone)
{
    const struct inode *n = inode_of(k, inode);
    return !n->alone && (!alone || n->readers == 0);
}

static void take(struct task *t, uint64_t inode, bool alone)
{
    struct inode *n = inode_of(t->kernel, inode);
    must(t->locks_count < TASK_LOCKS_MAX);
    t->locks[t->locks_count].inode = inode;
    t->locks[t->locks_count++].alone = alone;
    n->alone = alone;
    n->readers += !alone;
}

static bool somebody_waits(struct kernel *k, uint64_t inode)
{
    list_each (at, &k->waiting) {
        if (container_of(at, struct task, waits)->wanted.inode == inode) {
            return true;
        }
    }
    return false;
}

void task_lock(struct task *t, uint64_t inode, bool alone,
               void (*locked)(struct task *t))
{
    struct kernel *k = t->kernel;
    if (is_free(k, inode, alone) && !somebody_waits(k, inode)) {
        take(t, inode, alone);
        locked(t);
        return;
    }
    t->wanted.inode = inode;
    t->wanted.alone = alone;
    t->locked = locked;
    list_push(&k->waiting, &t->waits);
}

static struct task *next_to_have(struct kernel *k, uint64_t inode)
{
    list_each (at, &k->waiting) {
        struct task *t = container_of(at, struct task, waits);
        if (t->wanted.inode == inode) {
            return is_free(k, inode, t->wanted.alone) ? t : NULL;
        }
    }
    return NULL;
}

void task_unlock(struct task *t, uint64_t inode)
{
    struct kernel *k = t->kernel;
    struct inode *n = inode_of(k, inode);
    size_t i = 0;
    while (t->locks[i].inode != inode) {
        must(++i < t->locks_count);
    }
    n->readers -= !t->locks[i].alone;
    n->alone = false;
    t->locks[i] = t->locks[--t->locks_count];
    use(k, inode); /* whoever comes next may let go of it at once */
    struct task *next;
    while ((next = next_to_have(k, inode)) != NULL) {
        list_remove(&next->waits);
        take(next, inode, next->wanted.alone);
        next->locked(next);
    }
    unuse(k, inode);
}

static bool has_lock(const struct task *t, uint64_t inode)
{
    for (size_t i = 0; i < t->locks_count; i++) {
        if (t->locks[i].inode == inode) {
            return true;
        }
    }
    return false;
}

/* --- tasks --- */

void task_begin(struct task *t, struct kernel *k)
{
    must(t->kernel == NULL);
    t->kernel = k;
    t->holds_count = t->locks_count = 0;
    list_init(&t->waits);
}

void task_drop(struct task *t)
{
    if (t->kernel != NULL) {
        list_remove(&t->waits);
        heap_remove(&t->sim->events, &t->event.at);
        t->asker.on_reply = NULL;
        t->kernel = NULL;
    }
    buf_fini(&t->request.head);
    buf_fini(&t->request.tail);
}

void task_end(struct task *t)
{
    struct kernel *k = t->kernel;
    must(t->asker.on_reply == NULL && list_is_empty(&t->waits));
    while (t->locks_count > 0) {
        task_unlock(t, t->locks[t->locks_count - 1].inode);
    }
    while (t->holds_count > 0) {
        unuse(k, t->holds[--t->holds_count]);
    }
    lose_some(k);
    task_drop(t);
}

static void send_now(struct task *t)
{
    mount_ask(t->kernel->mount, &t->asker, t->request.opcode, t->request.node,
              buf_bytes(&t->request.head), buf_bytes(&t->request.tail),
              t->request.on_reply);
}

static void send_then(struct sim *s, struct event *e)
{
    struct task *t = container_of(e, struct task, event);
    struct member *m = t->kernel->member;
    if (t->of_daemon && m->paused) {
        sim_at(s, e, s->now_ns + 10 * MS, send_then);
        return;
    }
    send_now(t);
    member_serve(m);
}

void task_ask(struct task *t, uint32_t opcode, uint64_t node, struct bytes head,
              struct bytes tail, fuse_reply *on_reply)
{
    struct kernel *k = t->kernel;
    t->request.opcode = opcode;
    t->request.node = node;
    t->request.on_reply = on_reply;
    buf_clear(&t->request.head);
    buf_append(&t->request.head, head);
    buf_clear(&t->request.tail);
    buf_append(&t->request.tail, tail);
    const bool lags = k->lag_ns > 0 && !t->sim->healed_for_good &&
                      prng_chance(&k->prng, t->of_daemon ? 2 : 1, 4);
    if (!lags && !(t->of_daemon && k->member->paused)) {
        send_now(t);
        return;
    }
    sim_at(t->sim, &t->event,
           t->sim->now_ns +
               (int64_t)prng_below(&k->prng, (uint64_t)k->lag_ns + 1),
           send_then);
}

/* --- look-ups --- */

static struct task *task_of(struct fuse_asker *a)
{
    return container_of(a, struct task, asker);
}

static void look(struct task *t);

static void look_locked(struct task *t)
{
    t->again = true; /* with a lock: what is said now holds */
    look(t);
}

static void looked(struct fuse_asker *a, int error, struct bytes body)
{
    struct task *t = task_of(a);
    struct kernel *k = t->kernel;
    struct fuse_entry_out entry = {.nodeid = 0};
    if (error == 0) {
        must(body.size >= sizeof entry);
        memcpy(&entry, body.data, sizeof entry);
        take_entry(t, entry.nodeid);
        t->found_directory = S_ISDIR(entry.attr.mode);
    }
    const struct dentry *d = dentry_find(k, t->parent, t->name);
    if (d != NULL && d->inode != entry.nodeid && !t->again) {
        /* Not what it was: it is looked up as if it had not been known. */
        forget_name(k, t->parent, t->name);
        if (has_lock(t, t->parent)) {
            look_locked(t);
        } else {
            task_lock(t, t->parent, false, look_locked);
        }
        return;
    }
    if (error == 0) {
        remember_name(k, t->parent, t->name, entry.nodeid);
    } else {
        forget_name(k, t->parent, t->name);
    }
    for (size_t i = 0; i < t->locks_count; i++) {
        if (t->locks[i].inode == t->parent && !t->locks[i].alone) {
            task_unlock(t, t->parent);
            break;
        }
    }
    t->found(t, error, entry.nodeid);
}

static void look(struct task *t)
{
    task_ask(t, FUSE_LOOKUP, t->parent, BYTES_NONE,
             (struct bytes){(const uint8_t *)t->name, strlen(t->name) + 1},
             looked);
}

void task_look_up(struct task *t, uint64_t parent, const char *name,
                  void (*found)(struct task *t, int error, uint64_t node))
{
    struct kernel *k = t->kernel;
    must(strlen(name) < sizeof t->name);
    t->parent = parent;
    t->found = found;
    t->again = false;
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    if (has_lock(t, parent) || dentry_find(k, parent, name) != NULL) {
        look(t);
    } else {
        task_lock(t, parent, false, look_locked);
    }
}

/* --- changes of names --- */

static void tell(struct kernel *k, uint64_t parent, const char *name,
                 enum told_what what)
{
    if (k->told != NULL) {
        told_hear(k->told, parent, name, what);
    }
}

uint64_t task_made(struct task *t, uint64_t parent, const char *name,
                   struct bytes entry)
{
    struct fuse_entry_out out;
    must(entry.size >= sizeof out);
    memcpy(&out, entry.data, sizeof out);
    take_entry(t, out.nodeid);
    remember_name(t->kernel, parent, name, out.nodeid);
    tell(t->kernel, parent, name, TOLD_THERE);
    return out.nodeid;
}

void task_removed(struct task *t, uint64_t parent, const char *name)
{
    forget_name(t->kernel, parent, name);
    tell(t->kernel, parent, name, TOLD_GONE);
}

void task_renamed(struct task *t, const struct renaming *r)
{
    struct kernel *k = t->kernel;
    const struct dentry *from = dentry_find(k, r->parent, r->name);
    const struct dentry *to = dentry_find(k, r->other_parent, r->other_name);
    const uint64_t moved = from != NULL ? from->inode : 0;
    const uint64_t other = to != NULL && r->exchange ? to->inode : 0;
    use(k, FUSE_ROOT_ID);
    if (moved != 0) {
        use(k, moved);
    }
    if (other != 0) {
        use(k, other);
    }
    forget_name(k, r->parent, r->name);
    forget_name(k, r->other_parent, r->other_name);
    if (moved != 0) {
        remember_name(k, r->other_parent, r->other_name, moved);
        unuse(k, moved);
    }
    if (other != 0) {
        remember_name(k, r->parent, r->name, other);
        unuse(k, other);
    }
    unuse(k, FUSE_ROOT_ID);
    tell(k, r->parent, r->name, r->exchange ? TOLD_THERE : TOLD_GONE);
    tell(k, r->other_parent, r->other_name, TOLD_THERE);
}

/* An open file's name goes with it. */
void task_changed(struct task *t, uint64_t node, uint64_t parent,
                  const char *name)
{
    struct kernel *k = t->kernel;
    const struct dentry *d = dentry_find(k, parent, name);
    for (size_t i = 0; i < k->dentries_count && (d == NULL || d->inode != node);
         i++) {
        d = &k->dentries[i];
    }
    if (d != NULL && d->inode == node) {
        tell(k, d->parent, d->name, TOLD_CHANGED);
    } else {
        tell(k, parent, name, TOLD_CHANGED);
    }
}

/* --- life --- */

struct kernel *kernel_new(struct member *m, struct mount *mount)
{
    static const int64_t lags[] = {0, 300 * 1000, 3 * MS, 30 * MS};
    static const uint32_t keeps[] = {2, 8, 100};
    struct kernel *k = xcalloc(1, sizeof *k);
    k->member = m;
    k->mount = mount;
    prng_init(&k->prng, prng_next(&m->sim->prng));
    k->lag_ns = lags[prng_below(&k->prng, count_of(lags))];
    k->keeps = keeps[prng_below(&k->prng, count_of(keeps))];
    k->inodes[0] = (struct inode){.id = FUSE_ROOT_ID, .uses = 1};
    k->inodes[1] = (struct inode){.id = RENAME_LOCK, .uses = 1};
    k->inodes_count = 2;
    list_init(&k->waiting);
    return k;
}

void kernel_free(struct kernel *k)
{
    if (k != NULL) {
        must(list_is_empty(&k->waiting));
        free(k);
    }
}
