/* etcd's answers as kv's results: rpc.proto's field numbers. */

#include "client/message.h"

/* What one answer may make us allocate. */
#define ARENA_SIZE_MAX ((size_t)2 << 30)

static int64_t number(const struct wire_field *f)
{
    return (int64_t)f->value;
}

/* Elements of a repeated field of messages. */
static size_t count_of_field(struct bytes message, uint32_t field)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    size_t count = 0;
    while (wire_next(&r, &f)) {
        count += f.number == field && f.type == WIRE_BYTES;
    }
    return count;
}

/* Room for so many; NULL when that is too much, or none. */
static void *room(struct arena *a, size_t count, size_t size)
{
    if (count == 0 || count > (ARENA_SIZE_MAX - a->size) / size) {
        return NULL;
    }
    return arena_new(a, count, size);
}

static enum status end_of(const struct wire_reader *r)
{
    return r->failed ? ST_IO : ST_OK;
}

static MUST_USE enum status read_header(struct bytes message,
                                        struct kv_header *ret)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_VARINT) {
            continue;
        }
        switch (f.number) {
        case 1:
            ret->cluster_id = f.value;
            break;
        case 2:
            ret->member_id = f.value;
            break;
        case 3:
            ret->revision = number(&f);
            break;
        case 4:
            ret->raft_term = f.value;
            break;
        default:
            break;
        }
    }
    return end_of(&r);
}

enum status message_read_header(struct bytes answer, struct kv_header *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    *ret = (struct kv_header){0};
    while (wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_BYTES) {
            return read_header(f.bytes, ret);
        }
    }
    return end_of(&r);
}

static MUST_USE enum status read_item(struct bytes message, bool keys_only,
                                      struct kv_item *ret)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_BYTES) {
            ret->key = f.bytes;
        } else if (f.number == 5 && f.type == WIRE_BYTES) {
            ret->value = f.bytes;
        } else if (f.type == WIRE_VARINT && f.number == 2) {
            ret->create_revision = number(&f);
        } else if (f.type == WIRE_VARINT && f.number == 3) {
            ret->mod_revision = number(&f);
        } else if (f.type == WIRE_VARINT && f.number == 4) {
            ret->version = number(&f);
        } else if (f.type == WIRE_VARINT && f.number == 6) {
            ret->lease = number(&f);
        }
    }
    ret->value_size = ret->value.size;
    if (keys_only) {
        ret->value = BYTES_NONE;
    }
    return end_of(&r);
}

/* The kvs of a message, in that field. */
static MUST_USE enum status read_items(struct arena *a, struct bytes message,
                                       uint32_t field, bool keys_only,
                                       const struct kv_item **ret,
                                       size_t *ret_count)
{
    const size_t count = count_of_field(message, field);
    struct kv_item *items = room(a, count, sizeof items[0]);
    *ret = items;
    *ret_count = count;
    if (items == NULL) {
        return count == 0 ? ST_OK : ST_IO;
    }
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    enum status st = ST_OK;
    for (size_t at = 0; st == ST_OK && wire_next(&r, &f);) {
        if (f.number == field && f.type == WIRE_BYTES) {
            st = read_item(f.bytes, keys_only, &items[at++]);
        }
    }
    return st != ST_OK ? st : end_of(&r);
}

enum status message_read_range(struct arena *a, struct bytes answer,
                               const struct kv_range_spec *spec,
                               struct kv_range_result *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    *ret = (struct kv_range_result){0};
    while (wire_next(&r, &f)) {
        if (f.type == WIRE_VARINT && f.number == 3) {
            ret->more = f.value != 0;
        } else if (f.type == WIRE_VARINT && f.number == 4) {
            ret->count = number(&f);
        }
    }
    return r.failed ? ST_IO
                    : read_items(a, answer, 2, spec->keys_only, &ret->items,
                                 &ret->items_count);
}

static MUST_USE enum status read_put(struct arena *a, struct bytes answer,
                                     struct kv_op_result *ret)
{
    size_t count;
    return read_items(a, answer, 2, false, &ret->put.prev, &count);
}

