/* Random operations on a store and on the reference, everything compared: each
 * result, ranges at old revisions, grouped listings, events, and a hash of all
 * rows against a second store that never flushes.  Flushes are begun, run and
 * ended at random moments; now and then the store is closed and replays its
 * log.
 */

#include "model_run.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/prng.h"
#include "model.h"
#include "rig.h"

#define WATCHES 4

struct observer {
    struct kv_watch watch;
    struct run *run;
    uint8_t key[64], end[64];
    bool active;
    int64_t next; /* first revision not heard of */
    size_t place; /* of the model's versions: the ones before were heard */
};

struct run {
    struct prng prng;
    uint64_t seed;
    bool long_keys;
    struct rig rig, mirror;
    struct model model;
    struct store_flush *flush;
    bool flush_ran;
    struct observer observers[WATCHES];

    /* Bytes of the operations under construction. */
    uint8_t text[64][1024];
    unsigned texts;
    size_t checked; /* results of the present transaction */
};

#define AGREE(r, condition)                                                    \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fail_msg("seed %llu, entry %llu: %s",                              \
                     (unsigned long long)(r)->seed,                            \
                     (unsigned long long)(r)->rig.index, #condition);          \
        }                                                                      \
    } while (0)

static unsigned below(struct run *r, unsigned bound)
{
    return (unsigned)prng_below(&r->prng, bound);
}

static struct bytes random_key(struct run *r)
{
    static const char *const parts[] = {"a", "b", "", "c\xff", "dd"};
    static const size_t long_sizes[] = {470, 478, 479, 480, 481, 600};
    must(r->texts < count_of(r->text));
    uint8_t *text = r->text[r->texts++];
    size_t size = 0;
    if (r->long_keys && below(r, 2) == 0) {
        size = long_sizes[below(r, count_of(long_sizes))];
        memset(text, 'x', size);
        text[size / 2] = below(r, 2) == 0 ? '/' : 0;
    }
    const unsigned depth = 1 + below(r, 3);
    for (unsigned i = 0; i < depth; i++) {
        const char *part = parts[below(r, count_of(parts))];
        memcpy(text + size, part, strlen(part));
        size += strlen(part);
        if (i + 1 < depth || below(r, 4) == 0) {
            text[size++] = '/';
        }
    }
    if (size == 0 || below(r, 12) == 0) {
        text[size++] = 0;
    }
    return (struct bytes){text, size};
}

static struct bytes random_value(struct run *r)
{
    must(r->texts < count_of(r->text));
    uint8_t *text = r->text[r->texts++];
    const unsigned size = below(r, 12) == 0 ? 900 : below(r, 8);
    prng_fill(&r->prng, text, size);
    return (struct bytes){text, size};
}

static struct kv_keys random_keys(struct run *r)
{
    struct kv_keys k = {.key = random_key(r)};
    switch (below(r, 5)) {
    case 0:
        k.end = (struct bytes){(const uint8_t *)"", 1};
        break;
    case 1:
        k.end = random_key(r);
        break;
    case 2: {
        /* All that begin with the key. */
        uint8_t *text = r->text[r->texts++];
        memcpy(text, k.key.data, k.key.size);
        if (text[k.key.size - 1] < 0xff) {
            text[k.key.size - 1]++;
            k.end = (struct bytes){text, k.key.size};
        }
        break;
    }
    default:
        break;
    }
    return k;
}

static struct kv_range_spec random_range(struct run *r)
{
    struct kv_range_spec spec = {.keys = random_keys(r),
                                 .limit = below(r, 3) == 0 ? below(r, 6) : 0,
                                 .count_bounded = below(r, 3) == 0,
                                 .keys_only = below(r, 4) == 0};
    const int64_t newest = r->model.revision;
    if (below(r, 2) == 0) {
        const int64_t back = below(r, 30);
        spec.revision = newest - back + 2;
        spec.revision = spec.revision < 0 ? 0 : spec.revision;
    }
    if (below(r, 3) == 0) {
        spec.grouped = true;
        spec.group_from = below(r, 4);
        if (below(r, 2) == 0) {
            spec.group_from = (uint32_t)spec.keys.key.size;
        }
    }
    return spec;
}

