/* Leases in the state: rows of the database `leases`, and what the log does to
 * them.
 *
 * A row's name begins with the lease's id.  A lease has one row with nothing
 * behind the id; each key that is attached to it has one with the key behind
 * it.  So a lease is followed by its keys in key order, nothing is in memory
 * but what the memtable holds, and a revoke walks one stretch of rows.
 */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "store/apply.h"

/* --- lease_scan.c --- */

#define LEASE_NAME_SIZE 8u
void lease_name_write(uint8_t *to, int64_t id);

/* All zeros when there is no such lease. */
enum status lease_find(const struct store *s, int64_t id, struct lease_row *ret,
                       struct fault *reterr) MUST_USE;

/* The live rows in order of names, from a name on. */
struct lease_scan {
    const struct store *store;
    const struct mem_lease *active, *frozen;
    struct tree_cursor cursor;
};
enum status lease_scan_open(struct lease_scan *scan, const struct store *s,
                            struct bytes from, struct fault *reterr) MUST_USE;
void lease_scan_close(struct lease_scan *scan); /* a zeroed one is fine */
enum status lease_scan_seek(struct lease_scan *scan, struct bytes from,
                            struct fault *reterr) MUST_USE;
/* Names are borrowed from memtables and map. */
enum status lease_scan_next(struct lease_scan *scan, bool *ret_found,
                            struct bytes *ret_name, struct lease_row *ret,
                            struct fault *reterr) MUST_USE;

/* --- lease.c --- */

/* A key that had the lease `from` has the lease `to` from now on; 0: none. */
void lease_change(struct apply *a, struct bytes key, int64_t from, int64_t to);

enum status lease_apply_grant(struct store *s, const struct command *c,
                              struct store_outcome *ret,
                              struct fault *reterr) MUST_USE;
enum status lease_apply_revoke(struct store *s, const struct command *c,
                               uint64_t term, struct store_outcome *ret,
                               struct fault *reterr) MUST_USE;
enum status lease_apply_checkpoint(struct store *s, const struct command *c,
                                   uint64_t term, struct store_outcome *ret,
                                   struct fault *reterr) MUST_USE;

#endif
