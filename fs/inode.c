/* The inode table.
 *
 * A node is in nodes_by_id for as long as it is; in nodes_by_ino once its
 * identity is known, if it is a file; in nodes_by_key while the key is its own.
 * It is freed when neither the kernel nor a call nor a handle holds it.
 *
 * Answers run ahead of the watch.  They say which file has a name, and that is
 * learnt at once; what became of the one that had it before they do not say: it
 * may have been moved, and somebody may be writing to it.  So it is displaced,
 * which is neither named nor gone, until the watch has told.
 */

#include "fs/inode.h"

#include <stdlib.h>

#include "base/must.h"
#include "fs/control.h"
#include "fs/path.h"

#define PROVISIONAL (1ULL << 63)

static uint64_t id_hash(uint64_t id)
{
    return hash_u64(id);
}

static struct fs_node *node_at(struct fs *fs, fuse_ino_t id)
{
    struct hmap_node *at = hmap_first(&fs->nodes_by_id, id_hash(id));
    for (; at != NULL; at = hmap_next(at)) {
        struct fs_node *n = container_of(at, struct fs_node, by_id);
        if (n->id == id) {
            return n;
        }
    }
    return NULL;
}

struct fs_node *fs_node_of(struct fs *fs, fuse_ino_t id)
{
    struct fs_node *n = node_at(fs, id);
    while (n != NULL && n->joined != NULL) {
        n = n->joined;
    }
    return n;
}

struct fs_node *fs_node_find_ino(struct fs *fs, uint64_t ino)
{
    struct hmap_node *at = hmap_first(&fs->nodes_by_ino, id_hash(ino));
    for (; at != NULL; at = hmap_next(at)) {
        struct fs_node *n = container_of(at, struct fs_node, by_ino);
        if (n->ino == ino) {
            return n;
        }
    }
    return NULL;
}

struct fs_node *fs_node_find(struct fs *fs, bool directory, struct bytes key)
{
    struct buf name = {.size = 0};
    buf_append_byte(&name, directory ? 'd' : 'f');
    buf_append(&name, key);
    struct omap_node *at = omap_find(&fs->nodes_by_key, buf_bytes(&name));
    buf_fini(&name);
    return at == NULL ? NULL : container_of(at, struct fs_node, by_key);
}

struct fs_node *fs_node_find_before(struct fs *fs, struct bytes key,
                                    int64_t revision)
{
    struct fs_node *n = fs_node_find(fs, false, key);
    return n != NULL && n->revision < revision && n->since < revision &&
                   !n->pending
               ? n
               : NULL;
}

struct fs_node *fs_node_was_at(struct fs *fs, struct bytes key,
                               int64_t revision)
{
    struct fs_node *found = fs_node_find_before(fs, key, revision);
    list_each (at, &fs->displaced) {
        struct fs_node *n = container_of(at, struct fs_node, state_link);
        if (n->revision < revision && bytes_equal(fs_node_key(n), key) &&
            (found == NULL || n->revision > found->revision)) {
            found = n;
        }
    }
    return found;
}

static bool is_named(const struct fs_node *n)
{
    return n->by_key.key.size > 0;
}

static void unname(struct fs *fs, struct fs_node *n)
{
    if (is_named(n)) {
        omap_remove(&fs->nodes_by_key, &n->by_key);
        n->by_key.key = BYTES_NONE;
    }
    if (n->displaced) {
        n->displaced = false;
        list_remove(&n->state_link);
    }
}

static void set_text(struct fs_node *n, struct bytes key)
{
    must(!is_named(n));
    struct buf text = {.size = 0};
    buf_append_byte(&text, n->directory ? 'd' : 'f');
    buf_append(&text, key);
    buf_fini(&n->name);
    n->name = text;
    n->since = 0;
}

/* Gives the node this key; nobody else may have it. */
static void name(struct fs *fs, struct fs_node *n, struct bytes key)
{
    must(!n->displaced);
    set_text(n, key);
    n->by_key.key = buf_bytes(&n->name);
    struct omap_node *other = omap_insert(&fs->nodes_by_key, &n->by_key);
    must(other == NULL);
}

static void set_ino(struct fs *fs, struct fs_node *n, uint64_t ino)
{
    must(ino != 0);
    must(!n->directory);
    if (n->ino == ino) {
        return;
    }
    if (n->ino != 0) {
        hmap_remove(&fs->nodes_by_ino, &n->by_ino);
    }
    n->ino = ino;
    hmap_insert(&fs->nodes_by_ino, &n->by_ino, id_hash(ino));
}

