/* What must hold of every run.
 *
 * The store says its own order: revisions.  So linearizability is checked in
 * linear time: replay the final history of changes by revision on a model;
 * every answer must fit the model at its revision, and revisions must not
 * contradict real time (a call that began after another ended has at least its
 * revision, and more if it changed something).
 */

#include <stdlib.h>

#include "base/must.h"
#include "tests/sim/internal.h"

/* The whole history, as any member's watch from revision 1 must have it. */
static const struct changes *full_history(const struct sim *s)
{
    return &s->members[0].seen;
}

static void check_same(struct sim *s, uint32_t member,
                       const struct changes *first, const struct changes *other)
{
    for (size_t i = 0; i < first->count && i < other->count; i++) {
        const struct change *a = &first->list[i], *b = &other->list[i];
        if (a->revision != b->revision || a->key != b->key ||
            a->value != b->value) {
            sim_fail(s,
                     "the watches of members 1 and %u differ at event %zu: "
                     "revision %lld key %u value %llu, revision %lld key %u "
                     "value %llu",
                     member, i, (long long)a->revision, a->key,
                     (unsigned long long)a->value, (long long)b->revision,
                     b->key, (unsigned long long)b->value);
            return;
        }
    }
    if (first->count != other->count) {
        sim_fail(s, "the watches of members 1 and %u saw %zu and %zu events",
                 member, first->count, other->count);
    }
}

/* kv rules: ordered, unique, complete, on every member alike. */
static void check_watches(struct sim *s)
{
    const struct changes *first = full_history(s);
    for (size_t i = 1; i < first->count; i++) {
        if (first->list[i].revision != first->list[i - 1].revision + 1) {
            sim_fail(s, "member 1's watch jumped from revision %lld to %lld",
                     (long long)first->list[i - 1].revision,
                     (long long)first->list[i].revision);
            return;
        }
    }
    for (uint32_t m = 1; m < s->options.members; m++) {
        check_same(s, m + 1, first, &s->members[m].seen);
    }
}

static void check_states(struct sim *s)
{
    uint32_t hash = 0;
    for (uint32_t i = 0; i < s->options.members; i++) {
        struct member *m = &s->members[i];
        struct fault fault = {{0}};
        uint32_t own;
        if (!m->up) {
            sim_fail(s, "member %u is down in the end", i + 1);
            return;
        }
        if (store_hash(m->store, &own, &fault) != ST_OK) {
            sim_fail(s, "member %u: %s", i + 1, fault.text);
            return;
        }
        if (i > 0 && own != hash) {
            sim_fail(s, "members 1 and %u differ: state hashes %08x and %08x",
                     i + 1, hash, own);
            return;
        }
        hash = own;
    }
}

static const struct change *change_at(const struct changes *all,
                                      int64_t revision)
{
    const int64_t first = 2; /* an empty store is at revision 1 */
    return revision < first || revision - first >= (int64_t)all->count
               ? NULL
               : &all->list[revision - first];
}

/* No acknowledged write is lost, and it is what was asked for. */
static void check_write(struct sim *s, const struct record *r)
{
    if (!r->took_place) {
        return;
    }
    const struct change *c = change_at(full_history(s), r->revision);
    if (c == NULL || c->key != r->key || c->value != r->value) {
        sim_fail(s,
                 "an acknowledged write is lost: key %u value %llu at "
                 "revision %lld",
                 r->key, (unsigned long long)r->value, (long long)r->revision);
    }
}

/* mod_revision and value of each key, at one revision. */
struct model {
    uint64_t value[KEYS];
    int64_t mod[KEYS];
};

static void advance(struct model *m, const struct changes *all, size_t *at,
                    int64_t revision)
{
    while (*at < all->count && all->list[*at].revision <= revision) {
        const struct change *c = &all->list[(*at)++];
        must(c->key < KEYS);
        m->value[c->key] = c->value;
        m->mod[c->key] = c->value == 0 ? 0 : c->revision;
    }
}

