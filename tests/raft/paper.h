/* For the tests that go claim by claim through the dissertation. */
#ifndef TESTS_RAFT_PAPER_H
#define TESTS_RAFT_PAPER_H

#include "base/must.h"
#include "tests/lib/test.h"
#include "tests/raft/cluster.h"

/* All voters, the first one leading; fixed seed. */
static inline struct cluster *paper_cluster(const struct raft_config *config,
                                            size_t count)
{
    struct cluster *c = cluster_new(config, count, count, 1);
    cluster_elect(c, 1);
    return c;
}

/* So many proposals at a member, each accepted. */
static inline void paper_propose(struct cluster *c, uint64_t id, unsigned count)
{
    while (count-- > 0) {
        EXPECT_INT(cluster_propose(c, id), ST_OK);
    }
}

/* A single change of the configuration. */
static inline struct raft_conf_change
paper_change(enum raft_conf_change_type type, uint64_t node)
{
    return (struct raft_conf_change){.changes_count = 1,
                                     .changes = {{type, node}}};
}

#endif
