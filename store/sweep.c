/* Compaction's garbage, swept in bounded slices within the flushes.
 *
 * With C the revision that everything may be swept up to: of each key the
 * versions at or before C are garbage but for the newest of them, and that one
 * too when it is a tombstone from before C (a tombstone at C itself is kept: a
 * watcher may start there).  `events` names the keys that changed up to C, so
 * only those are looked at; the rows of `events` before C go as well.
 */

#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"
#include "store/events.h"
#include "store/flush.h"
#include "store/record.h"

/* The keys of one slice; copies, sorted, each once. */
struct slice {
    struct arena arena;
    struct bytes *keys;
    size_t count, capacity;
    int64_t next; /* where the next slice begins */
};

static enum status slice_add_row(struct slice *sl, const struct tree *t,
                                 const struct row *row, struct fault *reterr)
{
    struct reader keys = reader_of(row->head);
    while (keys.left.size > 0) {
        const struct bytes key = read_sized(&keys);
        if (!reader_ok(&keys) || key.size == 0) {
            return tree_corrupt(t, row->key, "a list of changes cannot be read",
                                reterr);
        }
        if (sl->count == sl->capacity) {
            sl->capacity = sl->capacity == 0 ? 256 : 2 * sl->capacity;
            sl->keys = xrealloc(sl->keys, sl->capacity * sizeof *sl->keys);
        }
        sl->keys[sl->count++] = arena_copy(&sl->arena, key);
    }
    return ST_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct bytes *x = a;
    const struct bytes *y = b;
    return bytes_compare(*x, *y);
}

static void slice_sort(struct slice *sl)
{
    if (sl->count < 2) {
        return;
    }
    qsort(sl->keys, sl->count, sizeof *sl->keys, by_key);
    size_t kept = 1;
    for (size_t i = 1; i < sl->count; i++) {
        if (!bytes_equal(sl->keys[i], sl->keys[kept - 1])) {
            sl->keys[kept++] = sl->keys[i];
        }
    }
    sl->count = kept;
}

/* Whole revisions from local.sweep_next on, until there are enough keys. */
static enum status slice_read(struct store_flush *f, struct tree_cursor *c,
                              struct slice *sl, struct fault *reterr)
{
    uint8_t from[EVENT_KEY_SIZE];
    int64_t at = f->local.sweep_next;
    event_key_write(from, at, 0);
    enum status st =
        tree_cursor_seek(c, (struct bytes){from, sizeof from}, reterr);
    while (st == ST_OK && !c->at_end) {
        int64_t revision;
        uint32_t sub;
        if (!event_key_read(c->row.key, &revision, &sub)) {
            return tree_corrupt(c->tree, c->row.key, "a row cannot be read",
                                reterr);
        }
        if (revision > f->garbage_revision) {
            break;
        }
        if (revision > at && sl->count >= (f->sweep_rows_max + 1) / 2) {
            sl->next = revision;
            return ST_OK;
        }
        at = revision;
        st = slice_add_row(sl, c->tree, &c->row, reterr);
        if (st == ST_OK) {
            st = tree_cursor_next(c, reterr);
        }
    }
    sl->next = f->garbage_revision + 1;
    return st;
}

/* The history rows of one key that are garbage, newest first. */
struct doomed {
    struct buf keys; /* sized, one behind the other */
    size_t count;
};

static enum status current_is_old(struct store_flush *f, struct bytes key,
                                  bool *ret, struct fault *reterr)
{
    struct row row;
    struct version v;
    const struct tree *t = &f->trees[TREE_CURRENT];
    enum status st = tree_get(t, key, ret, &row, reterr);
    if (st == ST_OK && *ret) {
        st = version_of_row(t, &row, &v, reterr);
        *ret = st == ST_OK && v.mod_revision <= f->garbage_revision;
    }
    return st;
}

/* Whether the newest version at or before C, found in history, has to stay. */
static enum status newest_stays(struct store_flush *f,
                                const struct tree_cursor *c, bool *ret,
                                struct fault *reterr)
{
    struct version v;
    const enum status st = version_of_row(c->tree, &c->row, &v, reterr);
    *ret =
        st == ST_OK && (!v.tombstone || v.mod_revision >= f->garbage_revision);
    return st;
}

/* The rows of one key.  When the bound cuts it short, a tombstone that has to
 * go stays until the older ones have gone: without it they would be there
 * again. */
