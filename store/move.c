/* Moves: one key, a prefix, or two keys that change places.
 *
 * A move is a put of the new name and a delete of the old one, in this order,
 * so that directories on the way are not taken for empty.  What goes along:
 * value, attributes, lease, and the identity (ino).  The exception is a
 * directory's marker that moves alone while its directory stays: the identity
 * is the directory's, and stays too.
 */

#include "base/must.h"
#include "store/apply.h"
#include "store/lease.h"

/* All keys that begin with `from`. */
static struct kv_keys source_keys(const struct kv_move *m, struct arena *arena)
{
    return (struct kv_keys){.key = m->from, .end = prefix_end(arena, m->from)};
}

static enum status must_exist(const struct store *s, struct bytes key,
                              bool *ret_broken, struct fault *reterr)
{
    struct version v;
    bool found;
    const enum status st =
        find_live(s, key, s->state.numbers.revision, &found, &v, reterr);
    if (st != ST_OK) {
        *ret_broken = true;
        return st;
    }
    return found ? ST_OK : ST_KEY_NOT_FOUND;
}

enum status move_validate(const struct store *s, const struct kv_move *m,
                          bool *ret_broken, struct fault *reterr)
{
    if (bytes_equal(m->from, m->to)) {
        return ST_OK;
    }
    if (m->exchange) {
        const enum status st = must_exist(s, m->from, ret_broken, reterr);
        return st == ST_OK ? must_exist(s, m->to, ret_broken, reterr) : st;
    }
    if (m->to.size > KEY_SIZE_MAX) {
        return ST_TOO_LARGE;
    }
    if (!m->prefix) {
        return ST_OK;
    }
    struct arena arena = {0};
    const struct kv_range_spec spec = {.keys = source_keys(m, &arena),
                                       .keys_only = true,
                                       .limit = KV_MOVE_KEYS_MAX + 1,
                                       .count_bounded = true};
    struct kv_range_result found;
    enum status st = range_run(s, &spec, s->state.numbers.revision, &arena,
                               false, &found, reterr);
    *ret_broken = st != ST_OK;
    if (st == ST_OK && found.items_count > KV_MOVE_KEYS_MAX) {
        st = ST_TOO_MANY_OPS;
    }
    for (size_t i = 0; st == ST_OK && i < found.items_count; i++) {
        const size_t rest = found.items[i].key.size - m->from.size;
        if (m->to.size + rest > KEY_SIZE_MAX) {
            st = ST_TOO_LARGE;
        }
    }
    arena_fini(&arena);
    return st;
}

/* Whether the key's identity can leave with it. */
static enum status ino_leaves(struct apply *a, struct bytes key, bool *ret)
{
    *ret = true;
    if (!key_is_marker(key) || a->moving != NULL) {
        return ST_OK;
    }
    struct group g;
    const enum status st = find_group(a->s, key, &g, a->reterr);
    *ret = st == ST_OK && g.entries == 0;
    return st;
}

/* The version at the target; `target` is NULL when nothing is there. */
static struct version moved_version(const struct apply *a,
                                    const struct version *source,
                                    const struct version *target, bool keep,
                                    struct bytes from)
{
    struct version v = *source;
    v.attrs_only = false;
    v.groups_changed = 0;
    v.moved = true;
    v.other = from;
    v.create_revision = a->revision;
    v.version = 1;
    v.mtime_ns = apply_time_after(a, source->mtime_ns);
    if (target != NULL && target->mtime_ns >= v.mtime_ns) {
        v.mtime_ns = apply_time_after(a, target->mtime_ns);
    }
    if (keep) {
        v.lease = target->lease;
        v.create_revision = target->create_revision;
        v.version = target->version + 1;
        v.ino = target->ino;
    }
    return v;
}

/* A marker that arrives where a directory is: as groups_add() would, but the
 * key was live already. */
static enum status adopt_ino(struct apply *a, struct bytes key,
                             struct version *v)
{
    if (!key_is_marker(key)) {
        return ST_OK;
    }
    struct group g;
    const enum status st = find_group(a->s, key, &g, a->reterr);
    if (st != ST_OK) {
        return st;
    }
    must(g.live);
    if (v->ino == 0) {
        v->ino = g.ino;
    }
    if (g.ino != v->ino) {
        g.ino = v->ino;
        memtable_set_group(a->s->active, key, &g);
    }
    return ST_OK;
}

