/* Leases: what the log does to them, and what is asked about them. */

#include "store/lease.h"

#include "base/codec.h"
#include "base/must.h"

/* What a lease costs of the quota (etcd's figure). */
#define ROOM_OF_LEASE 64u

static void set_row(struct store *s, int64_t id, const struct lease_row *l)
{
    uint8_t name[LEASE_NAME_SIZE];
    lease_name_write(name, id);
    memtable_set_lease(s->active, (struct bytes){name, sizeof name}, l);
}

static void set_key(struct store *s, int64_t id, struct bytes key, bool live)
{
    const struct lease_row l = {.live = live, .is_key = true};
    struct buf name = {0};
    lease_name_write(buf_extend(&name, LEASE_NAME_SIZE), id);
    buf_append(&name, key);
    memtable_set_lease(s->active, buf_bytes(&name), &l);
    buf_fini(&name);
}

void lease_change(struct apply *a, struct bytes key, int64_t from, int64_t to)
{
    if (from == to) {
        return;
    }
    if (from != 0) {
        set_key(a->s, from, key, false);
    }
    if (to != 0) {
        set_key(a->s, to, key, true);
    }
}

/* --- commands --- */

enum status lease_apply_grant(struct store *s, const struct command *c,
                              struct store_outcome *ret, struct fault *reterr)
{
    const struct store_lease *lease = &c->lease;
    if (lease->id == 0 || lease->ttl_s < 1) {
        ret->status = ST_INVALID;
        return ST_OK;
    }
    if (lease->ttl_s > KV_LEASE_TTL_MAX) {
        ret->status = ST_LEASE_TTL_TOO_LARGE;
        return ST_OK;
    }
    struct lease_row row;
    const enum status st = lease_find(s, lease->id, &row, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (row.live) {
        ret->status = ST_LEASE_EXISTS;
        return ST_OK;
    }
    row = (struct lease_row){.live = true, .ttl_s = lease->ttl_s};
    set_row(s, lease->id, &row);
    s->state.numbers.leases_count++;
    ret->lease_change = STORE_LEASE_GRANTED;
    ret->lease_id = lease->id;
    ret->lease_ttl_s = lease->ttl_s;
    return ST_OK;
}

/* The attached keys, borrowed from memtables and map. */
static enum status list_keys(const struct store *s, int64_t id,
                             struct arena *arena, struct bytes **ret,
                             size_t *ret_count, struct fault *reterr)
{
    uint8_t bytes[LEASE_NAME_SIZE];
    lease_name_write(bytes, id);
    const struct bytes prefix = {bytes, sizeof bytes};
    struct lease_scan scan = {0};
    struct lease_row l;
    struct bytes name;
    struct buf list = {0};
    bool found = true;
    enum status st = lease_scan_open(&scan, s, prefix, reterr);
    while (st == ST_OK && found) {
        st = lease_scan_next(&scan, &found, &name, &l, reterr);
        if (st != ST_OK || !found || !bytes_starts_with(name, prefix)) {
            break;
        }
        if (name.size > prefix.size) {
            const struct bytes key = bytes_after(name, prefix.size);
            buf_append(&list,
                       (struct bytes){(const uint8_t *)&key, sizeof key});
        }
    }
    lease_scan_close(&scan);
    if (st == ST_OK) {
        *ret_count = list.size / sizeof(struct bytes);
        *ret = arena_get(arena, list.size);
        if (list.size > 0) {
            memcpy(*ret, list.data, list.size);
        }
    }
    buf_fini(&list);
    return st;
}

/* One attached key. */
static enum status delete_key(struct apply *a, int64_t id, struct bytes key)
{
    struct version live;
    bool found;
    const enum status st =
        find_live(a->s, key, a->revision, &found, &live, a->reterr);
    if (st != ST_OK) {
        return st;
    }
    if (!found || live.lease != id) {
        return fault_set(a->reterr, ST_CORRUPT,
                         "the store is damaged: a key (%zu bytes) is listed "
                         "with lease %llx, which it does not have; restore "
                         "this member from a peer or a backup",
                         key.size, (unsigned long long)id);
    }
    return change_delete(a, key, &live, BYTES_NONE);
}

enum status lease_apply_revoke(struct store *s, const struct command *c,
                               uint64_t term, struct store_outcome *ret,
                               struct fault *reterr)
{
    const int64_t id = c->lease.id;
    if (c->lease_term != 0 && c->lease_term != term) {
        ret->status = ST_NOT_LEADER;
        return ST_OK;
    }
    struct lease_row row;
    enum status st = lease_find(s, id, &row, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (!row.live) {
        ret->status = ST_LEASE_NOT_FOUND;
        return ST_OK;
    }
    struct apply a = {.s = s,
                      .arena = &s->outcome_arena,
                      .time_ns = c->stamp.time_ns,
                      .revision = s->state.numbers.revision + 1,
                      .reterr = reterr};
    struct bytes *keys;
    size_t count;
    st = list_keys(s, id, a.arena, &keys, &count, reterr);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = delete_key(&a, id, keys[i]);
    }
    if (st != ST_OK) {
        return st;
    }
    if (a.sub > 0) {
        s->state.numbers.revision = a.revision;
    }
    row.live = false;
    set_row(s, id, &row);
    must(s->state.numbers.leases_count > 0);
    s->state.numbers.leases_count--;
    ret->lease_change = STORE_LEASE_REVOKED;
    ret->lease_id = id;
    return ST_OK;
}

enum status lease_apply_checkpoint(struct store *s, const struct command *c,
                                   uint64_t term, struct store_outcome *ret,
                                   struct fault *reterr)
{
    struct state_numbers *n = &s->state.numbers;
    if (c->lease_term != term) {
        ret->status = ST_NOT_LEADER;
        return ST_OK;
    }
    if (c->lease_clock_ms > n->lease_clock_ms) {
        n->lease_clock_ms = c->lease_clock_ms;
    }
    for (size_t i = 0; i < c->leases_count; i++) {
        struct lease_row row;
        const enum status st = lease_find(s, c->leases[i].id, &row, reterr);
        if (st != ST_OK) {
            return st;
        }
        if (row.live && row.deadline_ms != c->leases[i].deadline_ms) {
            row.deadline_ms = c->leases[i].deadline_ms;
            set_row(s, c->leases[i].id, &row);
        }
    }
    ret->lease_change = STORE_LEASE_CHECKPOINT;
    return ST_OK;
}

/* --- questions --- */

int64_t store_lease_clock_ms(const struct store *s)
{
    return s->state.numbers.lease_clock_ms;
}

uint64_t store_leases_count(const struct store *s)
{
    return s->state.numbers.leases_count;
}

enum status store_check_room_for_lease(const struct store *s)
{
    struct store_stats stats;
    store_stats(s, &stats);
    return stats.used_bytes + ROOM_OF_LEASE > stats.quota_bytes ? ST_NO_SPACE
                                                                : ST_OK;
}

enum status store_lease(const struct store *s, int64_t id, bool *ret_found,
                        struct store_lease *ret, struct fault *reterr)
{
    struct lease_row row;
    const enum status st = lease_find(s, id, &row, reterr);
    if (st == ST_OK) {
        *ret_found = row.live;
        *ret = (struct store_lease){
            .id = id, .ttl_s = row.ttl_s, .deadline_ms = row.deadline_ms};
    }
    return st;
}

enum status store_leases(const struct store *s, int64_t id,
                         struct store_lease *list, size_t count_max,
                         size_t *ret_count, struct fault *reterr)
{
    uint8_t from[LEASE_NAME_SIZE];
    lease_name_write(from, id);
    struct lease_scan scan = {0};
    struct lease_row l;
    struct bytes name;
    bool found = true;
    size_t count = 0;
    enum status st =
        lease_scan_open(&scan, s, (struct bytes){from, sizeof from}, reterr);
    while (st == ST_OK && count < count_max) {
        st = lease_scan_next(&scan, &found, &name, &l, reterr);
        if (st != ST_OK || !found) {
            break;
        }
        const uint64_t at = get_u64_be(name.data);
        if (!l.is_key) {
            list[count++] = (struct store_lease){.id = (int64_t)at,
                                                 .ttl_s = l.ttl_s,
                                                 .deadline_ms = l.deadline_ms};
            continue;
        }
        if (at == UINT64_MAX) {
            break;
        }
        lease_name_write(from, (int64_t)(at + 1)); /* past its keys */
        st = lease_scan_seek(&scan, (struct bytes){from, sizeof from}, reterr);
    }
    lease_scan_close(&scan);
    *ret_count = count;
    return st;
}

enum status store_lease_keys(const struct store *s, int64_t id,
                             struct store_results *r, const struct bytes **ret,
                             size_t *ret_count, struct fault *reterr)
{
    struct bytes *keys;
    const enum status st =
        list_keys(s, id, &r->arena, &keys, ret_count, reterr);
    if (st == ST_OK) {
        *ret = keys;
    }
    return st;
}
