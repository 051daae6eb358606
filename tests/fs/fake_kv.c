/* The fake keystore. */

#include "tests/fs/fake_kv.h"

#include <stdlib.h>
#include <string.h>

#include "base/hmap.h"
#include "base/must.h"

#define TIME_NS 1700000000000000000LL

static struct bytes copy(struct bytes b)
{
    uint8_t *data = xmalloc(b.size);
    if (b.size > 0) {
        memcpy(data, b.data, b.size);
    }
    return (struct bytes){data, b.size};
}

static void release(struct bytes b)
{
    free((void *)(uintptr_t)b.data);
}

static void *arena(struct fake_kv *f, size_t size)
{
    if (f->arena_count == f->arena_capacity) {
        f->arena_capacity = f->arena_capacity * 2 + 16;
        f->arena = xrealloc(f->arena, f->arena_capacity * sizeof f->arena[0]);
    }
    return f->arena[f->arena_count++] = xcalloc(1, size);
}

static void arena_clear(struct fake_kv *f)
{
    while (f->arena_count > 0) {
        free(f->arena[--f->arena_count]);
    }
}

/* --- keys and versions --- */

/* The place of the first key >= key. */
static size_t find(const struct fake_kv *f, struct bytes key)
{
    size_t low = 0;
    size_t high = f->keys_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (bytes_compare(f->keys[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_in(struct bytes key, const struct kv_keys *keys)
{
    if (keys->end.size == 0) {
        return bytes_equal(key, keys->key);
    }
    const bool open = keys->end.size == 1 && keys->end.data[0] == 0;
    return bytes_compare(key, keys->key) >= 0 &&
           (open || bytes_compare(key, keys->end) < 0);
}

static const struct fake_version *version_at(const struct fake_key *k,
                                             int64_t revision)
{
    for (size_t i = k->count; i > 0; i--) {
        const struct fake_version *v = &k->versions[i - 1];
        if (revision <= 0 || v->mod_revision <= revision) {
            return v->deleted ? NULL : v;
        }
    }
    return NULL;
}

static struct fake_key *key_at(struct fake_kv *f, struct bytes key)
{
    const size_t at = find(f, key);
    if (at < f->keys_count && bytes_equal(f->keys[at]->key, key)) {
        return f->keys[at];
    }
    if (f->keys_count == f->keys_capacity) {
        f->keys_capacity = f->keys_capacity * 2 + 16;
        f->keys = xrealloc(f->keys, f->keys_capacity * sizeof f->keys[0]);
    }
    memmove(f->keys + at + 1, f->keys + at,
            (f->keys_count - at) * sizeof f->keys[0]);
    f->keys_count++;
    f->keys[at] = xcalloc(1, sizeof *f->keys[at]);
    f->keys[at]->key = copy(key);
    return f->keys[at];
}

static bool any_live_below(const struct fake_kv *f, struct bytes beginning,
                           struct bytes but)
{
    for (size_t i = find(f, beginning); i < f->keys_count; i++) {
        const struct fake_key *k = f->keys[i];
        if (!bytes_starts_with(k->key, beginning)) {
            return false;
        }
        if (!bytes_equal(k->key, but) && version_at(k, 0) != NULL) {
            return true;
        }
    }
    return false;
}

static uint32_t groups_alone_in(const struct fake_kv *f, struct bytes key)
{
    uint32_t count = 0;
    for (size_t size = key.size; size > 0; size--) {
        if (key.data[size - 1] == '/') {
            if (any_live_below(f, (struct bytes){key.data, size}, key)) {
                break;
            }
            count++;
        }
    }
    return count;
}

static struct fake_version *add_version(struct fake_key *k)
{
    if (k->count == k->capacity) {
        k->capacity = k->capacity * 2 + 1;
        k->versions =
            xrealloc(k->versions, k->capacity * sizeof k->versions[0]);
    }
    return &k->versions[k->count++];
}

static struct fake_event *add_event(struct fake_kv *f)
{
    if (f->events_count == f->events_capacity) {
        f->events_capacity = f->events_capacity * 2 + 16;
        f->events =
            xrealloc(f->events, f->events_capacity * sizeof f->events[0]);
    }
    f->events[f->events_count] = (struct fake_event){.revision = f->writing};
    return &f->events[f->events_count++];
}

/* --- leases --- */

static struct fake_lease *lease_of(struct fake_kv *f, int64_t id)
{
    for (size_t i = 0; i < FAKE_LEASES; i++) {
        if (f->leases[i].id == id) {
            return &f->leases[i];
        }
    }
    return NULL;
}

/* --- writing --- */

static void begin_write(struct fake_kv *f)
{
    if (f->writing == 0) {
        f->writing = f->status.header.revision + 1;
    }
}

static void end_write(struct fake_kv *f)
{
    if (f->writing != 0) {
        f->status.header.revision = f->writing;
        f->writing = 0;
        f->writes++;
    }
}

struct change {
    struct bytes key, value, moved_from;
    int64_t lease;
    const struct fake_version *moved; /* takes over its life */
    bool attrs_only;
};

static void write_put(struct fake_kv *f, const struct change *c)
{
    begin_write(f);
    const uint32_t alone = groups_alone_in(f, c->key);
    struct fake_key *k = key_at(f, c->key);
    const struct fake_version *old = version_at(k, 0);
    struct fake_version v = {.value = copy(c->value),
                             .mod_revision = f->writing,
                             .create_revision = f->writing,
                             .version = 1,
                             .lease = c->lease,
                             .ino = f->ino_next,
                             .mtime_ns = TIME_NS + f->writing * 1000};
    if (c->moved != NULL) {
        v.ino = c->moved->ino;
    } else if (old == NULL) {
        f->ino_next++;
    } else {
        v.create_revision = old->create_revision;
        v.version = old->version + 1;
        v.ino = old->ino;
    }
    const bool created = old == NULL;
    *add_version(k) = v;
    struct fake_event *e = add_event(f);
    e->type = KV_EVENT_PUT;
    e->key = copy(c->key);
    e->moved_from = copy(c->moved_from);
    e->version = v;
    e->groups_changed = created ? alone : 0;
    e->attrs_only = c->attrs_only;
}

static void write_delete(struct fake_kv *f, struct bytes key,
                         struct bytes moved_to)
{
    begin_write(f);
    struct fake_key *k = key_at(f, key);
    const struct fake_version *old = version_at(k, 0);
    must(old != NULL);
    const struct fake_version v = {.mod_revision = f->writing,
                                   .deleted = true,
                                   .ino = old->ino,
                                   .mtime_ns = TIME_NS + f->writing * 1000};
    *add_version(k) = v;
    struct fake_event *e = add_event(f);
    e->type = KV_EVENT_DELETE;
    e->key = copy(key);
    e->moved_to = copy(moved_to);
    e->version = v;
    e->groups_changed = groups_alone_in(f, key);
}

static int64_t do_delete(struct fake_kv *f, const struct kv_keys *keys)
{
    int64_t deleted = 0;
    for (size_t i = find(f, keys->key); i < f->keys_count; i++) {
        struct fake_key *k = f->keys[i];
        if (!is_in(k->key, keys)) {
            break;
        }
        if (version_at(k, 0) != NULL) {
            write_delete(f, k->key, BYTES_NONE);
            deleted++;
        }
    }
    return deleted;
}

static void move_one(struct fake_kv *f, struct bytes from, struct bytes to,
                     bool keep_target)
{
    const struct fake_version *v = version_at(key_at(f, from), 0);
    const struct fake_version source = *v;
    const struct fake_version *t = version_at(key_at(f, to), 0);
    const bool keep = keep_target && t != NULL && source.lease == 0;
    write_put(f, &(struct change){.key = to,
                                  .value = source.value,
                                  .moved_from = from,
                                  .lease = keep ? t->lease : source.lease,
                                  .moved = keep ? NULL : &source});
    write_delete(f, from, to);
}

static int64_t do_move(struct fake_kv *f, const struct kv_move *m)
{
    int64_t moved = 0;
    if (m->exchange) {
        const struct fake_version a = *version_at(key_at(f, m->from), 0);
        const struct fake_version b = *version_at(key_at(f, m->to), 0);
        write_put(f, &(struct change){.key = m->to,
                                      .value = a.value,
                                      .moved_from = m->from,
                                      .lease = a.lease,
                                      .moved = &a});
        write_put(f, &(struct change){.key = m->from,
                                      .value = b.value,
                                      .moved_from = m->to,
                                      .lease = b.lease,
                                      .moved = &b});
        return 2;
    }
    if (!m->prefix) {
        const struct fake_version *v = version_at(key_at(f, m->from), 0);
        if (v != NULL) {
            move_one(f, m->from, m->to, m->keep_target);
            moved = 1;
        }
        return moved;
    }
    for (size_t i = 0; i < f->keys_count; i++) {
        struct fake_key *k = f->keys[i];
        if (!bytes_starts_with(k->key, m->from) || version_at(k, 0) == NULL) {
            continue;
        }
        struct buf to = {.size = 0};
        buf_append(&to, m->to);
        buf_append(&to, bytes_after(k->key, m->from.size));
        const struct bytes from = k->key;
        move_one(f, from, buf_bytes(&to), false);
        buf_fini(&to);
        moved++;
        i = find(f, from); /* the keys may have shifted */
    }
    return moved;
}

/* --- reading --- */

static struct kv_item item_of(const struct fake_kv *f, struct bytes key,
                              const struct fake_version *v, bool keys_only)
{
    return (struct kv_item){.key = key,
                            .value = keys_only ? BYTES_NONE : v->value,
                            .value_size = v->value.size,
                            .create_revision = v->create_revision,
                            .mod_revision = v->mod_revision,
                            .version = v->version,
                            .lease = v->lease,
                            .ino = f->without_extensions ? 0 : v->ino,
                            .mtime_ns =
                                f->without_extensions ? 0 : v->mtime_ns};
}

/* The group that the key belongs to; empty: none. */
static struct bytes group_of(const struct kv_range_spec *spec, struct bytes key)
{
    for (size_t i = spec->group_from; spec->grouped && i < key.size; i++) {
        if (key.data[i] == '/') {
            return (struct bytes){key.data, i + 1};
        }
    }
    return BYTES_NONE;
}

static enum status do_range(struct fake_kv *f, const struct kv_range_spec *spec,
                            struct kv_range_result *ret)
{
    const int64_t now =
        f->writing != 0 ? f->writing : f->status.header.revision;
    if (spec->revision > now) {
        return ST_FUTURE_REVISION;
    }
    if (spec->revision > 0 && spec->revision < f->status.compact_revision) {
        return ST_COMPACTED;
    }
    struct kv_item *items = NULL;
    size_t count = 0;
    size_t capacity = 0;
    bool more = false;
    size_t i = find(f, spec->keys.key);
    while (i < f->keys_count && is_in(f->keys[i]->key, &spec->keys)) {
        const struct fake_key *k = f->keys[i++];
        const struct fake_version *v = version_at(k, spec->revision);
        if (v == NULL) {
            continue;
        }
        if (spec->limit > 0 && count == (size_t)spec->limit) {
            more = true;
            break;
        }
        if (count == capacity) {
            capacity = capacity * 2 + 4;
            items = xrealloc(items, capacity * sizeof items[0]);
        }
        const struct bytes group = group_of(spec, k->key);
        if (group.size == 0) {
            items[count++] = item_of(f, k->key, v, spec->keys_only);
            continue;
        }
        items[count] = (struct kv_item){.key = group, .group = true};
        if (!f->without_extensions) {
            items[count].ino = hash_bytes(group, 77) >> 2;
            items[count].mtime_ns = v->mtime_ns;
        }
        count++;
        struct buf after = {.size = 0};
        buf_append(&after, group);
        after.data[after.size - 1]++;
        i = find(f, buf_bytes(&after));
        buf_fini(&after);
    }
    if (count > 0) {
        struct kv_item *kept = arena(f, count * sizeof *kept);
        memcpy(kept, items, count * sizeof *kept);
        ret->items = kept;
    }
    free(items);
    ret->items_count = count;
    ret->count = (int64_t)count;
    ret->more = more;
    return ST_OK;
}

static bool holds_for(const struct kv_compare *c, const struct fake_version *v)
{
    static const struct fake_version none;
    if (c->target == KV_COMPARE_VALUE && v == NULL) {
        return false;
    }
    v = v == NULL ? &none : v;
    int order;
    if (c->target == KV_COMPARE_VALUE) {
        order = bytes_compare(v->value, c->value);
    } else {
        const int64_t number = c->target == KV_COMPARE_VERSION ? v->version
                               : c->target == KV_COMPARE_CREATE
                                   ? v->create_revision
                               : c->target == KV_COMPARE_MOD ? v->mod_revision
                                                             : v->lease;
        order = number < c->number ? -1 : number > c->number;
    }
    switch (c->result) {
    case KV_COMPARE_EQUAL:
        return order == 0;
    case KV_COMPARE_GREATER:
        return order > 0;
    case KV_COMPARE_LESS:
        return order < 0;
    case KV_COMPARE_NOT_EQUAL:
        return order != 0;
    }
    unreachable("compare result");
}

static bool holds(const struct fake_kv *f, const struct kv_compare *c)
{
    bool any = false;
    for (size_t i = find(f, c->keys.key);
         i < f->keys_count && is_in(f->keys[i]->key, &c->keys); i++) {
        const struct fake_version *v = version_at(f->keys[i], 0);
        if (v != NULL) {
            any = true;
            if (!holds_for(c, v)) {
                return false;
            }
        }
    }
    return any || holds_for(c, NULL);
}

static enum status do_branch(struct fake_kv *f, const struct kv_txn_spec *t,
                             struct kv_txn_result *ret);

static enum status do_op(struct fake_kv *f, const struct kv_op *op,
                         struct kv_op_result *ret)
{
    ret->type = op->type;
    switch (op->type) {
    case KV_OP_RANGE:
        return do_range(f, &op->range, &ret->range);
    case KV_OP_PUT: {
        int64_t lease = op->put.lease;
        const struct fake_version *old = fake_get_bytes(f, op->put.key);
        if (lease != 0 && lease_of(f, lease) == NULL) {
            return ST_LEASE_NOT_FOUND;
        }
        if (op->put.ignore_value && old == NULL) {
            return ST_KEY_NOT_FOUND;
        }
        if (op->put.keep_lease && old != NULL) {
            lease = old->lease;
        }
        write_put(f, &(struct change){.key = op->put.key,
                                      .value = op->put.ignore_value
                                                   ? old->value
                                                   : op->put.value,
                                      .lease = lease,
                                      .attrs_only = op->put.ignore_value});
        return ST_OK;
    }
    case KV_OP_DELETE_RANGE:
        ret->delete_range.deleted = do_delete(f, &op->delete_range.keys);
        return ST_OK;
    case KV_OP_MOVE:
        if (f->without_extensions) {
            return ST_UNSUPPORTED;
        }
        ret->move.moved = do_move(f, &op->move);
        return ST_OK;
    case KV_OP_TXN: {
        struct kv_txn_result *inner = arena(f, sizeof *inner);
        ret->txn = inner;
        return do_branch(f, op->txn, inner);
    }
    }
    return ST_UNSUPPORTED;
}

static enum status do_branch(struct fake_kv *f, const struct kv_txn_spec *t,
                             struct kv_txn_result *ret)
{
    bool succeeded = true;
    for (size_t i = 0; i < t->compares_count; i++) {
        succeeded = succeeded && holds(f, &t->compares[i]);
    }
    const struct kv_op *ops = succeeded ? t->success : t->failure;
    const size_t count = succeeded ? t->success_count : t->failure_count;
    struct kv_op_result *results = arena(f, (count + 1) * sizeof *results);
    for (size_t i = 0; i < count; i++) {
        const enum status st = do_op(f, &ops[i], &results[i]);
        if (st != ST_OK) {
            must(f->writing == 0); /* tests fail the first operation only */
            return st;
        }
    }
    *ret = (struct kv_txn_result){
        .succeeded = succeeded, .results = results, .results_count = count};
    return ST_OK;
}

/* What is moved may not move again, as the store refuses it: before anything
 * is done. */
static bool moves_into_itself(const struct kv_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct kv_move *m = &ops[i].move;
        if (ops[i].type == KV_OP_MOVE && m->prefix &&
            (bytes_starts_with(m->to, m->from) ||
             bytes_starts_with(m->from, m->to))) {
            return true;
        }
        const struct kv_txn_spec *inner = ops[i].txn;
        if (ops[i].type == KV_OP_TXN &&
            (moves_into_itself(inner->success, inner->success_count) ||
             moves_into_itself(inner->failure, inner->failure_count))) {
            return true;
        }
    }
    return false;
}

static enum status do_txn(struct fake_kv *f, struct kv_txn *t)
{
    if (moves_into_itself(t->spec.success, t->spec.success_count) ||
        moves_into_itself(t->spec.failure, t->spec.failure_count)) {
        return ST_INVALID;
    }
    const enum status st = do_branch(f, &t->spec, &t->result);
    if (st == ST_OK) {
        end_write(f);
    }
    return st;
}

/* --- requests --- */

static bool is_write(const struct kv_txn *t)
{
    for (size_t i = 0; i < t->spec.success_count; i++) {
        if (t->spec.success[i].type != KV_OP_RANGE) {
            return true;
        }
    }
    return t->spec.failure_count > 0 && t->spec.failure[0].type == KV_OP_TXN;
}

static void submit(struct fake_kv *f, struct kv_call *call, uint64_t kind)
{
    call->ticket = kind;
    call->status = ST_OK;
    f->asked++;
    list_push(&f->requests, &call->link);
}

static void ask_range(struct kv *kv, struct kv_range *range)
{
    struct fake_kv *f = container_of(kv, struct fake_kv, kv);
    const bool presumed = f->presumes && range->spec.may_presume;
    f->linearizable += range->spec.serializable || presumed ? 0 : 1;
    submit(f, &range->call, 0);
}

static void ask_txn(struct kv *kv, struct kv_txn *txn)
{
    struct fake_kv *f = container_of(kv, struct fake_kv, kv);
    f->linearizable +=
        is_write(txn) || !txn->spec.success[0].range.serializable ? 1 : 0;
    submit(f, &txn->call, 1);
}

static void ask_compact(struct kv *kv, struct kv_compact *compact)
{
    (void)kv;
    (void)compact;
    unreachable("the filesystem does not compact");
}

static void ask_lease(struct kv *kv, struct kv_lease *lease)
{
    struct fake_kv *f = container_of(kv, struct fake_kv, kv);
    lease->result = (struct kv_lease_result){0};
    submit(f, &lease->call, 2);
}

static enum status revoke(struct fake_kv *f, int64_t id)
{
    struct fake_lease *l = id == 0 ? NULL : lease_of(f, id);
    if (l == NULL) {
        return ST_LEASE_NOT_FOUND;
    }
    for (size_t i = 0; i < f->keys_count; i++) {
        const struct fake_version *v = version_at(f->keys[i], 0);
        if (v != NULL && v->lease == id) {
            write_delete(f, f->keys[i]->key, BYTES_NONE);
        }
    }
    end_write(f);
    *l = (struct fake_lease){0};
    return ST_OK;
}

static enum status grant(struct fake_kv *f, int64_t id, int64_t ttl_s,
                         struct kv_lease_result *ret)
{
    for (int64_t next = 0x1000; id == 0; next++) {
        id = lease_of(f, next) == NULL ? next : 0;
    }
    struct fake_lease *l = lease_of(f, 0);
    if (lease_of(f, id) != NULL) {
        return ST_LEASE_EXISTS;
    }
    if (l == NULL) {
        return ST_TOO_MANY;
    }
    *l = (struct fake_lease){id, ttl_s, ttl_s};
    *ret = (struct kv_lease_result){
        .id = id, .ttl_s = ttl_s, .granted_ttl_s = ttl_s};
    return ST_OK;
}

static void list_keys(struct fake_kv *f, int64_t id,
                      struct kv_lease_result *ret)
{
    struct bytes *keys = arena(f, (f->keys_count + 1) * sizeof *keys);
    for (size_t i = 0; i < f->keys_count; i++) {
        const struct fake_version *v = version_at(f->keys[i], 0);
        if (v != NULL && v->lease == id) {
            keys[ret->keys_count++] = f->keys[i]->key;
        }
    }
    ret->keys = keys;
}

static enum status do_lease(struct fake_kv *f, struct kv_lease *lease)
{
    struct kv_lease_result *r = &lease->result;
    struct fake_lease *l = lease->id == 0 ? NULL : lease_of(f, lease->id);
    switch (lease->op) {
    case KV_LEASE_GRANT:
        return grant(f, lease->id, lease->ttl_s, r);
    case KV_LEASE_REVOKE:
        return revoke(f, lease->id);
    case KV_LEASE_KEEPALIVE:
        if (l != NULL) {
            l->left_s = r->ttl_s = l->ttl_s;
            f->renewals++;
        }
        return ST_OK;
    case KV_LEASE_TTL:
        r->ttl_s = l == NULL ? -1 : l->left_s;
        r->granted_ttl_s = l == NULL ? 0 : l->ttl_s;
        if (l != NULL && lease->with_keys) {
            list_keys(f, lease->id, r);
        }
        return ST_OK;
    case KV_LEASE_LIST: {
        int64_t *ids = arena(f, FAKE_LEASES * sizeof *ids);
        for (size_t i = 0; i < FAKE_LEASES; i++) {
            if (f->leases[i].id != 0) {
                ids[r->ids_count++] = f->leases[i].id;
            }
        }
        r->ids = ids;
        return ST_OK;
    }
    }
    return ST_INVALID;
}

static void cancel(struct kv *kv, struct kv_call *call)
{
    struct fake_kv *f = container_of(kv, struct fake_kv, kv);
    f->cancelled++;
    call->status = ST_CANCELED;
}

static void watch(struct kv *kv, struct kv_watch *w)
{
    struct fake_kv *f = container_of(kv, struct fake_kv, kv);
    w->next_revision = w->start_revision > 0 ? w->start_revision
                                             : f->status.header.revision + 1;
    list_push(&f->watches, &w->link);
}

static void unwatch(struct kv *kv, struct kv_watch *w)
{
    (void)kv;
    list_remove(&w->link);
}

static int64_t watched(struct kv *kv, const struct kv_watch *w)
{
    (void)kv;
    return w->next_revision - 1;
}

static void status(struct kv *kv, struct kv_status *ret)
{
    *ret = container_of(kv, struct fake_kv, kv)->status;
}

bool fake_kv_answer_one(struct fake_kv *f)
{
    struct list *at = list_pop(&f->requests);
    if (at == NULL) {
        return false;
    }
    struct kv_call *call = container_of(at, struct kv_call, link);
    if (call->status == ST_OK && f->fail != ST_OK) {
        call->status = f->fail;
    }
    if (call->status == ST_OK && call->ticket == 0) {
        struct kv_range *r = container_of(call, struct kv_range, call);
        call->status = do_range(f, &r->spec, &r->result);
        r->result.presumed = f->presumes && r->spec.may_presume;
    } else if (call->status == ST_OK && call->ticket == 2) {
        call->status = do_lease(f, container_of(call, struct kv_lease, call));
    } else if (call->status == ST_OK) {
        struct kv_txn *t = container_of(call, struct kv_txn, call);
        void (*before)(struct fake_kv *) = f->before_txn;
        if (before != NULL && is_write(t)) {
            f->before_txn = NULL;
            before(f);
        }
        call->status = do_txn(f, t);
        if (is_write(t) && f->lies > 0) {
            f->lies--;
            call->status = f->lie;
        }
    }
    call->header = f->status.header;
    call->done(call);
    arena_clear(f);
    return true;
}

size_t fake_kv_waiting(const struct fake_kv *f)
{
    size_t count = 0;
    list_each (at, &f->requests) {
        count++;
    }
    return count;
}

/* Gives a watch the events of its next revision that has any. */
static bool deliver_one(struct fake_kv *f, struct kv_watch *w)
{
    if (w->next_revision > f->status.header.revision) {
        return false;
    }
    size_t count = 0;
    const int64_t revision = w->next_revision++;
    size_t low = 0;
    size_t high = f->events_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (f->events[middle].revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    high = low;
    while (high < f->events_count && f->events[high].revision == revision) {
        high++;
    }
    struct kv_event *events = xcalloc(high - low + 1, sizeof *events);
    for (size_t i = low; i < high; i++) {
        const struct fake_event *e = &f->events[i];
        if (is_in(e->key, &w->keys)) {
            events[count++] = (struct kv_event){
                .type = e->type,
                .item = item_of(f, e->key, &e->version, false),
                .moved_from = e->moved_from,
                .moved_to = e->moved_to,
                .groups_changed = e->groups_changed,
                .attrs_only = e->attrs_only};
        }
    }
    if (count > 0) {
        struct kv_header header = f->status.header;
        header.revision = revision;
        w->on_events(w, events, count, header);
    }
    free(events);
    return true;
}

bool fake_kv_pump(struct fake_kv *f)
{
    bool any = false;
    size_t left = fake_kv_waiting(f);
    struct list later;
    list_init(&later);
    while (left-- > 0) {
        struct kv_call *call =
            container_of(f->requests.next, struct kv_call, link);
        if (f->hold && call->status == ST_OK) {
            list_remove(&call->link);
            list_push(&later, &call->link);
            continue;
        }
        any = fake_kv_answer_one(f) || any;
    }
    list_splice(&later, &f->requests);
    list_splice(&f->requests, &later);
    for (bool more = !f->hold_events; more;) {
        more = false;
        list_each_safe (at, &f->watches) {
            struct kv_watch *w = container_of(at, struct kv_watch, link);
            more = deliver_one(f, w) || more;
        }
        any = any || more;
    }
    return any;
}

/* --- the test's side --- */

void fake_kv_init(struct fake_kv *f)
{
    static const struct kv_ops ops = {.range = ask_range,
                                      .txn = ask_txn,
                                      .compact = ask_compact,
                                      .lease = ask_lease,
                                      .cancel = cancel,
                                      .watch = watch,
                                      .unwatch = unwatch,
                                      .watched = watched,
                                      .status = status};
    *f = (struct fake_kv){.kv.ops = &ops, .ino_next = 1000};
    f->status = (struct kv_status){.header = {.cluster_id = 0xc1,
                                              .member_id = 0xa1,
                                              .revision = 1,
                                              .raft_term = 3},
                                   .leader = 0xa1,
                                   .writable = true,
                                   .size_bytes = 1 << 20,
                                   .used_bytes = 1 << 19,
                                   .quota_bytes = 1 << 30,
                                   .log_bytes = 1 << 27,
                                   .log_entries = 5077,
                                   .keys_count = 3,
                                   .request_bytes_max = 1536 * 1024};
    list_init(&f->requests);
    list_init(&f->watches);
}

void fake_kv_fini(struct fake_kv *f)
{
    for (size_t i = 0; i < f->keys_count; i++) {
        struct fake_key *k = f->keys[i];
        for (size_t j = 0; j < k->count; j++) {
            release(k->versions[j].value);
        }
        free(k->versions);
        release(k->key);
        free(k);
    }
    for (size_t i = 0; i < f->events_count; i++) {
        release(f->events[i].key);
        release(f->events[i].moved_from);
        release(f->events[i].moved_to);
    }
    arena_clear(f);
    free(f->arena);
    free(f->keys);
    free(f->events);
}

int64_t fake_put_bytes(struct fake_kv *f, struct bytes key, struct bytes value)
{
    write_put(f, &(struct change){.key = key, .value = value});
    end_write(f);
    return f->status.header.revision;
}

int64_t fake_put(struct fake_kv *f, const char *key, const char *value)
{
    return fake_put_bytes(f, bytes_of(key), bytes_of(value));
}

int64_t fake_put_lease(struct fake_kv *f, const char *key, const char *value,
                       int64_t lease)
{
    write_put(f, &(struct change){.key = bytes_of(key),
                                  .value = bytes_of(value),
                                  .lease = lease});
    end_write(f);
    return f->status.header.revision;
}

int64_t fake_delete(struct fake_kv *f, const char *key)
{
    (void)do_delete(f, &(struct kv_keys){.key = bytes_of(key)});
    end_write(f);
    return f->status.header.revision;
}

int64_t fake_move(struct fake_kv *f, const char *from, const char *to,
                  bool prefix, bool keep_target)
{
    (void)do_move(f, &(struct kv_move){.from = bytes_of(from),
                                       .to = bytes_of(to),
                                       .prefix = prefix,
                                       .keep_target = keep_target});
    end_write(f);
    return f->status.header.revision;
}

int64_t fake_exchange(struct fake_kv *f, const char *a, const char *b)
{
    (void)do_move(f, &(struct kv_move){.from = bytes_of(a),
                                       .to = bytes_of(b),
                                       .exchange = true});
    end_write(f);
    return f->status.header.revision;
}

void fake_miss(struct fake_kv *f)
{
    list_each_safe (at, &f->watches) {
        struct kv_watch *w = container_of(at, struct kv_watch, link);
        list_remove(at);
        w->on_end(w, ST_COMPACTED, f->status.header.revision + 1);
    }
}

const struct fake_version *fake_get_bytes(const struct fake_kv *f,
                                          struct bytes key)
{
    const size_t at = find(f, key);
    if (at == f->keys_count || !bytes_equal(f->keys[at]->key, key)) {
        return NULL;
    }
    return version_at(f->keys[at], 0);
}

const struct fake_version *fake_get(const struct fake_kv *f, const char *key)
{
    return fake_get_bytes(f, bytes_of(key));
}

void fake_grant(struct fake_kv *f, int64_t id, int64_t ttl_s)
{
    struct kv_lease_result result;
    must(grant(f, id, ttl_s, &result) == ST_OK);
}

enum status fake_revoke(struct fake_kv *f, int64_t id)
{
    return revoke(f, id);
}