static enum status doom_key(struct store_flush *f, struct tree_cursor *c,
                            struct bytes key, struct doomed *d,
                            struct fault *reterr)
{
    struct buf from = {0};
    struct buf scratch = {0};
    struct buf tombstone = {0}; /* its row's key */
    struct buf older = {0};     /* sized */
    bool superseded, over = false;
    enum status st = current_is_old(f, key, &superseded, reterr);
    record_history_key(&from, key, f->garbage_revision);
    if (st == ST_OK) {
        st = tree_cursor_seek(c, buf_bytes(&from), reterr);
    }
    while (st == ST_OK && d->count < f->sweep_rows_max) {
        struct bytes at;
        int64_t revision;
        over = c->at_end;
        if (!over &&
            !record_read_history_key(c->row.key, &scratch, &at, &revision)) {
            st = tree_corrupt(c->tree, c->row.key, "a row cannot be read",
                              reterr);
            break;
        }
        over = over || !bytes_equal(at, key);
        if (over) {
            break;
        }
        bool stays = false;
        if (!superseded) {
            st = newest_stays(f, c, &stays, reterr);
            superseded = true;
            if (st == ST_OK && !stays) {
                buf_append(&tombstone, c->row.key);
            }
        } else {
            write_sized(&older, c->row.key);
            d->count++;
        }
        if (st == ST_OK) {
            st = tree_cursor_next(c, reterr);
        }
    }
    if (over && tombstone.size > 0) {
        write_sized(&d->keys, buf_bytes(&tombstone));
        d->count++;
    }
    buf_append(&d->keys, buf_bytes(&older));
    buf_fini(&from);
    buf_fini(&scratch);
    buf_fini(&tombstone);
    buf_fini(&older);
    return st;
}

static enum status delete_doomed(struct store_flush *f, const struct doomed *d,
                                 struct fault *reterr)
{
    struct tree_writer w = {0};
    struct reader keys = reader_of(buf_bytes(&d->keys));
    enum status st = tree_writer_begin(&w, &f->trees[TREE_HISTORY], reterr);
    while (st == ST_OK && keys.left.size > 0) {
        bool found;
        st = tree_delete(&w, read_sized(&keys), &found, reterr);
        must(st != ST_OK || found);
    }
    if (st == ST_OK) {
        st = tree_writer_end(&w, reterr);
    }
    tree_writer_fini(&w);
    return st;
}

/* Deletes what is garbage of the slice's keys; *ret_all false when the bound
 * on rows cut it short. */
static enum status sweep_history(struct store_flush *f, const struct slice *sl,
                                 bool *ret_all, struct fault *reterr)
{
    struct doomed d = {0};
    struct tree_cursor c = {0};
    enum status st = tree_cursor_open(&c, &f->trees[TREE_HISTORY], reterr);
    for (size_t i = 0;
         i < sl->count && st == ST_OK && d.count < f->sweep_rows_max; i++) {
        st = doom_key(f, &c, sl->keys[i], &d, reterr);
    }
    tree_cursor_close(&c);
    *ret_all = d.count < f->sweep_rows_max;
    if (st == ST_OK && d.count > 0) {
        st = delete_doomed(f, &d, reterr);
    }
    buf_fini(&d.keys);
    return st;
}

/* Deletes the rows of `events` of revisions before `until`. */
static enum status sweep_events(struct store_flush *f, int64_t until,
                                struct fault *reterr)
{
    struct tree *t = &f->trees[TREE_EVENTS];
    struct tree_cursor c = {0};
    struct buf keys = {0};
    enum status st = tree_cursor_open(&c, t, reterr);
    if (st == ST_OK) {
        st = tree_cursor_seek(&c, BYTES_NONE, reterr);
    }
    while (st == ST_OK && !c.at_end) {
        int64_t revision;
        uint32_t sub;
        if (!event_key_read(c.row.key, &revision, &sub)) {
            st = tree_corrupt(t, c.row.key, "a row cannot be read", reterr);
            break;
        }
        if (revision >= until) {
            break;
        }
        buf_append(&keys, c.row.key);
        st = tree_cursor_next(&c, reterr);
    }
    tree_cursor_close(&c);
    struct tree_writer w = {0};
    if (st == ST_OK) {
        st = tree_writer_begin(&w, t, reterr);
    }
    for (size_t at = 0; at < keys.size && st == ST_OK; at += EVENT_KEY_SIZE) {
        bool found;
        st = tree_delete(&w, (struct bytes){keys.data + at, EVENT_KEY_SIZE},
                         &found, reterr);
    }
    if (st == ST_OK) {
        st = tree_writer_end(&w, reterr);
    }
    tree_writer_fini(&w);
    buf_fini(&keys);
    return st;
}

/* After a slice that was swept whole. */
static enum status advance(struct store_flush *f, const struct slice *sl,
                           struct fault *reterr)
{
    const int64_t c = f->garbage_revision;
    const int64_t until = sl->next < c ? sl->next : c;
    const enum status st = sweep_events(f, until, reterr);
    if (sl->next > c) {
        f->local.swept_revision = c;
        f->local.sweep_next = c; /* again: a tombstone at c was kept */
    } else {
        f->local.sweep_next = sl->next;
    }
    return st;
}

enum status sweep_run(struct store_flush *f, struct fault *reterr)
{
    if (f->local.swept_revision >= f->garbage_revision) {
        return ST_OK;
    }
    struct slice sl = {0};
    struct tree_cursor c = {0};
    bool all = false;
    enum status st = tree_cursor_open(&c, &f->trees[TREE_EVENTS], reterr);
    if (st == ST_OK) {
        st = slice_read(f, &c, &sl, reterr);
    }
    tree_cursor_close(&c);
    if (st == ST_OK) {
        slice_sort(&sl);
        st = sweep_history(f, &sl, &all, reterr);
    }
    if (st == ST_OK && all) {
        st = advance(f, &sl, reterr);
    }
    free(sl.keys);
    arena_fini(&sl.arena);
    return st;
}
