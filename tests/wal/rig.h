/* What the log's tests share: entries whose data follows from their index, term
 * and size; a log on a simulated disk; and what a recovery handed over. */
#ifndef TESTS_WAL_RIG_H
#define TESTS_WAL_RIG_H

#include "tests/lib/disk_sim.h"
#include "tests/lib/test.h"
#include "wal/wal.h"

#define RIG_CLUSTER 0xc1u
#define RIG_MEMBER  0x3eu

struct rig_entry {
    uint64_t index, term;
    uint32_t size; /* of the data */
};

/* A log as it ought to be, or as it was recovered. */
struct rig_log {
    struct raft_hard_state hard_state;
    uint64_t start_index, start_term;
    struct rig_entry *entries; /* from start_index + 1 */
    size_t count;
};
void rig_log_fini(struct rig_log *l);
struct rig_log rig_log_copy(const struct rig_log *from);
/* Appends, replacing what is at e.index and behind. */
void rig_log_put(struct rig_log *l, struct rig_entry e);
void rig_log_trim(struct rig_log *l, uint64_t index, uint64_t term);
uint64_t rig_log_last(const struct rig_log *l);
/* The term of an entry inside, or of the start. */
uint64_t rig_log_term(const struct rig_log *l, uint64_t index);
/* Above the start of `got` both hold the same, and the hard state is the
 * same; commit is kept between start and end as a recovery does. */
bool rig_log_agrees(const struct rig_log *got, const struct rig_log *wanted);
void rig_log_print(const char *name, const struct rig_log *l);

/* One segment of the sizes tests like. */
struct wal_options rig_options(uint64_t segment_size);

struct rig_recovery {
    struct wal_recovery wal;
    struct rig_log log;
    bool garbage; /* an entry was handed over that nobody wrote */
};
void rig_recovery_fini(struct rig_recovery *r);

/* Opens the log on a disk; *ret_wal is NULL when it fails. */
enum status rig_open(struct disk *disk, const struct wal_options *options,
                     struct rig_recovery *ret_recovery, struct wal **ret_wal,
                     struct fault *reterr);
/* The same on a simulated one, which must not be in use. */
enum status rig_open_sim(struct disk_sim *sim,
                         const struct wal_options *options,
                         struct rig_recovery *ret_recovery,
                         struct wal **ret_wal, struct fault *reterr);
/* It must go well, and what it finds is dropped. */
struct wal *rig_open_well(struct disk_sim *sim,
                          const struct wal_options *options);

/* Appends entries [first, first + count) of one term, with an optional hard
 * state. */
struct rig_batch {
    uint64_t first, term;
    size_t count;
    uint32_t size;
    const struct raft_hard_state *hard_state;
};
enum status rig_append(struct wal *w, struct rig_batch batch,
                       struct fault *reterr);
/* The same to the log in the test's mind. */
void rig_log_append(struct rig_log *l, struct rig_batch batch);
/* Both, and a sync; all must go well. */
void rig_write(struct wal *w, struct rig_log *l, struct rig_batch batch);

struct payload *rig_payload(struct rig_entry e);

#endif
