/* The reference store. Slow and plain on purpose. */

#include "model.h"

#include <stdlib.h>

#include "base/must.h"

static struct bytes copy(struct bytes b)
{
    uint8_t *data = xmalloc(b.size + 1);
    if (b.size > 0) {
        memcpy(data, b.data, b.size);
    }
    return (struct bytes){data, b.size};
}

static void drop(struct bytes b)
{
    free((void *)(uintptr_t)b.data);
}

void model_init(struct model *m)
{
    *m = (struct model){.revision = 1, .ino_next = 2};
}

void model_fini(struct model *m)
{
    for (size_t i = 0; i < m->versions_count; i++) {
        drop(m->versions[i].key);
        drop(m->versions[i].value);
        drop(m->versions[i].attrs);
        drop(m->versions[i].other);
    }
    for (size_t i = 0; i < m->groups_count; i++) {
        drop(m->groups[i].name);
    }
    free(m->versions);
    free(m->groups);
}

const struct model_version *model_get(const struct model *m, struct bytes key,
                                      int64_t revision)
{
    for (size_t i = m->versions_count; i-- > 0;) {
        const struct model_version *v = &m->versions[i];
        if (v->mod <= revision && bytes_equal(v->key, key)) {
            return v->tombstone ? NULL : v;
        }
    }
    return NULL;
}

const struct model_group *model_group(const struct model *m, struct bytes name)
{
    for (size_t i = 0; i < m->groups_count; i++) {
        if (bytes_equal(m->groups[i].name, name)) {
            return &m->groups[i];
        }
    }
    return NULL;
}

static bool inside(const struct kv_keys *k, struct bytes key)
{
    if (k->end.size == 0) {
        return bytes_equal(key, k->key);
    }
    const bool open = k->end.size == 1 && k->end.data[0] == 0;
    return bytes_compare(k->key, key) <= 0 &&
           (open || bytes_compare(key, k->end) < 0);
}

static int by_key(const void *a, const void *b)
{
    const struct model_item *x = a;
    const struct model_item *y = b;
    return bytes_compare(x->key, y->key);
}

/* All live keys of the range, sorted. */
static struct model_item *live(const struct model *m, const struct kv_keys *k,
                               int64_t revision, size_t *ret_count)
{
    struct model_item *items = xmalloc((m->versions_count + 1) * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; i < m->versions_count; i++) {
        const struct model_version *v = &m->versions[i];
        if (inside(k, v->key) && model_get(m, v->key, revision) == v) {
            items[count++] = (struct model_item){v->key, v};
        }
    }
    qsort(items, count, sizeof *items, by_key);
    *ret_count = count;
    return items;
}

struct model_item *model_range(const struct model *m,
                               const struct kv_range_spec *spec, int64_t newest,
                               size_t *ret_count)
{
    size_t count, kept = 0;
    const int64_t revision = spec->revision > 0 ? spec->revision : newest;
    struct model_item *items = live(m, &spec->keys, revision, &count);
    for (size_t i = 0; i < count; i++) {
        struct model_item item = items[i];
        size_t slash = spec->group_from;
        while (slash < item.key.size && item.key.data[slash] != '/') {
            slash++;
        }
        if (spec->grouped && slash < item.key.size) {
            item = (struct model_item){{item.key.data, slash + 1}, NULL};
            if (kept > 0 && items[kept - 1].version == NULL &&
                bytes_equal(items[kept - 1].key, item.key)) {
                continue;
            }
        }
        items[kept++] = item;
    }
    *ret_count = kept;
    return items;
}

static int64_t later(const struct model *m, int64_t than)
{
    return m->now > than ? m->now : than + 1;
}

static void record(struct model *m, struct bytes key, struct model_version v)
{
    v.mod = m->revision + 1;
    v.key = copy(key);
    v.value = copy(v.value);
    v.attrs = copy(v.attrs);
    v.other = copy(v.other);
    m->versions =
        xrealloc(m->versions, (m->versions_count + 1) * sizeof *m->versions);
    m->versions[m->versions_count++] = v;
    m->changing = true;
}

static struct bytes above(struct bytes name)
{
    size_t size = name.size - 1;
    while (size > 0 && name.data[size - 1] != '/') {
        size--;
    }
    return (struct bytes){name.data, size};
}

static struct bytes group_of(struct bytes key)
{
    while (key.size > 0 && key.data[key.size - 1] != '/') {
        key.size--;
    }
    return key;
}

static struct model_group *own_group(struct model *m, struct bytes name)
{
    return (struct model_group *)(uintptr_t)model_group(m, name);
}

static void new_group(struct model *m, struct bytes name, uint64_t ino)
{
    m->groups = xrealloc(m->groups, (m->groups_count + 1) * sizeof *m->groups);
    m->groups[m->groups_count++] = (struct model_group){
        .name = copy(name),
        .ino = ino != 0 ? ino : m->ino_next++,
        .mtime = m->now,
    };
}

