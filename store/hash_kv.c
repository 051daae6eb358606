/* etcd's HashKV.
 *
 * Two parts, in order of revisions.  What was written after the compact
 * revision: everything, as `events` lists it.  What was written before and is
 * still live at the revision asked for: our rows are in order of keys, so these
 * are gathered and sorted, so many at a time; each pass takes the next ones.
 *
 * Where nothing at all is live at the revision, etcd hashes every row that it
 * has; then the older part is what the finished compaction has left, which is
 * what is live at the compact revision. */

#include <stdlib.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "store/events.h"
#include "store/hash_internal.h"

#define SLICE_KEYS  4096u
#define SLICE_BYTES ((uint64_t)16 << 20)

/* --- rows as etcd has them --- */

static void add_revision_key(struct store_hasher *h, int64_t revision,
                             uint32_t sub, bool tombstone)
{
    uint8_t key[18];
    put_u64_be(key, (uint64_t)revision);
    key[8] = '_';
    put_u64_be(key + 9, sub);
    key[17] = 't';
    h->crc = crc32c(h->crc, (struct bytes){key, tombstone ? sizeof key : 17});
}

static void write_number(struct buf *to, uint8_t field, int64_t value)
{
    if (value != 0) {
        write_u8(to, (uint8_t)(field << 3));
        write_varint(to, (uint64_t)value);
    }
}

static void write_text(struct buf *to, uint8_t field, struct bytes value)
{
    if (value.size > 0) {
        write_u8(to, (uint8_t)(field << 3 | 2));
        write_sized(to, value);
    }
}

/* mvccpb.KeyValue: key 1, create_revision 2, mod_revision 3, version 4, value
 * 5, lease 6; of a tombstone the key alone. */
static enum status add_kept(struct store_hasher *h, const struct kept *k,
                            bool tombstone, struct fault *reterr)
{
    const struct row row = {
        .key = k->key, .value = k->value, .value_crc = k->value_crc};
    const enum status st = tombstone ? ST_OK : row_check_value(&row, reterr);
    if (st != ST_OK) {
        return st;
    }
    add_revision_key(h, k->mod_revision, k->sub, tombstone);
    buf_clear(&h->row);
    write_text(&h->row, 1, k->key);
    if (!tombstone) {
        write_number(&h->row, 2, k->create_revision);
        write_number(&h->row, 3, k->mod_revision);
        write_number(&h->row, 4, k->version);
        write_text(&h->row, 5, k->value);
        write_number(&h->row, 6, k->lease);
    }
    h->crc = crc32c(h->crc, buf_bytes(&h->row));
    return ST_OK;
}

static struct kept kept_of(struct bytes key, const struct version *v)
{
    return (struct kept){.mod_revision = v->mod_revision,
                         .create_revision = v->create_revision,
                         .version = v->version,
                         .lease = v->lease,
                         .key = key,
                         .value = v->value,
                         .sub = v->sub,
                         .value_crc = v->value_crc};
}

/* --- the older part --- */

static int by_place(const void *a, const void *b)
{
    const struct kept *x = a;
    const struct kept *y = b;
    if (x->mod_revision != y->mod_revision) {
        return x->mod_revision < y->mod_revision ? -1 : 1;
    }
    return x->sub < y->sub ? -1 : x->sub > y->sub;
}

/* One pass over the keys that are live at `at`. */
struct pass {
    int64_t at;
    struct kept after, until; /* only those between, both not included */
    bool has_after, has_until;
    bool any_live; /* at all */
};

static bool is_in(const struct pass *p, const struct kept *k)
{
    return (!p->has_after || by_place(&p->after, k) < 0) &&
           (!p->has_until || by_place(k, &p->until) < 0);
}

/* Keeps the older half, and from then on looks for nothing younger. */
static void make_room(struct store_hasher *h, struct pass *p)
{
    qsort(h->kept, h->kept_count, sizeof *h->kept, by_place);
    h->kept_count /= 2;
    p->until = h->kept[h->kept_count];
    p->has_until = true;
}

