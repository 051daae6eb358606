/* What must hold of every run.
 *
 * The store says its own order: revisions.  So strict serializability is
 * checked in linear time: every answer must fit the final history at its
 * revision, and revisions must not contradict real time (a call that began
 * after another ended has at least its revision, and more if it changed
 * something).  One key's calls are checked by the general rule too, which knows
 * nothing of revisions: should the first check be blind, the second is not.
 */

#include <stdlib.h>

#include "base/must.h"
#include "tests/sim/internal.h"
#include "tests/sim/linear.h"

/* The whole history, as the members' own watches told it (member.c). */
static const struct changes *full_history(const struct sim *s)
{
    return &s->all;
}

/* kv rules: ordered, unique, complete, on every member alike. */
static void check_watches(struct sim *s)
{
    const struct changes *all = full_history(s);
    for (size_t i = 1; i < all->count; i++) {
        const int64_t step = all->list[i].revision - all->list[i - 1].revision;
        if (step != 0 && step != 1) {
            sim_fail(s, "the watches jumped from revision %lld to %lld",
                     (long long)all->list[i - 1].revision,
                     (long long)all->list[i].revision);
            return;
        }
    }
    for (uint32_t i = 0; i < s->members_count; i++) {
        const struct member *m = &s->members[i];
        if (!m->gone && m->seen_events != all->count) {
            sim_fail(s, "the watch of member %u saw %zu of %zu events", i + 1,
                     m->seen_events, all->count);
        }
    }
    watchers_check(s);
}

static void check_states(struct sim *s)
{
    uint32_t hash = 0;
    const struct member *first = NULL;
    for (uint32_t i = 0; i < s->members_count; i++) {
        struct member *m = &s->members[i];
        struct fault fault = {{0}};
        uint32_t own;
        if (m->gone) {
            continue;
        }
        if (!m->up) {
            sim_fail(s, "member %u is down in the end", i + 1);
            return;
        }
        if (store_hash(m->store, &own, &fault) != ST_OK) {
            sim_fail(s, "member %u: %s", i + 1, fault.text);
            return;
        }
        if (first != NULL && own != hash) {
            sim_fail(s, "members %u and %u differ: state hashes %08x and %08x",
                     member_number(first), i + 1, hash, own);
            return;
        }
        first = first != NULL ? first : m;
        hash = own;
    }
}

/* --- answers --- */

static bool has_change(const struct changes *all, int64_t revision,
                       uint32_t key, uint64_t value)
{
    for (size_t i = changes_at(all, revision);
         i < all->count && all->list[i].revision == revision; i++) {
        if (all->list[i].key == key && all->list[i].value == value) {
            return true;
        }
    }
    return false;
}

/* No acknowledged write is lost, and it is what was asked for, whole. */
static void check_write(struct sim *s, const struct record *r)
{
    const struct changes *all = full_history(s);
    const size_t wanted = r->kind == CALL_PAIR ? 2 : 1;
    const size_t found =
        changes_at(all, r->revision + 1) - changes_at(all, r->revision);
    if (found != wanted || !has_change(all, r->revision, r->key, r->value) ||
        (wanted == 2 &&
         !has_change(all, r->revision, key_after(r->key), r->other))) {
        sim_fail(s,
                 "an acknowledged write is lost: key %u value %llu at "
                 "revision %lld",
                 r->key, (unsigned long long)r->value, (long long)r->revision);
    }
}

/* A delete that found nothing. */
static void check_absent(struct sim *s, const struct record *r)
{
    int64_t mod;
    if (value_at(full_history(s), r->key, r->revision, &mod) != 0) {
        sim_fail(s, "a delete at revision %lld did not find key %u",
                 (long long)r->revision, r->key);
    }
}

static void check_swap(struct sim *s, const struct record *r)
{
    int64_t mod;
    (void)value_at(full_history(s), r->key, r->revision - r->took_place, &mod);
    if (r->took_place != (mod == r->expected)) {
        sim_fail(s, "a swap at revision %lld %s wrongly",
                 (long long)r->revision,
                 r->took_place ? "succeeded" : "failed");
    }
}