/* While a prefix moves, new groups take the identity of the old ones. */
static uint64_t inherited(struct model *m, struct bytes name,
                          const struct kv_move *moving)
{
    uint64_t ino = 0;
    if (moving != NULL && bytes_starts_with(name, moving->to)) {
        const size_t rest = name.size - moving->to.size;
        uint8_t *old = xmalloc(moving->from.size + rest);
        memcpy(old, moving->from.data, moving->from.size);
        memcpy(old + moving->from.size, name.data + moving->to.size, rest);
        const struct model_group *g =
            model_group(m, (struct bytes){old, moving->from.size + rest});
        ino = g == NULL ? 0 : g->ino;
        free(old);
    }
    return ino;
}

static void appear(struct model *m, struct bytes key, struct model_version *v,
                   const struct kv_move *moving)
{
    const bool marker = key.data[key.size - 1] == '/';
    if (!marker && v->ino == 0) {
        v->ino = m->ino_next++;
    }
    for (struct bytes name = group_of(key); name.size > 0; name = above(name)) {
        struct model_group *g = own_group(m, name);
        const bool is_marker = marker && name.size == key.size;
        if (g != NULL) {
            if (is_marker) {
                g->ino = v->ino != 0 ? v->ino : g->ino;
                v->ino = g->ino;
            } else {
                g->mtime = later(m, g->mtime);
            }
            break;
        }
        new_group(m, name,
                  is_marker && v->ino != 0 ? v->ino
                                           : inherited(m, name, moving));
        v->groups_changed++;
        if (is_marker) {
            v->ino = model_group(m, name)->ino;
        }
    }
}

static bool any_below(const struct model *m, struct bytes name)
{
    for (size_t i = 0; i < m->versions_count; i++) {
        const struct model_version *v = &m->versions[i];
        if (bytes_starts_with(v->key, name) &&
            model_get(m, v->key, INT64_MAX) == v) {
            return true;
        }
    }
    return false;
}

/* The key's tombstone is recorded already. */
static uint32_t disappear(struct model *m, struct bytes key)
{
    uint32_t gone = 0;
    for (struct bytes name = group_of(key); name.size > 0; name = above(name)) {
        struct model_group *g = own_group(m, name);
        if (any_below(m, name)) {
            if (name.size != key.size) {
                g->mtime = later(m, g->mtime);
            }
            break;
        }
        drop(g->name);
        *g = m->groups[--m->groups_count];
        gone++;
    }
    return gone;
}

static void kill(struct model *m, struct bytes key, struct bytes to)
{
    const struct model_version old = *model_get(m, key, INT64_MAX);
    record(m, key,
           (struct model_version){.tombstone = true,
                                  .ino = old.ino,
                                  .mtime = later(m, old.mtime),
                                  .moved = to.size > 0,
                                  .other = to});
    const uint32_t gone = disappear(m, key);
    m->versions[m->versions_count - 1].groups_changed = gone;
}

static void put(struct model *m, const struct kv_put *p, struct model_result *r)
{
    const struct model_version *at = model_get(m, p->key, INT64_MAX);
    struct model_version v = {.create = m->revision + 1,
                              .version = 1,
                              .lease = p->lease,
                              .value = p->value,
                              .attrs = p->attrs,
                              .mtime = m->now};
    r->had_prev = at != NULL;
    if (at != NULL) {
        r->prev = *at;
        v.create = at->create;
        v.version = at->version + 1;
        v.mtime = later(m, at->mtime);
        v.ino = at->ino;
        v.attrs_only = p->ignore_value;
        v.value = p->ignore_value ? at->value : p->value;
        v.lease = p->ignore_lease || p->keep_lease ? at->lease : p->lease;
        v.attrs = p->set_attrs ? p->attrs : at->attrs;
    } else {
        appear(m, p->key, &v, NULL);
    }
    record(m, p->key, v);
}

static bool is_marker(struct bytes key)
{
    return key.data[key.size - 1] == '/';
}

/* Whether other keys keep the directory of a marker alive. */
static bool stays(const struct model *m, struct bytes marker)
{
    size_t count;
    const struct kv_keys all = {.key = marker, .end = {(const uint8_t *)"", 1}};
    struct model_item *items = live(m, &all, INT64_MAX, &count);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || (bytes_starts_with(items[i].key, marker) &&
                          items[i].key.size > marker.size);
    }
    free(items);
    return found;
}

