/* The hasher: its view, its kinds, and the hash of the live state. */

#include "store/hashes.h"

#include <stdlib.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "store/hash_internal.h"
#include "store/record.h"

int64_t store_durable_revision(const struct store *s)
{
    return s->durable.revision;
}

enum status store_hasher_begin(struct store *s, enum store_hash_kind kind,
                               int64_t revision, struct store_hasher **ret,
                               struct fault *reterr)
{
    struct store_hasher *h = xcalloc(1, sizeof *h);
    h->kind = kind;
    h->kept_max = HASHER_KEPT_MAX;
    enum status st = shadow_open(s, &h->shadow, reterr);
    if (st == ST_OK) {
        const struct state_numbers *n = &h->shadow->state.numbers;
        h->revision = revision > 0 ? revision : n->revision;
        h->compact_revision = n->compact_revision;
        if (h->revision > n->revision) {
            st = fault_set(reterr, ST_FUTURE_REVISION,
                           "revision %lld is not in the store's file",
                           (long long)h->revision);
        } else if (h->revision < n->compact_revision) {
            st = fault_set(reterr, ST_COMPACTED, "revision %lld is compacted",
                           (long long)h->revision);
        }
    }
    if (st != ST_OK) {
        store_hasher_free(h);
        return st;
    }
    *ret = h;
    return ST_OK;
}

void store_hasher_stop(struct store_hasher *h)
{
    atomic_store(&h->stop, true);
}

void store_hasher_free(struct store_hasher *h)
{
    if (h == NULL) {
        return;
    }
    shadow_close(h->shadow);
    buf_fini(&h->row);
    free(h->kept);
    free(h);
}

enum status hasher_go_on(struct store_hasher *h, struct fault *reterr)
{
    return atomic_load(&h->stop)
               ? fault_set(reterr, ST_CANCELED, "the hash is not wanted")
               : ST_OK;
}

/* --- the live state --- */

static enum status add_live(struct store_hasher *h, struct bytes key,
                            struct version *v, struct fault *reterr)
{
    const enum status st = version_check(key, v, reterr);
    if (st == ST_OK) {
        buf_clear(&h->row);
        write_sized(&h->row, key);
        record_write_version(&h->row, v);
        write_varint(&h->row, v->value.size);
        h->crc = crc32c(h->crc, buf_bytes(&h->row));
        h->crc = crc32c(h->crc, v->value);
    }
    return st;
}

static enum status hash_state(struct store_hasher *h, struct fault *reterr)
{
    struct arena arena = {0};
    struct merge m = {0};
    bool found = true;
    enum status st = merge_open(&m, h->shadow, h->revision, &arena, reterr);
    if (st == ST_OK) {
        st = merge_seek(&m, BYTES_NONE, reterr);
    }
    while (st == ST_OK && found) {
        struct bytes key;
        struct version v;
        arena_clear(&arena);
        st = merge_next(&m, &found, &key, &v, reterr);
        if (st == ST_OK && found) {
            st = add_live(h, key, &v, reterr);
        }
        if (st == ST_OK) {
            st = hasher_go_on(h, reterr);
        }
    }
    merge_close(&m);
    arena_fini(&arena);
    return st;
}

enum status store_hasher_run(struct store_hasher *h, struct store_hash *ret,
                             struct fault *reterr)
{
    enum status st = ST_OK;
    switch (h->kind) {
    case STORE_HASH_KV:
        st = hasher_kv(h, reterr);
        break;
    case STORE_HASH_STATE:
        st = hash_state(h, reterr);
        break;
    case STORE_HASH_ALL:
        st = store_hash(h->shadow, &h->crc, reterr);
        break;
    }
    if (st == ST_OK) {
        *ret = (struct store_hash){.hash = h->crc,
                                   .compact_revision = h->compact_revision,
                                   .revision = h->revision};
    }
    return st;
}
