/* One random run of the store beside the reference. */
#ifndef TESTS_STORE_MODEL_RUN_H
#define TESTS_STORE_MODEL_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct model_run_options {
    uint64_t seed;
    unsigned steps;
    bool long_keys; /* around LMDB's limit */
};

/* Fails the test, naming the seed, at the first difference. */
void model_run(const struct model_run_options *options);

#endif
