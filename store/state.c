/* The state row: a checksum, the format's number, the transaction that wrote
 * it, and all the numbers and records.
 *
 * The row names its LMDB transaction.  LMDB chooses between two meta pages by
 * their transaction numbers and has no checksum on them: a damaged one that
 * leads to an older tree is found out because that tree's row names another
 * transaction.
 */

#include "store/state.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

static const char row_name[] = "state";

void state_init(struct state *s)
{
    *s = (struct state){.numbers = {.revision = 1, .ino_next = 2}};
}

void state_records_fini(struct state_records *r)
{
    for (size_t i = 0; i < r->count; i++) {
        buf_fini(&r->list[i].value);
    }
    free(r->list);
    *r = (struct state_records){0};
}

void state_fini(struct state *s)
{
    state_records_fini(&s->records);
}

/* The place of the name, or where it belongs. */
static size_t records_place(const struct state_records *r, const char *name)
{
    size_t i = 0;
    while (i < r->count && strcmp(r->list[i].name, name) < 0) {
        i++;
    }
    return i;
}

const struct buf *state_records_find(const struct state_records *r,
                                     const char *name)
{
    const size_t i = records_place(r, name);
    if (i == r->count || strcmp(r->list[i].name, name) != 0) {
        return NULL;
    }
    return &r->list[i].value;
}

enum status state_records_set(struct state_records *r, const char *name,
                              struct bytes value)
{
    const size_t size = strlen(name);
    if (size == 0 || size >= STATE_NAME_MAX || value.size > STATE_RECORD_MAX) {
        return ST_INVALID;
    }
    const size_t i = records_place(r, name);
    if (i == r->count || strcmp(r->list[i].name, name) != 0) {
        if (r->count == STATE_RECORDS_MAX) {
            return ST_TOO_MANY;
        }
        r->list = xrealloc(r->list, (r->count + 1) * sizeof *r->list);
        memmove(&r->list[i + 1], &r->list[i], (r->count - i) * sizeof *r->list);
        r->list[i] = (struct state_record){0};
        memcpy(r->list[i].name, name, size);
        r->count++;
    }
    buf_clear(&r->list[i].value);
    buf_append(&r->list[i].value, value);
    return ST_OK;
}

void state_records_copy(struct state_records *to,
                        const struct state_records *from)
{
    *to = (struct state_records){0};
    for (size_t i = 0; i < from->count; i++) {
        const enum status st = state_records_set(
            to, from->list[i].name, buf_bytes(&from->list[i].value));
        must(st == ST_OK);
    }
}

static void encode(struct buf *to, uint64_t txn_id,
                   const struct state_numbers *n, const struct state_local *l,
                   const struct state_records *records)
{
    write_u32(to, 0); /* the checksum's place */
    write_u32(to, STATE_FORMAT);
    write_u64(to, txn_id);
    write_u64(to, n->index);
    write_u64(to, n->term);
    write_u64(to, (uint64_t)n->revision);
    write_u64(to, (uint64_t)n->compact_revision);
    write_u64(to, n->ino_next);
    write_u64(to, n->keys_count);
    write_u64(to, n->leases_count);
    write_u64(to, (uint64_t)n->lease_clock_ms);
    write_u64(to, l->identity.cluster_id);
    write_u64(to, l->identity.member_id);
    write_u64(to, (uint64_t)l->swept_revision);
    write_u64(to, (uint64_t)l->sweep_next);
    for (int id = 0; id < TREES_COUNT; id++) {
        write_u32(to, l->end_links[id]);
    }
    write_u32(to, (uint32_t)records->count);
    for (size_t i = 0; i < records->count; i++) {
        write_sized(to, bytes_of(records->list[i].name));
        write_sized(to, buf_bytes(&records->list[i].value));
    }
    const uint32_t crc = crc32c(0, bytes_after(buf_bytes(to), 4));
    put_u32(to->data, crc);
}

static bool decode_records(struct reader *r, struct state_records *to)
{
    const uint32_t count = read_u32(r);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        const struct bytes name = read_sized(r);
        const struct bytes value = read_sized(r);
        char text[STATE_NAME_MAX] = {0};
        if (!reader_ok(r) || name.size == 0 || name.size >= sizeof text) {
            return false;
        }
        memcpy(text, name.data, name.size);
        if (state_records_set(to, text, value) != ST_OK) {
            return false;
        }
    }
    return true;
}