static struct kv_op random_op(struct run *r)
{
    struct kv_op op = {.type = KV_OP_PUT};
    const unsigned dice = below(r, 100);
    if (dice < 52) {
        op.put.key = random_key(r);
        op.put.ignore_value = below(r, 8) == 0;
        op.put.value = op.put.ignore_value ? BYTES_NONE : random_value(r);
        op.put.ignore_lease = below(r, 8) == 0;
        op.put.keep_lease = below(r, 4) == 0;
        op.put.lease = op.put.ignore_lease || op.put.keep_lease || below(r, 3)
                           ? 0
                           : (int64_t)below(r, 6);
        op.put.set_attrs = below(r, 4) == 0;
        op.put.attrs = op.put.set_attrs ? random_value(r) : BYTES_NONE;
        op.put.prev_kv = below(r, 2) == 0;
    } else if (dice < 74) {
        op.type = KV_OP_DELETE_RANGE;
        op.delete_range.keys = random_keys(r);
        op.delete_range.prev_kv = below(r, 2) == 0;
    } else if (dice < 92) {
        op.type = KV_OP_MOVE;
        op.move.from = random_key(r);
        op.move.to = random_key(r);
        const unsigned form = below(r, 4);
        op.move.prefix = form == 1;
        op.move.keep_target = form == 2;
        op.move.exchange = form == 3;
    } else {
        op.type = KV_OP_RANGE;
        op.range = random_range(r);
    }
    return op;
}

/* --- comparing --- */

static bool same_version(const struct kv_item *item,
                         const struct model_version *v, bool with_value)
{
    return bytes_equal(item->key, v->key) &&
           item->value_size == v->value.size &&
           (!with_value || bytes_equal(item->value, v->value)) &&
           item->create_revision == v->create && item->mod_revision == v->mod &&
           item->version == v->version && item->lease == v->lease &&
           item->ino == v->ino && item->mtime_ns == v->mtime &&
           bytes_equal(item->attrs, v->attrs) && !item->group;
}

static void compare_range(struct run *r, const struct kv_range_spec *spec,
                          const struct kv_range_result *got, int64_t newest)
{
    size_t count;
    struct model_item *wanted = model_range(&r->model, spec, newest, &count);
    const bool cut = spec->limit > 0 && count > (size_t)spec->limit;
    AGREE(r, got->more == cut);
    AGREE(r, got->items_count == (cut ? (size_t)spec->limit : count));
    AGREE(r, got->count == (int64_t)count ||
                 (spec->count_bounded && cut &&
                  got->count >= (int64_t)got->items_count));
    for (size_t i = 0; i < got->items_count; i++) {
        const struct kv_item *item = &got->items[i];
        AGREE(r, bytes_equal(item->key, wanted[i].key));
        if (wanted[i].version != NULL) {
            AGREE(r, same_version(item, wanted[i].version, !spec->keys_only));
            continue;
        }
        const struct model_group *g = model_group(&r->model, wanted[i].key);
        AGREE(r, item->group);
        AGREE(r, item->ino == (g == NULL ? 0 : g->ino));
        AGREE(r, item->mtime_ns == (g == NULL ? 0 : g->mtime));
    }
    free(wanted);
}

/* Slices put together are the whole, wherever they are cut. */
static void check_slices(struct run *r, const struct kv_range_spec *spec,
                         const struct kv_range_result *whole)
{
    struct store_results *results = store_results_new();
    struct buf next = {.size = 0};
    struct kv_range_spec slice = *spec;
    size_t items = 0;
    int64_t count = 0;
    bool more = false;
    slice.count_bounded = false;
    slice.revision = spec->revision > 0 ? spec->revision : r->model.revision;
    do {
        struct kv_range_result got;
        slice.slice_keys = below(r, 2) == 0 ? 1 + below(r, 4) : 0;
        slice.slice_bytes = below(r, 2) == 0 ? 1 + below(r, 40) : 0;
        store_results_clear(results);
        AGREE(r, store_range(r->rig.store, &slice, results, &got,
                             &r->rig.fault) == ST_OK);
        for (size_t i = 0; i < got.items_count; i++) {
            AGREE(r, items < whole->items_count);
            const struct kv_item *wanted = &whole->items[items++];
            AGREE(r, bytes_equal(got.items[i].key, wanted->key));
            AGREE(r, bytes_equal(got.items[i].value, wanted->value));
            AGREE(r, got.items[i].mod_revision == wanted->mod_revision);
        }
        AGREE(r, slice.slice_keys == 0 || got.count <= slice.slice_keys);
        AGREE(r, slice.slice_keys > 0 || slice.slice_bytes > 0 ||
                     got.next.size == 0);
        AGREE(r, got.next.size == 0 ||
                     bytes_compare(got.next, slice.keys.key) > 0);
        count += got.count;
        more = more || got.more || (slice.count_only && got.count > 0);
        buf_clear(&next);
        buf_append(&next, got.next);
        slice.keys.key = buf_bytes(&next);
        slice.limit = spec->limit > 0 ? spec->limit - (int64_t)items : 0;
        slice.count_only = spec->limit > 0 && slice.limit == 0;
    } while (next.size > 0);
    AGREE(r, items == whole->items_count);
    AGREE(r, more == whole->more);
    AGREE(r, spec->count_bounded || count == whole->count);
    buf_fini(&next);
    store_results_free(results);
}

