/* Reading changes by revision: LMDB's `events` for what was flushed, the
 * memtables' own order for the rest. */

#include "store/events.h"

#include "base/codec.h"
#include "base/must.h"
#include "store/internal.h"
#include "store/record.h"

void event_key_write(uint8_t *to, int64_t revision, uint32_t sub)
{
    put_u64_be(to, (uint64_t)revision);
    to[8] = (uint8_t)(sub >> 24);
    to[9] = (uint8_t)(sub >> 16);
    to[10] = (uint8_t)(sub >> 8);
    to[11] = (uint8_t)sub;
}

bool event_key_read(struct bytes from, int64_t *ret_revision, uint32_t *ret_sub)
{
    if (from.size != EVENT_KEY_SIZE) {
        return false;
    }
    const uint64_t revision = get_u64_be(from.data);
    *ret_revision = (int64_t)revision;
    *ret_sub = (uint32_t)from.data[8] << 24 | (uint32_t)from.data[9] << 16 |
               (uint32_t)from.data[10] << 8 | (uint32_t)from.data[11];
    return revision > 0 && revision <= INT64_MAX;
}

/* One read under way. */
struct reading {
    const struct store *s;
    struct arena *arena;
    struct changes_bounds bounds;
    struct changes *to;
    int64_t next; /* first revision not read */
    int64_t last; /* last wanted */
    struct fault *reterr;
};

static struct change *add(struct reading *r)
{
    struct changes *c = r->to;
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
        struct change *list = arena_get(r->arena, capacity * sizeof *list);
        if (c->count > 0) {
            memcpy(list, c->list, c->count * sizeof *list);
        }
        c->list = list;
        c->capacity = capacity;
    }
    return &c->list[c->count++];
}

static bool is_full(const struct reading *r)
{
    return r->to->seen >= r->bounds.seen_max ||
           r->to->bytes >= r->bounds.bytes_max;
}

static bool is_wanted(struct reading *r, struct bytes key)
{
    r->to->seen++;
    return r->bounds.keys == NULL || keys_contain(r->bounds.keys, key);
}

static void count_bytes(struct reading *r, const struct change *c)
{
    r->to->bytes += c->key.size + c->version.value_size;
}

/* The version that a key got at a revision which is in LMDB. */
static enum status find_exact(const struct store *s, struct bytes key,
                              int64_t revision, struct version *ret,
                              struct fault *reterr)
{
    struct row row;
    bool found;
    const struct tree *t = &s->view.trees[TREE_CURRENT];
    enum status st = tree_get(t, key, &found, &row, reterr);
    if (st == ST_OK && found) {
        st = version_of_row(t, &row, ret, reterr);
        found = st == ST_OK && ret->mod_revision == revision;
    }
    if (st != ST_OK || found) {
        return st;
    }
    struct buf history_key = {0};
    t = &s->view.trees[TREE_HISTORY];
    record_history_key(&history_key, key, revision);
    st = tree_get(t, buf_bytes(&history_key), &found, &row, reterr);
    buf_fini(&history_key);
    if (st != ST_OK) {
        return st;
    }
    if (!found) {
        return tree_corrupt(t, key, "a version is missing", reterr);
    }
    return version_of_row(t, &row, ret, reterr);
}

static enum status read_row(struct reading *r, const struct row *row,
                            int64_t revision)
{
    struct reader keys = reader_of(row->head);
    while (keys.left.size > 0) {
        const struct bytes key = read_sized(&keys);
        if (!reader_ok(&keys) || key.size == 0) {
            return tree_corrupt(&r->s->view.trees[TREE_EVENTS], row->key,
                                "a list of changes cannot be read", r->reterr);
        }
        if (!is_wanted(r, key)) {
            continue;
        }
        struct change *c = add(r);
        c->key = key;
        const enum status st =
            find_exact(r->s, key, revision, &c->version, r->reterr);
        if (st != ST_OK) {
            return st;
        }
        count_bytes(r, c);
    }
    return ST_OK;
}

static enum status read_rows(struct reading *r, struct tree_cursor *c)
{
    const int64_t last =
        r->last < r->s->view.revision ? r->last : r->s->view.revision;
    uint8_t from[EVENT_KEY_SIZE];
    event_key_write(from, r->next, 0);
    enum status st =
        tree_cursor_seek(c, (struct bytes){from, sizeof from}, r->reterr);
    while (st == ST_OK && !c->at_end) {
        int64_t revision;
        uint32_t sub;
        if (!event_key_read(c->row.key, &revision, &sub)) {
            return tree_corrupt(c->tree, c->row.key, "a row cannot be read",
                                r->reterr);
        }
        if (revision > last) {
            break;
        }
        if (revision >= r->next && is_full(r)) {
            r->next = revision; /* nothing before it was left out */
            return ST_OK;
        }
        st = read_row(r, &c->row, revision);
        r->next = revision + 1;
        if (st == ST_OK) {
            st = tree_cursor_next(c, r->reterr);
        }
    }
    if (st == ST_OK) {
        r->next = last + 1;
    }
    return st;
}

static enum status read_lmdb(struct reading *r)
{
    struct tree_cursor c = {0};
    enum status st =
        tree_cursor_open(&c, &r->s->view.trees[TREE_EVENTS], r->reterr);
    if (st == ST_OK) {
        st = read_rows(r, &c);
    }
    tree_cursor_close(&c);
    return st;
}

static void read_memtable(struct reading *r, const struct memtable *m)
{
    if (m == NULL) {
        return;
    }
    const size_t count = memtable_changes_count(m);
    for (size_t i = memtable_changes_from(m, r->next); i < count; i++) {
        const struct mem_version *mv = memtable_change(m, i);
        const int64_t revision = mv->v.mod_revision;
        if (revision > r->last) {
            break;
        }
        if (revision >= r->next && is_full(r)) {
            break;
        }
        r->next = revision + 1;
        if (!is_wanted(r, mv->key->key)) {
            continue;
        }
        struct change *c = add(r);
        c->key = mv->key->key;
        c->version = mv->v;
        count_bytes(r, c);
    }
}

enum status changes_read(const struct store *s, int64_t from, int64_t to,
                         struct changes_bounds bounds, struct arena *a,
                         struct changes *ret, int64_t *ret_next,
                         struct fault *reterr)
{
    must(from > 0);
    must(to <= s->state.numbers.revision);
    *ret = (struct changes){0};
    struct reading r = {.s = s,
                        .arena = a,
                        .bounds = bounds,
                        .to = ret,
                        .next = from,
                        .last = to,
                        .reterr = reterr};
    if (from <= s->view.revision) {
        const enum status st = read_lmdb(&r);
        if (st != ST_OK) {
            return st;
        }
    }
    if (r.next > s->view.revision) {
        read_memtable(&r, s->frozen);
        read_memtable(&r, s->active);
    }
    if (!is_full(&r)) {
        r.next = to + 1;
    }
    *ret_next = r.next;
    return ST_OK;
}
