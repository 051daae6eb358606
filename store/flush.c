/* Moving a frozen memtable into LMDB: one transaction, keys in order, with the
 * applied index in it.
 *
 * The newest version of a key becomes its row in `current`; what that row was
 * before, and the memtable's older versions, go to `history`; a deletion takes
 * the row out of `current` and leaves its tombstone in `history`.  What a
 * compaction has already made garbage is not written at all.
 */

#include "store/kept.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"
#include "store/events.h"
#include "store/record.h"

/* A row of `events` is closed when its keys take this much. */
#define EVENT_ROW_BYTES ((size_t)64 << 10)

/* What the hub has not handed out yet must stay. */
static int64_t garbage_revision(const struct store *s)
{
    const int64_t compacted = s->state.numbers.compact_revision;
    const int64_t wanted = s->hub.delivered + 1;
    return compacted < wanted ? compacted : wanted;
}

bool store_has_garbage(const struct store *s)
{
    return s->state.local.swept_revision < garbage_revision(s);
}

struct store_flush *store_flush_begin(struct store *s)
{
    if (s->flush != NULL || (!s->dirty && !store_has_garbage(s))) {
        return NULL;
    }
    must(s->frozen == NULL);
    struct store_flush *f = xcalloc(1, sizeof *f);
    f->env = &s->env;
    f->numbers = s->state.numbers;
    f->local = s->state.local;
    state_records_copy(&f->records, &s->state.records);
    for (int id = 0; id < TREES_COUNT; id++) {
        f->local.end_links[id] = s->view.trees[id].end_link;
    }
    f->garbage_revision = garbage_revision(s);
    f->sweep_rows_max = s->options.sweep_rows_max;
    s->frozen = s->active;
    s->active = memtable_new();
    f->frozen = s->frozen;
    s->flush = f;
    s->dirty = false;
    return f;
}

/* --- the run --- */

struct writers {
    struct tree_writer current, history;
    struct buf key, head, old;
};

static enum status put_version(struct tree_writer *w, struct bytes key,
                               const struct version *v, struct buf *head,
                               struct fault *reterr)
{
    buf_clear(head);
    record_write_version(head, v);
    return tree_put(w, key, buf_bytes(head), v->value, crc32c(0, v->value),
                    reterr);
}

/* Whether nobody may ask for a version any more that was superseded at this
 * revision (0: never).  Tombstones are not dropped here, however old: they are
 * what tells the sweep that older versions are garbage. */
static bool is_garbage(const struct store_flush *f, int64_t superseded)
{
    return superseded != 0 && superseded <= f->garbage_revision;
}

static enum status put_history(struct store_flush *f, struct writers *w,
                               struct bytes key, const struct version *v,
                               int64_t superseded, struct fault *reterr)
{
    if (is_garbage(f, superseded)) {
        return ST_OK;
    }
    buf_clear(&w->key);
    record_history_key(&w->key, key, v->mod_revision);
    return put_version(&w->history, buf_bytes(&w->key), v, &w->head, reterr);
}

/* What `current` has for the key, copied into w->old: LMDB's pages move. */
static enum status take_current(struct store_flush *f, struct writers *w,
                                struct bytes key, bool *ret_found,
                                struct row *ret, struct version *ret_version,
                                struct fault *reterr)
{
    enum status st = tree_find(&w->current, key, ret_found, ret, reterr);
    if (st != ST_OK || !*ret_found) {
        return st;
    }
    buf_clear(&w->old);
    buf_append(&w->old, ret->head);
    buf_append(&w->old, ret->value);
    ret->head = (struct bytes){w->old.data, ret->head.size};
    ret->value = bytes_after(buf_bytes(&w->old), ret->head.size);
    st = version_of_row(&f->trees[TREE_CURRENT], ret, ret_version, reterr);
    return st;
}

/* The row that `current` had: kept as it is, checksum and all, so that damage
 * to its value is not sealed with a new checksum. */
static enum status put_old(struct store_flush *f, struct writers *w,
                           struct bytes key, const struct row *row,
                           const struct version *v, int64_t superseded,
                           struct fault *reterr)
{
    if (is_garbage(f, superseded)) {
        return ST_OK;
    }
    buf_clear(&w->key);
    record_history_key(&w->key, key, v->mod_revision);
    return tree_put(&w->history, buf_bytes(&w->key), row->head, row->value,
                    row->value_crc, reterr);
}

