/* keelfs-sim [--seed N] [--seeds COUNT] [--minutes M] [--members N]
 *            [--lessees N] [--changes 0|1] [--trace] [--keep FILE]
 *
 * Runs one seed after another until the count or the time is used up; stops at
 * the first failure, prints the command that replays it, and adds the seed to
 * FILE. */

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/sim/sim.h"

static double seconds_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of this process and of those that looked at rotten stores. */
static double cpu_seconds(void)
{
    static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        struct rusage r;
        (void)getrusage(whose[i], &r);
        sum += (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
               (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
    }
    return sum;
}

/* It runs for ever from now on. */
static void keep(const char *path, const struct sim_options *o,
                 const struct sim_report *r)
{
    FILE *f = path != NULL ? fopen(path, "a") : NULL;
    if (f != NULL) {
        (void)fprintf(f, "%llu %u %u %d %s\n", (unsigned long long)o->seed,
                      o->members, o->lessees, o->changes, r->failure);
        (void)fclose(f);
        (void)printf("it is kept in %s\n", path);
    }
}

static void report_failure(const struct sim_options *o,
                           const struct sim_report *r)
{
    (void)printf("seed %llu with %u members FAILED: %s\n"
                 "replay: ./dev sim --seed %llu --members %u --lessees %u "
                 "--changes %d --trace\n",
                 (unsigned long long)o->seed, o->members, r->failure,
                 (unsigned long long)o->seed, o->members, o->lessees,
                 o->changes);
}

int main(int argc, char **argv)
{
    static const struct option flags[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"minutes", required_argument, NULL, 'm'},
        {"members", required_argument, NULL, 'k'},
        {"lessees", required_argument, NULL, 'l'},
        {"changes", required_argument, NULL, 'c'},
        {"trace", no_argument, NULL, 't'},
        {"keep", required_argument, NULL, 'f'},
        {0}};
    uint64_t seed = (uint64_t)time(NULL) * 1000, seeds = 0;
    double minutes = 1;
    uint32_t members = 0, lessees = 3;
    int changes = -1; /* of the members: every third seed has them */
    bool trace = false;
    const char *kept = NULL;
    int flag;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        switch (flag) {
        case 's':
            seed = strtoull(optarg, NULL, 0);
            seeds = seeds > 0 ? seeds : 1;
            break;
        case 'n':
            seeds = strtoull(optarg, NULL, 0);
            break;
        case 'm':
            minutes = strtod(optarg, NULL);
            break;
        case 'k':
            members = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case 'l':
            lessees = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case 'c':
            changes = strcmp(optarg, "0") != 0;
            break;
        case 't':
            trace = true;
            break;
        case 'f':
            kept = optarg;
            break;
        default:
            return 2;
        }
    }
    if (members > 5 || lessees > 8) {
        (void)fprintf(stderr, "--members: 1 to 5; --lessees: 0 to 8\n");
        return 2;
    }
    const double began = seconds_now(), cpu_before = cpu_seconds();
    struct sim_report sum = {0};
    uint64_t runs = 0;
    while (seeds > 0 ? runs < seeds : seconds_now() - began < minutes * 60) {
        const struct sim_options o = {
            .seed = seed + runs,
            .members = members > 0 ? members : 1 + 2 * ((seed + runs) % 3),
            .clients = 6,
            .lessees = lessees,
            .changes = changes < 0
                           ? (seed + runs) / 3 % 3 == 0 && (seed + runs) % 3 > 0
                           : changes != 0,
            .faults_ms = 30000,
            .healed_ms = 10000,
            .trace = trace ? stdout : NULL};
        struct sim_report r;
        sim_run(&o, &r);
        if (r.failure[0] != '\0') {
            report_failure(&o, &r);
            keep(kept, &o, &r);
            return 1;
        }
        runs++;
        sum.acknowledged += r.acknowledged;
        sum.reads += r.reads;
        sum.unknown += r.unknown;
        sum.leaders += r.leaders;
        sum.flushes += r.flushes;
        sum.virtual_ms += r.virtual_ms;
        sum.renewals += r.renewals;
        sum.leases_ended += r.leases_ended;
        sum.locks_held += r.locks_held;
        sum.fenced_writes += r.fenced_writes;
        sum.trace_hash ^= r.trace_hash;
        for (int i = 0; i < SIM_FAULTS; i++) {
            sum.faults[i] += r.faults[i];
        }
    }
    const double took = seconds_now() - began;
    (void)printf(
        "%llu seeds from %llu, %.1f simulated hours in %.0f s (%.0f "
        "times real time; %.0f for each core)\n"
        "%llu writes acknowledged, %llu unknown, %llu reads, %llu "
        "leaders, %llu flushes\n"
        "%llu renewals, %llu leases ended, %llu locks won, %llu writes with "
        "their tokens; trace %016llx\n",
        (unsigned long long)runs, (unsigned long long)seed,
        (double)sum.virtual_ms / 3.6e6, took,
        (double)sum.virtual_ms / 1000 / took,
        (double)sum.virtual_ms / 1000 / (cpu_seconds() - cpu_before),
        (unsigned long long)sum.acknowledged, (unsigned long long)sum.unknown,
        (unsigned long long)sum.reads, (unsigned long long)sum.leaders,
        (unsigned long long)sum.flushes, (unsigned long long)sum.renewals,
        (unsigned long long)sum.leases_ended,
        (unsigned long long)sum.locks_held,
        (unsigned long long)sum.fenced_writes,
        (unsigned long long)sum.trace_hash);
    sim_faults_print(sum.faults, stdout);
    return 0;
}
