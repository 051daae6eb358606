/* An ordered map over one LMDB database that notices damage and has no limit
 * on the size of keys.
 *
 * Every row carries a checksum over its key and head and one over its value,
 * and the checksum of the key before it (its link).  So it is noticed when a
 * row was changed, and also when rows are missing: whoever looks for a key and
 * lands between two rows finds them linked to each other, or the file is
 * damaged.  LMDB itself has no checksums, and a flipped bit in one of its page
 * headers can hide rows or whole pages.
 *
 * Keys longer than TREE_SHORT_MAX are stored under their first TREE_SHORT_MAX
 * bytes and a number that keeps their order (docs/FORMATS.md); a cursor does
 * not notice.
 *
 * Threads: a tree belongs to the thread of its transaction.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "base/buf.h"
#include "store/lmdb_env.h"

#define TREE_SHORT_MAX 480

/* One database as seen by one transaction. */
struct tree {
    MDB_txn *txn;
    MDB_dbi dbi;
    uint8_t id;
    uint32_t end_link; /* the checksum of the last key; 0 when empty */
};

/* A row. Bytes are borrowed from the map. */
struct row {
    struct bytes key;
    uint32_t link;
    struct bytes head;
    struct bytes value; /* not verified yet: row_check_value() */
    uint32_t value_crc;
};

/* ST_CORRUPT when the value is not the one that was stored. */
enum status row_check_value(const struct row *row,
                            struct fault *reterr) MUST_USE;

/* One key; *ret_found false: it is not there, which was verified.
 *   ST_CORRUPT, ST_IO */
enum status tree_get(const struct tree *t, struct bytes key, bool *ret_found,
                     struct row *ret, struct fault *reterr) MUST_USE;

struct tree_cursor {
    const struct tree *tree;
    MDB_cursor *mc;
    bool at_end;
    struct row row; /* when not at_end */
};

enum status tree_cursor_open(struct tree_cursor *c, const struct tree *t,
                             struct fault *reterr) MUST_USE;
void tree_cursor_close(struct tree_cursor *c); /* a zeroed one is fine */
/* To the first row whose key is >= key. */
enum status tree_cursor_seek(struct tree_cursor *c, struct bytes key,
                             struct fault *reterr) MUST_USE;
/* To the next row; not at the end already. */
enum status tree_cursor_next(struct tree_cursor *c,
                             struct fault *reterr) MUST_USE;

/* Where a change is about to happen: the row at or behind its key. */
struct spot {
    bool at_end;
    struct row row;    /* when not at_end */
    MDB_val key, data; /* the same, as LMDB has it */
    uint32_t link;     /* that a row at the key has to have */
};

/* Changes in ascending order of keys, each key once.  Until tree_writer_end()
 * the tree is read through tree_find() alone: links are not all right. */
struct tree_writer {
    struct tree *tree;
    MDB_cursor *mc;
    bool stale;       /* the row behind `last` has to get this link: */
    bool behind_last; /* the cursor stands on `last` itself */
    uint32_t link;
    struct buf last; /* key of the latest change */
    struct buf scratch;
    bool found; /* tree_find() was here last: spot holds */
    struct spot spot;
};

enum status tree_writer_begin(struct tree_writer *w, struct tree *t,
                              struct fault *reterr) MUST_USE;
/* Puts the last link right; tree->end_link may have changed after it. */
enum status tree_writer_end(struct tree_writer *w,
                            struct fault *reterr) MUST_USE;
/* Frees; needed after an error, and after an end. A zeroed one is fine. */
void tree_writer_fini(struct tree_writer *w);
/* What is at the key now, which a put or delete of the same key may follow at
 * once; borrowed until then. */
enum status tree_find(struct tree_writer *w, struct bytes key, bool *ret_found,
                      struct row *ret, struct fault *reterr) MUST_USE;
enum status tree_put(struct tree_writer *w, struct bytes key, struct bytes head,
                     struct bytes value, uint32_t value_crc,
                     struct fault *reterr) MUST_USE;
enum status tree_delete(struct tree_writer *w, struct bytes key,
                        bool *ret_found, struct fault *reterr) MUST_USE;

/* --- between tree.c, tree_long.c and tree_write.c --- */

/* "<why>: key '<the beginning of it, printable>' …" */
enum status tree_corrupt(const struct tree *t, struct bytes key,
                         const char *why, struct fault *reterr) MUST_USE;
/* Takes a row apart and verifies its key and head. */
enum status row_decode(const struct tree *t, const MDB_val *key,
                       const MDB_val *data, struct row *ret,
                       struct fault *reterr) MUST_USE;
/* The full key alone, unverified; false when the row is too damaged. */
bool row_key(const MDB_val *key, const MDB_val *data, struct bytes *ret);
/* Writes a row's image to `at`, which has room for row_size(). */
size_t row_size(struct bytes key, struct bytes head, struct bytes value);
void row_write(uint8_t *at, uint8_t id, const struct row *row);
uint32_t tree_link_of(struct bytes key);

/* Sets the cursor on the first row with a key >= key: MDB_NOTFOUND when there
 * is none. */
int tree_lower_bound(MDB_cursor *mc, struct bytes key, MDB_val *ret_key,
                     MDB_val *ret_data);
/* The LMDB key for a long key that is to be inserted; ret_key is of
 * TREE_LONG_SIZE bytes.  May renumber the rows around it. */
#define TREE_LONG_SIZE (TREE_SHORT_MAX + 1 + 8)
int tree_long_place(MDB_cursor *mc, struct bytes key, uint8_t *ret_key);

#endif