static int by_revision(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;
    return x->revision < y->revision ? -1 : x->revision > y->revision;
}

static void check_answer(struct sim *s, const struct record *r,
                         const struct model *before, const struct model *at)
{
    if (r->kind == CALL_GET && at->value[r->key] != r->value) {
        sim_fail(s, "a read of key %u at revision %lld gave %llu, not %llu",
                 r->key, (long long)r->revision, (unsigned long long)r->value,
                 (unsigned long long)at->value[r->key]);
    }
    if (r->kind == CALL_SWAP && r->took_place &&
        before->mod[r->key] != r->expected) {
        sim_fail(s, "a swap at revision %lld succeeded wrongly",
                 (long long)r->revision);
    }
    if (r->kind == CALL_SWAP && !r->took_place &&
        at->mod[r->key] == r->expected) {
        sim_fail(s, "a swap at revision %lld failed wrongly",
                 (long long)r->revision);
    }
}

static void check_answers(struct sim *s, const struct record **sorted,
                          size_t count)
{
    const struct changes *all = full_history(s);
    struct model at = {0}, before = {0};
    size_t at_next = 0, before_next = 0;
    for (size_t i = 0; i < count && !sim_failed(s); i++) {
        advance(&before, all, &before_next, sorted[i]->revision - 1);
        advance(&at, all, &at_next, sorted[i]->revision);
        check_answer(s, sorted[i], &before, &at);
        check_write(s, sorted[i]);
    }
}

/* Records are in order of their beginning. For each, the highest revision of
 * any call that had ended by then. */
static int by_end(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;
    return x->end_ns < y->end_ns ? -1 : x->end_ns > y->end_ns;
}

static void check_real_time(struct sim *s, const struct record **by_end_time,
                            size_t count)
{
    size_t ended = 0;
    int64_t highest = 0;
    for (size_t i = 0; i < s->history.count; i++) {
        const struct record *r = &s->history.records[i];
        while (ended < count && by_end_time[ended]->end_ns < r->begin_ns) {
            if (by_end_time[ended]->revision > highest) {
                highest = by_end_time[ended]->revision;
            }
            ended++;
        }
        if (r->answered && (r->revision < highest ||
                            (r->took_place && r->revision == highest))) {
            sim_fail(s,
                     "real time is contradicted: a call that began after "
                     "revision %lld was answered at %lld",
                     (long long)highest, (long long)r->revision);
            return;
        }
    }
}

/* Nothing is invented: each change was asked for, and once. */
static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void check_inventions(struct sim *s)
{
    const struct changes *all = full_history(s);
    uint64_t *values = xcalloc(all->count, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i].value != 0) {
            values[count++] = all->list[i].value;
        }
    }
    qsort(values, count, sizeof *values, by_value);
    for (size_t i = 0; i < count; i++) {
        if (values[i] > s->value_last) {
            sim_fail(s, "value %llu was never written",
                     (unsigned long long)values[i]);
        }
        if (i > 0 && values[i] == values[i - 1]) {
            sim_fail(s, "value %llu was written twice",
                     (unsigned long long)values[i]);
        }
    }
    free(values);
}

void sim_check(struct sim *s)
{
    check_watches(s);
    if (!sim_failed(s)) {
        check_states(s);
    }
    if (sim_failed(s)) {
        return;
    }
    check_inventions(s);
    const struct record **list =
        xcalloc(s->history.count, sizeof(struct record *));
    size_t count = 0;
    for (size_t i = 0; i < s->history.count; i++) {
        if (s->history.records[i].answered) {
            list[count++] = &s->history.records[i];
        }
    }
    qsort(list, count, sizeof(struct record *), by_revision);
    check_answers(s, list, count);
    qsort(list, count, sizeof(struct record *), by_end);
    check_real_time(s, list, count);
    free(list);
}
