/* Writing rows in ascending order, and keeping their links right.
 *
 * A change moves the link of the row behind it.  That row is not rewritten at
 * once: the next change may come before it.  While a link is `stale`, the
 * writer knows what it has to become; it is settled when the writer moves past
 * that row, or ends.
 */

#include <stdlib.h>

#include "store/tree.h"

enum status tree_writer_begin(struct tree_writer *w, struct tree *t,
                              struct fault *reterr)
{
    *w = (struct tree_writer){.tree = t};
    const int rc = mdb_cursor_open(t->txn, t->dbi, &w->mc);
    if (rc != MDB_SUCCESS) {
        w->mc = NULL;
        return lmdb_fault(reterr, rc, "open a cursor in the store");
    }
    return ST_OK;
}

void tree_writer_fini(struct tree_writer *w)
{
    if (w->mc != NULL) {
        mdb_cursor_close(w->mc);
    }
    buf_fini(&w->last);
    buf_fini(&w->scratch);
    *w = (struct tree_writer){0};
}

/* To the row behind the latest change. */
static enum status seek_behind_last(struct tree_writer *w, struct spot *ret,
                                    struct fault *reterr)
{
    const struct bytes last = buf_bytes(&w->last);
    int rc;
    if (w->behind_last) {
        rc = mdb_cursor_get(w->mc, &ret->key, &ret->data, MDB_NEXT);
    } else {
        struct bytes key;
        rc = tree_lower_bound(w->mc, last, &ret->key, &ret->data);
        if (rc == MDB_SUCCESS && row_key(&ret->key, &ret->data, &key) &&
            bytes_equal(key, last)) {
            rc = mdb_cursor_get(w->mc, &ret->key, &ret->data, MDB_NEXT);
        }
    }
    w->behind_last = false;
    ret->at_end = rc == MDB_NOTFOUND;
    if (ret->at_end) {
        return ST_OK;
    }
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    const enum status st =
        row_decode(w->tree, &ret->key, &ret->data, &ret->row, reterr);
    if (st == ST_OK && bytes_compare(ret->row.key, last) <= 0) {
        return tree_corrupt(w->tree, last, "rows are out of order", reterr);
    }
    return st;
}

/* Gives the row at the spot another link. */
static enum status relink(struct tree_writer *w, const struct spot *spot,
                          struct fault *reterr)
{
    if (spot->row.link == w->link) {
        return ST_OK;
    }
    /* Copied first: LMDB may move the page when it makes it writable. */
    uint8_t place[TREE_LONG_SIZE];
    must(spot->key.mv_size <= sizeof place);
    memcpy(place, spot->key.mv_data, spot->key.mv_size);
    struct row row = spot->row;
    row.link = w->link;
    buf_clear(&w->scratch);
    row_write(buf_extend(&w->scratch, spot->data.mv_size), w->tree->id, &row);
    MDB_val key = {.mv_size = spot->key.mv_size, .mv_data = place};
    MDB_val data = {.mv_size = w->scratch.size, .mv_data = w->scratch.data};
    const int rc = mdb_cursor_put(w->mc, &key, &data, 0);
    return rc == MDB_SUCCESS ? ST_OK
                             : lmdb_fault(reterr, rc, "write to the store");
}

/* The link that a row inserted before the spot must have; also verifies that
 * the rows around the place are each other's neighbours. */
static enum status link_before(struct tree_writer *w, struct bytes key,
                               const struct spot *spot, uint32_t *ret,
                               struct fault *reterr)
{
    MDB_val at, data;
    const int rc =
        mdb_cursor_get(w->mc, &at, &data, spot->at_end ? MDB_LAST : MDB_PREV);
    uint32_t link = 0;
    if (rc == MDB_SUCCESS) {
        struct bytes before;
        if (!row_key(&at, &data, &before) || bytes_compare(before, key) >= 0) {
            return tree_corrupt(w->tree, key, "rows are out of order", reterr);
        }
        link = tree_link_of(before);
    } else if (rc != MDB_NOTFOUND) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    if (link != (spot->at_end ? w->tree->end_link : spot->row.link)) {
        return tree_corrupt(w->tree, key, "rows are missing", reterr);
    }
    *ret = link;
    return ST_OK;
}

/* To the row at or behind the key. Settles a stale link that the key has
 * passed. */
