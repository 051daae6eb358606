/* Sending the state: a view's rows as blocks of a stream.
 *
 * The export walks through the first block, the rows of each tree, and the last
 * block.  Now and then it remembers a mark, from which it can make the same
 * bytes again.
 */

#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"
#include "store/internal.h"
#include "store/stream.h"

#define BLOCK_BYTES_MAX ((size_t)64 << 20)
/* A mark is set after so much, where the key is not longer than this. */
#define MARK_BYTES   ((uint64_t)16 << 20)
#define MARK_KEY_MAX 4096u

/* What comes next. */
enum step {
    STEP_STATE,
    STEP_ROWS, /* of the tree */
    STEP_END,
    STEP_DONE,
};

/* All that the bytes from here on depend on, besides the view. */
struct mark {
    struct stream_place place;
    enum step step;
    int tree;
    uint64_t rows[TREES_COUNT]; /* before this place */
    struct buf key;             /* of the next row; empty: the tree's first */
};

struct store_export {
    struct store *store;
    MDB_txn *txn;
    struct tree trees[TREES_COUNT];
    struct state state;
    struct stream_counts counts;
    size_t block_bytes;

    struct mark at;
    struct tree_cursor cursor;
    bool cursor_open; /* on the next row of at.tree */
    bool failed;
    uint64_t produced; /* the furthest position so far */

    struct mark *marks; /* in order of places */
    size_t marks_count;

    /* What a seek has cut off a block: to be given out first. */
    struct buf cut;
    size_t cut_from;
};

static void count_rows(struct store_export *e, const struct lmdb_env *env)
{
    for (int id = 0; id < TREES_COUNT; id++) {
        MDB_stat stat;
        if (mdb_stat(e->txn, env->trees[id], &stat) == MDB_SUCCESS) {
            e->counts.rows += stat.ms_entries;
        }
    }
    e->counts.bytes = lmdb_env_used_bytes(env, e->txn);
}

static enum status open_view(struct store_export *e, const struct lmdb_env *env,
                             struct fault *reterr)
{
    bool found = false;
    const int rc = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &e->txn);
    if (rc != MDB_SUCCESS) {
        e->txn = NULL;
        return lmdb_fault(reterr, rc, "take a view of the store to send");
    }
    state_fini(&e->state);
    const enum status st = state_load(env, e->txn, &e->state, &found, reterr);
    if (st == ST_OK && !found) {
        return fault_set(reterr, ST_CORRUPT,
                         "the store is damaged: its state is missing; restore "
                         "this member from a peer or a backup");
    }
    for (int id = 0; id < TREES_COUNT; id++) {
        e->trees[id] = (struct tree){.txn = e->txn,
                                     .dbi = env->trees[id],
                                     .id = (uint8_t)id,
                                     .end_link = e->state.local.end_links[id]};
    }
    if (st == ST_OK) {
        count_rows(e, env);
    }
    return st;
}

enum status store_export_begin(struct store *s, size_t block_bytes,
                               struct store_export **ret, struct fault *reterr)
{
    must(block_bytes > 0);
    must(block_bytes <= BLOCK_BYTES_MAX);
    struct store_export *e = xcalloc(1, sizeof *e);
    e->block_bytes = block_bytes;
    e->store = s;
    atomic_fetch_add(&s->views, 1);
    state_init(&e->state);
    enum status st = open_view(e, &s->env, reterr);
    if (st == ST_OK && e->state.numbers.index < s->durable.index) {
        st = fault_set(reterr, ST_CORRUPT,
                       "the store is damaged: its file is older than what was "
                       "written; restore this member from a peer or a backup");
    }
    if (st != ST_OK) {
        store_export_free(e);
        return st;
    }
    *ret = e;
    return ST_OK;
}

void store_export_free(struct store_export *e)
{
    if (e == NULL) {
        return;
    }
    tree_cursor_close(&e->cursor);
    if (e->txn != NULL) {
        mdb_txn_abort(e->txn);
    }
    for (size_t i = 0; i < e->marks_count; i++) {
        buf_fini(&e->marks[i].key);
    }
    free(e->marks);
    buf_fini(&e->at.key);
    buf_fini(&e->cut);
    state_fini(&e->state);
    atomic_fetch_sub(&e->store->views, 1);
    free(e);
}

