/* When history is compacted by itself: etcd's two modes (v3compactor).
 *
 *   REVISION  every five minutes all but the newest `revisions` go
 *   PERIODIC  what is older than `period_ns` goes.  The revision is noted ten
 *             times in a period (in an hour, where the period is longer); the
 *             first compaction is due after one period, those that follow after
 *             each period, or hour.  So what is kept is between one period and
 *             1.1 of it old.
 *
 * Every member notes revisions, so that a new leader knows the past; only the
 * leader compacts.  Pure: time and state are told.
 */
#ifndef NODE_COMPACTOR_H
#define NODE_COMPACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct compactor_options {
    int64_t period_ns; /* 0: not by time */
    int64_t revisions; /* 0: not by number; not both */
};

struct compactor {
    struct compactor_options options;
    int64_t *samples; /* a ring, of PERIODIC */
    size_t samples_max, samples_count, samples_first;
    int64_t next_ns;       /* of looking again */
    int64_t last_ns;       /* of the latest compaction, or the start */
    int64_t last_revision; /* of the latest compaction; 0: none */
    bool was_first;        /* the wait before the first one is over */
};

void compactor_init(struct compactor *c, const struct compactor_options *o,
                    int64_t now_ns);
void compactor_fini(struct compactor *c);

/* The revision to compact at now; 0: none. */
int64_t compactor_tick(struct compactor *c, int64_t now_ns, int64_t revision,
                       bool leads);
/* What was asked for has been done, or is not needed. */
void compactor_done(struct compactor *c, int64_t now_ns, int64_t revision);

#endif