static enum status flush_key(struct store_flush *f, struct writers *w,
                             const struct mem_key *k, struct fault *reterr)
{
    const struct mem_version *newest = k->newest;
    struct row old;
    struct version old_version;
    bool had, found;
    enum status st =
        take_current(f, w, k->key, &had, &old, &old_version, reterr);
    if (st == ST_OK && !newest->v.tombstone) {
        st = put_version(&w->current, k->key, &newest->v, &w->head, reterr);
    } else if (st == ST_OK && had) {
        st = tree_delete(&w->current, k->key, &found, reterr);
    }
    int64_t superseded = 0;
    for (const struct mem_version *mv = newest; mv != NULL && st == ST_OK;
         mv = mv->older) {
        if (mv != newest || mv->v.tombstone) {
            st = put_history(f, w, k->key, &mv->v, superseded, reterr);
        }
        superseded = mv->v.mod_revision;
    }
    if (st == ST_OK && had) {
        st = put_old(f, w, k->key, &old, &old_version, superseded, reterr);
    }
    return st;
}

static enum status flush_keys(struct store_flush *f, struct fault *reterr)
{
    struct writers w = {0};
    enum status st =
        tree_writer_begin(&w.current, &f->trees[TREE_CURRENT], reterr);
    if (st == ST_OK) {
        st = tree_writer_begin(&w.history, &f->trees[TREE_HISTORY], reterr);
    }
    for (const struct mem_key *k = memtable_from(f->frozen, BYTES_NONE);
         k != NULL && st == ST_OK; k = mem_key_next(k)) {
        st = flush_key(f, &w, k, reterr);
    }
    if (st == ST_OK) {
        st = tree_writer_end(&w.current, reterr);
    }
    if (st == ST_OK) {
        st = tree_writer_end(&w.history, reterr);
    }
    tree_writer_fini(&w.current);
    tree_writer_fini(&w.history);
    buf_fini(&w.key);
    buf_fini(&w.head);
    buf_fini(&w.old);
    return st;
}

/* The row with changes from the i-th on; *ret_next is the first that is in
 * another row. */
static size_t event_row(const struct memtable *m, size_t i, uint8_t *ret_key,
                        struct buf *head)
{
    const struct version *first = &memtable_change(m, i)->v;
    event_key_write(ret_key, first->mod_revision, first->sub);
    buf_clear(head);
    const size_t count = memtable_changes_count(m);
    do {
        write_sized(head, memtable_change(m, i)->key->key);
        i++;
    } while (i < count && head->size < EVENT_ROW_BYTES &&
             memtable_change(m, i)->v.mod_revision == first->mod_revision);
    return i;
}

static enum status flush_events(struct store_flush *f, struct fault *reterr)
{
    struct tree_writer w = {0};
    struct buf head = {0};
    enum status st = tree_writer_begin(&w, &f->trees[TREE_EVENTS], reterr);
    const size_t count = memtable_changes_count(f->frozen);
    size_t i = 0;
    while (i < count && st == ST_OK) {
        uint8_t key[EVENT_KEY_SIZE];
        i = event_row(f->frozen, i, key, &head);
        st = tree_put(&w, (struct bytes){key, sizeof key}, buf_bytes(&head),
                      BYTES_NONE, 0, reterr);
    }
    if (st == ST_OK) {
        st = tree_writer_end(&w, reterr);
    }
    tree_writer_fini(&w);
    buf_fini(&head);
    return st;
}

static enum status flush_groups(struct store_flush *f, struct fault *reterr)
{
    struct tree_writer w = {0};
    struct buf head = {0};
    enum status st = tree_writer_begin(&w, &f->trees[TREE_DIRS], reterr);
    for (const struct mem_group *g =
             memtable_groups_from(f->frozen, BYTES_NONE);
         g != NULL && st == ST_OK; g = mem_group_next(g)) {
        bool found;
        if (g->g.live) {
            buf_clear(&head);
            record_write_group(&head, &g->g);
            st = tree_put(&w, g->key, buf_bytes(&head), BYTES_NONE, 0, reterr);
        } else {
            st = tree_delete(&w, g->key, &found, reterr);
        }
    }
    if (st == ST_OK) {
        st = tree_writer_end(&w, reterr);
    }
    tree_writer_fini(&w);
    buf_fini(&head);
    return st;
}

