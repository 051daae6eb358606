/* The log of one member: what the storage has, then what is unstable, and how
 * far it is committed and applied.  Dissertation sections 3.5, 3.6.
 *
 *   first_index … applied … applying … committed … last_index          (L1)
 */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "raft/storage.h"
#include "raft/unstable.h"

struct raft_log {
    struct raft_storage *storage;
    struct raft_unstable unstable;
    uint64_t committed; /* durable on a quorum, as far as known here */
    uint64_t applying;  /* handed out to be applied */
    uint64_t applied;   /* known to be applied */
    /* Bytes handed out to be applied and not acknowledged. */
    uint64_t applying_size;
    uint64_t applying_size_max;
    bool applying_paused;
};

void raft_log_init(struct raft_log *l, struct raft_storage *storage,
                   uint64_t applying_size_max);
void raft_log_fini(struct raft_log *l);

uint64_t raft_log_first_index(const struct raft_log *l);
uint64_t raft_log_last_index(const struct raft_log *l);
struct raft_entry_id raft_log_last_id(const struct raft_log *l);
/* For [first_index - 1, last_index]; else ST_COMPACTED, ST_NOT_FOUND. */
enum status raft_log_term(const struct raft_log *l, uint64_t index,
                          uint64_t *ret_term) MUST_USE;
/* 0 when it is not known. */
uint64_t raft_log_term_or_zero(const struct raft_log *l, uint64_t index);
bool raft_log_has(const struct raft_log *l, struct raft_entry_id id);
/* Section 3.6.1: is a log that ends with this at least as complete? */
bool raft_log_is_up_to_date(const struct raft_log *l, struct raft_entry_id id);

/* Adds entries of [lo, hi), within max_bytes, but at least one.
 * first_index <= lo < hi <= last_index + 1, else ST_COMPACTED for lo.
 * ST_BUSY: the storage has to be asked again later. */
enum status raft_log_slice(const struct raft_log *l, uint64_t lo, uint64_t hi,
                           uint64_t max_bytes,
                           struct raft_entries *to) MUST_USE;

/* New entries behind the last one or in place of uncommitted ones. */
void raft_log_append(struct raft_log *l, const struct raft_entry *entries,
                     size_t count);
/* The first of these entries that is not in the log; count if all are. */
size_t raft_log_find_conflict(const struct raft_log *l,
                              const struct raft_entry *entries, size_t count);
/* The greatest index not above `index` whose entry could be in a log that has
 * an entry of `term` at `index`: its term is not greater, or not known (then
 * *ret_term is 0). */
uint64_t raft_log_find_by_term(const struct raft_log *l, uint64_t index,
                               uint64_t term, uint64_t *ret_term);

void raft_log_commit_to(struct raft_log *l, uint64_t index);
void raft_log_restore(struct raft_log *l, struct raft_snapshot *s);

/* Is there, or what is, to be applied next.  With allow_unstable also entries
 * that are not known to be durable here (a quorum has them). */
bool raft_log_has_next_committed(const struct raft_log *l, bool allow_unstable);
void raft_log_next_committed(const struct raft_log *l, bool allow_unstable,
                             struct raft_entries *to);
/* These are handed out; size by raft_entry_size(). */
void raft_log_accept_applying(struct raft_log *l, uint64_t index, uint64_t size,
                              bool allow_unstable);
void raft_log_applied_to(struct raft_log *l, uint64_t index, uint64_t size);

#endif
