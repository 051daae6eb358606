/* One number for all logical rows, the same on every replica that applied the
 * same entries, whatever each has flushed or swept. */

#include "base/codec.h"
#include "base/crc32c.h"
#include "store/internal.h"
#include "store/lease.h"
#include "store/record.h"

struct hashing {
    const struct store *s;
    struct fault *reterr;
    struct buf row;
    uint32_t crc;
    int64_t superseded; /* by the revision of the version hashed before, of the
                           same key; 0: none */
};

static void add_row(struct hashing *h)
{
    h->crc = crc32c(h->crc, buf_bytes(&h->row));
    buf_clear(&h->row);
}

/* Versions of one key come newest first. Those that compaction has taken away
 * are not counted, swept or not. */
static enum status add_version(struct hashing *h, struct bytes key,
                               struct version *v)
{
    const int64_t compacted = h->s->state.numbers.compact_revision;
    const bool gone = (h->superseded != 0 && h->superseded <= compacted) ||
                      (v->tombstone && v->mod_revision < compacted);
    h->superseded = v->mod_revision;
    if (gone) {
        return ST_OK;
    }
    const enum status st = version_check(key, v, h->reterr);
    if (st == ST_OK) {
        write_sized(&h->row, key);
        record_write_version(&h->row, v);
        write_sized(&h->row, v->value);
        add_row(h);
    }
    return st;
}

static enum status add_memory(struct hashing *h, const struct mem_key **at,
                              struct bytes key)
{
    const struct mem_key *k = *at;
    enum status st = ST_OK;
    if (k == NULL || !bytes_equal(k->key, key)) {
        return ST_OK;
    }
    *at = mem_key_next(k);
    for (const struct mem_version *mv = k->newest; mv != NULL && st == ST_OK;
         mv = mv->older) {
        struct version v = mv->v;
        st = add_version(h, key, &v);
    }
    return st;
}

static enum status add_current(struct hashing *h, struct merge *m,
                               struct bytes key)
{
    struct version v;
    if (m->current.at_end || !bytes_equal(m->current.row.key, key)) {
        return ST_OK;
    }
    enum status st =
        version_of_row(m->current.tree, &m->current.row, &v, h->reterr);
    if (st == ST_OK) {
        st = add_version(h, key, &v);
    }
    return st == ST_OK ? tree_cursor_next(&m->current, h->reterr) : st;
}

static enum status add_history(struct hashing *h, struct merge *m,
                               struct bytes key)
{
    enum status st = ST_OK;
    while (st == ST_OK && !m->history.at_end &&
           bytes_equal(m->history_key, key)) {
        struct version v;
        int64_t revision;
        st = version_of_row(m->history.tree, &m->history.row, &v, h->reterr);
        if (st == ST_OK) {
            st = add_version(h, key, &v);
        }
        if (st == ST_OK) {
            st = tree_cursor_next(&m->history, h->reterr);
        }
        if (st == ST_OK) {
            st = merge_history_arrived(m, &revision, h->reterr);
        }
    }
    return st;
}

static enum status add_keys(struct hashing *h)
{
    struct arena arena = {0};
    struct merge m = {0};
    struct bytes key;
    enum status st = merge_open(&m, h->s, 0, &arena, h->reterr);
    if (st == ST_OK) {
        st = merge_seek(&m, BYTES_NONE, h->reterr);
    }
    while (st == ST_OK && merge_least_key(&m, &key)) {
        arena_clear(&arena);
        key = arena_copy(&arena, key);
        h->superseded = 0;
        st = add_memory(h, &m.active, key);
        if (st == ST_OK) {
            st = add_memory(h, &m.frozen, key);
        }
        if (st == ST_OK) {
            st = add_current(h, &m, key);
        }
        if (st == ST_OK) {
            st = add_history(h, &m, key);
        }
    }
    merge_close(&m);
    arena_fini(&arena);
    return st;
}

static void add_group(struct hashing *h, struct bytes name,
                      const struct group *g)
{
    if (g->live) {
        write_sized(&h->row, name);
        record_write_group(&h->row, g);
        add_row(h);
    }
}

static bool memory_group(const struct mem_group **at, struct bytes name,
                         struct group *ret)
{
    const struct mem_group *g = *at;
    if (g == NULL || !bytes_equal(g->key, name)) {
        return false;
    }
    *at = mem_group_next(g);
    *ret = g->g;
    return true;
}

static enum status add_groups_of(struct hashing *h, struct tree_cursor *c)
{
    const struct store *s = h->s;
    const struct mem_group *active =
        memtable_groups_from(s->active, BYTES_NONE);
    const struct mem_group *frozen =
        s->frozen == NULL ? NULL : memtable_groups_from(s->frozen, BYTES_NONE);
    enum status st = tree_cursor_seek(c, BYTES_NONE, h->reterr);
    while (st == ST_OK && (active != NULL || frozen != NULL || !c->at_end)) {
        struct bytes name = BYTES_NONE;
        struct group newest = {0}, older;
        if (active != NULL) {
            name = active->key;
        }
        if (frozen != NULL &&
            (name.size == 0 || bytes_compare(frozen->key, name) < 0)) {
            name = frozen->key;
        }
        if (!c->at_end &&
            (name.size == 0 || bytes_compare(c->row.key, name) < 0)) {
            name = c->row.key;
        }
        bool known = memory_group(&active, name, &newest);
        if (memory_group(&frozen, name, known ? &older : &newest)) {
            known = true;
        }
        if (!c->at_end && bytes_equal(c->row.key, name)) {
            if (!known && !record_read_group(c->row.head, &newest)) {
                return tree_corrupt(c->tree, name, "a group cannot be read",
                                    h->reterr);
            }
            st = tree_cursor_next(c, h->reterr);
        }
        add_group(h, name, &newest);
    }
    return st;
}

static enum status add_groups(struct hashing *h)
{
    struct tree_cursor c = {0};
    enum status st =
        tree_cursor_open(&c, &h->s->view.trees[TREE_DIRS], h->reterr);
    if (st == ST_OK) {
        st = add_groups_of(h, &c);
    }
    tree_cursor_close(&c);
    return st;
}

static enum status add_leases(struct hashing *h)
{
    struct lease_scan scan = {0};
    struct lease_row l;
    struct bytes name;
    bool found = true;
    enum status st = lease_scan_open(&scan, h->s, BYTES_NONE, h->reterr);
    while (st == ST_OK && found) {
        st = lease_scan_next(&scan, &found, &name, &l, h->reterr);
        if (st == ST_OK && found) {
            write_sized(&h->row, name);
            record_write_lease(&h->row, &l);
            add_row(h);
        }
    }
    lease_scan_close(&scan);
    return st;
}

enum status store_hash(struct store *s, uint32_t *ret_hash,
                       struct fault *reterr)
{
    const struct state_numbers *n = &s->state.numbers;
    struct hashing h = {.s = s, .reterr = reterr};
    write_u64(&h.row, (uint64_t)n->revision);
    write_u64(&h.row, (uint64_t)n->compact_revision);
    write_u64(&h.row, n->ino_next);
    write_u64(&h.row, n->keys_count);
    write_u64(&h.row, n->leases_count);
    write_u64(&h.row, (uint64_t)n->lease_clock_ms);
    add_row(&h);
    enum status st = add_keys(&h);
    if (st == ST_OK) {
        st = add_groups(&h);
    }
    if (st == ST_OK) {
        st = add_leases(&h);
    }
    buf_fini(&h.row);
    if (st == ST_OK) {
        *ret_hash = h.crc;
    }
    return st;
}