static void check_range(struct run *r, const struct kv_range_spec *spec)
{
    struct kv_range_result got;
    store_results_clear(r->rig.results);
    const enum status st =
        store_range(r->rig.store, spec, r->rig.results, &got, &r->rig.fault);
    if (spec->revision > r->model.revision) {
        AGREE(r, st == ST_FUTURE_REVISION);
    } else if (spec->revision > 0 && spec->revision < r->model.compact) {
        AGREE(r, st == ST_COMPACTED);
    } else {
        if (st != ST_OK) {
            fail_msg("seed %llu: %s", (unsigned long long)r->seed,
                     r->rig.fault.text);
        }
        compare_range(r, spec, &got, r->model.revision);
        if (!spec->grouped) {
            check_slices(r, spec, &got);
        }
    }
}

static void check_result(void *arg, const struct model_result *wanted)
{
    struct run *r = arg;
    const struct kv_txn_result *txn = r->rig.outcome.txn;
    AGREE(r, r->checked < txn->results_count);
    const struct kv_op_result *got = &txn->results[r->checked++];
    AGREE(r, got->type == wanted->op->type);
    switch (got->type) {
    case KV_OP_PUT: {
        const bool prev = wanted->had_prev && wanted->op->put.prev_kv;
        AGREE(r, (got->put.prev != NULL) == prev);
        AGREE(r, !prev || same_version(got->put.prev, &wanted->prev, true));
        break;
    }
    case KV_OP_DELETE_RANGE:
        AGREE(r, got->delete_range.deleted == wanted->count);
        break;
    case KV_OP_MOVE:
        AGREE(r, got->move.moved == wanted->count);
        break;
    case KV_OP_RANGE:
        /* The transaction's own newest: nothing hides from it. */
        compare_range(r, &wanted->op->range, &got->range, INT64_MAX);
        break;
    case KV_OP_TXN:
        break;
    }
}

/* Its keys, in order; none when it is not there. */
static void check_lease(struct run *r, int64_t id)
{
    const struct bytes *keys;
    size_t count, wanted_count;
    struct model_item *wanted = model_lease_keys(&r->model, id, &wanted_count);
    store_results_clear(r->rig.results);
    AGREE(r, store_lease_keys(r->rig.store, id, r->rig.results, &keys, &count,
                              &r->rig.fault) == ST_OK);
    AGREE(r, count == wanted_count);
    for (size_t i = 0; i < count; i++) {
        AGREE(r, bytes_equal(keys[i], wanted[i].key));
    }
    free(wanted);
}

static void check_everything(struct run *r)
{
    const struct kv_range_spec all = {
        .keys = {{(const uint8_t *)"", 1}, {(const uint8_t *)"", 1}}};
    check_range(r, &all);
    struct store_stats stats;
    size_t count;
    struct model_item *items =
        model_range(&r->model, &all, r->model.revision, &count);
    free(items);
    store_stats(r->rig.store, &stats);
    AGREE(r, stats.keys_count == count);
    for (int64_t id = 1; id <= MODEL_LEASES; id++) {
        check_lease(r, id);
    }
    AGREE(r, rig_hash(&r->rig) == rig_hash(&r->mirror));
}

/* --- watching --- */

static const struct model_version *next_wanted(struct observer *o)
{
    const struct model *m = &o->run->model;
    for (; o->place < m->versions_count; o->place++) {
        const struct model_version *v = &m->versions[o->place];
        const struct kv_keys *k = &o->watch.keys;
        const bool open = k->end.size == 1 && k->end.data[0] == 0;
        const bool in = k->end.size == 0
                            ? bytes_equal(v->key, k->key)
                            : bytes_compare(v->key, k->key) >= 0 &&
                                  (open || bytes_compare(v->key, k->end) < 0);
        if (v->mod >= o->next && in) {
            return v;
        }
    }
    return NULL;
}

