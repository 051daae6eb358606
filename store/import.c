/* Receiving the state: the bytes of a stream become a new LMDB file.
 *
 *   PREAMBLE -> STATE -> ROWS -> ENDED -> FINISHED -> INSTALLED
 *
 * Bytes are gathered until a block is whole and its checksum right.  Blocks of
 * rows are gathered further until there is enough for a transaction, which
 * begins and ends within one call, since LMDB binds it to a thread.  The row
 * that makes the file a store is written last, by finish.
 */

#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/must.h"
#include "store/alarms.h"
#include "store/import.h"
#include "store/import_rows.h"
#include "store/incoming.h"
#include "store/stream.h"

#define INCOMING_NAME "incoming"
#define BATCH_BYTES   ((size_t)16 << 20)
#define SPARE_BYTES   ((uint64_t)1 << 20)

enum phase { PREAMBLE, STATE, ROWS, ENDED, FINISHED, INSTALLED };

struct store_import {
    struct incoming incoming;
    bool made;  /* the directory is there */
    int old_fd; /* of the file whose place was taken; -1: none */
    uint64_t map_size;
    uint64_t cluster_id; /* wanted; 0: any */

    enum phase phase;
    enum status failed; /* not ST_OK: why nothing more is done */
    struct fault fault;

    /* Whole blocks of rows, then the beginning of the next block. */
    struct buf in;
    size_t whole;           /* bytes of whole blocks in it */
    struct stream_place at; /* behind them */
    uint64_t position;      /* of all bytes taken */

    struct state state;
    struct stream_counts counts;
    struct lmdb_env env;
    bool env_open;
    struct import_rows rows;
};

/* Remembers a failure: no call after it does anything. */
static enum status settle(struct store_import *i, enum status st,
                          struct fault *reterr)
{
    if (st == ST_OK) {
        return ST_OK;
    }
    /* A transaction takes about as many bytes as its rows. */
    if (st == ST_IO &&
        incoming_is_full(&i->incoming, 2 * (uint64_t)i->whole + SPARE_BYTES)) {
        st = fault_set(reterr, ST_NO_SPACE,
                       "cannot write a new state in '%s': the disk is full",
                       i->incoming.path);
    }
    i->failed = st;
    i->fault = *reterr;
    return st;
}

static enum status failed_before(const struct store_import *i,
                                 struct fault *reterr)
{
    return i->failed == ST_OK
               ? ST_OK
               : fault_set(reterr, i->failed, "%s", i->fault.text);
}

enum status store_import_discard(const char *path, struct fault *reterr)
{
    static const char *const names[] = {INCOMING_NAME, DEFRAGMENT_NAME};
    enum status st = ST_OK;
    for (size_t i = 0; i < count_of(names) && st == ST_OK; i++) {
        struct incoming incoming;
        st = incoming_of(path, names[i], &incoming, reterr);
        if (st == ST_OK) {
            st = incoming_remove(&incoming, reterr);
        }
    }
    return st;
}

enum status import_begin_in(const char *path, const char *name,
                            const struct store_options *options,
                            uint64_t cluster_id, struct store_import **ret,
                            struct fault *reterr)
{
    struct store_import *i = xcalloc(1, sizeof *i);
    i->old_fd = -1;
    i->map_size = options->map_size;
    i->cluster_id = cluster_id;
    state_init(&i->state);
    enum status st = incoming_of(path, name, &i->incoming, reterr);
    if (st == ST_OK) {
        i->made = true;
        st = incoming_make(&i->incoming, reterr);
    }
    if (st != ST_OK) {
        store_import_free(i);
        return st;
    }
    *ret = i;
    return ST_OK;
}

enum status store_import_begin(const char *path,
                               const struct store_options *options,
                               uint64_t cluster_id, struct store_import **ret,
                               struct fault *reterr)
{
    return import_begin_in(path, INCOMING_NAME, options, cluster_id, ret,
                           reterr);
}

static void close_env(struct store_import *i)
{
    lmdb_env_close(&i->env);
    i->env_open = false;
}

