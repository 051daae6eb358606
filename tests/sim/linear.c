/* The search.  Calls and returns stand in one list by time; an operation that
 * is tried is lifted out of it, and put back when the try fails. */

#include "tests/sim/linear.h"

#include <stdlib.h>

#include "base/hmap.h"
#include "base/must.h"

struct entry {
    struct entry *before, *after;
    struct entry *its_return; /* NULL: this is a return */
    int64_t at;
    size_t op;
};

/* A configuration that was visited. */
struct visited {
    struct hmap_node link;
    uint64_t value;
    uint64_t done[]; /* one bit for each operation */
};

struct tried {
    struct entry *call;
    uint64_t value_before;
};

struct search {
    const struct linear_op *ops;
    size_t count, words;
    struct entry *entries; /* [0] is the head */
    uint64_t *done;
    uint64_t value;
    struct hmap seen;
    struct tried *tried;
    size_t depth;
};

/* The value after op took effect on `value`; false when its answer would be
 * wrong. */
static bool take_effect(const struct linear_op *op, uint64_t value,
                        uint64_t *ret)
{
    const bool is_known = op->end != INT64_MAX;
    *ret = value;
    switch (op->kind) {
    case LINEAR_READ:
        return !is_known || op->value == value;
    case LINEAR_WRITE:
        *ret = op->value;
        return true;
    case LINEAR_SWAP:
        if (value == op->expected) {
            *ret = op->value;
        }
        return !is_known || op->took_place == (value == op->expected);
    }
    return false;
}

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    /* At one moment calls come first: what touches, overlaps. */
    const int x_return = x->its_return == NULL,
              y_return = y->its_return == NULL;
    return x_return != y_return ? x_return - y_return
           : x->op < y->op      ? -1
                                : x->op > y->op;
}

static void lay_out(struct search *s)
{
    struct entry *list = s->entries + 1;
    static struct entry is_call; /* any pointer but NULL, until they stand */
    for (size_t i = 0; i < s->count; i++) {
        list[2 * i] = (struct entry){
            .at = s->ops[i].begin, .op = i, .its_return = &is_call};
        list[2 * i + 1] = (struct entry){.at = s->ops[i].end, .op = i};
    }
    qsort(list, 2 * s->count, sizeof *list, by_time);
    struct entry **call_of = xcalloc(s->count, sizeof(struct entry *));
    struct entry *last = &s->entries[0];
    *last = (struct entry){0};
    for (size_t i = 0; i < 2 * s->count; i++) {
        struct entry *e = &list[i];
        e->before = last;
        last->after = e;
        last = e;
        if (e->its_return != NULL) {
            call_of[e->op] = e;
        } else {
            call_of[e->op]->its_return = e;
        }
    }
    free(call_of);
}

static void lift(struct entry *call)
{
    struct entry *both[] = {call, call->its_return};
    for (size_t i = 0; i < count_of(both); i++) {
        both[i]->before->after = both[i]->after;
        if (both[i]->after != NULL) {
            both[i]->after->before = both[i]->before;
        }
    }
}

static void put_back(struct entry *call)
{
    struct entry *both[] = {call->its_return, call};
    for (size_t i = 0; i < count_of(both); i++) {
        both[i]->before->after = both[i];
        if (both[i]->after != NULL) {
            both[i]->after->before = both[i];
        }
    }
}

static void flip_done(struct search *s, size_t op)
{
    s->done[op / 64] ^= UINT64_C(1) << (op % 64);
}

/* True the first time that this configuration is met. */
static bool is_new(struct search *s)
{
    const struct bytes done = {(const uint8_t *)s->done,
                               s->words * sizeof *s->done};
    const uint64_t hash = hash_bytes(done, s->value);
    for (struct hmap_node *n = hmap_first(&s->seen, hash); n != NULL;
         n = hmap_next(n)) {
        const struct visited *v = container_of(n, struct visited, link);
        if (v->value == s->value &&
            memcmp(v->done, done.data, done.size) == 0) {
            return false;
        }
    }
    struct visited *v = xcalloc(1, sizeof *v + done.size);
    v->value = s->value;
    memcpy(v->done, done.data, done.size);
    hmap_insert(&s->seen, &v->link, hash);
    return true;
}

/* Tries the call; false when it cannot come next. */
static bool descend(struct search *s, struct entry *call)
{
    const uint64_t before = s->value;
    uint64_t after;
    if (!take_effect(&s->ops[call->op], before, &after)) {
        return false;
    }
    s->value = after;
    flip_done(s, call->op);
    if (!is_new(s)) {
        s->value = before;
        flip_done(s, call->op);
        return false;
    }
    s->tried[s->depth++] = (struct tried){call, before};
    lift(call);
    return true;
}

static struct entry *back_up(struct search *s)
{
    const struct tried t = s->tried[--s->depth];
    s->value = t.value_before;
    flip_done(s, t.call->op);
    put_back(t.call);
    return t.call->after;
}

static enum linear_verdict search(struct search *s, size_t steps_max)
{
    struct entry *e = s->entries[0].after;
    for (size_t steps = 0; steps < steps_max; steps++) {
        if (e == NULL || (e->its_return == NULL && e->at == INT64_MAX)) {
            return LINEAR_YES; /* all that was answered has its place */
        }
        if (e->its_return != NULL) {
            e = descend(s, e) ? s->entries[0].after : e->after;
        } else if (s->depth == 0) {
            return LINEAR_NO;
        } else {
            e = back_up(s);
        }
    }
    return LINEAR_GAVE_UP;
}

enum linear_verdict linear_check(const struct linear_op *ops, size_t count,
                                 size_t steps_max)
{
    must(count <= LINEAR_OPS_MAX);
    struct search s = {.ops = ops, .count = count, .words = count / 64 + 1};
    s.entries = xcalloc(2 * count + 1, sizeof *s.entries);
    s.done = xcalloc(s.words, sizeof *s.done);
    s.tried = xcalloc(count + 1, sizeof *s.tried);
    lay_out(&s);
    const enum linear_verdict verdict = search(&s, steps_max);
    struct hmap_node *n;
    while ((n = hmap_any(&s.seen)) != NULL) {
        hmap_remove(&s.seen, n);
        free(container_of(n, struct visited, link));
    }
    hmap_fini(&s.seen);
    free(s.entries);
    free(s.done);
    free(s.tried);
    return verdict;
}
