/* Puts and deletes: the new versions they make. */

#include "base/must.h"
#include "store/apply.h"
#include "store/lease.h"

void change_record(struct apply *a, struct bytes key, struct version *v)
{
    must(a->sub < UINT32_MAX);
    v->mod_revision = a->revision;
    v->sub = a->sub++;
    memtable_add(a->s->active, key, v);
}

/* The put's version on top of the one before it (NULL: a new key). */
static struct version put_version(const struct apply *a,
                                  const struct kv_put *put,
                                  const struct version *prev)
{
    struct version v = {
        .create_revision = prev == NULL ? a->revision : prev->create_revision,
        .version = prev == NULL ? 1 : prev->version + 1,
        .lease = put->lease,
        .value = put->value,
        .attrs = put->attrs,
        .mtime_ns = a->time_ns,
    };
    if (prev != NULL) {
        v.mtime_ns = apply_time_after(a, prev->mtime_ns);
        v.ino = prev->ino;
        v.attrs_only = put->ignore_value;
        if (put->ignore_value) {
            v.value = prev->value;
        }
        if (put->ignore_lease || put->keep_lease) {
            v.lease = prev->lease;
        }
        if (!put->set_attrs) {
            v.attrs = prev->attrs;
        }
    }
    return v;
}

enum status change_put(struct apply *a, const struct kv_put *put,
                       const struct kv_item **ret_prev)
{
    struct version prev;
    bool found;
    *ret_prev = NULL;
    enum status st =
        find_live(a->s, put->key, a->revision, &found, &prev, a->reterr);
    if (st == ST_OK && found && (put->prev_kv || put->ignore_value)) {
        st = version_check(put->key, &prev, a->reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    must(found || !(put->ignore_value || put->ignore_lease)); /* validated */
    if (found && put->prev_kv) {
        struct kv_item *item = arena_get(a->arena, sizeof *item);
        st =
            item_of_version(a->arena, put->key, &prev,
                            (struct item_shape){.copy = true}, item, a->reterr);
        *ret_prev = item;
    }
    struct version v = put_version(a, put, found ? &prev : NULL);
    if (st == ST_OK && !found) {
        st = groups_add(a, put->key, 0, &v.ino, &v.groups_changed);
    }
    if (st == ST_OK) {
        lease_change(a, put->key, found ? prev.lease : 0, v.lease);
        a->s->state.numbers.keys_count += found ? 0 : 1;
        change_record(a, put->key, &v);
    }
    return st;
}

enum status change_delete(struct apply *a, struct bytes key,
                          const struct version *live, struct bytes moved_to)
{
    struct version v = {
        .tombstone = true,
        .ino = live->ino,
        .mtime_ns = apply_time_after(a, live->mtime_ns),
        .moved = moved_to.size > 0,
        .other = moved_to,
    };
    const enum status st = groups_remove(a, key, &v.groups_changed);
    if (st == ST_OK) {
        must(a->s->state.numbers.keys_count > 0);
        a->s->state.numbers.keys_count--;
        lease_change(a, key, live->lease, 0);
        change_record(a, key, &v);
    }
    return st;
}

enum status change_list(const struct apply *a, const struct kv_keys *keys,
                        struct bytes **ret, size_t *ret_count)
{
    const struct kv_range_spec spec = {.keys = *keys, .keys_only = true};
    struct kv_range_result found;
    const enum status st =
        range_run(a->s, &spec, a->revision, a->arena, false, &found, a->reterr);
    if (st != ST_OK) {
        return st;
    }
    struct bytes *list = arena_get(a->arena, found.items_count * sizeof *list);
    for (size_t i = 0; i < found.items_count; i++) {
        list[i] = found.items[i].key;
    }
    *ret = list;
    *ret_count = found.items_count;
    return ST_OK;
}

enum status change_delete_range(struct apply *a,
                                const struct kv_delete_range *d,
                                struct kv_op_result *ret)
{
    struct bytes *keys;
    size_t count;
    enum status st = change_list(a, &d->keys, &keys, &count);
    if (st != ST_OK) {
        return st;
    }
    struct kv_item *prevs = NULL;
    if (d->prev_kv && count > 0) {
        prevs = arena_get(a->arena, count * sizeof *prevs);
    }
    for (size_t i = 0; i < count; i++) {
        struct version live;
        bool found;
        st = find_live(a->s, keys[i], a->revision, &found, &live, a->reterr);
        if (st == ST_OK && prevs != NULL) {
            st = item_of_version(a->arena, keys[i], &live,
                                 (struct item_shape){.copy = true}, &prevs[i],
                                 a->reterr);
        }
        if (st == ST_OK) {
            must(found);
            st = change_delete(a, keys[i], &live, BYTES_NONE);
        }
        if (st != ST_OK) {
            return st;
        }
    }
    ret->delete_range.deleted = (int64_t)count;
    ret->delete_range.prevs = prevs;
    return ST_OK;
}
