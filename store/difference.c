/* Two states side by side, in order of keys. */

#include "store/difference.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"

/* Ordering a row is so much cheaper than looking at two. */
#define ORDERED_FOR_ONE 8u

struct difference *difference_new(int64_t from, int64_t at)
{
    struct difference *d = xcalloc(1, sizeof *d);
    d->from = from;
    d->at = at;
    d->run = 1;
    write_u8(&d->next, 0); /* the least key */
    return d;
}

void difference_free(struct difference *d)
{
    if (d != NULL) {
        arena_fini(&d->arena);
        buf_fini(&d->next);
        free(d->rows);
        free(d->gone);
        free(d->spare);
        free(d);
    }
}

/* --- one side of the comparison --- */

struct side {
    struct merge merge;
    struct arena arena;
    bool found;
    struct bytes key;
    struct version version;
};

static enum status side_next(struct side *s, struct fault *reterr)
{
    arena_clear(&s->arena);
    return merge_next(&s->merge, &s->found, &s->key, &s->version, reterr);
}

static enum status side_open(struct side *s, struct store *of, int64_t revision,
                             struct bytes first, struct fault *reterr)
{
    enum status st = merge_open(&s->merge, of, revision, &s->arena, reterr);
    if (st == ST_OK) {
        st = merge_seek(&s->merge, first, reterr);
    }
    return st == ST_OK ? side_next(s, reterr) : st;
}

