/* Two states side by side, in order of keys. */

#include "store/difference.h"

#include <stdlib.h>

#include "base/must.h"

/* One side of the comparison. */
struct side {
    struct merge merge;
    struct arena arena;
    bool found;
    struct bytes key;
    struct version version;
};

static enum status side_next(struct side *s, const struct kv_keys *keys,
                             struct fault *reterr)
{
    arena_clear(&s->arena);
    const enum status st =
        merge_next(&s->merge, &s->found, &s->key, &s->version, reterr);
    if (st == ST_OK && s->found && !keys_contain(keys, s->key)) {
        s->found = false; /* behind the range */
    }
    return st;
}

static enum status side_open(struct side *s, struct store *of, int64_t revision,
                             const struct kv_keys *keys, struct fault *reterr)
{
    enum status st = merge_open(&s->merge, of, revision, &s->arena, reterr);
    if (st == ST_OK) {
        st = merge_seek(&s->merge, keys->key, reterr);
    }
    return st == ST_OK ? side_next(s, keys, reterr) : st;
}

static void side_close(struct side *s)
{
    merge_close(&s->merge);
    arena_fini(&s->arena);
}

static struct difference_row *add(struct difference *d, struct bytes key)
{
    if (d->count == d->capacity) {
        d->capacity = d->capacity == 0 ? 64 : 2 * d->capacity;
        d->rows = xrealloc(d->rows, d->capacity * sizeof *d->rows);
    }
    struct difference_row *row = &d->rows[d->count++];
    *row = (struct difference_row){.key = arena_copy(&d->arena, key)};
    return row;
}

static void add_live(struct difference *d, const struct side *now)
{
    struct difference_row *row = add(d, now->key);
    row->revision = now->version.mod_revision;
    row->sub = now->version.sub;
}

static void add_gone(struct difference *d, const struct side *before)
{
    struct difference_row *row = add(d, before->key);
    row->revision = d->at;
    row->sub = UINT32_MAX; /* behind what was put at that revision */
    row->gone = true;
    row->ino = before->version.ino;
    row->mtime_ns = before->version.mtime_ns;
}

/* -1: the next key is only in `before`; 1: only in `now`; 0: in both. */
static int compare(const struct side *before, const struct side *now)
{
    if (!before->found || !now->found) {
        return before->found ? -1 : 1;
    }
    return bytes_compare(before->key, now->key);
}

static enum status walk(struct difference *d, struct side *before,
                        struct side *now, const struct kv_keys *keys,
                        struct fault *reterr)
{
    enum status st = ST_OK;
    while (st == ST_OK && (before->found || now->found)) {
        const int order = compare(before, now);
        if (order < 0) {
            add_gone(d, before);
        } else if (order > 0 ||
                   before->version.mod_revision != now->version.mod_revision) {
            add_live(d, now);
        }
        if (order <= 0) {
            st = side_next(before, keys, reterr);
        }
        if (st == ST_OK && order >= 0) {
            st = side_next(now, keys, reterr);
        }
    }
    return st;
}

static int by_place(const void *a, const void *b)
{
    const struct difference_row *x = a;
    const struct difference_row *y = b;
    if (x->revision != y->revision) {
        return x->revision < y->revision ? -1 : 1;
    }
    if (x->sub != y->sub) {
        return x->sub < y->sub ? -1 : 1;
    }
    return bytes_compare(x->key, y->key);
}

/* --- groups that come and go with these keys --- */

/* The prefix of the key that is one step shorter than `size`; 0: none. */
static size_t shorter(struct bytes key, size_t size)
{
    while (size > 0 && key.data[size - 1] != '/') {
        size--;
    }
    return size;
}

static bool has_prefix_of(struct bytes key, struct bytes other, size_t size)
{
    return key.size >= size && memcmp(key.data, other.data, size) == 0;
}

/* How many of the key's prefixes, from the longest up, are alive in only one of
 * the states, and with no neighbour that counts them. */
static enum status count_groups(const struct store *alive_in,
                                const struct store *dead_in,
                                const struct difference_row *row,
                                const struct difference_row *neighbour,
                                uint32_t *ret, struct fault *reterr)
{
    enum status st = ST_OK;
    size_t size = group_of(row->key);
    *ret = 0;
    while (st == ST_OK && size > 0) {
        struct group in_one = {0}, in_other = {0};
        const struct bytes name = {row->key.data, size};
        if (neighbour != NULL && has_prefix_of(neighbour->key, name, size)) {
            break;
        }
        st = find_group(alive_in, name, &in_one, reterr);
        if (st == ST_OK) {
            st = find_group(dead_in, name, &in_other, reterr);
        }
        if (st != ST_OK || !in_one.live || in_other.live) {
            break;
        }
        (*ret)++;
        size = shorter(row->key, size - 1);
    }
    return st;
}

/* In order of keys: the first that is put below a new group brings it, the last
 * that goes takes it away.  (Rows that are put are told in order of revisions:
 * then the first in order of keys may not be the first that is told; whoever
 * keeps count of groups looks them up anyway.) */
static enum status note_groups(struct difference *d, const struct store *from,
                               const struct store *to, struct fault *reterr)
{
    const struct difference_row *last_put = NULL;
    struct difference_row *last_gone = NULL;
    enum status st = ST_OK;
    for (size_t i = 0; i < d->count && st == ST_OK; i++) {
        struct difference_row *row = &d->rows[i];
        if (!row->gone) {
            st = count_groups(to, from, row, last_put, &row->groups_changed,
                              reterr);
            last_put = row;
            continue;
        }
        if (last_gone != NULL) {
            st = count_groups(from, to, last_gone, row,
                              &last_gone->groups_changed, reterr);
        }
        last_gone = row;
    }
    if (st == ST_OK && last_gone != NULL) {
        st = count_groups(from, to, last_gone, NULL, &last_gone->groups_changed,
                          reterr);
    }
    return st;
}

enum status difference_find(struct store *from, int64_t from_revision,
                            struct store *to, int64_t at,
                            const struct kv_keys *keys, struct difference **ret,
                            struct fault *reterr)
{
    struct difference *d = xcalloc(1, sizeof *d);
    struct side before = {0}, now = {0};
    d->at = at;
    enum status st = side_open(&before, from, from_revision, keys, reterr);
    if (st == ST_OK) {
        st = side_open(&now, to, at, keys, reterr);
    }
    if (st == ST_OK) {
        st = walk(d, &before, &now, keys, reterr);
    }
    side_close(&before);
    side_close(&now);
    if (st == ST_OK) {
        st = note_groups(d, from, to, reterr);
    }
    if (st != ST_OK) {
        difference_free(d);
        return st;
    }
    if (d->count > 1) {
        qsort(d->rows, d->count, sizeof *d->rows, by_place);
    }
    *ret = d;
    return ST_OK;
}

void difference_free(struct difference *d)
{
    if (d != NULL) {
        arena_fini(&d->arena);
        free(d->rows);
        free(d);
    }
}
