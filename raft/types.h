/* What consensus and the log share: entries and the state that must survive a
 * restart.  Names are those of the Raft dissertation and of etcd's library. */
#ifndef RAFT_TYPES_H
#define RAFT_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/payload.h"

#define RAFT_NONE 0 /* no member */

/* The numbers are stored and sent: never change one. */
enum raft_entry_type {
    RAFT_ENTRY_NORMAL = 0,
    RAFT_ENTRY_CONF_CHANGE = 1,
    RAFT_ENTRY_CONF_CHANGE_V2 = 2
};

struct raft_entry {
    uint64_t term;
    uint64_t index; /* the first entry ever has index 1 */
    enum raft_entry_type type;
    struct payload *payload; /* NULL: empty, as a new leader's first entry */
};

/* Figure 2 of the paper, "persistent state": durable before any message that
 * depends on it.  commit is a hint: it may lag. */
struct raft_hard_state {
    uint64_t term;
    uint64_t vote; /* RAFT_NONE: nobody yet */
    uint64_t commit;
};

/* A configuration, also a joint one (dissertation section 4.3). Arrays are
 * sorted by id and borrowed or owned as the user of the struct says. */
struct raft_conf_state {
    const uint64_t *voters;
    size_t voters_count;
    const uint64_t *learners;
    size_t learners_count;
    const uint64_t *voters_outgoing;
    size_t voters_outgoing_count;
    const uint64_t *learners_next;
    size_t learners_next_count;
    bool auto_leave;
};

#endif
