/* The window of append messages that were sent to one follower and are not
 * acknowledged: a ring of (last index, bytes), bounded in number and bytes.
 * It grows to what is used and then allocates no more. */
#ifndef RAFT_INFLIGHTS_H
#define RAFT_INFLIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raft_inflight {
    uint64_t index; /* of the last entry in the message */
    uint64_t bytes; /* of its payloads */
};

struct raft_inflights {
    struct raft_inflight *ring;
    size_t capacity;
    size_t start;
    size_t count; /* read-only */
    uint64_t bytes;
    uint32_t count_max;
    uint64_t bytes_max; /* soft: the message that crosses it is let through */
};

void raft_inflights_init(struct raft_inflights *in, uint32_t count_max,
                         uint64_t bytes_max);
void raft_inflights_fini(struct raft_inflights *in);
bool raft_inflights_full(const struct raft_inflights *in);
/* Not when full; indexes increase. */
void raft_inflights_add(struct raft_inflights *in, struct raft_inflight sent);
/* Forgets the messages up to and including index. */
void raft_inflights_free_to(struct raft_inflights *in, uint64_t index);
void raft_inflights_reset(struct raft_inflights *in);
/* at < count, oldest first. */
struct raft_inflight raft_inflights_at(const struct raft_inflights *in,
                                       size_t at);

#endif