static enum status flush_leases(struct store_flush *f, struct fault *reterr)
{
    struct tree_writer w = {0};
    struct buf head = {0};
    enum status st = tree_writer_begin(&w, &f->trees[TREE_LEASES], reterr);
    for (const struct mem_lease *l =
             memtable_leases_from(f->frozen, BYTES_NONE);
         l != NULL && st == ST_OK; l = mem_lease_next(l)) {
        bool found;
        if (l->l.live) {
            buf_clear(&head);
            record_write_lease(&head, &l->l);
            st = tree_put(&w, l->key, buf_bytes(&head), BYTES_NONE, 0, reterr);
        } else {
            st = tree_delete(&w, l->key, &found, reterr);
        }
    }
    if (st == ST_OK) {
        st = tree_writer_end(&w, reterr);
    }
    tree_writer_fini(&w);
    buf_fini(&head);
    return st;
}

static enum status run_in_txn(struct store_flush *f, struct fault *reterr)
{
    for (int id = 0; id < TREES_COUNT; id++) {
        f->trees[id] = (struct tree){.txn = f->txn,
                                     .dbi = f->env->trees[id],
                                     .id = (uint8_t)id,
                                     .end_link = f->local.end_links[id]};
    }
    enum status st = flush_keys(f, reterr);
    if (st == ST_OK) {
        st = flush_events(f, reterr);
    }
    if (st == ST_OK) {
        st = flush_groups(f, reterr);
    }
    if (st == ST_OK) {
        st = flush_leases(f, reterr);
    }
    if (st == ST_OK) {
        st = sweep_run(f, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    for (int id = 0; id < TREES_COUNT; id++) {
        f->local.end_links[id] = f->trees[id].end_link;
    }
    return state_save(f->env, f->txn, &f->numbers, &f->local, &f->records,
                      reterr);
}

enum status store_flush_run(struct store_flush *f, struct fault *reterr)
{
    must(!f->done);
    const struct state_local before = f->local;
    const int rc = mdb_txn_begin(f->env->env, NULL, 0, &f->txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction in the store");
    }
    enum status st = run_in_txn(f, reterr);
    if (st != ST_OK) {
        mdb_txn_abort(f->txn);
    } else {
        st = lmdb_env_commit(f->env, f->txn, reterr);
    }
    f->txn = NULL;
    f->done = st == ST_OK;
    if (st != ST_OK) {
        f->local = before; /* another run may follow: nothing was done */
    }
    return st;
}

enum status store_flush_end(struct store *s, struct store_flush *f,
                            struct fault *reterr)
{
    must(s->flush == f);
    must(f->done);
    const enum status st = view_renew(s, reterr);
    if (st != ST_OK) {
        return st;
    }
    must(s->view.revision == f->numbers.revision);
    s->durable = f->numbers;
    s->state.local = f->local;
    if (s->kept != NULL) {
        kept_add(s->kept, f, s->frozen);
    } else {
        memtable_free(s->frozen);
    }
    s->frozen = NULL;
    s->flush = NULL;
    state_records_fini(&f->records);
    free(f);
    return ST_OK;
}

/* What counts is what the flush will cost: LMDB holds, and writes, about a page
 * for each key, wherever it lies, and its new versions beside each other.  Keys
 * that are written again and again make a flush that is cheap for its size: so
 * it comes later, and there are fewer. */
#define FLUSH_KEY_BYTES   4600
#define FLUSH_COST_FACTOR 16 /* of memtable_bytes_max */
#define FLUSH_SIZE_FACTOR 5

bool store_wants_flush(const struct store *s)
{
    const uint64_t limit = s->options.memtable_bytes_max;
    const uint64_t bytes = memtable_bytes(s->active);
    const uint64_t cost =
        memtable_keys(s->active) * FLUSH_KEY_BYTES + bytes + bytes / 2;
    return bytes >= limit && (cost >= FLUSH_COST_FACTOR * limit ||
                              bytes >= FLUSH_SIZE_FACTOR * limit);
}

bool store_is_full(const struct store *s)
{
    return s->frozen != NULL && store_wants_flush(s);
}
