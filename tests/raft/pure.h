/* The commands of the quorum and confchange scripts. */
#ifndef TESTS_RAFT_PURE_H
#define TESTS_RAFT_PURE_H

#include "raft/members.h"
#include "tests/raft/script.h"

/* A script_run without context. */
void quorum_run(void *context, const struct script_block *block,
                struct buf *output);

struct confchange {
    struct raft_members members;
    uint64_t last_index; /* one more after each command */
};
void confchange_init(struct confchange *c);
void confchange_fini(struct confchange *c);
/* A script_run; context is a struct confchange. */
void confchange_run(void *context, const struct script_block *block,
                    struct buf *output);

#endif
