/* Durations of one kind of operation, and their summary as a line of JSON.
 * One set belongs to one thread; samples_merge() joins them afterwards. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
    uint32_t *us_tenths; /* 0.1 us each */
    size_t count, capacity;
};

int64_t clock_ns(void); /* CLOCK_MONOTONIC */

void samples_init(struct samples *s);
void samples_fini(struct samples *s);
void samples_add(struct samples *s, int64_t duration_ns);
void samples_merge(struct samples *into, const struct samples *from);

/* {"count":…,"seconds":…,"per_second":…,"p50_us":…,"p99_us":…,
 * "max_us":…} and a newline to standard output. Sorts the samples. */
void samples_print(struct samples *s, int64_t elapsed_ns);
/* The same without the opening brace: what was printed before goes on. */
void samples_print_rest(struct samples *s, int64_t elapsed_ns);

/* Prints what failed with errno's text and ends with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format,
                                                          ...);

#endif