void store_import_free(struct store_import *i)
{
    if (i == NULL) {
        return;
    }
    close_env(i);
    if (i->old_fd >= 0) {
        (void)close(i->old_fd); /* nothing was written through it */
    }
    if (i->made && i->phase != INSTALLED) {
        incoming_clear(&i->incoming);
    }
    import_rows_fini(&i->rows);
    state_fini(&i->state);
    buf_fini(&i->in);
    free(i);
}

uint64_t store_import_position(const struct store_import *i)
{
    return i->position;
}

bool store_import_info(const struct store_import *i,
                       struct store_transfer_info *ret)
{
    if (i->phase < ROWS) {
        return false;
    }
    *ret = (struct store_transfer_info){
        .cluster_id = i->state.local.identity.cluster_id,
        .index = i->state.numbers.index,
        .term = i->state.numbers.term,
        .revision = i->state.numbers.revision,
        .compact_revision = i->state.numbers.compact_revision,
        .keys_count = i->state.numbers.keys_count,
        .rows_count = i->counts.rows,
        .bytes_count = i->counts.bytes,
    };
    return true;
}

const char *store_import_path(const struct store_import *i)
{
    must(i->phase == FINISHED);
    return i->incoming.path;
}

/* --- batches --- */

static enum status open_env(struct store_import *i, struct fault *reterr)
{
    if (i->env_open) {
        return ST_OK;
    }
    const enum status st =
        lmdb_env_open(&i->env, i->incoming.path, i->map_size, reterr);
    i->env_open = st == ST_OK;
    return st;
}

/* All whole blocks, which are of rows and were verified. */
static enum status put_blocks(struct store_import *i, MDB_txn *txn,
                              struct fault *reterr)
{
    enum status st = import_rows_begin(&i->rows, txn, i->env.trees, reterr);
    struct bytes left = {i->in.data, i->whole};
    while (left.size > 0 && st == ST_OK) {
        const size_t size = get_u32(left.data + 4);
        const uint32_t kind = get_u32(left.data + 16);
        left = bytes_after(left, STREAM_HEAD_SIZE);
        must(size <= left.size);
        st = import_rows_put(&i->rows, (int)(kind - STREAM_ROWS),
                             (struct bytes){left.data, size}, reterr);
        left = bytes_after(left, size);
    }
    import_rows_end(&i->rows);
    return st;
}

static enum status apply_batch(struct store_import *i, struct fault *reterr)
{
    MDB_txn *txn = NULL;
    enum status st = open_env(i, reterr);
    if (st != ST_OK || i->whole == 0) {
        return st;
    }
    int rc = mdb_txn_begin(i->env.env, NULL, 0, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction for a new state");
    }
    st = put_blocks(i, txn, reterr);
    if (st != ST_OK) {
        mdb_txn_abort(txn);
        return st;
    }
    rc = mdb_txn_commit(txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "write a new state");
    }
    const size_t left = i->in.size - i->whole;
    memmove(i->in.data, i->in.data + i->whole, left);
    i->in.size = left;
    i->whole = 0;
    return ST_OK;
}

/* --- blocks --- */

static enum status take_state(struct store_import *i,
                              const struct stream_place *before,
                              const struct stream_block *b,
                              struct fault *reterr)
{
    if (b->kind != STREAM_STATE) {
        return stream_corrupt(before, "it is not the first one", reterr);
    }
    const enum status st =
        stream_read_state(b->body, &i->state, &i->counts, reterr);
    if (st != ST_OK) {
        return st;
    }
    const uint64_t theirs = i->state.local.identity.cluster_id;
    if (i->cluster_id != 0 && theirs != i->cluster_id) {
        return fault_set(reterr, ST_INVALID,
                         "the state that is sent is of cluster %llx, this "
                         "member is of %llx; look at the peers' addresses",
                         (unsigned long long)theirs,
                         (unsigned long long)i->cluster_id);
    }
    const struct buf *alarms = state_records_find(&i->state.records, "alarms");
    if (alarms != NULL && !alarms_are_valid(buf_bytes(alarms))) {
        return stream_corrupt(before, "its alarms cannot be read", reterr);
    }
    import_rows_init(&i->rows, &i->state);
    i->in.size = 0;
    i->phase = ROWS;
    return ST_OK;
}

