/* Rows, and reading them: gets and cursors that verify what they pass.
 *
 * A row in LMDB:
 *    0  u32  CRC-32C of: tree id, full key, bytes 4..23, head
 *    4  u32  link: CRC-32C of the key before; 0 in the first row
 *    8  u32  size of the full key
 *   12  u32  size of the head
 *   16  u32  size of the value
 *   20  u32  CRC-32C of the value
 *   24       the full key, when it is longer than TREE_SHORT_MAX; head; value
 */

#include "store/tree.h"

#include <ctype.h>

#include "base/codec.h"
#include "base/crc32c.h"

#define ROW_FIXED 24u

uint32_t tree_link_of(struct bytes key)
{
    return crc32c(0, key);
}

enum status tree_corrupt(const struct tree *t, struct bytes key,
                         const char *why, struct fault *reterr)
{
    char text[65];
    size_t n = 0;
    for (; n < key.size && n < sizeof text - 1; n++) {
        const char c = (char)key.data[n];
        text[n] = '?';
        if (isprint((unsigned char)c)) {
            text[n] = c;
        }
    }
    text[n] = '\0';
    return fault_set(reterr, ST_CORRUPT,
                     "the store is damaged: %s at key '%s' (%zu bytes) of "
                     "database %u; restore this member from a peer or a backup",
                     why, text, key.size, (unsigned)t->id);
}

static struct bytes bytes_of_val(const MDB_val *v)
{
    return (struct bytes){v->mv_data, v->mv_size};
}

static uint32_t row_crc(uint8_t id, struct bytes key, const uint8_t *fixed,
                        struct bytes head)
{
    uint32_t crc = crc32c(0, (struct bytes){&id, 1});
    crc = crc32c(crc, key);
    crc = crc32c(crc, (struct bytes){fixed + 4, ROW_FIXED - 4});
    return crc32c(crc, head);
}

bool row_key(const MDB_val *key, const MDB_val *data, struct bytes *ret)
{
    if (data->mv_size < ROW_FIXED || key->mv_size == 0) {
        return false;
    }
    const uint8_t *at = data->mv_data;
    const uint32_t size = get_u32(at + 8);
    if (key->mv_size <= TREE_SHORT_MAX) {
        *ret = bytes_of_val(key);
        return size == key->mv_size;
    }
    if (key->mv_size != TREE_LONG_SIZE || size <= TREE_SHORT_MAX ||
        size > data->mv_size - ROW_FIXED ||
        memcmp(at + ROW_FIXED, key->mv_data, TREE_SHORT_MAX) != 0) {
        return false;
    }
    *ret = (struct bytes){at + ROW_FIXED, size};
    return true;
}

enum status row_decode(const struct tree *t, const MDB_val *key,
                       const MDB_val *data, struct row *ret,
                       struct fault *reterr)
{
    struct row row = {0};
    if (!row_key(key, data, &row.key)) {
        return tree_corrupt(t, bytes_of_val(key), "a row cannot be read",
                            reterr);
    }
    const uint8_t *at = data->mv_data;
    const uint64_t inline_key =
        row.key.size > TREE_SHORT_MAX ? row.key.size : 0;
    row.link = get_u32(at + 4);
    row.head.size = get_u32(at + 12);
    row.value.size = get_u32(at + 16);
    row.value_crc = get_u32(at + 20);
    if (ROW_FIXED + inline_key + row.head.size + row.value.size !=
        data->mv_size) {
        return tree_corrupt(t, row.key, "a row's size is wrong", reterr);
    }
    row.head.data = at + ROW_FIXED + inline_key;
    row.value.data = row.head.data + row.head.size;
    if (get_u32(at) != row_crc(t->id, row.key, at, row.head)) {
        return tree_corrupt(t, row.key, "a row's checksum is wrong", reterr);
    }
    *ret = row;
    return ST_OK;
}

enum status row_check_value(const struct row *row, struct fault *reterr)
{
    if (crc32c(0, row->value) == row->value_crc) {
        return ST_OK;
    }
    const struct tree unknown = {.id = TREES_COUNT};
    return tree_corrupt(&unknown, row->key, "a value's checksum is wrong",
                        reterr);
}

size_t row_size(struct bytes key, struct bytes head, struct bytes value)
{
    return ROW_FIXED + (key.size > TREE_SHORT_MAX ? key.size : 0) + head.size +
           value.size;
}

void row_write(uint8_t *at, uint8_t id, const struct row *row)
{
    put_u32(at + 4, row->link);
    put_u32(at + 8, (uint32_t)row->key.size);
    put_u32(at + 12, (uint32_t)row->head.size);
    put_u32(at + 16, (uint32_t)row->value.size);
    put_u32(at + 20, row->value_crc);
    put_u32(at, row_crc(id, row->key, at, row->head));
    uint8_t *to = at + ROW_FIXED;
    if (row->key.size > TREE_SHORT_MAX) {
        memcpy(to, row->key.data, row->key.size);
        to += row->key.size;
    }
    if (row->head.size > 0) {
        memcpy(to, row->head.data, row->head.size);
        to += row->head.size;
    }
    if (row->value.size > 0) {
        memcpy(to, row->value.data, row->value.size);
    }
}

