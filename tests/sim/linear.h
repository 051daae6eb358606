/* A general check of linearizability for one register, which knows nothing of
 * revisions: is there an order of the operations, each taking effect between
 * its call and its return, in which every answer is right?
 *
 * Depth-first search over the operations that may come next, with a memory of
 * the configurations (set of operations done, value) that led nowhere: Wing and
 * Gong, "Testing and verifying concurrent objects" (1993), section 4, and
 * Lowe, "Testing for linearizability" (2017), section 3.  Exponential at worst,
 * hence the bound; the simulator's other check, by revisions, is linear.
 */
#ifndef TESTS_SIM_LINEAR_H
#define TESTS_SIM_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum linear_kind { LINEAR_READ, LINEAR_WRITE, LINEAR_SWAP };

struct linear_op {
    enum linear_kind kind;
    int64_t begin, end; /* INT64_MAX: no answer came; perhaps it happened */
    uint64_t value;     /* read, or written; 0 is "not there" */
    uint64_t expected;  /* SWAP: takes place only over this */
    bool took_place;    /* SWAP, answered: it did */
};

enum linear_verdict { LINEAR_YES, LINEAR_NO, LINEAR_GAVE_UP };

/* The register begins as 0. count is at most LINEAR_OPS_MAX. */
#define LINEAR_OPS_MAX 4096
enum linear_verdict linear_check(const struct linear_op *ops, size_t count,
                                 size_t steps_max);

#endif
