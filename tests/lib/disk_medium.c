/* The medium of the simulated disk: see disk_sim.h for its promises. */

#include "tests/lib/disk_medium.h"

#include <stdlib.h>

#include "base/hmap.h"
#include "base/must.h"
#include "base/payload.h"

/* A write that is not synced. */
struct write {
    struct list in_file;
    uint64_t offset;
    struct payload *data;
};

/* A change of names that is not synced. */
struct change {
    struct list in_medium;
    enum { CHANGE_CREATE, CHANGE_RENAME, CHANGE_REMOVE } kind;
    char name[MEDIUM_NAME_MAX + 1];
    char to[MEDIUM_NAME_MAX + 1];
    struct medium_file *file;
};

static void copy_name(char *to, const char *from)
{
    const size_t size = strlen(from) + 1;
    must(size <= MEDIUM_NAME_MAX + 1);
    memcpy(to, from, size);
}

/* --- names --- */

/* Where the name is, or would be. */
static size_t place_of(const struct medium_names *n, const char *name)
{
    size_t i = 0;
    while (i < n->count && strcmp(n->entries[i].name, name) < 0) {
        i++;
    }
    return i;
}

static struct medium_file *names_find(const struct medium_names *n,
                                      const char *name)
{
    const size_t i = place_of(n, name);
    return i < n->count && strcmp(n->entries[i].name, name) == 0
               ? n->entries[i].file
               : NULL;
}

static void names_set(struct medium_names *n, const char *name,
                      struct medium_file *file)
{
    const size_t i = place_of(n, name);
    if (names_find(n, name) == NULL) {
        n->entries =
            xrealloc(n->entries, (n->count + 1) * sizeof n->entries[0]);
        memmove(&n->entries[i + 1], &n->entries[i],
                (n->count - i) * sizeof n->entries[0]);
        n->count++;
        copy_name(n->entries[i].name, name);
    }
    n->entries[i].file = file;
}

static void names_drop(struct medium_names *n, const char *name)
{
    const size_t i = place_of(n, name);
    must(names_find(n, name) != NULL);
    n->count--;
    memmove(&n->entries[i], &n->entries[i + 1],
            (n->count - i) * sizeof n->entries[0]);
}

static void names_copy(struct medium_names *to, const struct medium_names *from)
{
    free(to->entries);
    *to = (struct medium_names){0};
    for (size_t i = 0; i < from->count; i++) {
        names_set(to, from->entries[i].name, from->entries[i].file);
    }
}

/* Makes the change where it still makes sense. */
static void names_apply(struct medium_names *n, const struct change *c)
{
    if (c->kind == CHANGE_CREATE) {
        names_set(n, c->name, c->file);
        return;
    }
    if (names_find(n, c->name) != c->file) {
        return; /* the change that put the file there was lost */
    }
    names_drop(n, c->name);
    if (c->kind == CHANGE_RENAME) {
        names_set(n, c->to, c->file);
    }
}

static void add_change(struct medium *m, struct change change)
{
    struct change *c = xmalloc(sizeof *c);
    *c = change;
    list_push(&m->changes, &c->in_medium);
    names_apply(&m->cached, c);
}

static void forget_changes(struct medium *m)
{
    for (struct list *l; (l = list_pop(&m->changes)) != NULL;) {
        free(container_of(l, struct change, in_medium));
    }
}

/* --- files --- */

static struct medium_file *file_new(struct medium *m)
{
    struct medium_file *f = xcalloc(1, sizeof *f);
    list_init(&f->writes);
    list_push(&m->files, &f->in_medium);
    return f;
}

static void forget_writes(struct medium_file *f)
{
    for (struct list *l; (l = list_pop(&f->writes)) != NULL;) {
        struct write *w = container_of(l, struct write, in_file);
        payload_drop(w->data);
        free(w);
    }
    f->writes_count = 0;
}

static void file_free(struct medium_file *f)
{
    list_remove(&f->in_medium);
    forget_writes(f);
    buf_fini(&f->cached);
    buf_fini(&f->durable);
    free(f);
}

