/* What the store knows besides its rows: one row of LMDB's `meta` database,
 * committed with every flush. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "base/buf.h"
#include "store/lmdb_env.h"
#include "store/store.h"

#define STATE_FORMAT      2u
#define STATE_RECORDS_MAX 64u
#define STATE_NAME_MAX    64u
#define STATE_RECORD_MAX  ((size_t)1 << 20)

/* Numbers that are part of the replicated state, and change with each applied
 * entry. */
struct state_numbers {
    uint64_t index, term;     /* of the last applied entry */
    int64_t revision;         /* 1: nothing was ever written */
    int64_t compact_revision; /* 0: never compacted */
    uint64_t ino_next;        /* >= 2 */
    uint64_t keys_count;
    uint64_t leases_count;
    int64_t lease_clock_ms; /* store_lease_clock_ms() */
};

/* Numbers of this file alone. */
struct state_local {
    struct store_identity identity;
    int64_t swept_revision; /* garbage of compactions up to here is gone */
    int64_t sweep_next;     /* the sweep under way goes on with this revision */
    uint32_t end_links[TREES_COUNT];
};

struct state_record {
    char name[STATE_NAME_MAX];
    struct buf value;
};

struct state_records {
    struct state_record *list; /* in order of names */
    size_t count;
};

struct state {
    struct state_numbers numbers;
    struct state_local local;
    struct state_records records;
};

void state_init(struct state *s);
void state_fini(struct state *s);

/* NULL: no such record. */
const struct buf *state_records_find(const struct state_records *r,
                                     const char *name);
/*   ST_INVALID  the name or the value is too long;  ST_TOO_MANY */
enum status state_records_set(struct state_records *r, const char *name,
                              struct bytes value) MUST_USE;
void state_records_copy(struct state_records *to,
                        const struct state_records *from);
void state_records_fini(struct state_records *r);

enum status state_exists(const struct lmdb_env *e, MDB_txn *txn, bool *ret,
                         struct fault *reterr) MUST_USE;
/* Reads the state that the transaction sees; *ret_found false when the file is
 * new. *ret is initialised in any case.
 *   ST_CORRUPT, ST_INVALID (another format), ST_IO */
enum status state_load(const struct lmdb_env *e, MDB_txn *txn,
                       struct state *ret, bool *ret_found,
                       struct fault *reterr) MUST_USE;
/* Writes it within the (writing) transaction. */
enum status state_save(const struct lmdb_env *e, MDB_txn *txn,
                       const struct state_numbers *numbers,
                       const struct state_local *local,
                       const struct state_records *records,
                       struct fault *reterr) MUST_USE;

#endif