static void observe(struct kv_watch *watch, const struct kv_event *events,
                    size_t count, struct kv_header header)
{
    struct observer *o = container_of(watch, struct observer, watch);
    struct run *r = o->run;
    AGREE(r, o->active);
    for (size_t i = 0; i < count; i++) {
        const struct kv_event *e = &events[i];
        const struct model_version *v = next_wanted(o);
        AGREE(r, v != NULL);
        AGREE(r, v->mod == e->item.mod_revision);
        AGREE(r, bytes_equal(v->key, e->item.key));
        AGREE(r, v->tombstone == (e->type == KV_EVENT_DELETE));
        AGREE(r, v->tombstone || same_version(&e->item, v, true));
        AGREE(r, v->ino == e->item.ino);
        AGREE(r, v->mtime == e->item.mtime_ns);
        AGREE(r, v->groups_changed == e->groups_changed);
        AGREE(r, v->attrs_only == e->attrs_only);
        AGREE(r, bytes_equal(v->tombstone ? e->moved_to : e->moved_from,
                             v->moved ? v->other : BYTES_NONE));
        const struct model_version *prev =
            model_get(&r->model, v->key, v->mod - 1);
        const bool has_prev =
            watch->prev_kv && prev != NULL && v->mod - 1 >= r->model.compact;
        AGREE(r, (e->prev != NULL) == has_prev);
        AGREE(r, !has_prev || same_version(e->prev, prev, true));
        AGREE(r, header.revision >= v->mod);
        o->place++;
    }
    /* A revision is never split over two calls. */
    const int64_t last = events[count - 1].item.mod_revision;
    const struct model_version *more = next_wanted(o);
    AGREE(r, more == NULL || more->mod > last);
}

static void observe_end(struct kv_watch *watch, enum status why,
                        int64_t compact_revision)
{
    struct observer *o = container_of(watch, struct observer, watch);
    AGREE(o->run, why == ST_COMPACTED || why == ST_INVALID);
    if (why == ST_COMPACTED) {
        const struct model_version *v = next_wanted(o);
        AGREE(o->run, compact_revision == o->run->model.compact);
        AGREE(o->run, o->next < o->run->model.compact ||
                          (v != NULL && v->mod < o->run->model.compact));
    }
    o->active = false;
}

static void start_watch(struct run *r, struct observer *o)
{
    const unsigned texts = r->texts;
    struct kv_keys keys = random_keys(r);
    r->texts = texts;
    if (keys.key.size > sizeof o->key || keys.end.size > sizeof o->end) {
        return;
    }
    *o = (struct observer){.run = r, .active = true};
    memcpy(o->key, keys.key.data, keys.key.size);
    if (keys.end.size > 0) {
        memcpy(o->end, keys.end.data, keys.end.size);
    }
    o->watch.keys.key = (struct bytes){o->key, keys.key.size};
    o->watch.keys.end = (struct bytes){o->end, keys.end.size};
    o->watch.prev_kv = below(r, 2) == 0;
    o->watch.on_events = observe;
    o->watch.on_end = observe_end;
    if (below(r, 2) == 0) {
        const int64_t newest = r->model.revision;
        o->watch.start_revision =
            newest - (int64_t)below(r, (unsigned)newest + 2) + 2;
    }
    o->next = o->watch.start_revision == 0 ? r->model.revision + 1
                                           : o->watch.start_revision;
    store_watch(r->rig.store, &o->watch);
}

static void change_watches(struct run *r)
{
    struct observer *o = &r->observers[below(r, WATCHES)];
    if (!o->active) {
        start_watch(r, o);
    } else if (below(r, 4) == 0) {
        store_unwatch(r->rig.store, &o->watch);
        o->active = false;
    }
}

static void deliver_all(struct run *r)
{
    rig_deliver(&r->rig);
    for (unsigned i = 0; i < WATCHES; i++) {
        AGREE(r,
              !r->observers[i].active || next_wanted(&r->observers[i]) == NULL);
    }
}

/* --- steps --- */

static struct kv_compare random_compare(struct run *r)
{
    struct kv_compare c = {
        .keys = random_keys(r),
        .target = (enum kv_compare_target)below(r, 5),
        .result = (enum kv_compare_result)below(r, 4),
    };
    if (c.target == KV_COMPARE_VALUE) {
        c.value = random_value(r);
    } else {
        c.number = below(r, 2) == 0 ? 0 : (int64_t)below(r, 30);
    }
    return c;
}

