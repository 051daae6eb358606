/* Encoding and decoding of commands.
 *
 * The decoder takes nothing for granted: counts are bounded by the bytes that
 * are left before anything is allocated for them, nesting by KV_TXN_DEPTH_MAX,
 * unknown flags, types and trailing bytes are refused.
 */

#include "store/command.h"

#include "base/codec.h"
#include "base/must.h"

#define COMMAND_FORMAT 1

/* --- writing --- */

static void write_stamp(struct buf *to, enum command_type type,
                        const struct store_stamp *stamp)
{
    write_u8(to, COMMAND_FORMAT);
    write_u8(to, (uint8_t)type);
    write_svarint(to, stamp->time_ns);
    write_varint(to, stamp->ticket);
    write_varint(to, stamp->member);
}

static void write_keys(struct buf *to, const struct kv_keys *k)
{
    write_sized(to, k->key);
    write_sized(to, k->end);
}

static unsigned bit(bool set, unsigned place)
{
    return set ? 1u << place : 0u;
}

static void write_range(struct buf *to, const struct kv_range_spec *r)
{
    write_keys(to, &r->keys);
    write_u8(to, (uint8_t)(bit(r->keys_only, 0) | bit(r->count_only, 1) |
                           bit(r->serializable, 2) | bit(r->grouped, 3) |
                           bit(r->count_bounded, 4)));
    write_u8(to, (uint8_t)r->sort_order);
    write_u8(to, (uint8_t)r->sort_target);
    write_svarint(to, r->limit);
    write_svarint(to, r->revision);
    write_svarint(to, r->min_mod_revision);
    write_svarint(to, r->max_mod_revision);
    write_svarint(to, r->min_create_revision);
    write_svarint(to, r->max_create_revision);
    write_varint(to, r->group_from);
}

static void write_put(struct buf *to, const struct kv_put *p)
{
    write_sized(to, p->key);
    write_sized(to, p->value);
    write_u8(to, (uint8_t)(bit(p->prev_kv, 0) | bit(p->ignore_value, 1) |
                           bit(p->ignore_lease, 2) | bit(p->keep_lease, 3) |
                           bit(p->set_attrs, 4)));
    write_svarint(to, p->lease);
    if (p->set_attrs) {
        write_sized(to, p->attrs);
    }
}

static void write_move(struct buf *to, const struct kv_move *m)
{
    write_sized(to, m->from);
    write_sized(to, m->to);
    write_u8(to, (uint8_t)(bit(m->prefix, 0) | bit(m->keep_target, 1) |
                           bit(m->exchange, 2)));
}

static void write_compare(struct buf *to, const struct kv_compare *c)
{
    write_keys(to, &c->keys);
    write_u8(to, (uint8_t)c->target);
    write_u8(to, (uint8_t)c->result);
    if (c->target == KV_COMPARE_VALUE) {
        write_sized(to, c->value);
    } else {
        write_svarint(to, c->number);
    }
}

static void write_txn(struct buf *to, const struct kv_txn_spec *t);

static void write_ops(struct buf *to, const struct kv_op *ops, size_t count)
{
    write_varint(to, count);
    for (size_t i = 0; i < count; i++) {
        write_u8(to, (uint8_t)ops[i].type);
        switch (ops[i].type) {
        case KV_OP_RANGE:
            write_range(to, &ops[i].range);
            break;
        case KV_OP_PUT:
            write_put(to, &ops[i].put);
            break;
        case KV_OP_DELETE_RANGE:
            write_keys(to, &ops[i].delete_range.keys);
            write_u8(to, (uint8_t)bit(ops[i].delete_range.prev_kv, 0));
            break;
        case KV_OP_TXN:
            write_txn(to, ops[i].txn);
            break;
        case KV_OP_MOVE:
            write_move(to, &ops[i].move);
            break;
        }
    }
}

static void write_txn(struct buf *to, const struct kv_txn_spec *t)
{
    write_varint(to, t->compares_count);
    for (size_t i = 0; i < t->compares_count; i++) {
        write_compare(to, &t->compares[i]);
    }
    write_ops(to, t->success, t->success_count);
    write_ops(to, t->failure, t->failure_count);
}

void store_encode_txn(const struct store_stamp *stamp,
                      const struct kv_txn_spec *txn, struct buf *to)
{
    write_stamp(to, COMMAND_TXN, stamp);
    write_txn(to, txn);
}

void store_encode_compact(const struct store_stamp *stamp, int64_t revision,
                          struct buf *to)
{
    write_stamp(to, COMMAND_COMPACT, stamp);
    write_svarint(to, revision);
}

void store_encode_alarm(const struct store_stamp *stamp,
                        const struct store_alarm_change *change, struct buf *to)
{
    write_stamp(to, COMMAND_ALARM, stamp);
    write_u8(to, (uint8_t)(bit(change->clear, 0) | bit(change->automatic, 1)));
    write_u8(to, (uint8_t)change->alarm.type);
    write_u64(to, change->alarm.member);
}