static void check_read(struct sim *s, const struct record *r)
{
    const int64_t at = r->asked > 0 ? r->asked : r->revision;
    for (uint32_t key = 0; key < KEYS; key++) {
        int64_t mod;
        const uint64_t right = value_at(full_history(s), key, at, &mod);
        const uint64_t given = r->listed[key];
        if ((r->kind == CALL_LIST || key == r->key) && given != right) {
            sim_fail(s, "a read of key %u at revision %lld gave %llu, not %llu",
                     key, (long long)at, (unsigned long long)given,
                     (unsigned long long)right);
            return;
        }
    }
}

static void check_answer(struct sim *s, const struct record *r)
{
    switch (r->kind) {
    case CALL_DELETE:
        if (!r->took_place) {
            check_absent(s, r);
            break;
        }
        check_write(s, r);
        break;
    case CALL_PUT:
    case CALL_PAIR:
        check_write(s, r);
        break;
    case CALL_SWAP:
        if (r->took_place) {
            check_write(s, r);
        }
        check_swap(s, r);
        break;
    case CALL_GET:
    case CALL_LIST:
        if (!r->compacted) {
            check_read(s, r);
        } else if (r->asked >= s->compact_asked) {
            sim_fail(s, "revision %lld was said to be gone; nobody compacted",
                     (long long)r->asked);
        }
        break;
    case CALL_COMPACT:
    case CALL_APPEND:
    case CALL_CREATE:
        break;
    }
}

/* --- real time --- */

static int by_end(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;
    return x->end_ns < y->end_ns ? -1 : x->end_ns > y->end_ns;
}

/* What calls that had ended say of one that begins. */
struct past {
    int64_t revision;  /* the highest */
    int64_t compacted; /* likewise */
};

static void learn(struct past *p, const struct record *r)
{
    if (r->revision > p->revision) {
        p->revision = r->revision;
    }
    if (r->kind == CALL_COMPACT && r->asked > p->compacted) {
        p->compacted = r->asked;
    }
}

static void check_after(struct sim *s, const struct record *r,
                        const struct past *p)
{
    if (r->serializable) {
        return; /* may be of any age */
    }
    if (r->revision < p->revision ||
        (r->took_place && r->revision == p->revision)) {
        sim_fail(s,
                 "real time is contradicted: a call that began after "
                 "revision %lld was answered at %lld",
                 (long long)p->revision, (long long)r->revision);
    } else if (r->kind == CALL_LIST && r->asked > 0 && !r->compacted &&
               r->asked < p->compacted) {
        sim_fail(s, "revision %lld was read after all below %lld was compacted",
                 (long long)r->asked, (long long)p->compacted);
    }
}

/* The lowest revision answered by any call from the i-th on. */
static int64_t *lowest_from(const struct history *h)
{
    int64_t *lowest = xcalloc(h->count + 1, sizeof *lowest);
    lowest[h->count] = INT64_MAX;
    for (size_t i = h->count; i > 0; i--) {
        const struct record *r = &h->records[i - 1];
        const bool tells = r->answered && !r->by_file && !r->serializable;
        lowest[i - 1] =
            tells && r->revision < lowest[i] ? r->revision : lowest[i];
    }
    return lowest;
}

