/* Automatic compaction, by time and by number. */

#include "node/compactor.h"

#include <stdlib.h>

#include "base/must.h"

#define SECOND_NS         INT64_C(1000000000)
#define HOUR_NS           (3600 * SECOND_NS)
#define BY_NUMBER_NS      (300 * SECOND_NS)
#define SAMPLES_OF_PERIOD 10
#define SAMPLE_NS_MIN     (SECOND_NS / 100)

static bool is_on(const struct compactor *c)
{
    return c->options.period_ns > 0 || c->options.revisions > 0;
}

static int64_t at_most_an_hour(int64_t ns)
{
    return ns < HOUR_NS ? ns : HOUR_NS;
}

static int64_t sample_ns(const struct compactor *c)
{
    const int64_t ns =
        at_most_an_hour(c->options.period_ns) / SAMPLES_OF_PERIOD;
    return ns > SAMPLE_NS_MIN ? ns : SAMPLE_NS_MIN;
}

void compactor_init(struct compactor *c, const struct compactor_options *o,
                    int64_t now_ns)
{
    must(o->period_ns >= 0 && o->revisions >= 0);
    must(o->period_ns == 0 || o->revisions == 0);
    *c = (struct compactor){
        .options = *o, .last_ns = now_ns, .next_ns = now_ns + BY_NUMBER_NS};
    if (o->period_ns > 0) {
        c->next_ns = now_ns;
        c->samples_max = (size_t)(o->period_ns / sample_ns(c)) + 1;
        c->samples = xcalloc(c->samples_max, sizeof *c->samples);
    }
}

void compactor_fini(struct compactor *c)
{
    free(c->samples);
    *c = (struct compactor){0};
}

static void add_sample(struct compactor *c, int64_t revision)
{
    if (c->samples_count == c->samples_max) {
        c->samples_first = (c->samples_first + 1) % c->samples_max;
        c->samples_count--;
    }
    c->samples[(c->samples_first + c->samples_count) % c->samples_max] =
        revision;
    c->samples_count++;
}

/* What is wanted by time: the revision of one period ago. */
static int64_t by_time(struct compactor *c, int64_t now_ns, int64_t revision)
{
    const int64_t oldest =
        c->samples_count > 0 ? c->samples[c->samples_first] : 0;
    const int64_t wait = c->was_first ? at_most_an_hour(c->options.period_ns)
                                      : c->options.period_ns;
    add_sample(c, revision);
    return now_ns - c->last_ns >= wait ? oldest : 0;
}

int64_t compactor_tick(struct compactor *c, int64_t now_ns, int64_t revision,
                       bool leads)
{
    if (!is_on(c) || now_ns < c->next_ns) {
        return 0;
    }
    int64_t wanted;
    if (c->options.period_ns > 0) {
        c->next_ns = now_ns + sample_ns(c);
        wanted = by_time(c, now_ns, revision);
    } else {
        c->next_ns = now_ns + BY_NUMBER_NS;
        wanted = revision - c->options.revisions;
    }
    return leads && wanted > 0 && wanted != c->last_revision ? wanted : 0;
}

void compactor_done(struct compactor *c, int64_t now_ns, int64_t revision)
{
    c->last_ns = now_ns;
    c->last_revision = revision;
    c->was_first = true;
}