/* Something took the place of a live key. */
static void replace(struct model *m, struct bytes key, struct model_version *v)
{
    struct bytes name = group_of(key);
    if (is_marker(key)) {
        struct model_group *g = own_group(m, key);
        v->ino = v->ino != 0 ? v->ino : g->ino;
        g->ino = v->ino;
        name = above(key);
    }
    struct model_group *g = name.size == 0 ? NULL : own_group(m, name);
    if (g != NULL) {
        g->mtime = later(m, g->mtime);
    }
    if (v->ino == 0) {
        v->ino = m->ino_next++;
    }
}

static bool move_one(struct model *m, struct bytes from, struct bytes to,
                     bool keep, const struct kv_move *moving)
{
    const struct model_version *source = model_get(m, from, INT64_MAX);
    const struct model_version *target = model_get(m, to, INT64_MAX);
    if (source == NULL) {
        return false;
    }
    struct model_version v = {.create = m->revision + 1,
                              .version = 1,
                              .moved = true,
                              .other = from,
                              .value = source->value,
                              .attrs = source->attrs,
                              .lease = source->lease,
                              .ino = source->ino,
                              .mtime = later(m, source->mtime)};
    if (moving == NULL && is_marker(from) && stays(m, from)) {
        v.ino = 0;
    }
    if (target != NULL && v.mtime <= target->mtime) {
        v.mtime = target->mtime + 1;
    }
    if (target != NULL && keep && source->lease == 0) {
        v.lease = target->lease;
        v.create = target->create;
        v.version = target->version + 1;
        v.ino = target->ino;
    }
    if (target != NULL) {
        replace(m, to, &v);
    } else {
        appear(m, to, &v, moving);
    }
    record(m, to, v);
    kill(m, from, to);
    return true;
}

static void exchange(struct model *m, struct bytes a, struct bytes b)
{
    const struct model_version x = *model_get(m, a, INT64_MAX);
    const struct model_version y = *model_get(m, b, INT64_MAX);
    for (int side = 0; side < 2; side++) {
        const struct model_version *source = side == 0 ? &x : &y;
        const struct model_version *target = side == 0 ? &y : &x;
        struct model_version v = {
            .create = m->revision + 1,
            .version = 1,
            .moved = true,
            .other = side == 0 ? a : b,
            .value = source->value,
            .attrs = source->attrs,
            .lease = source->lease,
            .ino = is_marker(a) || is_marker(b) ? target->ino : source->ino,
            .mtime = later(m, source->mtime)};
        if (v.mtime <= target->mtime) {
            v.mtime = target->mtime + 1;
        }
        replace(m, side == 0 ? b : a, &v);
        record(m, side == 0 ? b : a, v);
    }
}

static int64_t move(struct model *m, const struct kv_move *mv)
{
    if (bytes_equal(mv->from, mv->to)) {
        return 0;
    }
    if (mv->exchange) {
        exchange(m, mv->from, mv->to);
        return 2;
    }
    if (!mv->prefix) {
        return move_one(m, mv->from, mv->to, mv->keep_target, NULL);
    }
    size_t count;
    int64_t moved = 0;
    const struct kv_keys all = {.key = mv->from,
                                .end = {(const uint8_t *)"", 1}};
    struct model_item *items = live(m, &all, INT64_MAX, &count);
    for (size_t i = 0; i < count; i++) {
        if (!bytes_starts_with(items[i].key, mv->from)) {
            continue;
        }
        const size_t rest = items[i].key.size - mv->from.size;
        uint8_t *to = xmalloc(mv->to.size + rest);
        memcpy(to, mv->to.data, mv->to.size);
        if (rest > 0) {
            memcpy(to + mv->to.size, items[i].key.data + mv->from.size, rest);
        }
        moved += move_one(m, items[i].key,
                          (struct bytes){to, mv->to.size + rest}, false, mv);
        free(to);
    }
    free(items);
    return moved;
}

static bool compare(const struct model *m, const struct kv_compare *c)
{
    static const struct model_version zeros;
    size_t count;
    struct model_item *items = live(m, &c->keys, m->revision, &count);
    const size_t tested = count > 0 ? count : 1;
    bool all = count > 0 || c->target != KV_COMPARE_VALUE;
    for (size_t i = 0; i < tested && all; i++) {
        const struct model_version *v = count > 0 ? items[i].version : &zeros;
        const int64_t numbers[] = {v->version, v->create, v->mod, 0, v->lease};
        const int64_t n = numbers[c->target];
        const int order = c->target == KV_COMPARE_VALUE
                              ? bytes_compare(v->value, c->value)
                              : (n > c->number) - (n < c->number);
        const bool holds[] = {order == 0, order > 0, order < 0, order != 0};
        all = holds[c->result];
    }
    free(items);
    return all;
}

static bool granted(const struct model *m, int64_t id)
{
    for (unsigned i = 0; i < MODEL_LEASES; i++) {
        if (id != 0 && m->leases[i] == id) {
            return true;
        }
    }
    return false;
}