/* The first record that began after that time. */
static size_t first_after(const struct history *h, int64_t ns)
{
    size_t low = 0, high = h->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (h->records[middle].begin_ns <= ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void check_real_time(struct sim *s, const struct record **by_end_time,
                            size_t count)
{
    size_t ended = 0;
    struct past p = {0};
    int64_t *lowest = lowest_from(&s->history);
    for (size_t i = 0; i < s->history.count && !sim_failed(s); i++) {
        const struct record *r = &s->history.records[i];
        while (ended < count && by_end_time[ended]->end_ns < r->begin_ns) {
            learn(&p, by_end_time[ended++]);
        }
        if (r->answered && r->by_file) {
            check_file_call(s, &s->history.records[i], p.revision,
                            lowest[first_after(&s->history, r->end_ns)]);
        } else if (r->answered) {
            check_after(s, r, &p);
        }
    }
    free(lowest);
}

/* --- the general rule --- */

/* What a call is to one key; false when it is nothing. */
static bool as_operation(const struct record *r, uint32_t key,
                         struct linear_op *to)
{
    *to = (struct linear_op){.begin = r->begin_ns,
                             .end = r->answered ? r->end_ns : INT64_MAX,
                             .kind = LINEAR_WRITE,
                             .value = r->value};
    const bool is_own = r->key == key;
    switch (r->kind) {
    case CALL_DELETE:
        if (r->answered && !r->took_place) {
            to->kind = LINEAR_READ; /* of nothing */
        }
        return is_own && !r->never && !r->vanished;
    case CALL_PUT:
        return is_own && !r->never && !r->vanished;
    case CALL_PAIR:
        to->value = is_own ? r->value : r->other;
        return (is_own || key_after(r->key) == key) && !r->never;
    case CALL_SWAP:
        to->kind = LINEAR_SWAP;
        to->expected = r->was;
        to->took_place = r->took_place;
        return is_own && !r->never;
    case CALL_GET:
    case CALL_LIST:
        to->kind = LINEAR_READ;
        to->value = r->listed[key];
        return r->answered && !r->serializable && r->asked == 0 &&
               to->value != VALUE_EMPTY &&
               (r->kind == CALL_LIST ? !r->by_file : is_own);
    case CALL_COMPACT:
    case CALL_APPEND:
    case CALL_CREATE:
        return false;
    }
    return false;
}

static void print_operation(FILE *to, const struct linear_op *op)
{
    static const char *const names[] = {"read", "write", "swap"};
    (void)fprintf(to, "  %.6f to %.6f ms: %s %llu", (double)op->begin / 1e6,
                  op->end == INT64_MAX ? -1 : (double)op->end / 1e6,
                  names[op->kind], (unsigned long long)op->value);
    if (op->kind == LINEAR_SWAP) {
        (void)fprintf(to, " over %llu: %s", (unsigned long long)op->expected,
                      op->end == INT64_MAX ? "unknown"
                      : op->took_place     ? "took place"
                                           : "did not");
    }
    (void)fprintf(to, "\n");
}

/* Of the operations, in order of their begin, those that began before the
 * moment are all that there are.  What had not ended by then may have met later
 * ones: a read says nothing, and of a change nobody knows the outcome. */
static size_t cut_at(struct linear_op *ops, size_t count, int64_t moment)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct linear_op op = ops[i];
        if (op.end > moment && op.kind == LINEAR_READ) {
            continue;
        }
        op.end = op.end > moment ? INT64_MAX : op.end;
        ops[kept++] = op;
    }
    return kept;
}

/* A sample: one key of a run, from its beginning. */
static void check_general(struct sim *s)
{
    const uint32_t key = (uint32_t)(s->options.seed % KEYS);
    struct linear_op *ops = xcalloc(LINEAR_OPS_MAX + 1, sizeof *ops);
    size_t count = 0;
    for (size_t i = 0; i < s->history.count && count <= LINEAR_OPS_MAX; i++) {
        count += as_operation(&s->history.records[i], key, &ops[count]);
    }
    if (count > LINEAR_OPS_MAX) {
        count = cut_at(ops, count - 1, ops[count - 1].begin);
    }
    if (linear_check(ops, count, 2000000) == LINEAR_NO) {
        for (size_t i = 0; i < count && s->options.trace != NULL; i++) {
            print_operation(s->options.trace, &ops[i]);
        }
        sim_fail(s, "the calls on key %u are not linearizable", key);
    }
    free(ops);
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
        if (all->list[i].value != 0 && all->list[i].key < KEYS) {
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
    changes_index(&s->all);
    history_index(&s->history);
    check_inventions(s);
    const struct record **list =
        xcalloc(s->history.count, sizeof(struct record *));
    size_t count = 0;
    for (size_t i = 0; i < s->history.count; i++) {
        if (s->history.records[i].answered) {
            list[count++] = &s->history.records[i];
            if (!s->history.records[i].by_file) {
                check_answer(s, &s->history.records[i]);
            }
        }
    }
    qsort(list, count, sizeof(struct record *), by_end);
    check_real_time(s, list, count);
    free(list);
    check_creations(s);
    if (!sim_failed(s)) {
        check_appends(s);
        check_general(s);
    }
}