static void side_close(struct side *s)
{
    merge_close(&s->merge);
    arena_fini(&s->arena);
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
                                const struct store *dead_in, struct bytes key,
                                const struct bytes *neighbour, uint32_t *ret,
                                struct fault *reterr)
{
    enum status st = ST_OK;
    size_t size = group_of(key);
    *ret = 0;
    while (st == ST_OK && size > 0) {
        struct group in_one = {0}, in_other = {0};
        const struct bytes name = {key.data, size};
        if (neighbour != NULL && has_prefix_of(*neighbour, name, size)) {
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
        size = shorter(key, size - 1);
    }
    return st;
}

/* In order of keys: the first that is put below a new group brings it, the last
 * that goes takes it away.  (Rows that are put are told in order of revisions:
 * then the first in order of keys may not be the first that is told; whoever
 * keeps count of groups looks them up anyway.) */

static enum status add_live(struct difference *d, const struct store *from,
                            const struct store *to, const struct side *now,
                            struct fault *reterr)
{
    if (d->rows_count == d->rows_capacity) {
        d->rows_capacity = d->rows_capacity == 0 ? 64 : 2 * d->rows_capacity;
        d->rows = xrealloc(d->rows, d->rows_capacity * sizeof *d->rows);
    }
    struct difference_row *row = &d->rows[d->rows_count++];
    *row = (struct difference_row){.key = arena_copy(&d->arena, now->key),
                                   .revision = now->version.mod_revision,
                                   .sub = now->version.sub};
    return count_groups(to, from, row->key,
                        d->rows_count > 1 ? &row[-1].key : NULL,
                        &row->groups_changed, reterr);
}

/* Of the last one that is gone, when it is known which is the next. */
static enum status count_gone(struct difference *d, const struct store *from,
                              const struct store *to, const struct bytes *next,
                              struct fault *reterr)
{
    if (d->gone_count == 0) {
        return ST_OK;
    }
    struct difference_gone *last = &d->gone[d->gone_count - 1];
    return count_groups(from, to, last->key, next, &last->groups_changed,
                        reterr);
}

static enum status add_gone(struct difference *d, const struct store *from,
                            const struct store *to, const struct side *before,
                            struct fault *reterr)
{
    const enum status st = count_gone(d, from, to, &before->key, reterr);
    if (d->gone_count == d->gone_capacity) {
        d->gone_capacity = d->gone_capacity == 0 ? 64 : 2 * d->gone_capacity;
        d->gone = xrealloc(d->gone, d->gone_capacity * sizeof *d->gone);
    }
    d->gone[d->gone_count++] =
        (struct difference_gone){.key = arena_copy(&d->arena, before->key),
                                 .ino = before->version.ino,
                                 .mtime_ns = before->version.mtime_ns};
    return st;
}

/* -1: the next key is only in `before`; 1: only in `now`; 0: in both. */
static int compare(const struct side *before, const struct side *now)
{
    if (!before->found || !now->found) {
        return before->found ? -1 : 1;
    }
    return bytes_compare(before->key, now->key);
}

static enum status look(struct difference *d, struct store *from,
                        struct side *before, struct store *to, struct side *now,
                        struct fault *reterr)
{
    enum status st = ST_OK;
    const int order = compare(before, now);
    if (order < 0) {
        st = add_gone(d, from, to, before, reterr);
    } else if (order > 0 ||
               before->version.mod_revision != now->version.mod_revision) {
        st = add_live(d, from, to, now, reterr);
    }
    if (st == ST_OK && order <= 0) {
        st = side_next(before, reterr);
    }
    if (st == ST_OK && order >= 0) {
        st = side_next(now, reterr);
    }
    return st;
}

static enum status walk(struct difference *d, struct store *from,
                        struct store *to, size_t rows_max, struct fault *reterr)
{
    struct side before = {0}, now = {0};
    const struct bytes first = buf_bytes(&d->next);
    enum status st = side_open(&before, from, d->from, first, reterr);
    if (st == ST_OK) {
        st = side_open(&now, to, d->at, first, reterr);
    }
    for (size_t i = 0;
         i < rows_max && st == ST_OK && (before.found || now.found); i++) {
        st = look(d, from, &before, to, &now, reterr);
    }
    if (st == ST_OK && (before.found || now.found)) {
        buf_clear(&d->next);
        buf_append(&d->next, compare(&before, &now) < 0 ? before.key : now.key);
    } else if (st == ST_OK) {
        d->walked = true;
        st = count_gone(d, from, to, NULL, reterr);
    }
    side_close(&before);
    side_close(&now);
    return st;
}

/* --- ordering: a merge sort that can stop after any row --- */

static bool is_before(const struct difference_row *a,
                      const struct difference_row *b)
{
    return a->revision != b->revision ? a->revision < b->revision
                                      : a->sub < b->sub;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The next row of the two runs at d->merged, behind what they have given. */
static void merge_row(struct difference *d)
{
    const size_t left_end = least(d->merged + d->run, d->rows_count);
    const size_t right_end = least(left_end + d->run, d->rows_count);
    const size_t left = d->merged + d->left;
    const size_t right = left_end + d->right;
    struct difference_row *to = &d->spare[d->merged + d->left + d->right];
    if (left < left_end &&
        (right == right_end || !is_before(&d->rows[right], &d->rows[left]))) {
        *to = d->rows[left];
        d->left++;
    } else {
        *to = d->rows[right];
        d->right++;
    }
    if (d->merged + d->left + d->right == right_end) {
        d->merged = right_end;
        d->left = d->right = 0;
    }
}

static void order(struct difference *d, size_t rows_max)
{
    if (d->spare == NULL && d->rows_count > 1) {
        d->spare = xmalloc(d->rows_count * sizeof *d->spare);
    }
    for (size_t i = 0; i < rows_max && d->run < d->rows_count; i++) {
        merge_row(d);
        if (d->merged == d->rows_count) {
            struct difference_row *merged = d->spare;
            d->spare = d->rows;
            d->rows = merged;
            d->run *= 2;
            d->merged = 0;
        }
    }
    if (d->run >= d->rows_count) {
        free(d->spare);
        d->spare = NULL;
        d->ordered = true;
    }
}

enum status difference_step(struct difference *d, struct store *from,
                            struct store *to, size_t rows_max,
                            struct fault *reterr)
{
    must(from->state.numbers.revision == d->from && !d->ordered);
    if (!d->walked) {
        return walk(d, from, to, rows_max, reterr);
    }
    order(d, rows_max * ORDERED_FOR_ONE);
    return ST_OK;
}
