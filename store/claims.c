/* A key changes at most once in a revision (invariant S2), so a transaction in
 * which it could change twice is refused before anything is done.
 *
 * Each operation claims the ranges it may write: a put its key, a delete its
 * range, a move what it takes from and what it writes to.  Two claims that
 * overlap are a conflict unless both are deletes (what is gone is not deleted
 * again), or they stand in the two branches of one transaction, of which only
 * one runs.
 */

#include <stdlib.h>

#include "base/must.h"
#include "store/internal.h"

/* A branch of a transaction; all in all they are a tree. */
struct scope {
    const struct scope *parent;
    uint64_t serial; /* of the operation that is the transaction; 0: the
                        outermost */
    bool failure;
    int depth;
};

struct claim {
    struct kv_keys keys;
    bool writes; /* else it deletes */
    const struct scope *scope;
};

struct claims {
    struct arena arena;
    struct claim *list;
    size_t count, capacity;
    uint64_t serial; /* of the operation being looked at: not its address,
                        since a caller may use an array twice */
};

static void add(struct claims *c, const struct scope *scope,
                struct kv_keys keys, bool writes)
{
    const bool empty = !keys_single(&keys) && !keys_unbounded(&keys) &&
                       bytes_compare(keys.end, keys.key) <= 0;
    if (empty) {
        return;
    }
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 16 : 2 * c->capacity;
        c->list = xrealloc(c->list, c->capacity * sizeof *c->list);
    }
    c->list[c->count++] =
        (struct claim){.keys = keys, .writes = writes, .scope = scope};
}

static void add_move(struct claims *c, const struct scope *scope,
                     const struct kv_move *m)
{
    struct kv_keys from = {.key = m->from};
    struct kv_keys to = {.key = m->to};
    if (bytes_equal(m->from, m->to)) {
        return; /* does nothing */
    }
    if (m->prefix) {
        from.end = prefix_end(&c->arena, m->from);
        to.end = prefix_end(&c->arena, m->to);
    }
    /* The source of a move is deleted; that of an exchange is written. */
    add(c, scope, from, m->exchange);
    add(c, scope, to, true);
}

static void collect_inner(struct claims *c, const struct scope *scope,
                          const struct kv_txn_spec *txn);

static void collect(struct claims *c, const struct scope *parent,
                    uint64_t serial, const struct kv_txn_spec *txn,
                    bool failure)
{
    const size_t count = failure ? txn->failure_count : txn->success_count;
    const struct kv_op *ops = failure ? txn->failure : txn->success;
    struct scope *scope = arena_get(&c->arena, sizeof *scope);
    *scope = (struct scope){.parent = parent,
                            .serial = serial,
                            .failure = failure,
                            .depth = parent == NULL ? 0 : parent->depth + 1};
    for (size_t i = 0; i < count; i++) {
        const struct kv_op *op = &ops[i];
        c->serial++;
        switch (op->type) {
        case KV_OP_RANGE:
            break;
        case KV_OP_PUT:
            add(c, scope, (struct kv_keys){.key = op->put.key}, true);
            break;
        case KV_OP_DELETE_RANGE:
            add(c, scope, op->delete_range.keys, false);
            break;
        case KV_OP_MOVE:
            add_move(c, scope, &op->move);
            break;
        case KV_OP_TXN:
            collect_inner(c, scope, op->txn);
            break;
        }
    }
}

static void collect_inner(struct claims *c, const struct scope *scope,
                          const struct kv_txn_spec *txn)
{
    const uint64_t serial = c->serial;
    collect(c, scope, serial, txn, false);
    collect(c, scope, serial, txn, true);
}

/* Whether at most one of the two scopes runs. */
static bool exclusive(const struct scope *a, const struct scope *b)
{
    while (a->depth > b->depth) {
        a = a->parent;
    }
    while (b->depth > a->depth) {
        b = b->parent;
    }
    while (a != b) {
        if (a->serial == b->serial && a->parent == b->parent) {
            must(a->failure != b->failure);
            return true;
        }
        a = a->parent;
        b = b->parent;
        if (a == NULL || b == NULL) {
            return false;
        }
    }
    return false;
}

static int by_start(const void *a, const void *b)
{
    const struct claim *x = a;
    const struct claim *y = b;
    return bytes_compare(x->keys.key, y->keys.key);
}

/* The later one starts at or behind the earlier one. */
static bool overlap(const struct claim *earlier, const struct claim *later)
{
    return keys_contain(&earlier->keys, later->keys.key);
}

static bool conflict(const struct claim *a, const struct claim *b)
{
    return (a->writes || b->writes) && !exclusive(a->scope, b->scope);
}

/* Claims in order of their starts: each is held against those before it that
 * still reach it. */
static bool any_conflict(struct claim *list, size_t count)
{
    size_t open_count = 0; /* the front of the list holds those that may reach
                              further */
    for (size_t i = 0; i < count; i++) {
        const struct claim at = list[i];
        size_t kept = 0;
        for (size_t k = 0; k < open_count; k++) {
            if (!overlap(&list[k], &at)) {
                continue; /* ended before: no later claim meets it either */
            }
            if (conflict(&list[k], &at)) {
                return true;
            }
            list[kept++] = list[k];
        }
        list[kept++] = at;
        open_count = kept;
    }
    return false;
}

enum status check_claims(const struct kv_txn_spec *txn)
{
    if (txn->success_count <= 1 && txn->failure_count <= 1 &&
        (txn->success_count == 0 || txn->success[0].type != KV_OP_TXN) &&
        (txn->failure_count == 0 || txn->failure[0].type != KV_OP_TXN)) {
        return ST_OK; /* the common case: nothing to collide with */
    }
    struct claims c = {0};
    collect(&c, NULL, 0, txn, false);
    collect(&c, NULL, 0, txn, true);
    bool found = false;
    if (c.count > 1) {
        qsort(c.list, c.count, sizeof *c.list, by_start);
        found = any_conflict(c.list, c.count);
    }
    free(c.list);
    arena_fini(&c.arena);
    return found ? ST_DUPLICATE_KEY : ST_OK;
}
