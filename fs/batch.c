/* Batches: copying events, the inode table, and questions about neighbours. */

#include <stdlib.h>

#include "base/must.h"
#include "fs/changes.h"
#include "fs/mount.h"
#include "fs/target.h"

size_t fs_group_size(struct bytes key, size_t i)
{
    for (size_t size = key.size; size > 0; size--) {
        if (key.data[size - 1] == '/' && i-- == 0) {
            return size;
        }
    }
    return 0;
}

static struct bytes key_of(const struct fs_change *c)
{
    return buf_bytes(&c->key);
}

/* --- the inode table --- */

/* The file that the move took there, as far as is known.  Where it went over
 * another whose life goes on (keep_target) it gets that one's identity. */
static void note_move(struct fs *fs, struct fs_change *c,
                      const struct kv_item *item, int64_t revision)
{
    struct fs_node *target = fs_node_was_at(fs, item->key, revision);
    struct fs_node *n = fs_node_was_at(fs, buf_bytes(&c->moved_from), revision);
    if (target != NULL) {
        c->other = fs_node_hold(target);
        fs_node_replace(fs, target, revision);
    }
    const struct fs_node *same = fs_node_find_ino(fs, fs_ino_of(item));
    if (n == NULL ||
        (same != NULL && same != n && same->revision >= revision)) {
        return; /* looked up since, and taken for the one that was there */
    }
    fs_node_move(fs, n, item->key, revision);
    fs_node_adopt(fs, n, item, revision);
}

static bool has_name(const struct fs_node *n, struct bytes key)
{
    return n != NULL && !n->gone && !n->displaced &&
           bytes_equal(fs_node_key(n), key);
}

/* Events come in order: what is not known to be newer is as they say. */
static void note_put(struct fs *fs, struct fs_change *c, int64_t revision)
{
    struct kv_item item = c->item;
    item.key = key_of(c);
    const struct fs_node *was = fs_node_find_ino(fs, fs_ino_of(&item));
    const struct fs_node *stays = has_name(was, item.key) ? was : NULL;
    if (c->exchange) {
        fs_node_learn(fs, &item, revision);
    } else if (c->moved_from.size > 0) {
        note_move(fs, c, &item, revision);
    }
    struct fs_node *at = fs_node_find_before(fs, item.key, revision);
    if (at != NULL && at->ino != fs_ino_of(&item)) {
        fs_node_end(fs, at, revision);
    }
    struct fs_node *n = fs_node_find_ino(fs, fs_ino_of(&item));
    if (n != NULL && !n->gone && n->revision < revision) {
        fs_node_move(fs, n, item.key, revision);
        fs_node_update(fs, n, &item, revision);
    }
    if (n != stays && has_name(n, item.key)) {
        n->moved_ns = fs->now_ns;
    }
    c->node = n == NULL ? NULL : fs_node_hold(n);
}

static void note_delete(struct fs *fs, struct fs_change *c, int64_t revision)
{
    struct fs_node *n = fs_node_find_before(fs, key_of(c), revision);
    if (n == NULL && c->item.ino != 0 && c->moved_to.size == 0) {
        n = fs_node_find_ino(fs, c->item.ino);
        n = n == NULL || n->gone || n->revision >= revision ? NULL : n;
    }
    if (n != NULL) {
        c->node = fs_node_hold(n);
        c->item.ino = n->ino;
        fs_node_end(fs, n, revision);
    }
    /* With replay, a directory ends when its removal has been replayed. */
    for (size_t i = 0; i < c->groups && fs->replay == NULL; i++) {
        const size_t size = fs_group_size(key_of(c), i);
        struct fs_node *d =
            fs_node_find(fs, true, (struct bytes){c->key.data, size});
        if (d != NULL && d != fs->root && d->revision < revision) {
            fs_node_end(fs, d, revision);
        }
    }
}

/* --- copying --- */

static bool is_exchange(const struct kv_event *events, size_t count, size_t at)
{
    const struct kv_event *e = &events[at];
    for (size_t i = 0; e->moved_from.size > 0 && i < count; i++) {
        if (events[i].type == KV_EVENT_PUT &&
            bytes_equal(events[i].item.key, e->moved_from) &&
            bytes_equal(events[i].moved_from, e->item.key)) {
            return true;
        }
    }
    return false;
}

static void take_event(struct fs_change *c, const struct kv_event *e)
{
    c->type = e->type;
    buf_append(&c->key, e->item.key);
    buf_append(&c->moved_from, e->moved_from);
    buf_append(&c->moved_to, e->moved_to);
    c->item = e->item;
    c->item.ino = e->type == KV_EVENT_PUT ? fs_ino_of(&e->item) : e->item.ino;
    c->item.key = c->item.value = c->item.attrs = BYTES_NONE;
    c->groups =
        e->groups_changed < FS_GROUPS_MAX ? e->groups_changed : FS_GROUPS_MAX;
    c->attrs_only = e->attrs_only;
}