void store_encode_lease_grant(const struct store_stamp *stamp, int64_t id,
                              int64_t ttl_s, struct buf *to)
{
    write_stamp(to, COMMAND_LEASE_GRANT, stamp);
    write_svarint(to, id);
    write_svarint(to, ttl_s);
}

void store_encode_lease_revoke(const struct store_stamp *stamp, int64_t id,
                               uint64_t term, struct buf *to)
{
    write_stamp(to, COMMAND_LEASE_REVOKE, stamp);
    write_svarint(to, id);
    write_varint(to, term);
}

void store_encode_lease_checkpoint(const struct store_stamp *stamp,
                                   uint64_t term, int64_t clock_ms,
                                   const struct store_lease *list, size_t count,
                                   struct buf *to)
{
    write_stamp(to, COMMAND_LEASE_CHECKPOINT, stamp);
    write_varint(to, term);
    write_varint(to, (uint64_t)clock_ms);
    write_varint(to, count);
    for (size_t i = 0; i < count; i++) {
        write_svarint(to, list[i].id);
        write_varint(to, (uint64_t)list[i].deadline_ms);
    }
}

/* --- reading --- */

/* The reader, and whether anything was found that no encoder writes. */
struct decoding {
    struct reader r;
    struct arena *arena;
    bool odd;
};

static bool good(const struct decoding *d)
{
    return reader_ok(&d->r) && !d->odd;
}

/* One of 0 .. last. */
static int read_choice(struct decoding *d, int last)
{
    const uint8_t value = read_u8(&d->r);
    if (value > last) {
        d->odd = true;
        return 0;
    }
    return value;
}

static unsigned read_flags(struct decoding *d, unsigned count)
{
    const uint8_t flags = read_u8(&d->r);
    if (flags >> count != 0) {
        d->odd = true;
    }
    return flags;
}

/* A count of things that take at least size_min bytes each. */
static size_t read_count(struct decoding *d, size_t size_min)
{
    const uint64_t count = read_varint(&d->r);
    if (count > d->r.left.size / size_min) {
        d->odd = true;
        return 0;
    }
    return (size_t)count;
}

static struct kv_keys read_keys(struct decoding *d)
{
    struct kv_keys k;
    k.key = read_sized(&d->r);
    k.end = read_sized(&d->r);
    return k;
}

static void read_range(struct decoding *d, struct kv_range_spec *r)
{
    r->keys = read_keys(d);
    const unsigned flags = read_flags(d, 5);
    r->keys_only = (flags & 1) != 0;
    r->count_only = (flags & 2) != 0;
    r->serializable = (flags & 4) != 0;
    r->grouped = (flags & 8) != 0;
    r->count_bounded = (flags & 16) != 0;
    r->sort_order = (enum kv_sort_order)read_choice(d, KV_SORT_DESCEND);
    r->sort_target = (enum kv_sort_target)read_choice(d, KV_SORT_VALUE);
    r->limit = read_svarint(&d->r);
    r->revision = read_svarint(&d->r);
    r->min_mod_revision = read_svarint(&d->r);
    r->max_mod_revision = read_svarint(&d->r);
    r->min_create_revision = read_svarint(&d->r);
    r->max_create_revision = read_svarint(&d->r);
    const uint64_t group_from = read_varint(&d->r);
    if (group_from > UINT32_MAX) {
        d->odd = true;
    }
    r->group_from = (uint32_t)group_from;
}

static void read_put(struct decoding *d, struct kv_put *p)
{
    p->key = read_sized(&d->r);
    p->value = read_sized(&d->r);
    const unsigned flags = read_flags(d, 5);
    p->prev_kv = (flags & 1) != 0;
    p->ignore_value = (flags & 2) != 0;
    p->ignore_lease = (flags & 4) != 0;
    p->keep_lease = (flags & 8) != 0;
    p->set_attrs = (flags & 16) != 0;
    p->lease = read_svarint(&d->r);
    if (p->set_attrs) {
        p->attrs = read_sized(&d->r);
    }
}

static void read_move(struct decoding *d, struct kv_move *m)
{
    m->from = read_sized(&d->r);
    m->to = read_sized(&d->r);
    const unsigned flags = read_flags(d, 3);
    m->prefix = (flags & 1) != 0;
    m->keep_target = (flags & 2) != 0;
    m->exchange = (flags & 4) != 0;
}

static void read_compare(struct decoding *d, struct kv_compare *c)
{
    c->keys = read_keys(d);
    c->target = (enum kv_compare_target)read_choice(d, KV_COMPARE_LEASE);
    c->result = (enum kv_compare_result)read_choice(d, KV_COMPARE_NOT_EQUAL);
    if (c->target == KV_COMPARE_VALUE) {
        c->value = read_sized(&d->r);
    } else {
        c->number = read_svarint(&d->r);
    }
}

