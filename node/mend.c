/* Beginning the log anew behind the state in the store, with the good entries
 * that were found above it. */

#include "node/mend.h"

#include "base/must.h"

static enum status append_what_is_good(struct wal *w,
                                       const struct raft_entry *entries,
                                       size_t count, struct fault *reterr)
{
    const struct wal_batch batch = {.entries = entries, .entries_count = count};
    enum status st = ST_OK;
    if (count > 0) {
        st = wal_append(w, &batch, reterr);
    }
    return st == ST_OK ? wal_sync(w, reterr) : st;
}

enum status mend_log(struct disk *disk, const struct wal_options *options,
                     struct replica *r, struct wal_recovery *recovery,
                     struct wal **ret, struct fault *reterr)
{
    uint64_t index, term;
    size_t count;
    replica_recover_until(r, recovery->damaged_index, &index, &term);
    const struct raft_entry *good = replica_recovered(r, &count);
    enum status st =
        wal_mend(disk, options, recovery, index, term, ret, reterr);
    if (st == ST_OK) {
        st = append_what_is_good(*ret, good, count, reterr);
    }
    if (st != ST_OK) {
        wal_close(*ret);
        *ret = NULL;
        return st;
    }
    recovery->hard_state.commit = index;
    recovery->start_index = index;
    recovery->start_term = term;
    recovery->first_index = count > 0 ? index + 1 : 0;
    recovery->last_index = index + count;
    return ST_OK;
}