static void set_contents(struct buf *to, struct bytes from)
{
    buf_clear(to);
    buf_append(to, from);
}

static void add_write(struct medium_file *f, uint64_t offset,
                      struct payload *data)
{
    struct write *w = xmalloc(sizeof *w);
    *w = (struct write){.offset = offset, .data = data};
    list_push(&f->writes, &w->in_file);
    f->writes_count++;
}

/* Over what is there, and behind its end. */
static void put_at(struct buf *to, uint64_t offset, struct bytes data)
{
    if (offset >= to->size) {
        buf_resize(to, (size_t)offset);
        buf_append(to, data);
        return;
    }
    const size_t over =
        data.size < to->size - offset ? data.size : to->size - (size_t)offset;
    memcpy(to->data + offset, data.data, over);
    buf_append(to, bytes_after(data, over));
}

void medium_write(struct medium_file *f, uint64_t offset, struct bytes data)
{
    if (data.size == 0) {
        return;
    }
    put_at(&f->cached, offset, data);
    add_write(f, offset, payload_copy_of(data));
}

void medium_sync(struct medium_file *f)
{
    list_each (l, &f->writes) {
        const struct write *w = container_of(l, struct write, in_file);
        put_at(&f->durable, w->offset, payload_bytes(w->data));
    }
    forget_writes(f);
}

void medium_flip(struct medium_file *f, uint64_t offset, uint8_t mask)
{
    must(offset < f->cached.size);
    f->cached.data[offset] ^= mask;
    if (offset < f->durable.size) {
        f->durable.data[offset] ^= mask;
    }
    list_each (l, &f->writes) {
        struct write *w = container_of(l, struct write, in_file);
        if (offset >= w->offset && offset - w->offset < w->data->size) {
            /* A clone of the medium may share the bytes. */
            struct payload *own = payload_copy_of(payload_bytes(w->data));
            own->data[offset - w->offset] ^= mask;
            payload_drop(w->data);
            w->data = own;
        }
    }
}

/* --- the power cut --- */

/* How one file comes out. `count` is how many writes there are. */
struct fate {
    enum { KEEP_ALL, KEEP_NONE, KEEP_IN_ORDER, KEEP_BY_SECTOR } temper;
    size_t cut;    /* in order: writes before this one are kept, ... */
    size_t into;   /* ... and so many bytes of this one */
    uint64_t seed; /* by sector */
    size_t count;
};

/* Copies the part of a write that lies in [begin, end) of the file, as far as
 * the file goes. */
static void keep(struct medium_file *f, const struct write *w, uint64_t begin,
                 uint64_t end)
{
    const uint64_t write_end = w->offset + w->data->size;
    begin = begin > w->offset ? begin : w->offset;
    end = end < write_end ? end : write_end;
    end = end < f->durable.size ? end : f->durable.size;
    if (begin < end) {
        memcpy(f->durable.data + begin, w->data->data + (begin - w->offset),
               (size_t)(end - begin));
    }
}

/* Each sector was written back for the last time after some number of the
 * writes; the write that came then may be torn. */
static void keep_by_sector(struct medium *m, struct medium_file *f,
                           const struct write *w, size_t number,
                           const struct fate *fate)
{
    const uint64_t end = w->offset + w->data->size;
    for (uint64_t at = w->offset - w->offset % MEDIUM_SECTOR_SIZE; at < end;
         at += MEDIUM_SECTOR_SIZE) {
        const uint64_t dice = hash_u64(fate->seed ^ hash_u64(at));
        const uint64_t last = hash_u64(dice) % (fate->count + 1);
        const uint64_t cut = at + 1 + (dice >> 8) % (MEDIUM_SECTOR_SIZE - 1);
        m->torn += number == last && dice % 4 < 2;
        if (number < last) {
            keep(f, w, at, at + MEDIUM_SECTOR_SIZE);
        } else if (number == last && dice % 4 == 0) {
            keep(f, w, at, cut);
        } else if (number == last && dice % 4 == 1) {
            keep(f, w, cut, at + MEDIUM_SECTOR_SIZE);
        }
    }
}