void store_export_info(const struct store_export *e,
                       struct store_transfer_info *ret)
{
    *ret = (struct store_transfer_info){
        .cluster_id = e->state.local.identity.cluster_id,
        .index = e->state.numbers.index,
        .term = e->state.numbers.term,
        .revision = e->state.numbers.revision,
        .compact_revision = e->state.numbers.compact_revision,
        .keys_count = e->state.numbers.keys_count,
        .rows_count = e->counts.rows,
        .bytes_count = e->counts.bytes,
    };
}

uint64_t store_export_position(const struct store_export *e)
{
    return e->at.place.position - (e->cut.size - e->cut_from);
}

/* --- marks --- */

static void mark_copy(struct mark *to, const struct mark *from)
{
    struct buf key = to->key;
    *to = *from;
    buf_clear(&key);
    buf_append(&key, buf_bytes(&from->key));
    to->key = key;
}

/* The cursor stands on the first row of the next block. */
static void set_mark(struct store_export *e)
{
    const struct bytes key = e->cursor.row.key;
    const uint64_t last =
        e->marks_count == 0 ? 0 : e->marks[e->marks_count - 1].place.position;
    if (key.size > MARK_KEY_MAX || e->at.place.position < last + MARK_BYTES) {
        return;
    }
    if ((e->marks_count & (e->marks_count - 1)) == 0) {
        const size_t capacity = e->marks_count == 0 ? 1 : 2 * e->marks_count;
        e->marks = xrealloc(e->marks, capacity * sizeof *e->marks);
    }
    struct mark *m = &e->marks[e->marks_count++];
    *m = (struct mark){0};
    buf_clear(&e->at.key);
    buf_append(&e->at.key, key);
    mark_copy(m, &e->at);
}

/* --- blocks --- */

static void state_block(struct store_export *e, struct buf *to)
{
    stream_write_preamble(to, &e->at.place);
    const size_t begin = stream_block_begin(to);
    stream_write_state(to, &e->state, &e->counts);
    stream_block_end(to, begin, STREAM_STATE, &e->at.place);
    e->at.step = STEP_ROWS;
    e->at.tree = 0;
}

static void end_block(struct store_export *e, struct buf *to)
{
    const uint64_t position = e->at.place.position;
    const size_t begin = stream_block_begin(to);
    stream_write_end(to, e->at.rows, position);
    stream_block_end(to, begin, STREAM_END, &e->at.place);
    e->at.step = STEP_DONE;
}

/* To the row that the next block begins with. */
static enum status open_cursor(struct store_export *e, struct fault *reterr)
{
    if (e->cursor_open) {
        return ST_OK;
    }
    enum status st =
        tree_cursor_open(&e->cursor, &e->trees[e->at.tree], reterr);
    if (st == ST_OK) {
        st = tree_cursor_seek(&e->cursor, buf_bytes(&e->at.key), reterr);
    }
    e->cursor_open = st == ST_OK;
    return st;
}

static void close_cursor(struct store_export *e)
{
    tree_cursor_close(&e->cursor);
    e->cursor_open = false;
    buf_clear(&e->at.key);
}

static enum status next_tree(struct store_export *e, struct fault *reterr)
{
    if (e->at.tree == TREE_CURRENT &&
        e->at.rows[TREE_CURRENT] != e->state.numbers.keys_count) {
        return fault_set(reterr, ST_CORRUPT,
                         "the store is damaged: it has %llu keys instead of "
                         "%llu; restore this member from a peer or a backup",
                         (unsigned long long)e->at.rows[TREE_CURRENT],
                         (unsigned long long)e->state.numbers.keys_count);
    }
    close_cursor(e);
    e->at.tree++;
    if (e->at.tree == TREES_COUNT) {
        e->at.step = STEP_END;
    }
    return ST_OK;
}

/* The row that the cursor stands on, unless it has to wait for the next
 * block. */
