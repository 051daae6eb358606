/* The commands of the interaction scripts. */
#ifndef TESTS_RAFT_INTERACTION_H
#define TESTS_RAFT_INTERACTION_H

#include "tests/raft/group.h"
#include "tests/raft/script.h"

struct interaction {
    struct group group;
    bool quiet;         /* log-level none: commands print nothing but errors */
    bool command_quiet; /* the same of the one under way */
};

void interaction_fini(struct interaction *in);
/* A script_run; context is a struct interaction. */
void interaction_run(void *context, const struct script_block *block,
                     struct buf *output);

/* add-nodes; false: there is an error. */
bool interaction_add_nodes(struct interaction *in,
                           const struct script_block *b);

#endif