static struct fate draw_fate(struct medium *m, const struct medium_file *f)
{
    struct fate fate = {.temper = prng_below(&m->chance, 4),
                        .cut = prng_below(&m->chance, f->writes_count + 1),
                        .seed = prng_next(&m->chance),
                        .count = f->writes_count};
    size_t number = 0;
    list_each (l, &f->writes) {
        const struct write *w = container_of(l, struct write, in_file);
        if (number++ == fate.cut) {
            fate.into = prng_below(&m->chance, w->data->size + 1);
        }
    }
    return fate;
}

/* The size after the cut: metadata goes to the disk on its own time. */
static size_t draw_size(struct medium *m, const struct medium_file *f,
                        const struct fate *fate)
{
    const size_t least = f->durable.size;
    size_t most = least;
    list_each (l, &f->writes) {
        const struct write *w = container_of(l, struct write, in_file);
        const size_t end = (size_t)w->offset + w->data->size;
        most = end > most ? end : most;
    }
    if (fate->temper == KEEP_ALL || most == least) {
        return most;
    }
    switch (prng_below(&m->chance, 3)) {
    case 0:
        return least;
    case 1:
        return most;
    default:
        return least + prng_below(&m->chance, most - least + 1);
    }
}

static void settle(struct medium *m, struct medium_file *f)
{
    const struct fate fate = draw_fate(m, f);
    buf_resize(&f->durable, draw_size(m, f, &fate));
    size_t number = 0;
    list_each (l, &f->writes) {
        const struct write *w = container_of(l, struct write, in_file);
        switch (fate.temper) {
        case KEEP_ALL:
            keep(f, w, 0, UINT64_MAX);
            break;
        case KEEP_NONE:
            m->lost++;
            break;
        case KEEP_IN_ORDER:
            if (number <= fate.cut) {
                keep(f, w, 0,
                     number < fate.cut ? UINT64_MAX : w->offset + fate.into);
            }
            m->lost += number > fate.cut;
            m->torn += number == fate.cut && fate.into > 0;
            break;
        case KEEP_BY_SECTOR:
            keep_by_sector(m, f, w, number, &fate);
            break;
        }
        number++;
    }
    forget_writes(f);
}

void medium_half_sync(struct medium *m, struct medium_file *f)
{
    settle(m, f);
}

void medium_half_sync_names(struct medium *m)
{
    const uint64_t temper = prng_below(&m->chance, 4);
    bool journal_goes_on = true;
    list_each (l, &m->changes) {
        const struct change *c = container_of(l, struct change, in_medium);
        const bool heads = prng_chance(&m->chance, 1, 2);
        journal_goes_on = journal_goes_on && heads;
        const bool kept[] = {true, false, journal_goes_on, heads};
        if (kept[temper]) {
            names_apply(&m->durable, c);
        }
    }
    forget_changes(m);
}

void medium_crash(struct medium *m)
{
    medium_half_sync_names(m);
    names_copy(&m->cached, &m->durable);
    list_each (l, &m->files) {
        struct medium_file *f = container_of(l, struct medium_file, in_medium);
        settle(m, f);
        set_contents(&f->cached, buf_bytes(&f->durable));
    }
    medium_sweep(m);
}

/* --- the whole --- */

void medium_init(struct medium *m, uint64_t seed)
{
    *m = (struct medium){0};
    list_init(&m->files);
    list_init(&m->changes);
    prng_init(&m->chance, seed);
}

void medium_fini(struct medium *m)
{
    forget_changes(m);
    list_each_safe (l, &m->files) {
        file_free(container_of(l, struct medium_file, in_medium));
    }
    free(m->cached.entries);
    free(m->durable.entries);
}

