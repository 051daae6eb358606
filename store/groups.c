/* The `dirs` index: for each '/'-ended prefix of live keys, how many entries
 * stand directly below it, its identity, and when that set last changed.
 *
 * A key or group that is new is an entry of the next group up; only while that
 * one was new as well does the change climb further (invariant S6).  Prefixes
 * beyond GROUP_SIZE_MAX bytes or GROUP_DEPTH_MAX levels are not indexed: a key
 * made of slashes would else cost memory in the square of its length.  A key
 * with such prefixes counts as one entry of its longest indexed prefix.
 */

#include "base/must.h"
#include "store/apply.h"

#define GROUP_SIZE_MAX  4096u
#define GROUP_DEPTH_MAX 512u

size_t group_of(struct bytes key)
{
    size_t size = key.size < GROUP_SIZE_MAX ? key.size : GROUP_SIZE_MAX;
    if (size > GROUP_DEPTH_MAX) {
        unsigned depth = 0;
        for (size_t i = 0; i < size && depth < GROUP_DEPTH_MAX; i++) {
            if (key.data[i] == '/') {
                depth++;
                if (depth == GROUP_DEPTH_MAX) {
                    return i + 1;
                }
            }
        }
    }
    const uint8_t *slash = size == 0 ? NULL : memrchr(key.data, '/', size);
    return slash == NULL ? 0 : (size_t)(slash - key.data) + 1;
}

/* The group that the group is an entry of; empty: none. */
static struct bytes parent_of(struct bytes name)
{
    must(name.size > 0);
    const uint8_t *slash =
        name.size == 1 ? NULL : memrchr(name.data, '/', name.size - 1);
    return (struct bytes){name.data,
                          slash == NULL ? 0 : (size_t)(slash - name.data) + 1};
}

static enum status load(struct apply *a, struct bytes name, struct group *ret)
{
    return find_group(a->s, name, ret, a->reterr);
}

static void save(struct apply *a, struct bytes name, const struct group *g)
{
    memtable_set_group(a->s->active, name, g);
}

/* The identity of a new group: while a prefix moves, that of the group whose
 * place it takes. */
static enum status new_ino(struct apply *a, struct bytes name, uint64_t *ret)
{
    const struct kv_move *m = a->moving;
    if (m != NULL && bytes_starts_with(name, m->to)) {
        struct buf from = {0};
        buf_append(&from, m->from);
        buf_append(&from, bytes_after(name, m->to.size));
        struct group g = {0};
        enum status st = ST_OK;
        if (from.data[from.size - 1] == '/') {
            st = load(a, buf_bytes(&from), &g);
        }
        buf_fini(&from);
        if (st != ST_OK || g.live) {
            *ret = g.ino;
            return st;
        }
    }
    *ret = a->s->state.numbers.ino_next++;
    return ST_OK;
}

enum status groups_add(struct apply *a, struct bytes key, uint64_t ino,
                       uint64_t *ret_ino, uint32_t *ret_changed)
{
    struct bytes name = {key.data, group_of(key)};
    bool marker = key_is_marker(key);
    *ret_changed = 0;
    if (!marker && ino == 0) {
        ino = a->s->state.numbers.ino_next++;
    }
    *ret_ino = ino;
    while (name.size > 0) {
        struct group g;
        enum status st = load(a, name, &g);
        if (st != ST_OK) {
            return st;
        }
        const bool is_new = !g.live;
        if (is_new) {
            g = (struct group){.live = true, .mtime_ns = a->time_ns};
            if (!marker || ino == 0) {
                st = new_ino(a, name, &g.ino);
            }
            (*ret_changed)++;
        } else if (!marker) {
            g.mtime_ns = apply_time_after(a, g.mtime_ns);
        }
        if (st != ST_OK) {
            return st;
        }
        if (marker) {
            must(!g.marker);
            g.marker = true;
            g.ino = ino != 0 ? ino : g.ino;
            *ret_ino = g.ino;
            marker = false; /* its group is an ordinary entry further up */
        } else {
            g.entries++;
        }
        save(a, name, &g);
        if (!is_new) {
            break;
        }
        name = parent_of(name);
    }
    return ST_OK;
}

enum status groups_remove(struct apply *a, struct bytes key,
                          uint32_t *ret_changed)
{
    struct bytes name = {key.data, group_of(key)};
    bool marker = key_is_marker(key);
    *ret_changed = 0;
    while (name.size > 0) {
        struct group g;
        const enum status st = load(a, name, &g);
        if (st != ST_OK) {
            return st;
        }
        if (!g.live || (marker ? !g.marker : g.entries == 0)) {
            return fault_set(a->reterr, ST_CORRUPT,
                             "the store is damaged: its index of directories "
                             "does not know the directory of a key (%zu bytes)",
                             key.size);
        }
        if (marker) {
            g.marker = false;
            marker = false;
        } else {
            g.entries--;
            g.mtime_ns = apply_time_after(a, g.mtime_ns);
        }
        g.live = g.marker || g.entries > 0;
        save(a, name, &g);
        if (g.live) {
            break;
        }
        (*ret_changed)++;
        name = parent_of(name);
    }
    return ST_OK;
}

enum status groups_touch(struct apply *a, struct bytes key)
{
    struct bytes name = {key.data, group_of(key)};
    if (key_is_marker(key)) {
        name = parent_of(name); /* the directory is the entry */
    }
    if (name.size == 0) {
        return ST_OK;
    }
    struct group g;
    const enum status st = load(a, name, &g);
    if (st == ST_OK && g.live) {
        g.mtime_ns = apply_time_after(a, g.mtime_ns);
        save(a, name, &g);
    }
    return st;
}