/* `target` is what stands there and is replaced; NULL: nothing. */
static enum status place(struct apply *a, struct bytes key, struct version *v,
                         const struct version *target)
{
    enum status st;
    if (target != NULL) {
        st = adopt_ino(a, key, v);
        if (st == ST_OK) {
            st = groups_touch(a, key);
        }
        if (v->ino == 0) {
            v->ino = a->s->state.numbers.ino_next++;
        }
    } else {
        st = groups_add(a, key, v->ino, &v->ino, &v->groups_changed);
        a->s->state.numbers.keys_count++;
    }
    if (st == ST_OK) {
        lease_change(a, key, target != NULL ? target->lease : 0, v->lease);
        change_record(a, key, v);
    }
    return st;
}

static enum status move_key(struct apply *a, struct bytes from, struct bytes to,
                            bool keep_target, bool *ret_moved)
{
    struct version source, target;
    bool found, replaces, leaves;
    *ret_moved = false;
    enum status st =
        find_live(a->s, from, a->revision, &found, &source, a->reterr);
    if (st != ST_OK || !found) {
        return st;
    }
    st = version_check(from, &source, a->reterr);
    if (st == ST_OK) {
        st = find_live(a->s, to, a->revision, &replaces, &target, a->reterr);
    }
    if (st == ST_OK) {
        st = ino_leaves(a, from, &leaves);
    }
    if (st != ST_OK) {
        return st;
    }
    const bool keep = keep_target && replaces && source.lease == 0;
    struct version v =
        moved_version(a, &source, replaces ? &target : NULL, keep, from);
    if (!keep && !leaves) {
        v.ino = 0;
    }
    st = place(a, to, &v, replaces ? &target : NULL);
    if (st == ST_OK) {
        st = change_delete(a, from, &source, to);
    }
    *ret_moved = st == ST_OK;
    return st;
}

/* One side of an exchange: what `from` had comes to `to`. */
static enum status exchange_side(struct apply *a, struct bytes from,
                                 const struct version *source, struct bytes to,
                                 const struct version *target)
{
    struct version v = moved_version(a, source, target, false, from);
    if (key_is_marker(from) || key_is_marker(to)) {
        v.ino = target->ino; /* a directory's identity stays with its name */
    }
    return place(a, to, &v, target);
}

static enum status exchange(struct apply *a, const struct kv_move *m)
{
    struct version x, y;
    bool found_x, found_y;
    enum status st =
        find_live(a->s, m->from, a->revision, &found_x, &x, a->reterr);
    if (st == ST_OK) {
        st = find_live(a->s, m->to, a->revision, &found_y, &y, a->reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    must(found_x); /* validated */
    must(found_y);
    st = version_check(m->from, &x, a->reterr);
    if (st == ST_OK) {
        st = version_check(m->to, &y, a->reterr);
    }
    if (st == ST_OK) {
        st = exchange_side(a, m->from, &x, m->to, &y);
    }
    return st == ST_OK ? exchange_side(a, m->to, &y, m->from, &x) : st;
}

static enum status move_prefix(struct apply *a, const struct kv_move *m,
                               int64_t *ret_moved)
{
    const struct kv_keys keys = source_keys(m, a->arena);
    struct bytes *list;
    size_t count;
    enum status st = change_list(a, &keys, &list, &count);
    if (st != ST_OK) {
        return st;
    }
    struct buf to = {0};
    a->moving = m;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        bool moved;
        buf_clear(&to);
        buf_append(&to, m->to);
        buf_append(&to, bytes_after(list[i], m->from.size));
        st = move_key(a, list[i], buf_bytes(&to), false, &moved);
    }
    a->moving = NULL;
    buf_fini(&to);
    *ret_moved = (int64_t)count;
    return st;
}

enum status move_run(struct apply *a, const struct kv_move *m,
                     int64_t *ret_moved)
{
    *ret_moved = 0;
    if (bytes_equal(m->from, m->to)) {
        return ST_OK;
    }
    if (m->exchange) {
        *ret_moved = 2;
        return exchange(a, m);
    }
    if (m->prefix) {
        return move_prefix(a, m, ret_moved);
    }
    bool moved;
    const enum status st = move_key(a, m->from, m->to, m->keep_target, &moved);
    *ret_moved = moved ? 1 : 0;
    return st;
}