static enum status approach(struct tree_writer *w, struct bytes key,
                            struct spot *ret, struct fault *reterr)
{
    enum status st;
    must(w->last.size == 0 || bytes_compare(buf_bytes(&w->last), key) < 0);
    if (w->stale) {
        st = seek_behind_last(w, ret, reterr);
        if (st != ST_OK) {
            return st;
        }
        if (ret->at_end || bytes_compare(ret->row.key, key) >= 0) {
            ret->link = w->link;
            return ST_OK;
        }
        st = relink(w, ret, reterr);
        if (st != ST_OK) {
            return st;
        }
        w->stale = false;
    }
    const int rc = tree_lower_bound(w->mc, key, &ret->key, &ret->data);
    ret->at_end = rc == MDB_NOTFOUND;
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return lmdb_fault(reterr, rc, "read the store");
    }
    if (!ret->at_end) {
        st = row_decode(w->tree, &ret->key, &ret->data, &ret->row, reterr);
        if (st != ST_OK) {
            return st;
        }
        const int order = bytes_compare(ret->row.key, key);
        if (order == 0) {
            ret->link = ret->row.link;
            return ST_OK;
        }
        if (order < 0) {
            return tree_corrupt(w->tree, key, "rows are out of order", reterr);
        }
    }
    return link_before(w, key, ret, &ret->link, reterr);
}

/* As approach(), unless tree_find() has just been there. */
static enum status arrive(struct tree_writer *w, struct bytes key,
                          struct fault *reterr)
{
    must(key.size > 0);
    if (w->found) {
        w->found = false;
        return ST_OK;
    }
    return approach(w, key, &w->spot, reterr);
}

static bool is_there(const struct tree_writer *w, struct bytes key)
{
    return !w->spot.at_end && bytes_equal(w->spot.row.key, key);
}

enum status tree_find(struct tree_writer *w, struct bytes key, bool *ret_found,
                      struct row *ret, struct fault *reterr)
{
    must(key.size > 0);
    const enum status st = approach(w, key, &w->spot, reterr);
    if (st == ST_OK) {
        w->found = true;
        *ret_found = is_there(w, key);
        *ret = w->spot.row;
    }
    return st;
}

static void changed(struct tree_writer *w, struct bytes key, bool stale,
                    uint32_t link)
{
    buf_clear(&w->last);
    buf_append(&w->last, key);
    w->stale = stale;
    w->link = link;
}

enum status tree_put(struct tree_writer *w, struct bytes key, struct bytes head,
                     struct bytes value, uint32_t value_crc,
                     struct fault *reterr)
{
    const enum status st = arrive(w, key, reterr);
    if (st != ST_OK) {
        return st;
    }
    const struct row row = {.key = key,
                            .link = w->spot.link,
                            .head = head,
                            .value = value,
                            .value_crc = value_crc};
    const bool there = is_there(w, key);

    uint8_t place[TREE_LONG_SIZE];
    MDB_val at = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
    int rc = MDB_SUCCESS;
    if (there) {
        must(w->spot.key.mv_size <= sizeof place);
        memcpy(place, w->spot.key.mv_data, w->spot.key.mv_size);
        at = (MDB_val){.mv_size = w->spot.key.mv_size, .mv_data = place};
    } else if (key.size > TREE_SHORT_MAX) {
        rc = tree_long_place(w->mc, key, place);
        at = (MDB_val){.mv_size = TREE_LONG_SIZE, .mv_data = place};
    }
    if (rc == MDB_SUCCESS) {
        MDB_val data = {.mv_size = row_size(key, head, value)};
        rc = mdb_cursor_put(w->mc, &at, &data,
                            MDB_RESERVE | (w->spot.at_end ? MDB_APPEND : 0u));
        if (rc == MDB_SUCCESS) {
            row_write(data.mv_data, w->tree->id, &row);
        }
    }
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "write to the store");
    }
    w->behind_last = true;
    changed(w, key, !there, tree_link_of(key));
    return ST_OK;
}

enum status tree_delete(struct tree_writer *w, struct bytes key,
                        bool *ret_found, struct fault *reterr)
{
    const enum status st = arrive(w, key, reterr);
    if (st != ST_OK) {
        return st;
    }
    w->behind_last = false;
    *ret_found = is_there(w, key);
    if (!*ret_found) {
        return ST_OK;
    }
    /* The cursor stands on the row: whoever found it there did not go on to
     * look at the row before. */
    const int rc = mdb_cursor_del(w->mc, 0);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "delete from the store");
    }
    changed(w, key, true, w->spot.link);
    return ST_OK;
}

enum status tree_writer_end(struct tree_writer *w, struct fault *reterr)
{
    if (!w->stale) {
        return ST_OK;
    }
    struct spot spot;
    const enum status st = seek_behind_last(w, &spot, reterr);
    if (st != ST_OK) {
        return st;
    }
    w->stale = false;
    if (spot.at_end) {
        w->tree->end_link = w->link;
        return ST_OK;
    }
    return relink(w, &spot, reterr);
}