static enum status take_end(struct store_import *i,
                            const struct stream_place *before,
                            const struct stream_block *b, struct fault *reterr)
{
    /* The block before whole ones that wait goes, not they. */
    const bool is_end = stream_is_end(b->body, i->rows.given, before->position);
    i->in.size = i->whole;
    if (!is_end) {
        return stream_corrupt(before, "it does not match the rows before it",
                              reterr);
    }
    enum status st = apply_batch(i, reterr);
    if (st == ST_OK) {
        st = import_rows_check_end(&i->rows, reterr);
    }
    if (st == ST_OK) {
        i->phase = ENDED;
    }
    return st;
}

static enum status take_block(struct store_import *i, struct fault *reterr)
{
    const struct bytes bytes = bytes_after(buf_bytes(&i->in), i->whole);
    const struct stream_place before = i->at;
    struct stream_block b;
    const enum status st = stream_read_block(bytes, &i->at, &b, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (i->phase == STATE) {
        return take_state(i, &before, &b, reterr);
    }
    if (b.kind == STREAM_END) {
        return take_end(i, &before, &b, reterr);
    }
    if (b.kind < STREAM_ROWS || b.kind >= STREAM_ROWS + TREES_COUNT) {
        return stream_corrupt(&before, "it is of no known kind", reterr);
    }
    if (!import_rows_count(&i->rows, (int)(b.kind - STREAM_ROWS), b.body)) {
        return stream_corrupt(&before, "its rows cannot be told apart", reterr);
    }
    i->whole += bytes.size;
    return i->whole >= BATCH_BYTES ? apply_batch(i, reterr) : ST_OK;
}

/* --- bytes --- */

/* How many bytes are needed before the next thing can be looked at, of which
 * `have` are there. */
static enum status wanted(struct store_import *i, size_t *ret,
                          struct fault *reterr)
{
    const struct bytes have = bytes_after(buf_bytes(&i->in), i->whole);
    if (i->phase == PREAMBLE) {
        *ret = STREAM_PREAMBLE_SIZE;
        return ST_OK;
    }
    *ret = STREAM_HEAD_SIZE;
    if (have.size < STREAM_HEAD_SIZE) {
        return ST_OK;
    }
    size_t body;
    const enum status st = stream_read_head(have, &i->at, &body, reterr);
    if (st == ST_OK) {
        *ret += body;
    }
    return st;
}

/* Takes the preamble, the block or the head that is complete now. */
static enum status arrived(struct store_import *i, struct fault *reterr)
{
    if (i->phase == PREAMBLE) {
        const enum status st =
            stream_read_preamble(buf_bytes(&i->in), &i->at, reterr);
        i->in.size = 0;
        i->phase = STATE;
        return st;
    }
    size_t size;
    const enum status st = wanted(i, &size, reterr);
    if (st != ST_OK || i->in.size - i->whole < size) {
        return st;
    }
    return take_block(i, reterr);
}

static enum status take(struct store_import *i, struct bytes *more,
                        struct fault *reterr)
{
    size_t size;
    if (i->phase == ENDED) {
        return stream_corrupt(&i->at, "the stream goes on behind its end",
                              reterr);
    }
    const enum status st = wanted(i, &size, reterr);
    if (st != ST_OK) {
        return st;
    }
    const size_t have = i->in.size - i->whole;
    must(have < size);
    size_t part = size - have;
    if (part > more->size) {
        part = more->size;
    }
    buf_append(&i->in, (struct bytes){more->data, part});
    i->position += part;
    *more = bytes_after(*more, part);
    return have + part == size ? arrived(i, reterr) : ST_OK;
}

enum status store_import_write(struct store_import *i, struct bytes more,
                               struct fault *reterr)
{
    struct fault fault;
    must(i->phase <= ENDED);
    if (reterr == NULL) {
        reterr = &fault;
    }
    enum status st = failed_before(i, reterr);
    while (st == ST_OK && more.size > 0) {
        st = settle(i, take(i, &more, reterr), reterr);
    }
    return st;
}

/* --- the end --- */

static enum status save_state(struct store_import *i,
                              const struct store_identity *identity,
                              struct fault *reterr)
{
    MDB_txn *txn = NULL;
    i->state.local.identity = *identity;
    int rc = mdb_txn_begin(i->env.env, NULL, 0, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction for a new state");
    }
    const enum status st =
        state_save(&i->env, txn, &i->state.numbers, &i->state.local,
                   &i->state.records, reterr);
    if (st != ST_OK) {
        mdb_txn_abort(txn);
        return st;
    }
    rc = mdb_txn_commit(txn);
    return rc == MDB_SUCCESS ? ST_OK
                             : lmdb_fault(reterr, rc, "write a new state");
}

/* As store_open() will, so that it cannot be refused then. */
static enum status read_state(struct store_import *i, struct fault *reterr)
{
    MDB_txn *txn = NULL;
    const int rc = mdb_txn_begin(i->env.env, NULL, MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction for a new state");
    }
    struct state again;
    bool found = false;
    enum status st = state_load(&i->env, txn, &again, &found, reterr);
    if (st == ST_OK &&
        (!found || again.numbers.index != i->state.numbers.index)) {
        st = fault_set(reterr, ST_CORRUPT, "a new state was not written");
    }
    state_fini(&again);
    mdb_txn_abort(txn);
    return st;
}

enum status store_import_restart(struct store_import *i,
                                 const struct store_restart *restart,
                                 struct fault *reterr)
{
    struct state_numbers *n = &i->state.numbers;
    const enum status st = failed_before(i, reterr);
    if (st != ST_OK || i->phase != ENDED) {
        return st; /* what is missing is told by finish */
    }
    if (restart->bump_revision > (uint64_t)(INT64_MAX / 2) ||
        n->revision > INT64_MAX / 2) {
        return settle(i,
                      fault_set(reterr, ST_INVALID,
                                "the revision cannot be raised by %llu: the "
                                "snapshot's is %lld",
                                (unsigned long long)restart->bump_revision,
                                (long long)n->revision),
                      reterr);
    }
    n->revision += (int64_t)restart->bump_revision;
    if (restart->mark_compacted) {
        n->compact_revision = n->revision;
    }
    n->index = n->index > 0 ? n->index : 1;
    n->term = n->term > 0 ? n->term : 1;
    state_records_fini(&i->state.records);
    return ST_OK;
}

static enum status finish(struct store_import *i,
                          const struct store_identity *identity,
                          struct fault *reterr)
{
    if (i->phase != ENDED) {
        return fault_set(reterr, ST_CORRUPT,
                         "the stream with the state ends early, after %llu "
                         "bytes; have it sent again",
                         (unsigned long long)i->position);
    }
    enum status st = save_state(i, identity, reterr);
    if (st == ST_OK) {
        st = read_state(i, reterr);
    }
    close_env(i);
    return st == ST_OK ? incoming_sync(&i->incoming, reterr) : st;
}

enum status store_import_finish(struct store_import *i,
                                const struct store_identity *identity,
                                struct fault *reterr)
{
    struct fault fault;
    must(i->phase <= ENDED);
    if (reterr == NULL) {
        reterr = &fault;
    }
    enum status st = failed_before(i, reterr);
    if (st == ST_OK) {
        st = settle(i, finish(i, identity, reterr), reterr);
    }
    if (st == ST_OK) {
        i->phase = FINISHED;
    }
    return st;
}

static enum status install(struct store_import *i, bool is_locked,
                           struct fault *reterr)
{
    must(i->phase == FINISHED);
    const enum status st = incoming_install(&i->incoming, is_locked, reterr);
    if (st == ST_OK) {
        i->phase = INSTALLED;
    }
    return st;
}

enum status store_import_install(struct store_import *i, struct fault *reterr)
{
    i->old_fd = incoming_hold(&i->incoming);
    return install(i, false, reterr);
}

enum status import_replace(struct store_import *i, struct fault *reterr)
{
    return install(i, true, reterr);
}