/* The wanted number, or the next free one. */
static uint64_t free_id(struct fs *fs, uint64_t wanted)
{
    uint64_t id = wanted;
    while (id <= FUSE_ROOT_ID || fs_control_has(id) ||
           node_at(fs, id) != NULL) {
        id = fs_control_has(id) ? FUSE_ROOT_ID + 1 : id + 1;
    }
    return id;
}

static struct fs_node *node_new(struct fs *fs, bool directory, uint64_t id)
{
    struct fs_node *n = xcalloc(1, sizeof *n);
    n->directory = directory;
    n->id = id;
    hmap_insert(&fs->nodes_by_id, &n->by_id, id_hash(id));
    list_init(&n->handles);
    list_init(&n->waiters);
    list_init(&n->state_link);
    return n;
}

static void node_free(struct fs *fs, struct fs_node *n)
{
    must(n->holds == 0);
    must(list_is_empty(&n->handles));
    unname(fs, n);
    hmap_remove(&fs->nodes_by_id, &n->by_id);
    if (!n->directory && n->ino != 0) {
        hmap_remove(&fs->nodes_by_ino, &n->by_ino);
    }
    list_remove(&n->state_link);
    buf_fini(&n->name);
    struct fs_node *joined = n->joined;
    free(n);
    fs_node_drop(fs, joined);
}

static void free_when_unused(struct fs *fs, struct fs_node *n)
{
    if (n->holds == 0 && n->lookups == 0 && n != fs->root) {
        node_free(fs, n);
    }
}

void fs_node_drop(struct fs *fs, struct fs_node *n)
{
    if (n == NULL) {
        return;
    }
    must(n->holds > 0);
    n->holds--;
    free_when_unused(fs, n);
}

void fs_node_forget(struct fs *fs, fuse_ino_t id, uint64_t lookups)
{
    struct fs_node *n = node_at(fs, id);
    if (n == NULL) {
        return; /* the kernel's word; nothing to lose */
    }
    n->lookups -= lookups < n->lookups ? lookups : n->lookups;
    free_when_unused(fs, n);
}

void fs_nodes_init(struct fs *fs)
{
    fs->provisional_next = PROVISIONAL;
    fs->root = node_new(fs, true, FUSE_ROOT_ID);
    name(fs, fs->root, buf_bytes(&fs->prefix));
}

void fs_nodes_fini(struct fs *fs)
{
    list_each (joined, &fs->joined) {
        struct fs_node *n = container_of(joined, struct fs_node, state_link);
        n->joined->holds--;
        n->joined = NULL;
    }
    struct hmap_node *at;
    while ((at = hmap_any(&fs->nodes_by_id)) != NULL) {
        struct fs_node *n = container_of(at, struct fs_node, by_id);
        must(n->holds == 0);
        node_free(fs, n);
    }
    hmap_fini(&fs->nodes_by_id);
    hmap_fini(&fs->nodes_by_ino);
}

uint64_t fs_ino_of(const struct kv_item *item)
{
    if (item->ino != 0) {
        return item->ino;
    }
    const uint64_t hash =
        hash_bytes(item->key, (uint64_t)item->create_revision);
    return hash != 0 ? hash : 1;
}

uint64_t fs_ino_of_directory(struct bytes beginning, const struct kv_item *item)
{
    if (item != NULL && item->ino != 0) {
        return item->ino;
    }
    const uint64_t hash = hash_bytes(beginning, UINT64_MAX);
    return hash > FUSE_ROOT_ID ? hash : FUSE_ROOT_ID + 1;
}

void fs_node_update(struct fs *fs, struct fs_node *n,
                    const struct kv_item *item, int64_t revision)
{
    if (revision < n->revision) {
        return;
    }
    n->revision = revision;
    n->create_revision = item->create_revision;
    n->size = item->value_size;
    if (item->mtime_ns != 0) {
        n->mtime_ns = item->mtime_ns;
    } else if (n->mod_revision != item->mod_revision || n->mtime_ns == 0) {
        const int64_t now_ns = fs_wall_ns(fs);
        n->mtime_ns = now_ns > n->mtime_ns ? now_ns : n->mtime_ns + 1;
    }
    n->mod_revision = item->mod_revision;
}

void fs_node_end(struct fs *fs, struct fs_node *n, int64_t revision)
{
    must(n != fs->root);
    unname(fs, n);
    list_remove(&n->state_link);
    n->gone = true;
    n->pending = false;
    n->revision = revision > n->revision ? revision : n->revision;
}

void fs_node_displace(struct fs *fs, struct fs_node *n, int64_t revision)
{
    must(!n->directory);
    must(!n->pending);
    must(is_named(n));
    unname(fs, n);
    n->displaced = true;
    n->left = revision;
    list_push(&fs->displaced, &n->state_link);
}

void fs_node_joins(struct fs *fs, struct fs_node *n, struct fs_node *to)
{
    must(n != to);
    fs_node_end(fs, n, n->revision);
    n->joined = fs_node_hold(to);
    list_push(&fs->joined, &n->state_link);
}

