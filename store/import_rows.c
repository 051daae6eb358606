/* Verifying what another member sent, row by row, as a reader of the store
 * would: checksum, link to the row before, order, and the contents that the
 * tree's rows have.  What passes is appended as it came. */

#include "store/import_rows.h"

#include "base/codec.h"
#include "base/must.h"
#include "store/events.h"
#include "store/internal.h"
#include "store/lease.h"
#include "store/record.h"

void import_rows_init(struct import_rows *r, const struct state *state)
{
    *r = (struct import_rows){.state = state};
}

void import_rows_fini(struct import_rows *r)
{
    buf_fini(&r->key);
    buf_fini(&r->place);
    buf_fini(&r->scratch);
    *r = (struct import_rows){0};
}

bool import_rows_count(struct import_rows *r, int tree, struct bytes body)
{
    struct reader in = reader_of(body);
    must(tree >= 0);
    must(tree < TREES_COUNT);
    if (tree < r->newest_tree || body.size == 0) {
        return false;
    }
    r->newest_tree = tree;
    while (in.left.size > 0 && reader_ok(&in)) {
        (void)read_sized(&in); /* its key */
        (void)read_sized(&in); /* the row */
        r->given[tree]++;
    }
    return reader_ok(&in);
}

enum status import_rows_begin(struct import_rows *r, MDB_txn *txn,
                              const MDB_dbi *trees, struct fault *reterr)
{
    for (int id = 0; id < TREES_COUNT; id++) {
        must(r->cursors[id] == NULL);
        const int rc = mdb_cursor_open(txn, trees[id], &r->cursors[id]);
        if (rc != MDB_SUCCESS) {
            r->cursors[id] = NULL;
            return lmdb_fault(reterr, rc, "open a cursor in a new state");
        }
    }
    return ST_OK;
}

void import_rows_end(struct import_rows *r)
{
    for (int id = 0; id < TREES_COUNT; id++) {
        if (r->cursors[id] != NULL) {
            mdb_cursor_close(r->cursors[id]);
        }
        r->cursors[id] = NULL;
    }
}

static enum status refuse(const struct import_rows *r, int tree,
                          const char *why, struct fault *reterr)
{
    return fault_set(reterr, ST_CORRUPT,
                     "the stream with the state is damaged: row %llu of "
                     "database %d: %s; have it sent again, or by another "
                     "member",
                     (unsigned long long)r->put[tree], tree, why);
}

/* --- what is in a row --- */

static bool is_version(const struct state *s, const struct row *row,
                       struct version *ret)
{
    return record_read_version(row->head, ret) &&
           ret->mod_revision <= s->numbers.revision;
}

static bool is_history(struct import_rows *r, const struct row *row)
{
    struct version v;
    struct bytes key;
    int64_t revision;
    return record_read_history_key(row->key, &r->scratch, &key, &revision) &&
           is_version(r->state, row, &v) && v.mod_revision == revision;
}

static bool is_event(const struct state *s, const struct row *row)
{
    int64_t revision;
    uint32_t sub;
    struct reader keys = reader_of(row->head);
    if (!event_key_read(row->key, &revision, &sub) ||
        revision > s->numbers.revision || row->value.size > 0 ||
        row->head.size == 0) {
        return false;
    }
    while (keys.left.size > 0 && reader_ok(&keys)) {
        if (read_sized(&keys).size == 0) {
            return false;
        }
    }
    return reader_ok(&keys);
}

/* A key can be attached only to a lease that is there. */
static bool is_lease(struct import_rows *r, const struct row *row)
{
    struct lease_row l;
    if (row->key.size < LEASE_NAME_SIZE || row->value.size > 0 ||
        !record_read_lease(row->head, &l) ||
        l.is_key != (row->key.size > LEASE_NAME_SIZE)) {
        return false;
    }
    const uint64_t id = get_u64_be(row->key.data);
    if (l.is_key) {
        return r->leases > 0 && id == r->lease;
    }
    r->lease = id;
    r->leases++;
    return id != 0;
}

static bool makes_sense(struct import_rows *r, int tree, const struct row *row)
{
    struct version v;
    struct group g;
    switch ((enum tree_id)tree) {
    case TREE_CURRENT:
        return is_version(r->state, row, &v) && !v.tombstone;
    case TREE_HISTORY:
        return is_history(r, row);
    case TREE_EVENTS:
        return is_event(r->state, row);
    case TREE_DIRS:
        return record_read_group(row->head, &g) && row->value.size == 0;
    case TREE_LEASES:
        return is_lease(r, row);
    case TREES_COUNT:
        break;
    }
    return false;
}

