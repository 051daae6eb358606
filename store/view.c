/* The loop's view of LMDB, and finding single keys in memtables and view. */

#include "store/record.h"

#include "base/crc32c.h"
#include "base/must.h"
#include "store/internal.h"

/* Takes over what the state row says about the trees. */
static enum status view_load(struct store *s, struct fault *reterr)
{
    struct state state;
    bool found;
    enum status st = state_load(&s->env, s->view.txn, &state, &found, reterr);
    if (st == ST_OK && !found) {
        st = fault_set(reterr, ST_CORRUPT,
                       "the store is damaged: its state is missing; restore "
                       "this member from a peer or a backup");
    }
    if (st == ST_OK) {
        s->view.revision = state.numbers.revision;
        for (int id = 0; id < TREES_COUNT; id++) {
            s->view.trees[id] =
                (struct tree){.txn = s->view.txn,
                              .dbi = s->env.trees[id],
                              .id = (uint8_t)id,
                              .end_link = state.local.end_links[id]};
        }
    }
    state_fini(&state);
    return st;
}

enum status view_open(struct store *s, struct fault *reterr)
{
    must(s->view.txn == NULL);
    const int rc = mdb_txn_begin(s->env.env, NULL, MDB_RDONLY, &s->view.txn);
    if (rc != MDB_SUCCESS) {
        s->view.txn = NULL;
        return lmdb_fault(reterr, rc, "begin a transaction in the store");
    }
    return view_load(s, reterr);
}

void view_close(struct store *s)
{
    if (s->view.txn != NULL) {
        mdb_txn_abort(s->view.txn);
    }
    s->view.txn = NULL;
}

enum status view_renew(struct store *s, struct fault *reterr)
{
    mdb_txn_reset(s->view.txn);
    const int rc = mdb_txn_renew(s->view.txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "renew the view of the store");
    }
    return view_load(s, reterr);
}

enum status version_of_row(const struct tree *t, const struct row *row,
                           struct version *ret, struct fault *reterr)
{
    if (!record_read_version(row->head, ret)) {
        return tree_corrupt(t, row->key, "a version cannot be read", reterr);
    }
    ret->value = row->value;
    ret->value_size = row->value.size;
    ret->value_crc = row->value_crc;
    ret->value_unchecked = true;
    return ST_OK;
}

enum status version_check(struct bytes key, struct version *v,
                          struct fault *reterr)
{
    if (!v->value_unchecked) {
        return ST_OK;
    }
    const struct row row = {
        .key = key, .value = v->value, .value_crc = v->value_crc};
    const enum status st = row_check_value(&row, reterr);
    if (st == ST_OK) {
        v->value_unchecked = false;
    }
    return st;
}

static bool find_in_memtable(const struct memtable *m, struct bytes key,
                             int64_t revision, bool *ret_found,
                             struct version *ret)
{
    const struct mem_key *k = m == NULL ? NULL : memtable_find(m, key);
    const struct mem_version *mv = k == NULL ? NULL : mem_key_at(k, revision);
    if (mv == NULL) {
        return false;
    }
    *ret_found = !mv->v.tombstone;
    *ret = mv->v;
    return true;
}

static enum status find_in_history(const struct store *s, struct bytes key,
                                   int64_t revision, bool *ret_found,
                                   struct version *ret, struct fault *reterr)
{
    const struct tree *t = &s->view.trees[TREE_HISTORY];
    struct buf from = {0};
    struct buf scratch = {0};
    struct tree_cursor c = {0};
    struct bytes at;
    int64_t at_revision;
    *ret_found = false;
    record_history_key(&from, key, revision);
    enum status st = tree_cursor_open(&c, t, reterr);
    if (st == ST_OK) {
        st = tree_cursor_seek(&c, buf_bytes(&from), reterr);
    }
    if (st == ST_OK && !c.at_end) {
        if (!record_read_history_key(c.row.key, &scratch, &at, &at_revision)) {
            st = tree_corrupt(t, c.row.key, "a row cannot be read", reterr);
        } else if (bytes_equal(at, key)) {
            st = version_of_row(t, &c.row, ret, reterr);
            *ret_found = st == ST_OK && !ret->tombstone;
        }
    }
    tree_cursor_close(&c);
    buf_fini(&from);
    buf_fini(&scratch);
    return st;
}

enum status find_live(const struct store *s, struct bytes key, int64_t revision,
                      bool *ret_found, struct version *ret,
                      struct fault *reterr)
{
    must(key.size > 0);
    if (find_in_memtable(s->active, key, revision, ret_found, ret) ||
        find_in_memtable(s->frozen, key, revision, ret_found, ret)) {
        return ST_OK;
    }
    const struct tree *t = &s->view.trees[TREE_CURRENT];
    struct row row;
    enum status st = tree_get(t, key, ret_found, &row, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (*ret_found) {
        st = version_of_row(t, &row, ret, reterr);
        if (st != ST_OK || ret->mod_revision <= revision) {
            return st;
        }
        *ret_found = false;
    }
    if (revision >= s->view.revision) {
        return ST_OK;
    }
    return find_in_history(s, key, revision, ret_found, ret, reterr);
}

enum status find_group(const struct store *s, struct bytes name,
                       struct group *ret, struct fault *reterr)
{
    must(name.size > 0);
    const struct mem_group *g = memtable_find_group(s->active, name);
    if (g == NULL && s->frozen != NULL) {
        g = memtable_find_group(s->frozen, name);
    }
    if (g != NULL) {
        *ret = g->g;
        return ST_OK;
    }
    const struct tree *t = &s->view.trees[TREE_DIRS];
    struct row row;
    bool found;
    const enum status st = tree_get(t, name, &found, &row, reterr);
    *ret = (struct group){0};
    if (st == ST_OK && found && !record_read_group(row.head, ret)) {
        return tree_corrupt(t, name, "a group cannot be read", reterr);
    }
    return st;
}

struct bytes prefix_end(struct arena *a, struct bytes prefix)
{
    static const uint8_t unbounded[1] = {0};
    size_t size = prefix.size;
    while (size > 0 && prefix.data[size - 1] == 0xff) {
        size--;
    }
    if (size == 0) {
        return (struct bytes){unbounded, 1};
    }
    uint8_t *end = arena_get(a, size);
    memcpy(end, prefix.data, size);
    end[size - 1]++;
    return (struct bytes){end, size};
}