static MUST_USE enum status read_delete(struct arena *a, struct bytes answer,
                                        struct kv_op_result *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    size_t count;
    while (wire_next(&r, &f)) {
        if (f.number == 2 && f.type == WIRE_VARINT) {
            ret->delete_range.deleted = number(&f);
        }
    }
    const enum status st =
        read_items(a, answer, 3, false, &ret->delete_range.prevs, &count);
    const bool fits = count == 0 || (int64_t)count == ret->delete_range.deleted;
    return st != ST_OK ? st : r.failed || !fits ? ST_IO : ST_OK;
}

static MUST_USE enum status read_nested(struct arena *a, struct bytes answer,
                                        const struct kv_txn_spec *spec,
                                        struct kv_op_result *ret)
{
    struct kv_txn_result *txn = arena_new(a, 1, sizeof *txn);
    ret->txn = txn;
    return message_read_txn(a, answer, spec, txn);
}

/* What write_keeping_put() asked for: a put, whichever way it went. */
static MUST_USE enum status
read_keeping_put(struct arena *a, struct bytes answer, struct kv_op_result *ret)
{
    const struct kv_op put = {.type = KV_OP_PUT};
    const struct kv_txn_spec spec = {.success = &put,
                                     .success_count = 1,
                                     .failure = &put,
                                     .failure_count = 1};
    struct kv_op_result inside = {.type = KV_OP_TXN};
    const enum status st = read_nested(a, answer, &spec, &inside);
    if (st == ST_OK) {
        ret->put.prev = inside.txn->results[0].put.prev;
    }
    return st;
}

/* The only field of a ResponseOp, which must be the operation's. */
static MUST_USE enum status read_op(struct arena *a, struct bytes answer,
                                    const struct kv_op *op,
                                    struct kv_op_result *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    const bool keeps = op->type == KV_OP_PUT && op->put.keep_lease;
    static const uint8_t fields[] = {[KV_OP_RANGE] = 1,
                                     [KV_OP_PUT] = 2,
                                     [KV_OP_DELETE_RANGE] = 3,
                                     [KV_OP_TXN] = 4};
    must(op->type != KV_OP_MOVE);
    ret->type = op->type;
    if (!wire_next(&r, &f) || f.type != WIRE_BYTES ||
        f.number != (keeps ? 4 : fields[op->type])) {
        return ST_IO;
    }
    switch (op->type) {
    case KV_OP_RANGE:
        return message_read_range(a, f.bytes, &op->range, &ret->range);
    case KV_OP_PUT:
        return keeps ? read_keeping_put(a, f.bytes, ret)
                     : read_put(a, f.bytes, ret);
    case KV_OP_DELETE_RANGE:
        return read_delete(a, f.bytes, ret);
    case KV_OP_TXN:
        return read_nested(a, f.bytes, op->txn, ret);
    case KV_OP_MOVE:
        break;
    }
    unreachable("no such operation");
}

enum status message_read_txn(struct arena *a, struct bytes answer,
                             const struct kv_txn_spec *spec,
                             struct kv_txn_result *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    *ret = (struct kv_txn_result){0};
    while (wire_next(&r, &f)) {
        if (f.number == 2 && f.type == WIRE_VARINT) {
            ret->succeeded = f.value != 0;
        }
    }
    const struct kv_op *ops = ret->succeeded ? spec->success : spec->failure;
    const size_t count =
        ret->succeeded ? spec->success_count : spec->failure_count;
    if (r.failed || count_of_field(answer, 3) != count) {
        return ST_IO;
    }
    if (count == 0) {
        return ST_OK;
    }
    struct kv_op_result *results = arena_new(a, count, sizeof results[0]);
    enum status st = ST_OK;
    r = wire_reader_of(answer);
    for (size_t at = 0; st == ST_OK && wire_next(&r, &f);) {
        if (f.number == 3 && f.type == WIRE_BYTES) {
            st = read_op(a, f.bytes, &ops[at], &results[at]);
            at++;
        }
    }
    ret->results = results;
    ret->results_count = count;
    return st;
}