/* The copy of `file`: the one at the same place in the list. */
static struct medium_file *twin(const struct medium *to,
                                const struct medium *from,
                                const struct medium_file *file)
{
    struct list *copy = to->files.next;
    list_each (l, &from->files) {
        if (container_of(l, struct medium_file, in_medium) == file) {
            return container_of(copy, struct medium_file, in_medium);
        }
        copy = copy->next;
    }
    unreachable("every file is in the list");
}

void medium_copy(struct medium *to, const struct medium *from)
{
    to->lost = from->lost;
    to->torn = from->torn;
    list_each (l, &from->files) {
        const struct medium_file *old =
            container_of(l, struct medium_file, in_medium);
        struct medium_file *f = file_new(to);
        set_contents(&f->cached, buf_bytes(&old->cached));
        set_contents(&f->durable, buf_bytes(&old->durable));
        list_each (lw, &old->writes) {
            const struct write *w = container_of(lw, struct write, in_file);
            add_write(f, w->offset, payload_hold(w->data));
        }
    }
    names_copy(&to->cached, &from->cached);
    names_copy(&to->durable, &from->durable);
    for (size_t i = 0; i < to->cached.count; i++) {
        to->cached.entries[i].file = twin(to, from, to->cached.entries[i].file);
    }
    for (size_t i = 0; i < to->durable.count; i++) {
        to->durable.entries[i].file =
            twin(to, from, to->durable.entries[i].file);
    }
    list_each (l, &from->changes) {
        struct change *c = xmalloc(sizeof *c);
        *c = *container_of(l, struct change, in_medium);
        c->file = twin(to, from, c->file);
        list_push(&to->changes, &c->in_medium);
    }
}

struct medium_file *medium_find(const struct medium *m, const char *name)
{
    return names_find(&m->cached, name);
}

struct medium_file *medium_create(struct medium *m, const char *name)
{
    must(medium_find(m, name) == NULL);
    struct change c = {.kind = CHANGE_CREATE, .file = file_new(m)};
    copy_name(c.name, name);
    add_change(m, c);
    return c.file;
}

void medium_rename(struct medium *m, const char *from, const char *to)
{
    struct change c = {.kind = CHANGE_RENAME, .file = medium_find(m, from)};
    must(c.file != NULL);
    copy_name(c.name, from);
    copy_name(c.to, to);
    add_change(m, c);
}

void medium_remove(struct medium *m, const char *name)
{
    struct change c = {.kind = CHANGE_REMOVE, .file = medium_find(m, name)};
    must(c.file != NULL);
    copy_name(c.name, name);
    add_change(m, c);
}

void medium_put(struct medium *m, const char *name, struct bytes contents)
{
    struct medium_file *f = file_new(m);
    set_contents(&f->cached, contents);
    set_contents(&f->durable, contents);
    names_set(&m->cached, name, f);
    names_set(&m->durable, name, f);
    medium_sweep(m);
}

static void mark(const struct medium_names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        n->entries[i].file->reachable = true;
    }
}

void medium_sweep(struct medium *m)
{
    list_each (l, &m->files) {
        struct medium_file *f = container_of(l, struct medium_file, in_medium);
        f->reachable = f->opens > 0;
    }
    mark(&m->cached);
    mark(&m->durable);
    list_each (l, &m->changes) {
        container_of(l, struct change, in_medium)->file->reachable = true;
    }
    list_each_safe (l, &m->files) {
        struct medium_file *f = container_of(l, struct medium_file, in_medium);
        if (!f->reachable) {
            file_free(f);
        }
    }
}

uint64_t medium_used(const struct medium *m)
{
    uint64_t used = 0;
    for (size_t i = 0; i < m->cached.count; i++) {
        used += m->cached.entries[i].file->cached.size;
    }
    return used;
}

void medium_sync_names(struct medium *m)
{
    list_each (l, &m->changes) {
        names_apply(&m->durable, container_of(l, struct change, in_medium));
    }
    forget_changes(m);
    medium_sweep(m);
}
