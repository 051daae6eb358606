/* Finding rows of the lease table in memtables and view. */

#include "base/codec.h"
#include "base/must.h"
#include "store/lease.h"
#include "store/record.h"

void lease_name_write(uint8_t *to, int64_t id)
{
    put_u64_be(to, (uint64_t)id);
}

enum status lease_find(const struct store *s, int64_t id, struct lease_row *ret,
                       struct fault *reterr)
{
    uint8_t bytes[LEASE_NAME_SIZE];
    lease_name_write(bytes, id);
    const struct bytes name = {bytes, sizeof bytes};
    const struct mem_lease *l = memtable_find_lease(s->active, name);
    if (l == NULL && s->frozen != NULL) {
        l = memtable_find_lease(s->frozen, name);
    }
    if (l != NULL) {
        *ret = l->l;
        return ST_OK;
    }
    const struct tree *t = &s->view.trees[TREE_LEASES];
    struct row row;
    bool found;
    const enum status st = tree_get(t, name, &found, &row, reterr);
    *ret = (struct lease_row){0};
    if (st == ST_OK && found && !record_read_lease(row.head, ret)) {
        return tree_corrupt(t, name, "a lease cannot be read", reterr);
    }
    return st;
}

enum status lease_scan_open(struct lease_scan *scan, const struct store *s,
                            struct bytes from, struct fault *reterr)
{
    *scan = (struct lease_scan){.store = s};
    const enum status st =
        tree_cursor_open(&scan->cursor, &s->view.trees[TREE_LEASES], reterr);
    return st == ST_OK ? lease_scan_seek(scan, from, reterr) : st;
}

void lease_scan_close(struct lease_scan *scan)
{
    tree_cursor_close(&scan->cursor);
}

enum status lease_scan_seek(struct lease_scan *scan, struct bytes from,
                            struct fault *reterr)
{
    const struct store *s = scan->store;
    scan->active = memtable_leases_from(s->active, from);
    scan->frozen =
        s->frozen == NULL ? NULL : memtable_leases_from(s->frozen, from);
    return tree_cursor_seek(&scan->cursor, from, reterr);
}

/* The least name that any source stands on. */
static bool least_name(const struct lease_scan *scan, struct bytes *ret)
{
    bool any = false;
    struct bytes least = BYTES_NONE;
    if (scan->active != NULL) {
        least = scan->active->key;
        any = true;
    }
    if (scan->frozen != NULL &&
        (!any || bytes_compare(scan->frozen->key, least) < 0)) {
        least = scan->frozen->key;
        any = true;
    }
    if (!scan->cursor.at_end &&
        (!any || bytes_compare(scan->cursor.row.key, least) < 0)) {
        least = scan->cursor.row.key;
        any = true;
    }
    *ret = least;
    return any;
}

static bool take_memory(const struct mem_lease **at, struct bytes name,
                        struct lease_row *ret)
{
    const struct mem_lease *l = *at;
    if (l == NULL || !bytes_equal(l->key, name)) {
        return false;
    }
    *at = mem_lease_next(l);
    *ret = l->l;
    return true;
}

/* Asks all sources that stand on the name, newest first, and moves them. */
static enum status take(struct lease_scan *scan, struct bytes name,
                        struct lease_row *ret, struct fault *reterr)
{
    struct lease_row older;
    bool known = take_memory(&scan->active, name, ret);
    if (take_memory(&scan->frozen, name, known ? &older : ret)) {
        known = true;
    }
    if (scan->cursor.at_end || !bytes_equal(scan->cursor.row.key, name)) {
        return ST_OK;
    }
    if (!known && !record_read_lease(scan->cursor.row.head, ret)) {
        return tree_corrupt(scan->cursor.tree, name, "a lease cannot be read",
                            reterr);
    }
    return tree_cursor_next(&scan->cursor, reterr);
}

enum status lease_scan_next(struct lease_scan *scan, bool *ret_found,
                            struct bytes *ret_name, struct lease_row *ret,
                            struct fault *reterr)
{
    struct bytes name;
    *ret_found = false;
    while (least_name(scan, &name)) {
        const enum status st = take(scan, name, ret, reterr);
        if (st != ST_OK) {
            return st;
        }
        if (ret->live) {
            *ret_found = true;
            *ret_name = name;
            return ST_OK;
        }
    }
    return ST_OK;
}