static void note(struct store_hasher *h, struct pass *p, struct bytes key,
                 const struct version *v)
{
    p->any_live = true;
    const struct kept k = kept_of(key, v);
    if (v->mod_revision > h->compact_revision || !is_in(p, &k)) {
        return;
    }
    if (h->kept == NULL) {
        h->kept = xcalloc(h->kept_max, sizeof *h->kept);
    }
    h->kept[h->kept_count++] = k;
    if (h->kept_count == h->kept_max) {
        make_room(h, p);
    }
}

static enum status gather(struct store_hasher *h, struct pass *p,
                          struct arena *arena, struct fault *reterr)
{
    struct merge m = {0};
    bool found = true;
    enum status st = merge_open(&m, h->shadow, p->at, arena, reterr);
    if (st == ST_OK) {
        st = merge_seek(&m, BYTES_NONE, reterr);
    }
    while (st == ST_OK && found) {
        struct bytes key;
        struct version v;
        st = merge_next(&m, &found, &key, &v, reterr);
        if (st == ST_OK && found) {
            note(h, p, key, &v);
            st = hasher_go_on(h, reterr);
        }
    }
    merge_close(&m);
    return st;
}

/* *ret_more: there are younger ones, for another pass. */
static enum status add_pass(struct store_hasher *h, struct pass *p,
                            bool *ret_more, struct fault *reterr)
{
    struct arena arena = {0}; /* of keys that are not in the map as such */
    p->has_until = false;
    h->kept_count = 0;
    enum status st = gather(h, p, &arena, reterr);
    if (st == ST_OK && h->kept_count > 1) {
        qsort(h->kept, h->kept_count, sizeof *h->kept, by_place);
    }
    for (size_t i = 0; i < h->kept_count && st == ST_OK; i++) {
        st = add_kept(h, &h->kept[i], false, reterr);
        if (st == ST_OK) {
            st = hasher_go_on(h, reterr);
        }
    }
    *ret_more = st == ST_OK && p->has_until;
    if (*ret_more) {
        p->after = h->kept[h->kept_count - 1];
        p->after.key = p->after.value = BYTES_NONE;
        p->has_after = true;
    }
    arena_fini(&arena);
    return st;
}

static enum status add_older(struct store_hasher *h, struct fault *reterr)
{
    struct pass p = {.at = h->revision};
    bool more = false;
    if (h->compact_revision <= 0) {
        return ST_OK;
    }
    enum status st = add_pass(h, &p, &more, reterr);
    if (st == ST_OK && !p.any_live) {
        p.at = h->compact_revision;
        st = add_pass(h, &p, &more, reterr);
    }
    while (st == ST_OK && more) {
        st = add_pass(h, &p, &more, reterr);
    }
    return st;
}

/* --- the younger part --- */

static enum status add_changes(struct store_hasher *h,
                               const struct changes *changes,
                               struct fault *reterr)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < changes->count && st == ST_OK; i++) {
        const struct change *c = &changes->list[i];
        const struct kept k = kept_of(c->key, &c->version);
        st = add_kept(h, &k, c->version.tombstone, reterr);
    }
    return st;
}

static enum status add_younger(struct store_hasher *h, struct fault *reterr)
{
    const struct changes_bounds bounds = {.seen_max = SLICE_KEYS,
                                          .bytes_max = SLICE_BYTES};
    struct arena arena = {0};
    int64_t next = h->compact_revision + 1;
    enum status st = ST_OK;
    while (st == ST_OK && next <= h->revision) {
        struct changes changes;
        arena_clear(&arena);
        st = changes_read(h->shadow, next, h->revision, bounds, &arena,
                          &changes, &next, reterr);
        if (st == ST_OK) {
            st = add_changes(h, &changes, reterr);
        }
        if (st == ST_OK) {
            st = hasher_go_on(h, reterr);
        }
    }
    arena_fini(&arena);
    return st;
}

enum status hasher_kv(struct store_hasher *h, struct fault *reterr)
{
    h->crc = crc32c(0, bytes_of("key"));
    const enum status st = add_older(h, reterr);
    return st == ST_OK ? add_younger(h, reterr) : st;
}
