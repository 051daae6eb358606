/* A whole cluster in one process, on virtual time, under one seed: the real
 * replicas, log format and stores; a network and disks that misbehave.
 *
 * A run has a safety phase, with faults, and a healed phase, which must make
 * progress.  Everything that happens goes into a trace hash: the same seed
 * gives the same hash.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/faults.h"

struct sim_options {
    uint64_t seed;
    uint32_t members;  /* 1 to 5 */
    uint32_t clients;  /* each has one call under way at a time */
    uint32_t lessees;  /* who hold leases */
    bool changes;      /* members come and go */
    int64_t faults_ms; /* length of the safety phase, virtual */
    int64_t healed_ms; /* and of the phase that must make progress */
    FILE *trace;       /* NULL: none; else one line an event */
};

struct sim_report {
    uint64_t trace_hash;
    uint64_t events;       /* of the simulation */
    uint64_t acknowledged; /* writes */
    uint64_t reads;
    uint64_t unknown; /* writes whose outcome nobody was told */
    uint64_t leaders, flushes;
    uint64_t faults[SIM_FAULTS]; /* how often each kind struck */
    uint64_t renewals, leases_ended;
    uint64_t locks_held, fenced_writes;
    int64_t virtual_ms;
    char failure[512]; /* empty: all promises held */
};

/* Runs in a new temporary directory, which it removes. */
void sim_run(const struct sim_options *options, struct sim_report *ret);

#endif