static enum status refuse_change(const struct model *m, const struct kv_op *op)
{
    if (op->type == KV_OP_PUT &&
        (op->put.ignore_value || op->put.ignore_lease) &&
        model_get(m, op->put.key, m->revision) == NULL) {
        return ST_KEY_NOT_FOUND;
    }
    if (op->type == KV_OP_PUT && op->put.lease != 0 &&
        !granted(m, op->put.lease)) {
        return ST_LEASE_NOT_FOUND;
    }
    if (op->type == KV_OP_MOVE && op->move.exchange &&
        !bytes_equal(op->move.from, op->move.to) &&
        (model_get(m, op->move.from, m->revision) == NULL ||
         model_get(m, op->move.to, m->revision) == NULL)) {
        return ST_KEY_NOT_FOUND;
    }
    return ST_OK;
}

/* Never compacted is compacted at -1, which a negative revision can be below.
 */
static enum status refuse_read(const struct model *m, const struct kv_op *op)
{
    if (op->type == KV_OP_RANGE && op->range.revision > m->revision) {
        return ST_FUTURE_REVISION;
    }
    const int64_t floor = m->compact == 0 ? -1 : m->compact;
    if (op->type == KV_OP_RANGE && op->range.revision != 0 &&
        op->range.revision < floor) {
        return ST_COMPACTED;
    }
    return ST_OK;
}

static void run(struct model *m, struct model_result *r)
{
    const struct kv_op *op = r->op;
    size_t count;
    switch (op->type) {
    case KV_OP_PUT:
        put(m, &op->put, r);
        break;
    case KV_OP_DELETE_RANGE: {
        struct model_item *items =
            live(m, &op->delete_range.keys, INT64_MAX, &count);
        for (size_t i = 0; i < count; i++) {
            kill(m, items[i].key, BYTES_NONE);
        }
        r->count = (int64_t)count;
        free(items);
        break;
    }
    case KV_OP_MOVE:
        r->count = move(m, &op->move);
        break;
    case KV_OP_RANGE:
    case KV_OP_TXN:
        break;
    }
}

enum status model_apply(struct model *m, const struct kv_txn_spec *txn,
                        int64_t now, bool *ret_succeeded,
                        void (*check)(void *arg, const struct model_result *r),
                        void *arg)
{
    bool all = true;
    for (size_t i = 0; i < txn->compares_count; i++) {
        all = all && compare(m, &txn->compares[i]);
    }
    const struct kv_op *ops = all ? txn->success : txn->failure;
    const size_t count = all ? txn->success_count : txn->failure_count;
    *ret_succeeded = all;
    enum status st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = refuse_change(m, &ops[i]);
    }
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = refuse_read(m, &ops[i]);
    }
    if (st != ST_OK) {
        return st;
    }
    m->now = now;
    m->changing = false;
    for (size_t i = 0; i < count; i++) {
        struct model_result r = {.op = &ops[i]};
        run(m, &r);
        check(arg, &r);
    }
    m->revision += m->changing ? 1 : 0;
    return ST_OK;
}

enum status model_grant(struct model *m, int64_t id)
{
    if (granted(m, id)) {
        return ST_LEASE_EXISTS;
    }
    for (unsigned i = 0; i < MODEL_LEASES; i++) {
        if (m->leases[i] == 0) {
            m->leases[i] = id;
            return ST_OK;
        }
    }
    return ST_TOO_MANY;
}

struct model_item *model_lease_keys(const struct model *m, int64_t id,
                                    size_t *ret_count)
{
    static const uint8_t zero[1] = {0};
    const struct kv_keys all = {{zero, 1}, {zero, 1}};
    struct model_item *items = live(m, &all, INT64_MAX, ret_count);
    size_t kept = 0;
    for (size_t i = 0; i < *ret_count; i++) {
        if (items[i].version->lease == id) {
            items[kept++] = items[i];
        }
    }
    *ret_count = kept;
    return items;
}

enum status model_revoke(struct model *m, int64_t id, int64_t now)
{
    if (!granted(m, id)) {
        return ST_LEASE_NOT_FOUND;
    }
    size_t count;
    struct model_item *items = model_lease_keys(m, id, &count);
    m->now = now;
    m->changing = false;
    for (size_t i = 0; i < count; i++) {
        kill(m, items[i].key, BYTES_NONE);
    }
    free(items);
    m->revision += m->changing ? 1 : 0;
    for (unsigned i = 0; i < MODEL_LEASES; i++) {
        m->leases[i] = m->leases[i] == id ? 0 : m->leases[i];
    }
    return ST_OK;
}

enum status model_compact(struct model *m, int64_t revision)
{
    if (revision <= m->compact) {
        return ST_COMPACTED;
    }
    if (revision > m->revision) {
        return ST_FUTURE_REVISION;
    }
    m->compact = revision;
    return ST_OK;
}