static enum status put_row(struct store_export *e, struct buf *to, size_t begin,
                           bool *ret_fits, struct fault *reterr)
{
    MDB_val key, data;
    const int rc = mdb_cursor_get(e->cursor.mc, &key, &data, MDB_GET_CURRENT);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    const size_t body = to->size - begin - STREAM_HEAD_SIZE;
    const uint64_t more = (uint64_t)key.mv_size + data.mv_size + 20; /* sizes */
    *ret_fits = body + more <= STREAM_BODY_MAX;
    if (!*ret_fits) {
        return body > 0 ? ST_OK
                        : fault_set(reterr, ST_TOO_LARGE,
                                    "cannot send the state: a row of %llu "
                                    "bytes is larger than %zu",
                                    (unsigned long long)more, STREAM_BODY_MAX);
    }
    const enum status st = row_check_value(&e->cursor.row, reterr);
    if (st == ST_OK) {
        write_sized(to, (struct bytes){key.mv_data, key.mv_size});
        write_sized(to, (struct bytes){data.mv_data, data.mv_size});
        e->at.rows[e->at.tree]++;
    }
    return st;
}

/* A block of rows of the present tree; nothing when there are none left, and
 * then the next tree follows. */
static enum status rows_block(struct store_export *e, struct buf *to,
                              struct fault *reterr)
{
    bool fits = true;
    enum status st = open_cursor(e, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (e->cursor.at_end) {
        return next_tree(e, reterr);
    }
    set_mark(e);
    const size_t begin = stream_block_begin(to);
    while (st == ST_OK && !e->cursor.at_end &&
           to->size - begin < e->block_bytes + STREAM_HEAD_SIZE) {
        st = put_row(e, to, begin, &fits, reterr);
        if (st == ST_OK && !fits) {
            break;
        }
        if (st == ST_OK) {
            st = tree_cursor_next(&e->cursor, reterr);
        }
    }
    if (st == ST_OK) {
        stream_block_end(to, begin, STREAM_ROWS + (uint32_t)e->at.tree,
                         &e->at.place);
    }
    return st;
}

/* One block more, unless there is none. */
static enum status produce(struct store_export *e, struct buf *to,
                           struct fault *reterr)
{
    const size_t before = to->size;
    enum status st = ST_OK;
    must(!e->failed);
    while (st == ST_OK && to->size == before && e->at.step != STEP_DONE) {
        switch (e->at.step) {
        case STEP_STATE:
            state_block(e, to);
            break;
        case STEP_ROWS:
            st = rows_block(e, to, reterr);
            break;
        case STEP_END:
            end_block(e, to);
            break;
        case STEP_DONE:
            break;
        }
    }
    if (st != ST_OK) {
        e->failed = true;
        to->size = before;
    } else if (e->at.place.position > e->produced) {
        e->produced = e->at.place.position;
    }
    return st;
}

enum status store_export_next(struct store_export *e, struct buf *to,
                              bool *ret_done, struct fault *reterr)
{
    enum status st = ST_OK;
    if (e->cut.size > 0) {
        buf_append(to, bytes_after(buf_bytes(&e->cut), e->cut_from));
        buf_fini(&e->cut);
        e->cut = (struct buf){0};
        e->cut_from = 0;
    } else {
        st = produce(e, to, reterr);
    }
    if (st == ST_OK) {
        *ret_done = e->at.step == STEP_DONE;
    }
    return st;
}

/* --- beginning again --- */

/* To the last mark at or before the position. */
static void return_to_mark(struct store_export *e, uint64_t position)
{
    const struct mark start = {.step = STEP_STATE};
    const struct mark *from = &start;
    for (size_t i = 0; i < e->marks_count; i++) {
        if (e->marks[i].place.position <= position) {
            from = &e->marks[i];
        }
    }
    close_cursor(e);
    buf_clear(&e->cut);
    e->cut_from = 0;
    mark_copy(&e->at, from);
}

enum status store_export_seek(struct store_export *e, uint64_t position,
                              struct fault *reterr)
{
    must(!e->failed);
    if (position > e->produced) {
        return fault_set(reterr, ST_INVALID,
                         "cannot go on sending the state at byte %llu: only "
                         "%llu were sent before; send it anew",
                         (unsigned long long)position,
                         (unsigned long long)e->produced);
    }
    return_to_mark(e, position);
    while (e->at.place.position < position) {
        const uint64_t begin = e->at.place.position;
        buf_clear(&e->cut);
        const enum status st = produce(e, &e->cut, reterr);
        if (st != ST_OK) {
            buf_clear(&e->cut);
            return st;
        }
        must(e->at.place.position > begin);
        if (e->at.place.position > position) {
            e->cut_from = (size_t)(position - begin);
        }
    }
    if (e->cut_from == 0) {
        buf_clear(&e->cut);
    }
    return ST_OK;
}