/* --- leases --- */

static MUST_USE enum status read_ids(struct arena *a, struct bytes answer,
                                     struct kv_lease_result *ret)
{
    const size_t count = count_of_field(answer, 2);
    int64_t *ids = room(a, count, sizeof ids[0]);
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f, inside;
    if (ids == NULL) {
        return count == 0 ? ST_OK : ST_IO;
    }
    for (size_t at = 0; wire_next(&r, &f);) {
        if (f.number == 2 && f.type == WIRE_BYTES) {
            struct wire_reader one = wire_reader_of(f.bytes);
            while (wire_next(&one, &inside)) {
                if (inside.number == 1 && inside.type == WIRE_VARINT) {
                    ids[at] = number(&inside);
                }
            }
            at++;
        }
    }
    ret->ids = ids;
    ret->ids_count = count;
    return end_of(&r);
}

static MUST_USE enum status read_keys(struct arena *a, struct bytes answer,
                                      struct kv_lease_result *ret)
{
    const size_t count = count_of_field(answer, 5);
    struct bytes *keys = room(a, count, sizeof keys[0]);
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    if (keys == NULL) {
        return count == 0 ? ST_OK : ST_IO;
    }
    for (size_t at = 0; wire_next(&r, &f);) {
        if (f.number == 5 && f.type == WIRE_BYTES) {
            keys[at++] = f.bytes;
        }
    }
    ret->keys = keys;
    ret->keys_count = count;
    return end_of(&r);
}

enum status message_read_lease(struct arena *a, struct bytes answer,
                               enum kv_lease_op op, struct kv_lease_result *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    if (op == KV_LEASE_LIST) {
        return read_ids(a, answer, ret);
    }
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_VARINT) {
            continue;
        }
        if (f.number == 2) {
            ret->id = number(&f);
        } else if (f.number == 3) {
            ret->ttl_s = number(&f);
        } else if (f.number == 4) {
            ret->granted_ttl_s = number(&f);
        }
    }
    if (op == KV_LEASE_GRANT) {
        ret->granted_ttl_s = ret->ttl_s;
    }
    return r.failed ? ST_IO
                    : (op == KV_LEASE_TTL ? read_keys(a, answer, ret) : ST_OK);
}

/* --- watches --- */

static MUST_USE enum status read_event(struct arena *a, struct bytes message,
                                       struct kv_event *ret)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    enum status st = ST_OK;
    while (st == ST_OK && wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            ret->type = f.value == 1 ? KV_EVENT_DELETE : KV_EVENT_PUT;
        } else if (f.number == 2 && f.type == WIRE_BYTES) {
            st = read_item(f.bytes, false, &ret->item);
        } else if (f.number == 3 && f.type == WIRE_BYTES) {
            struct kv_item *prev = room(a, 1, sizeof *prev);
            if (prev == NULL) {
                return ST_IO;
            }
            st = read_item(f.bytes, false, prev);
            ret->prev = prev;
        }
    }
    return st != ST_OK ? st : end_of(&r);
}

static MUST_USE enum status read_events(struct arena *a, struct bytes answer,
                                        struct message_watch *ret)
{
    const size_t count = count_of_field(answer, 11);
    struct kv_event *events = room(a, count, sizeof events[0]);
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    enum status st = ST_OK;
    if (events == NULL) {
        return count == 0 ? ST_OK : ST_IO;
    }
    int64_t before = 0;
    for (size_t at = 0; st == ST_OK && wire_next(&r, &f);) {
        if (f.number == 11 && f.type == WIRE_BYTES) {
            st = read_event(a, f.bytes, &events[at]);
            const int64_t revision = events[at++].item.mod_revision;
            if (revision < before) {
                st = ST_IO; /* revisions go up */
            }
            before = revision;
        }
    }
    ret->events = events;
    ret->events_count = count;
    return st;
}