static void step_txn(struct run *r)
{
    struct kv_op ops[6];
    struct kv_compare compares[2];
    r->texts = 0;
    struct kv_txn_spec txn = {.compares = compares,
                              .compares_count = below(r, 3),
                              .success = ops,
                              .success_count = 1 + below(r, 3),
                              .failure = ops + 3,
                              .failure_count = below(r, 4)};
    for (size_t i = 0; i < txn.compares_count; i++) {
        compares[i] = random_compare(r);
    }
    for (unsigned i = 0; i < count_of(ops); i++) {
        ops[i] = random_op(r);
    }
    const enum status check = store_check_txn(r->rig.store, &txn);
    const int64_t now = r->rig.time_ns - (int64_t)below(r, 5000);
    r->rig.time_ns = r->mirror.time_ns = now;
    const enum status st = rig_txn(&r->rig, &txn);
    AGREE(r, rig_txn(&r->mirror, &txn) == st);
    r->rig.time_ns = r->mirror.time_ns = now + 3000;
    bool succeeded = false;
    r->checked = 0;
    if (check != ST_OK) {
        AGREE(r, st == check);
    } else {
        const enum status wanted =
            model_apply(&r->model, &txn, now, &succeeded, check_result, r);
        AGREE(r, st == wanted);
    }
    if (st == ST_OK) {
        AGREE(r, r->rig.outcome.txn->succeeded == succeeded);
        AGREE(r, r->rig.outcome.txn->results_count == r->checked);
    }
    AGREE(r, r->rig.outcome.header.revision == r->model.revision);
}

static void step_compact(struct run *r)
{
    const int64_t span = r->model.revision - r->model.compact + 2;
    const int64_t at = r->model.compact + (int64_t)below(r, (unsigned)span);
    const enum status st = rig_compact(&r->rig, at);
    AGREE(r, rig_compact(&r->mirror, at) == st);
    AGREE(r, model_compact(&r->model, at) == st);
}

static void step_lease(struct run *r)
{
    const int64_t id = 1 + (int64_t)below(r, MODEL_LEASES);
    const int64_t now = r->rig.time_ns;
    switch (below(r, 4)) {
    case 0: {
        const enum status st = rig_revoke(&r->rig, id, 0);
        AGREE(r, rig_revoke(&r->mirror, id, 0) == st);
        AGREE(r, model_revoke(&r->model, id, now) == st);
        AGREE(r, r->rig.outcome.header.revision == r->model.revision);
        break;
    }
    case 1: {
        const struct store_lease aged = {.id = id, .deadline_ms = below(r, 50)};
        const int64_t clock = below(r, 100);
        AGREE(r, rig_checkpoint(&r->rig, 1, clock, &aged, 1) == ST_OK);
        AGREE(r, rig_checkpoint(&r->mirror, 1, clock, &aged, 1) == ST_OK);
        break;
    }
    default: {
        const enum status st = rig_grant(&r->rig, id, 10);
        AGREE(r, rig_grant(&r->mirror, id, 10) == st);
        AGREE(r, model_grant(&r->model, id) == st);
        break;
    }
    }
}

static void step_flush(struct run *r)
{
    if (r->flush == NULL) {
        r->flush = store_flush_begin(r->rig.store);
        r->flush_ran = false;
    } else if (!r->flush_ran) {
        AGREE(r, store_flush_run(r->flush, &r->rig.fault) == ST_OK);
        r->flush_ran = true;
    } else {
        AGREE(r,
              store_flush_end(r->rig.store, r->flush, &r->rig.fault) == ST_OK);
        r->flush = NULL;
    }
}

static void step_restart(struct run *r)
{
    r->flush = NULL;
    for (unsigned i = 0; i < WATCHES; i++) {
        r->observers[i].active = false;
    }
    rig_restart(&r->rig);
}

static void step(struct run *r)
{
    const unsigned dice = below(r, 100);
    r->texts = 0;
    if (dice < 56) {
        step_txn(r);
    } else if (dice < 60) {
        step_lease(r);
    } else if (dice < 70) {
        const struct kv_range_spec spec = random_range(r);
        check_range(r, &spec);
    } else if (dice < 86) {
        step_flush(r);
    } else if (dice < 90) {
        change_watches(r);
    } else if (dice < 95) {
        deliver_all(r);
    } else if (dice < 97) {
        step_compact(r);
    } else if (dice < 99) {
        check_everything(r);
    } else {
        step_restart(r);
    }
}

void model_run(const struct model_run_options *options)
{
    struct run *r = xcalloc(1, sizeof *r);
    r->seed = options->seed;
    r->long_keys = options->long_keys;
    prng_init(&r->prng, options->seed);
    rig_begin(&r->rig);
    rig_begin(&r->mirror);
    model_init(&r->model);
    for (unsigned i = 0; i < options->steps; i++) {
        step(r);
    }
    check_everything(r);
    deliver_all(r);
    rig_end(&r->rig);
    rig_end(&r->mirror);
    model_fini(&r->model);
    free(r);
}