struct fs_batch *fs_batch_new(struct fs *fs, const struct kv_event *events,
                              size_t count, int64_t revision)
{
    struct fs_batch *b = xcalloc(1, sizeof *b);
    list_init(&b->link);
    b->fs = fs;
    b->revision = revision;
    b->changes = xcalloc(count, sizeof *b->changes);
    b->count = count;
    for (size_t i = 0; i < count; i++) {
        struct fs_change *c = &b->changes[i];
        take_event(c, &events[i]);
        /* Looking for the other half is quadratic: only in small batches. */
        c->exchange = count <= 128 && is_exchange(events, count, i);
        if (c->type == KV_EVENT_PUT) {
            note_put(fs, c, revision);
        } else {
            note_delete(fs, c, revision);
        }
    }
    return b;
}

void fs_batch_free(struct fs_batch *b)
{
    must(!b->asked);
    for (size_t i = 0; i < b->count; i++) {
        struct fs_change *c = &b->changes[i];
        buf_fini(&c->key);
        buf_fini(&c->moved_from);
        buf_fini(&c->moved_to);
        fs_node_drop(b->fs, c->node);
        fs_node_drop(b->fs, c->other);
    }
    for (size_t i = 0; i < b->probes_count; i++) {
        free((void *)(uintptr_t)b->probes[i].data);
    }
    free(b->ops);
    free(b->probes);
    free((void *)b->answers);
    free(b->changes);
    buf_fini(&b->made);
    buf_fini(&b->moved);
    free(b);
}

/* --- questions --- */

/* Whether there is such a file; for a key that ends in '/', whether anything
 * begins with it. */
static void add_probe(struct fs_batch *b, struct bytes key, bool *answer)
{
    b->probes =
        xrealloc(b->probes, (b->probes_count + 1) * sizeof b->probes[0]);
    b->answers = (bool **)xrealloc(
        (void *)b->answers, (b->probes_count + 1) * sizeof b->answers[0]);
    /* The key, and behind it the end of the range that begins with it. */
    uint8_t *copy = xmalloc(2 * key.size);
    memcpy(copy, key.data, key.size);
    memcpy(copy + key.size, key.data, key.size);
    copy[2 * key.size - 1]++;
    b->probes[b->probes_count] = (struct bytes){copy, key.size};
    b->answers[b->probes_count++] = answer;
}

static void list_probes(struct fs_batch *b)
{
    struct buf below = {.size = 0};
    for (size_t i = 0; i < b->count; i++) {
        struct fs_change *c = &b->changes[i];
        for (size_t j = 0; j < c->groups; j++) {
            const size_t size = fs_group_size(key_of(c), j);
            if (size > 1) {
                add_probe(b, (struct bytes){c->key.data, size - 1},
                          &c->group_file[j]);
            }
        }
        const bool appears = c->type == KV_EVENT_DELETE || c->item.version == 1;
        if (!b->own && appears && !fs_key_is_marker(key_of(c))) {
            buf_clear(&below);
            buf_append(&below, key_of(c));
            buf_append_byte(&below, '/');
            add_probe(b, buf_bytes(&below), &c->shown_as_value);
        }
    }
    buf_fini(&below);
}

static void ask(struct fs_batch *b);

static void answered(struct kv_call *call)
{
    struct fs_batch *b = container_of(call, struct fs_batch, txn.call);
    b->asked = false;
    if (b->abandoned) {
        struct fs *fs = b->fs;
        fs_batch_free(b);
        fs->batches_abandoned--;
        fs_maybe_destroy(fs);
        return;
    }
    const struct kv_txn_result *r = &b->txn.result;
    const size_t count = b->txn.spec.success_count;
    for (size_t i = 0; call->status == ST_OK && i < count; i++) {
        const struct kv_range_result *range = &r->results[i].range;
        *b->answers[b->probes_done + i] =
            range->items_count > 0 &&
            (range->items[0].group || fs_item_is_file(&range->items[0]));
    }
    b->probes_done += count;
    ask(b);
}

static void ask(struct fs_batch *b)
{
    const size_t left = b->probes_count - b->probes_done;
    if (left == 0) {
        b->ready(b);
        return;
    }
    const size_t count = left < FS_PROBES_MAX ? left : FS_PROBES_MAX;
    if (b->ops == NULL) {
        b->ops = xcalloc(count, sizeof *b->ops);
    }
    for (size_t i = 0; i < count; i++) {
        const struct bytes key = b->probes[b->probes_done + i];
        if (fs_key_is_marker(key)) {
            b->ops[i] =
                fs_op_group(key, (struct bytes){key.data + key.size, key.size});
        } else {
            b->ops[i] = fs_op_key((struct kv_keys){.key = key});
        }
        b->ops[i].range.revision = b->revision;
        b->ops[i].range.serializable = true;
    }
    b->txn =
        (struct kv_txn){.call = {.done = answered},
                        .spec = {.success = b->ops, .success_count = count}};
    b->asked = true;
    kv_txn(b->fs->kv, &b->txn);
}

void fs_batch_probe(struct fs_batch *b, void (*ready)(struct fs_batch *b))
{
    b->ready = ready;
    list_probes(b);
    ask(b);
}
