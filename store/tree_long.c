/* Long keys: LMDB takes 511 bytes, ours may be as long as a request.
 *
 * A long key's row stands under (its first TREE_SHORT_MAX bytes, 0, ordinal);
 * the ordinals within one such bucket have the order of the full keys, which
 * are in the rows.  So LMDB's order of rows is the order of full keys, and only
 * finding a place needs more than one search: a bisection over the ordinals.
 * A new key gets an ordinal between its neighbours'; where there is no room
 * left the bucket is renumbered.
 */

#include <stdlib.h>

#include "base/codec.h"
#include "store/tree.h"

#define STEP (UINT64_C(1) << 32)

static void place_write(uint8_t *to, struct bytes key, uint64_t ordinal)
{
    memcpy(to, key.data, TREE_SHORT_MAX);
    to[TREE_SHORT_MAX] = 0;
    put_u64_be(to + TREE_SHORT_MAX + 1, ordinal);
}

/* Whether an LMDB key is in the bucket of the long key, and where. */
static bool in_bucket(const MDB_val *at, struct bytes key,
                      uint64_t *ret_ordinal)
{
    if (at->mv_size != TREE_LONG_SIZE ||
        memcmp(at->mv_data, key.data, TREE_SHORT_MAX) != 0) {
        return false;
    }
    *ret_ordinal =
        get_u64_be((const uint8_t *)at->mv_data + TREE_SHORT_MAX + 1);
    return true;
}

static int seek_ordinal(MDB_cursor *mc, struct bytes key, uint64_t ordinal,
                        MDB_val *ret_key, MDB_val *ret_data)
{
    uint8_t place[TREE_LONG_SIZE];
    place_write(place, key, ordinal);
    *ret_key = (MDB_val){.mv_size = sizeof place, .mv_data = place};
    return mdb_cursor_get(mc, ret_key, ret_data, MDB_SET_RANGE);
}

/* The smallest ordinal in [low, high] at or behind which stand the rows >= key:
 * each probe looks at one row and halves what is left. */
static int bisect(MDB_cursor *mc, struct bytes key, uint64_t *ret_ordinal)
{
    uint64_t low = 0;
    uint64_t high = UINT64_MAX;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        MDB_val at, data;
        uint64_t ordinal;
        const int rc = seek_ordinal(mc, key, middle, &at, &data);
        if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
            return rc;
        }
        if (rc == MDB_NOTFOUND || !in_bucket(&at, key, &ordinal)) {
            high = middle;
            continue;
        }
        struct bytes full;
        if (!row_key(&at, &data, &full)) {
            return MDB_CORRUPTED;
        }
        if (bytes_compare(full, key) >= 0) {
            high = middle;
        } else if (ordinal == UINT64_MAX) {
            return MDB_CORRUPTED; /* never given out */
        } else {
            low = ordinal + 1;
        }
    }
    *ret_ordinal = low;
    return MDB_SUCCESS;
}

int tree_lower_bound(MDB_cursor *mc, struct bytes key, MDB_val *ret_key,
                     MDB_val *ret_data)
{
    if (key.size == 0) {
        return mdb_cursor_get(mc, ret_key, ret_data, MDB_FIRST);
    }
    if (key.size <= TREE_SHORT_MAX) {
        *ret_key = (MDB_val){.mv_size = key.size,
                             .mv_data = (void *)(uintptr_t)key.data};
        return mdb_cursor_get(mc, ret_key, ret_data, MDB_SET_RANGE);
    }
    uint64_t ordinal;
    const int rc = bisect(mc, key, &ordinal);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    return seek_ordinal(mc, key, ordinal, ret_key, ret_data);
}

struct kept_row {
    uint8_t *data;
    size_t size;
};

/* Takes all rows of the bucket out, in order. */
static int bucket_take(MDB_cursor *mc, struct bytes key, struct kept_row **rows,
                       size_t *ret_count)
{
    size_t capacity = 0;
    *ret_count = 0;
    for (;;) {
        MDB_val at, data;
        uint64_t ordinal;
        int rc = seek_ordinal(mc, key, 0, &at, &data);
        if (rc == MDB_NOTFOUND ||
            (rc == MDB_SUCCESS && !in_bucket(&at, key, &ordinal))) {
            return MDB_SUCCESS;
        }
        if (rc != MDB_SUCCESS) {
            return rc;
        }
        if (*ret_count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            *rows = xrealloc(*rows, capacity * sizeof **rows);
        }
        struct kept_row *row = &(*rows)[(*ret_count)++];
        row->size = data.mv_size;
        row->data = xmalloc(data.mv_size);
        memcpy(row->data, data.mv_data, data.mv_size);
        rc = mdb_cursor_del(mc, 0);
        if (rc != MDB_SUCCESS) {
            return rc;
        }
    }
}

/* Spreads the ordinals of the bucket evenly. Costs as much as its rows are
 * large, and is needed at most once in some thirty insertions at one place. */
static int bucket_renumber(MDB_cursor *mc, struct bytes key)
{
    struct kept_row *rows = NULL;
    size_t count = 0;
    int rc = bucket_take(mc, key, &rows, &count);
    const uint64_t step = UINT64_MAX / (count + 2);
    for (size_t i = 0; i < count && rc == MDB_SUCCESS; i++) {
        uint8_t place[TREE_LONG_SIZE];
        place_write(place, key, (i + 1) * step);
        MDB_val at = {.mv_size = sizeof place, .mv_data = place};
        MDB_val data = {.mv_size = rows[i].size, .mv_data = rows[i].data};
        rc = mdb_cursor_put(mc, &at, &data, 0);
    }
    for (size_t i = 0; i < count; i++) {
        free(rows[i].data);
    }
    free(rows);
    return rc;
}

/* The ordinals between which the key belongs: 0 and UINT64_MAX, which are never
 * given out, stand for the bucket's ends. */
static int neighbours(MDB_cursor *mc, struct bytes key, uint64_t *ret_low,
                      uint64_t *ret_high)
{
    MDB_val at, data;
    uint64_t ordinal;
    *ret_low = 0;
    *ret_high = UINT64_MAX;
    int rc = tree_lower_bound(mc, key, &at, &data);
    if (rc == MDB_SUCCESS) {
        if (in_bucket(&at, key, &ordinal)) {
            *ret_high = ordinal;
        }
        rc = mdb_cursor_get(mc, &at, &data, MDB_PREV);
    } else if (rc == MDB_NOTFOUND) {
        rc = mdb_cursor_get(mc, &at, &data, MDB_LAST);
    }
    if (rc == MDB_SUCCESS && in_bucket(&at, key, &ordinal)) {
        *ret_low = ordinal;
    }
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

int tree_long_place(MDB_cursor *mc, struct bytes key, uint8_t *ret_key)
{
    must(key.size > TREE_SHORT_MAX);
    uint64_t low, high;
    int rc = neighbours(mc, key, &low, &high);
    if (rc == MDB_SUCCESS && high - low < 2) {
        rc = bucket_renumber(mc, key);
        if (rc == MDB_SUCCESS) {
            rc = neighbours(mc, key, &low, &high);
        }
    }
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    if (low >= high || high - low < 2) {
        return MDB_CORRUPTED; /* ordinals out of order */
    }
    uint64_t ordinal = low + (high - low) / 2;
    if (high == UINT64_MAX && low > 0 && high - low > 2 * STEP) {
        ordinal = low + STEP;
    } else if (low == 0 && high < UINT64_MAX && high > 2 * STEP) {
        ordinal = high - STEP;
    }
    place_write(ret_key, key, ordinal);
    return MDB_SUCCESS;
}
