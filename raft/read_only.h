/* Reads that wait until the leader has proved that it still is one, numbered
 * in the order they came.  Dissertation section 6.4, steps 1 to 4.
 *
 * A heartbeat names the newest waiting read; who answers it confirms, for that
 * read and all before it, that this leader was not replaced when they came. */
#ifndef RAFT_READ_ONLY_H
#define RAFT_READ_ONLY_H

#include "raft/message.h"

struct raft_read {
    uint64_t index;          /* the commit index when it came */
    uint64_t from;           /* who asked */
    struct payload *context; /* held */
};

struct raft_read_queue {
    struct raft_read *list;
    size_t start;
    size_t count;
    size_t capacity;
};

struct raft_read_only {
    struct raft_read_queue early;   /* wait for a commit in the leader's term */
    struct raft_read_queue waiting; /* wait for a quorum's confirmation */
    uint64_t confirmed;             /* so many in this leadership */
};

void raft_read_only_fini(struct raft_read_only *ro);
/* A new leadership, or none: all waiting reads are forgotten. */
void raft_read_only_reset(struct raft_read_only *ro);

/* Adds a read (context is held). */
void raft_read_queue_push(struct raft_read_queue *q,
                          const struct raft_read *read);
/* The oldest; the caller becomes the holder of its context.  count > 0. */
struct raft_read raft_read_queue_pop(struct raft_read_queue *q);

/* The number of the newest waiting read; 0: none is waiting. */
uint64_t raft_read_only_position(const struct raft_read_only *ro);
/* A quorum confirmed the reads up to this number: how many of the oldest
 * waiting ones that are.  The caller pops so many. */
size_t raft_read_only_confirm(struct raft_read_only *ro, uint64_t position);

#endif