/* Makes room for `n`, which has the name as of `revision`; false: what has it
 * is known to be newer. */
static bool make_room(struct fs *fs, struct fs_node *n, struct bytes key,
                      int64_t revision)
{
    struct fs_node *other = fs_node_find(fs, n->directory, key);
    if (other == NULL) {
        return true;
    }
    if (other->directory && other->revision > revision) {
        /* Looked up under its new name before the move was heard of here. */
        n->revision = other->revision;
        fs_node_joins(fs, other, n);
        return true;
    }
    if (other->revision > revision ||
        (other->pending && other->revision == revision)) {
        return false;
    }
    if (other->pending && !n->pending) {
        fs_node_join(fs, other, n);
    } else if (other->directory || other->pending) {
        fs_node_end(fs, other, revision);
    } else {
        fs_node_displace(fs, other, revision);
    }
    return true;
}

/* `n` would have the name, had not something newer got it since. */
static void move_aside(struct fs *fs, struct fs_node *n, struct bytes key)
{
    const struct fs_node *other = fs_node_find(fs, false, key);
    must(!n->directory);
    if (n->pending) {
        fs_node_end(fs, n, n->revision);
        return;
    }
    if (!n->displaced) {
        fs_node_displace(fs, n, other->revision);
    }
    n->left = n->left > other->revision ? n->left : other->revision;
    set_text(n, key);
}

static void move(struct fs *fs, struct fs_node *n, struct bytes key,
                 int64_t revision)
{
    must(!n->gone);
    if (is_named(n) && bytes_equal(fs_node_key(n), key)) {
        return;
    }
    if (make_room(fs, n, key, revision)) {
        unname(fs, n);
        name(fs, n, key);
    } else {
        move_aside(fs, n, key);
    }
}

void fs_node_move(struct fs *fs, struct fs_node *n, struct bytes key,
                  int64_t revision)
{
    move(fs, n, key, revision);
    n->revision = revision > n->revision ? revision : n->revision;
}

void fs_node_replace(struct fs *fs, struct fs_node *n, int64_t revision)
{
    must(!n->pending);
    if (!n->gone) {
        fs_node_end(fs, n, revision);
    }
    n->shown = n->shown != 0 ? n->shown : n->ino;
    if (n->ino != 0) {
        hmap_remove(&fs->nodes_by_ino, &n->by_ino);
        n->ino = 0;
    }
}

void fs_node_adopt(struct fs *fs, struct fs_node *n, const struct kv_item *item,
                   int64_t revision)
{
    const uint64_t ino = fs_ino_of(item);
    struct fs_node *other = fs_node_find_ino(fs, ino);
    if (other != NULL && other != n) {
        /* It had the name that n has now, as far as we had heard. */
        fs_node_replace(fs, other, revision);
    }
    if (n->ino != 0 && n->ino != ino && n->shown == 0) {
        n->shown = n->ino;
    }
    set_ino(fs, n, ino);
    fs_node_update(fs, n, item, revision);
}

void fs_nodes_move_below(struct fs *fs, struct bytes from, struct bytes to,
                         int64_t revision)
{
    static const char kinds[] = {'d', 'f'};
    struct buf beginning = {.size = 0};
    struct buf key = {.size = 0};
    for (size_t i = 0; i < count_of(kinds); i++) {
        buf_clear(&beginning);
        buf_append_byte(&beginning, (uint8_t)kinds[i]);
        buf_append(&beginning, from);
        struct omap_node *at =
            omap_from(&fs->nodes_by_key, buf_bytes(&beginning));
        while (at != NULL &&
               bytes_starts_with(at->key, buf_bytes(&beginning))) {
            struct fs_node *n = container_of(at, struct fs_node, by_key);
            at = omap_next(at);
            if (n->revision > revision) {
                continue; /* made there after what was there had moved */
            }
            buf_clear(&key);
            buf_append(&key, to);
            buf_append(&key, bytes_after(fs_node_key(n), from.size));
            move(fs, n, buf_bytes(&key), revision);
            n->since = revision; /* whether it came along the watch tells */
        }
    }
    buf_fini(&beginning);
    buf_fini(&key);
}

void fs_node_publish(struct fs *fs, struct fs_node *n,
                     const struct kv_item *item, int64_t revision)
{
    n->pending = false;
    list_remove(&n->state_link);
    set_ino(fs, n, fs_ino_of(item));
    fs_node_update(fs, n, item, revision);
}