enum status message_read_watch(struct arena *a, struct bytes answer,
                               struct message_watch *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    *ret = (struct message_watch){0};
    while (wire_next(&r, &f)) {
        if (f.number == 6 && f.type == WIRE_BYTES) {
            ret->reason = f.bytes;
        } else if (f.number == 1 && f.type == WIRE_BYTES) {
            if (read_header(f.bytes, &ret->header) != ST_OK) {
                return ST_IO;
            }
        } else if (f.type != WIRE_VARINT) {
            continue;
        } else if (f.number == 2) {
            ret->id = number(&f);
        } else if (f.number == 3) {
            ret->created = f.value != 0;
        } else if (f.number == 4) {
            ret->canceled = f.value != 0;
        } else if (f.number == 5) {
            ret->compact_revision = number(&f);
        }
    }
    return r.failed ? ST_IO : read_events(a, answer, ret);
}

/* --- the member --- */

static bool has_text(struct bytes b, const char *text)
{
    return memmem(b.data, b.size, text, strlen(text)) != NULL;
}

enum status message_read_status(struct bytes answer, struct message_status *ret)
{
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    *ret = (struct message_status){0};
    const enum status st = message_read_header(answer, &ret->header);
    while (wire_next(&r, &f)) {
        if (f.type == WIRE_BYTES && f.number == 8) {
            ret->facts.disk_full |= has_text(f.bytes, "NOSPACE");
        }
        if (f.type != WIRE_VARINT) {
            continue;
        }
        switch (f.number) {
        case 3:
            ret->facts.size_bytes = f.value;
            break;
        case 4:
            ret->facts.leader = f.value;
            break;
        case 6:
            ret->header.raft_term = f.value;
            break;
        case 7:
            ret->facts.applied = f.value;
            break;
        case 9:
            ret->facts.used_bytes = f.value;
            break;
        case 10:
            ret->is_learner = f.value != 0;
            break;
        case 12:
            ret->facts.quota_bytes = f.value;
            break;
        default:
            break;
        }
    }
    if (ret->facts.leader != 0) {
        ret->facts.role = ret->facts.leader == ret->header.member_id
                              ? KV_LEADER
                              : KV_FOLLOWER;
    }
    return st != ST_OK ? st : end_of(&r);
}

static MUST_USE enum status read_member(struct arena *a, struct bytes message,
                                        uint64_t self, struct kv_member *ret)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    ret->name = "";
    while (wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            ret->id = f.value;
            ret->is_self = f.value == self;
        } else if (f.number == 2 && f.type == WIRE_BYTES) {
            char *name = arena_new(a, f.bytes.size + 1, 1);
            memcpy(name, f.bytes.data, f.bytes.size);
            ret->name = name;
        } else if (f.number == 5 && f.type == WIRE_VARINT) {
            ret->is_learner = f.value != 0;
        }
    }
    return end_of(&r);
}

static int by_id(const void *a, const void *b)
{
    const uint64_t x = ((const struct kv_member *)a)->id;
    const uint64_t y = ((const struct kv_member *)b)->id;
    return (x > y) - (x < y);
}

enum status message_read_members(struct arena *a, struct bytes answer,
                                 uint64_t self, struct kv_member **ret,
                                 size_t *ret_count)
{
    const size_t count = count_of_field(answer, 2);
    struct kv_member *members = room(a, count, sizeof members[0]);
    struct wire_reader r = wire_reader_of(answer);
    struct wire_field f;
    enum status st = members == NULL ? ST_IO : ST_OK;
    for (size_t at = 0; st == ST_OK && wire_next(&r, &f);) {
        if (f.number == 2 && f.type == WIRE_BYTES) {
            st = read_member(a, f.bytes, self, &members[at++]);
        }
    }
    if (st == ST_OK && r.failed) {
        st = ST_IO;
    }
    if (st == ST_OK) {
        qsort(members, count, sizeof members[0], by_id);
        *ret = members;
        *ret_count = count;
    }
    return st;
}