static void read_txn(struct decoding *d, int depth, struct kv_txn_spec *ret);

static void read_op(struct decoding *d, int depth, struct kv_op *op)
{
    op->type = (enum kv_op_type)read_choice(d, KV_OP_MOVE);
    switch (op->type) {
    case KV_OP_RANGE:
        read_range(d, &op->range);
        break;
    case KV_OP_PUT:
        read_put(d, &op->put);
        break;
    case KV_OP_DELETE_RANGE:
        op->delete_range.keys = read_keys(d);
        op->delete_range.prev_kv = read_flags(d, 1) != 0;
        break;
    case KV_OP_TXN: {
        struct kv_txn_spec *inner = arena_get_zeroed(d->arena, sizeof *inner);
        read_txn(d, depth + 1, inner);
        op->txn = inner;
        break;
    }
    case KV_OP_MOVE:
        read_move(d, &op->move);
        break;
    }
}

static const struct kv_op *read_ops(struct decoding *d, int depth,
                                    size_t *ret_count)
{
    const size_t count = read_count(d, 4);
    struct kv_op *ops = arena_get_zeroed(d->arena, count * sizeof *ops);
    for (size_t i = 0; i < count && good(d); i++) {
        read_op(d, depth, &ops[i]);
    }
    *ret_count = count;
    return ops;
}

static void read_txn(struct decoding *d, int depth, struct kv_txn_spec *ret)
{
    if (depth > KV_TXN_DEPTH_MAX) {
        d->odd = true;
        return;
    }
    ret->compares_count = read_count(d, 5);
    struct kv_compare *compares =
        arena_get_zeroed(d->arena, ret->compares_count * sizeof *compares);
    for (size_t i = 0; i < ret->compares_count && good(d); i++) {
        read_compare(d, &compares[i]);
    }
    ret->compares = compares;
    ret->success = read_ops(d, depth, &ret->success_count);
    ret->failure = read_ops(d, depth, &ret->failure_count);
}

static void read_alarm(struct decoding *d, struct store_alarm_change *ret)
{
    const unsigned flags = read_flags(d, 2);
    ret->clear = (flags & 1) != 0;
    ret->automatic = (flags & 2) != 0;
    const int type = read_choice(d, ADMIN_ALARM_CORRUPT);
    d->odd = d->odd || type == ADMIN_ALARM_NONE;
    ret->alarm.type = (enum admin_alarm_type)type;
    ret->alarm.member = read_u64(&d->r);
}

/* A time on the lease clock. */
static int64_t read_lease_ms(struct decoding *d)
{
    const uint64_t ms = read_varint(&d->r);
    if (ms > INT64_MAX) {
        d->odd = true;
        return 0;
    }
    return (int64_t)ms;
}

static void read_checkpoint(struct decoding *d, struct command *c)
{
    c->lease_term = read_varint(&d->r);
    c->lease_clock_ms = read_lease_ms(d);
    c->leases_count = read_count(d, 2);
    struct store_lease *list =
        arena_get_zeroed(d->arena, c->leases_count * sizeof *list);
    for (size_t i = 0; i < c->leases_count && good(d); i++) {
        list[i].id = read_svarint(&d->r);
        list[i].deadline_ms = read_lease_ms(d);
    }
    c->leases = list;
}

/* What the command says behind its stamp; false: no such type. */
static bool read_command(struct decoding *d, uint8_t type, struct command *c)
{
    c->type = (enum command_type)type;
    switch (c->type) {
    case COMMAND_TXN:
        read_txn(d, 1, &c->txn);
        return true;
    case COMMAND_COMPACT:
        c->compact_revision = read_svarint(&d->r);
        return true;
    case COMMAND_LEASE_GRANT:
        c->lease.id = read_svarint(&d->r);
        c->lease.ttl_s = read_svarint(&d->r);
        return true;
    case COMMAND_LEASE_REVOKE:
        c->lease.id = read_svarint(&d->r);
        c->lease_term = read_varint(&d->r);
        return true;
    case COMMAND_LEASE_CHECKPOINT:
        read_checkpoint(d, c);
        return true;
    case COMMAND_ALARM:
        read_alarm(d, &c->alarm);
        return true;
    }
    return false;
}

enum status command_decode(struct bytes from, struct arena *a,
                           struct command *ret)
{
    struct decoding d = {.r = reader_of(from), .arena = a};
    struct command c = {0};
    if (read_u8(&d.r) != COMMAND_FORMAT) {
        return ST_CORRUPT;
    }
    const uint8_t type = read_u8(&d.r);
    c.stamp.time_ns = read_svarint(&d.r);
    c.stamp.ticket = read_varint(&d.r);
    c.stamp.member = read_varint(&d.r);
    if (!read_command(&d, type, &c) || !good(&d) || !reader_done(&d.r)) {
        return ST_CORRUPT;
    }
    *ret = c;
    return ST_OK;
}