struct fs_node *fs_node_create(struct fs *fs, struct bytes key,
                               int64_t revision)
{
    struct fs_node *old = fs_node_find(fs, false, key);
    if (old != NULL && old->pending) {
        fs_node_end(fs, old, old->revision);
    } else if (old != NULL) {
        fs_node_displace(fs, old, revision);
    }
    struct fs_node *n = node_new(fs, false, free_id(fs, fs->provisional_next));
    fs->provisional_next = n->id + 1;
    n->pending = true;
    n->revision = revision;
    n->mtime_ns = fs_wall_ns(fs);
    name(fs, n, key);
    list_push(&fs->pending, &n->state_link);
    return n;
}

struct fs_node *fs_node_ghost(struct fs *fs, bool directory)
{
    struct fs_node *n =
        node_new(fs, directory, free_id(fs, fs->provisional_next));
    fs->provisional_next = n->id + 1;
    buf_append_byte(&n->name, directory ? 'd' : 'f');
    n->gone = true;
    return n;
}

struct fs_node *fs_directory_below(struct fs *fs, const struct fs_node *parent,
                                   const char *name)
{
    struct buf key = {.size = 0};
    enum fs_name_kind kind;
    struct fs_node *n = NULL;
    if (fs_path_resolve(buf_bytes(&fs->prefix), fs_node_key(parent),
                        bytes_of(name), &kind, &key) == ST_OK &&
        kind != FS_NAME_VALUE) {
        if (kind == FS_NAME_ORDINARY) {
            buf_append_byte(&key, '/');
        }
        n = fs_node_find(fs, true, buf_bytes(&key));
    }
    buf_fini(&key);
    return n;
}

struct fs_node *fs_node_of_item(struct fs *fs, const struct kv_item *item,
                                int64_t revision)
{
    const uint64_t ino = fs_ino_of(item);
    struct fs_node *n = fs_node_find_ino(fs, ino);
    struct fs_node *named = fs_node_find(fs, false, item->key);
    if (named != NULL && named->pending && revision > named->revision) {
        if (n == NULL) {
            fs_node_publish(fs, named, item, revision);
            return named;
        }
        fs_node_join(fs, named, n);
        named = NULL;
    }
    if (n == NULL) {
        /* What had the number may still be held; the next ones are others'. */
        const bool taken = fs_node_of(fs, ino) != NULL || ino <= FUSE_ROOT_ID;
        n = node_new(fs, false,
                     free_id(fs, taken ? fs->provisional_next : ino));
        n->shown = taken ? n->id : 0;
        set_ino(fs, n, ino);
    }
    /* An old answer does not take a name away from what is newer. */
    if (named != n && revision >= n->revision &&
        (named == NULL || (!named->pending && revision >= named->revision))) {
        if (named != NULL) {
            fs_node_displace(fs, named, revision);
        }
        unname(fs, n);
        name(fs, n, item->key);
        n->gone = false;
    }
    if (n->name.size == 0) { /* known only by its number */
        buf_append_byte(&n->name, 'f');
        buf_append(&n->name, item->key);
    }
    fs_node_update(fs, n, item, revision);
    return n;
}

void fs_node_learn(struct fs *fs, const struct kv_item *item, int64_t revision)
{
    if (fs_node_find_ino(fs, fs_ino_of(item)) != NULL) {
        (void)fs_node_of_item(fs, item, revision);
        return;
    }
    struct fs_node *named = fs_node_find_before(fs, item->key, revision + 1);
    if (named != NULL) {
        fs_node_displace(fs, named, revision);
    }
}

void fs_node_unlinked(struct fs *fs, struct bytes key, uint64_t ino,
                      int64_t revision)
{
    struct fs_node *n = fs_node_find_ino(fs, ino);
    if (n != NULL && !n->gone && n->revision <= revision) {
        fs_node_end(fs, n, revision);
    }
    n = fs_node_find(fs, false, key);
    if (n != NULL && n->pending) {
        fs_node_end(fs, n, revision); /* who sees this one means it as well */
    } else if (n != NULL && n->revision <= revision) {
        fs_node_displace(fs, n, revision);
    }
}

struct fs_node *fs_node_of_directory(struct fs *fs, struct bytes beginning,
                                     const struct kv_item *item,
                                     int64_t revision)
{
    struct fs_node *n = fs_node_find(fs, true, beginning);
    const uint64_t ino = fs_ino_of_directory(beginning, item);
    if (n == NULL) {
        n = node_new(fs, true, free_id(fs, ino));
        name(fs, n, beginning);
    }
    if (item != NULL && item->mtime_ns != 0) {
        n->mtime_ns = item->mtime_ns;
    } else if (n->mtime_ns == 0) {
        n->mtime_ns = fs->started_wall_ns;
    }
    n->ino = n->ino != 0 ? n->ino : ino; /* found by its key, not by this */
    n->revision = revision > n->revision ? revision : n->revision;
    return n;
}