/* After the checksum and the format. */
static bool decode(struct reader *r, struct state *s, uint64_t *ret_txn_id)
{
    struct state_numbers *n = &s->numbers;
    struct state_local *l = &s->local;
    *ret_txn_id = read_u64(r);
    n->index = read_u64(r);
    n->term = read_u64(r);
    n->revision = (int64_t)read_u64(r);
    n->compact_revision = (int64_t)read_u64(r);
    n->ino_next = read_u64(r);
    n->keys_count = read_u64(r);
    n->leases_count = read_u64(r);
    n->lease_clock_ms = (int64_t)read_u64(r);
    l->identity.cluster_id = read_u64(r);
    l->identity.member_id = read_u64(r);
    l->swept_revision = (int64_t)read_u64(r);
    l->sweep_next = (int64_t)read_u64(r);
    for (int id = 0; id < TREES_COUNT; id++) {
        l->end_links[id] = read_u32(r);
    }
    return decode_records(r, &s->records) && reader_done(r) &&
           n->revision >= 1 && n->compact_revision <= n->revision &&
           n->ino_next >= 2 && n->lease_clock_ms >= 0;
}

static int get_row(const struct lmdb_env *e, MDB_txn *txn, MDB_val *ret)
{
    MDB_val key = {.mv_size = sizeof row_name - 1,
                   .mv_data = (void *)(uintptr_t)row_name};
    return mdb_get(txn, e->meta, &key, ret);
}

enum status state_exists(const struct lmdb_env *e, MDB_txn *txn, bool *ret,
                         struct fault *reterr)
{
    MDB_val data;
    const int rc = get_row(e, txn, &data);
    *ret = rc == MDB_SUCCESS;
    return rc == MDB_SUCCESS || rc == MDB_NOTFOUND
               ? ST_OK
               : lmdb_fault(reterr, rc, "read the store's state");
}

enum status state_load(const struct lmdb_env *e, MDB_txn *txn,
                       struct state *ret, bool *ret_found, struct fault *reterr)
{
    state_init(ret);
    MDB_val data;
    const int rc = get_row(e, txn, &data);
    if (rc == MDB_NOTFOUND) {
        *ret_found = false;
        return ST_OK;
    }
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "read the store's state");
    }
    const struct bytes row = {data.mv_data, data.mv_size};
    struct reader r = reader_of(row);
    const uint32_t crc = read_u32(&r);
    const uint32_t format = read_u32(&r);
    if (!reader_ok(&r) || crc32c(0, bytes_after(row, 4)) != crc) {
        return fault_set(reterr, ST_CORRUPT,
                         "the store is damaged: the checksum of its state is "
                         "wrong; restore this member from a peer or a backup");
    }
    if (format != STATE_FORMAT) {
        return fault_set(reterr, ST_INVALID,
                         "the store has format %u, this program reads format "
                         "%u; use the program that wrote it",
                         format, STATE_FORMAT);
    }
    uint64_t txn_id;
    if (!decode(&r, ret, &txn_id)) {
        return fault_set(reterr, ST_CORRUPT,
                         "the store is damaged: its state cannot be read; "
                         "restore this member from a peer or a backup");
    }
    if (txn_id != mdb_txn_id(txn)) {
        return fault_set(
            reterr, ST_CORRUPT,
            "the store is damaged: its state is of transaction %llu, its file "
            "of %llu; restore this member from a peer or a backup",
            (unsigned long long)txn_id, (unsigned long long)mdb_txn_id(txn));
    }
    *ret_found = true;
    return ST_OK;
}

enum status state_save(const struct lmdb_env *e, MDB_txn *txn,
                       const struct state_numbers *numbers,
                       const struct state_local *local,
                       const struct state_records *records,
                       struct fault *reterr)
{
    struct buf row = {0};
    encode(&row, mdb_txn_id(txn), numbers, local, records);
    MDB_val key = {.mv_size = sizeof row_name - 1,
                   .mv_data = (void *)(uintptr_t)row_name};
    MDB_val data = {.mv_size = row.size, .mv_data = row.data};
    const int rc = mdb_put(txn, e->meta, &key, &data, 0);
    buf_fini(&row);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "write the store's state");
    }
    return ST_OK;
}
