/* A log under random use, with the states that it may be in after a crash: the
 * last one that was synced, and every one since, entry by entry. */
#ifndef TESTS_WAL_WORLD_H
#define TESTS_WAL_WORLD_H

#include "base/buf.h"
#include "base/prng.h"
#include "tests/wal/rig.h"

struct world {
    struct disk_sim *sim;
    struct wal_options options;
    struct wal *wal; /* NULL while it is closed */
    struct prng prng;
    struct rig_log *states; /* the first is durable, the last is now */
    size_t states_count;
    struct buf story; /* what was done, for a failure's message */
};

void world_init(struct world *w, uint64_t seed, uint64_t segment_size);
void world_fini(struct world *w); /* also the simulated disk */
/* The same world at this moment, closed, its disk under another seed. */
void world_clone(struct world *to, const struct world *from, uint64_t seed);

/* The first opening, of an empty disk. */
enum status world_begin(struct world *w, struct fault *reterr);
/* One random operation. A failure that leaves the log usable, of a full disk,
 * is undone in the states and returned as ST_OK. */
enum status world_step(struct world *w, struct fault *reterr);

enum world_end { WORLD_CLOSED, WORLD_KILLED, WORLD_POWER_LOST };
/* The process ends, or the power does; then nothing is open. */
void world_end(struct world *w, enum world_end how);
/* Opens again; what is found must be one of the states that may be there. */
enum status world_reopen(struct world *w, struct fault *reterr);
/* The same, and it must go well. */
void world_reopen_well(struct world *w);
/* Prints what was done, and fails the test. */
void world_fail(struct world *w, const char *what, const struct fault *f);

#endif