/* LMDB's key of a long key's row: the number in it is one that is given out. */
static bool place_is_good(struct bytes place)
{
    if (place.size <= TREE_SHORT_MAX) {
        return true;
    }
    const uint8_t *at = place.data + TREE_SHORT_MAX;
    return place.size == TREE_LONG_SIZE && at[0] == 0 &&
           get_u64_be(at + 1) != 0 && get_u64_be(at + 1) != UINT64_MAX;
}

static enum status check_row(struct import_rows *r, int tree,
                             struct bytes place, struct bytes data,
                             struct row *ret, struct fault *reterr)
{
    const struct tree t = {.id = (uint8_t)tree};
    const MDB_val key = {.mv_size = place.size,
                         .mv_data = (void *)(uintptr_t)place.data};
    const MDB_val val = {.mv_size = data.size,
                         .mv_data = (void *)(uintptr_t)data.data};
    if (!place_is_good(place) ||
        row_decode(&t, &key, &val, ret, NULL) != ST_OK) {
        return refuse(r, tree, "its checksum or shape is wrong", reterr);
    }
    if (row_check_value(ret, NULL) != ST_OK) {
        return refuse(r, tree, "its value's checksum is wrong", reterr);
    }
    if (r->put[tree] > 0 && (bytes_compare(buf_bytes(&r->key), ret->key) >= 0 ||
                             bytes_compare(buf_bytes(&r->place), place) >= 0)) {
        return refuse(r, tree, "it is out of order", reterr);
    }
    if (ret->link != r->link) {
        return refuse(r, tree, "the row before it is missing", reterr);
    }
    return makes_sense(r, tree, ret)
               ? ST_OK
               : refuse(r, tree, "its contents make no sense", reterr);
}

/* Trees have to be complete before the next one begins. */
static enum status to_tree(struct import_rows *r, int tree,
                           struct fault *reterr)
{
    must(tree <= TREES_COUNT);
    while (r->tree < tree) {
        if (r->link != r->state->local.end_links[r->tree] ||
            (r->tree == TREE_CURRENT &&
             r->put[TREE_CURRENT] != r->state->numbers.keys_count)) {
            return refuse(r, r->tree, "rows are missing at the end", reterr);
        }
        r->tree++;
        r->link = 0;
    }
    return ST_OK;
}

static enum status put_row(struct import_rows *r, int tree, struct bytes place,
                           struct bytes data, struct fault *reterr)
{
    struct row row;
    const enum status st = check_row(r, tree, place, data, &row, reterr);
    if (st != ST_OK) {
        return st;
    }
    MDB_val key = {.mv_size = place.size,
                   .mv_data = (void *)(uintptr_t)place.data};
    MDB_val val = {.mv_size = data.size,
                   .mv_data = (void *)(uintptr_t)data.data};
    const int rc = mdb_cursor_put(r->cursors[tree], &key, &val, MDB_APPEND);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "write a new state");
    }
    r->put[tree]++;
    r->link = tree_link_of(row.key);
    buf_clear(&r->key);
    buf_append(&r->key, row.key);
    buf_clear(&r->place);
    buf_append(&r->place, place);
    return ST_OK;
}

enum status import_rows_put(struct import_rows *r, int tree, struct bytes body,
                            struct fault *reterr)
{
    struct reader in = reader_of(body);
    must(tree >= r->tree);
    enum status st = to_tree(r, tree, reterr);
    while (in.left.size > 0 && st == ST_OK) {
        const struct bytes place = read_sized(&in);
        const struct bytes data = read_sized(&in);
        must(reader_ok(&in)); /* it was counted */
        st = put_row(r, tree, place, data, reterr);
    }
    return st;
}

enum status import_rows_check_end(struct import_rows *r, struct fault *reterr)
{
    const enum status st = to_tree(r, TREES_COUNT, reterr);
    if (st == ST_OK && r->leases != r->state->numbers.leases_count) {
        return fault_set(reterr, ST_CORRUPT,
                         "the stream with the state is damaged: it has %llu "
                         "leases instead of %llu; have it sent again, or by "
                         "another member",
                         (unsigned long long)r->leases,
                         (unsigned long long)r->state->numbers.leases_count);
    }
    for (int id = 0; id < TREES_COUNT && st == ST_OK; id++) {
        must(r->put[id] == r->given[id]);
    }
    return st;
}