enum status tree_cursor_open(struct tree_cursor *c, const struct tree *t,
                             struct fault *reterr)
{
    *c = (struct tree_cursor){.tree = t};
    const int rc = mdb_cursor_open(t->txn, t->dbi, &c->mc);
    if (rc != MDB_SUCCESS) {
        c->mc = NULL;
        return lmdb_fault(reterr, rc, "open a cursor in the store");
    }
    return ST_OK;
}

void tree_cursor_close(struct tree_cursor *c)
{
    if (c->mc != NULL) {
        mdb_cursor_close(c->mc);
    }
    c->mc = NULL;
}

/* The cursor is behind the last row: is that row the one it should be? */
static enum status check_end(struct tree_cursor *c, struct bytes wanted,
                             struct fault *reterr)
{
    MDB_val key, data;
    uint32_t link = 0;
    const int rc = mdb_cursor_get(c->mc, &key, &data, MDB_LAST);
    if (rc == MDB_SUCCESS) {
        struct bytes last;
        if (!row_key(&key, &data, &last) || bytes_compare(last, wanted) >= 0) {
            return tree_corrupt(c->tree, wanted, "rows are out of order",
                                reterr);
        }
        link = tree_link_of(last);
    } else if (rc != MDB_NOTFOUND) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    if (link != c->tree->end_link) {
        return tree_corrupt(c->tree, wanted, "rows are missing", reterr);
    }
    c->at_end = true;
    return ST_OK;
}

/* The cursor is on a row behind the wanted key: does that row follow the one
 * before the wanted key? */
static enum status check_gap(struct tree_cursor *c, struct bytes wanted,
                             struct fault *reterr)
{
    MDB_val key, data;
    uint32_t link = 0;
    int rc = mdb_cursor_get(c->mc, &key, &data, MDB_PREV);
    if (rc == MDB_SUCCESS) {
        struct bytes before;
        if (!row_key(&key, &data, &before) ||
            bytes_compare(before, wanted) >= 0) {
            return tree_corrupt(c->tree, wanted, "rows are out of order",
                                reterr);
        }
        link = tree_link_of(before);
    } else if (rc != MDB_NOTFOUND) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    if (link != c->row.link) {
        return tree_corrupt(c->tree, wanted, "rows are missing", reterr);
    }
    rc = mdb_cursor_get(c->mc, &key, &data,
                        rc == MDB_NOTFOUND ? MDB_FIRST : MDB_NEXT);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    struct bytes again;
    if (!row_key(&key, &data, &again) || !bytes_equal(again, c->row.key)) {
        return tree_corrupt(c->tree, wanted, "rows are out of order", reterr);
    }
    return ST_OK;
}

enum status tree_cursor_seek(struct tree_cursor *c, struct bytes key,
                             struct fault *reterr)
{
    MDB_val found_key, found_data;
    c->at_end = false;
    const int rc = tree_lower_bound(c->mc, key, &found_key, &found_data);
    if (rc == MDB_NOTFOUND) {
        return check_end(c, key, reterr);
    }
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    const enum status st =
        row_decode(c->tree, &found_key, &found_data, &c->row, reterr);
    if (st != ST_OK) {
        return st;
    }
    const int order = bytes_compare(c->row.key, key);
    if (order == 0) {
        return ST_OK;
    }
    if (order < 0) {
        return tree_corrupt(c->tree, key, "rows are out of order", reterr);
    }
    return check_gap(c, key, reterr);
}

enum status tree_cursor_next(struct tree_cursor *c, struct fault *reterr)
{
    must(!c->at_end);
    const struct bytes before = c->row.key;
    const uint32_t link = tree_link_of(before);
    MDB_val key, data;
    const int rc = mdb_cursor_get(c->mc, &key, &data, MDB_NEXT);
    if (rc == MDB_NOTFOUND) {
        c->at_end = true;
        return link == c->tree->end_link
                   ? ST_OK
                   : tree_corrupt(c->tree, before, "rows are missing", reterr);
    }
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    const enum status st = row_decode(c->tree, &key, &data, &c->row, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (c->row.link != link || bytes_compare(before, c->row.key) >= 0) {
        return tree_corrupt(c->tree, before, "rows are missing", reterr);
    }
    return ST_OK;
}

/* Not found, or a long key: with a cursor, which verifies. */
static enum status get_by_cursor(const struct tree *t, struct bytes key,
                                 bool *ret_found, struct row *ret,
                                 struct fault *reterr)
{
    struct tree_cursor c;
    enum status st = tree_cursor_open(&c, t, reterr);
    if (st != ST_OK) {
        return st;
    }
    st = tree_cursor_seek(&c, key, reterr);
    if (st == ST_OK) {
        *ret_found = !c.at_end && bytes_equal(c.row.key, key);
        *ret = c.row;
    }
    tree_cursor_close(&c);
    return st;
}

enum status tree_get(const struct tree *t, struct bytes key, bool *ret_found,
                     struct row *ret, struct fault *reterr)
{
    must(key.size > 0);
    if (key.size > TREE_SHORT_MAX) {
        return get_by_cursor(t, key, ret_found, ret, reterr);
    }
    MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
    MDB_val data;
    const int rc = mdb_get(t->txn, t->dbi, &k, &data);
    if (rc == MDB_NOTFOUND) {
        return get_by_cursor(t, key, ret_found, ret, reterr);
    }
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    *ret_found = true;
    return row_decode(t, &k, &data, ret, reterr);
}
