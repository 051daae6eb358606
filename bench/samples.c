/* Durations: collecting and summarising. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/must.h"
#include "bench/samples.h"

int64_t clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void fail(const char *format, ...)
{
    const int error = errno;
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, ": %s\n", strerror(error));
    exit(1);
}

void samples_init(struct samples *s)
{
    *s = (struct samples){.capacity = 1024};
    s->us_tenths = xmalloc(s->capacity * sizeof s->us_tenths[0]);
}

void samples_fini(struct samples *s)
{
    free(s->us_tenths);
}

void samples_add(struct samples *s, int64_t duration_ns)
{
    if (s->count == s->capacity) {
        s->capacity *= 2;
        s->us_tenths =
            xrealloc(s->us_tenths, s->capacity * sizeof s->us_tenths[0]);
    }
    s->us_tenths[s->count] = (uint32_t)(duration_ns / 100);
    s->count++;
}

void samples_merge(struct samples *into, const struct samples *from)
{
    for (size_t i = 0; i < from->count; i++) {
        samples_add(into, (int64_t)from->us_tenths[i] * 100);
    }
}

static int by_size(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double at_share(const struct samples *s, double share)
{
    if (s->count == 0) {
        return 0;
    }
    const size_t i = (size_t)(share * (double)(s->count - 1));
    return s->us_tenths[i] / 10.0;
}

void samples_print(struct samples *s, int64_t elapsed_ns)
{
    (void)putchar('{');
    samples_print_rest(s, elapsed_ns);
}

void samples_print_rest(struct samples *s, int64_t elapsed_ns)
{
    const double seconds = (double)elapsed_ns / 1e9;
    qsort(s->us_tenths, s->count, sizeof s->us_tenths[0], by_size);
    (void)printf("\"count\":%zu,\"seconds\":%.4f,\"per_second\":%.1f,"
                 "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n",
                 s->count, seconds, (double)s->count / seconds,
                 at_share(s, 0.5), at_share(s, 0.99), at_share(s, 1));
}
