/* Configuration changes as bytes: etcd's raftpb.ConfChange (version 1) and
 * ConfChangeV2, by the rules of protobuf's wire format.  Fields that have
 * their default value are left out, so that leaving a joint configuration is
 * an empty payload and never refused for its size. */

#include "raft/confchange.h"

#include "base/codec.h"
#include "base/must.h"

/* A field's tag is its number and how its value is written. */
enum wire {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_SIZED = 2,
    WIRE_FIXED32 = 5
};

#define TAG(field, wire) ((uint64_t)(field) << 3 | (uint64_t)(wire))

/* raftpb.ConfChange */
#define V1_ID      TAG(1, WIRE_VARINT)
#define V1_TYPE    TAG(2, WIRE_VARINT)
#define V1_NODE    TAG(3, WIRE_VARINT)
#define V1_CONTEXT TAG(4, WIRE_SIZED)
/* raftpb.ConfChangeV2 */
#define V2_TRANSITION TAG(1, WIRE_VARINT)
#define V2_CHANGE     TAG(2, WIRE_SIZED)
#define V2_CONTEXT    TAG(3, WIRE_SIZED)
/* raftpb.ConfChangeSingle */
#define SINGLE_TYPE TAG(1, WIRE_VARINT)
#define SINGLE_NODE TAG(2, WIRE_VARINT)

static void write_number(struct buf *b, uint64_t tag, uint64_t value)
{
    write_varint(b, tag);
    write_varint(b, value);
}

static void write_context(struct buf *b, uint64_t tag, struct bytes context)
{
    if (context.size > 0) {
        write_varint(b, tag);
        write_sized(b, context);
    }
}

static void encode_v1(struct buf *b, const struct raft_conf_change *cc)
{
    must(cc->changes_count == 1);
    must(cc->transition == RAFT_TRANSITION_AUTO);
    if (cc->id != 0) {
        write_number(b, V1_ID, cc->id);
    }
    write_number(b, V1_TYPE, (uint64_t)cc->changes[0].type);
    write_number(b, V1_NODE, cc->changes[0].node);
    write_context(b, V1_CONTEXT, cc->context);
}

static void encode_v2(struct buf *b, const struct raft_conf_change *cc)
{
    must(cc->changes_count <= RAFT_CHANGES_MAX);
    write_number(b, V2_TRANSITION, (uint64_t)cc->transition);
    for (size_t i = 0; i < cc->changes_count; i++) {
        struct buf single = {NULL, 0, 0};
        write_number(&single, SINGLE_TYPE, (uint64_t)cc->changes[i].type);
        write_number(&single, SINGLE_NODE, cc->changes[i].node);
        write_varint(b, V2_CHANGE);
        write_sized(b, buf_bytes(&single));
        buf_fini(&single);
    }
    write_context(b, V2_CONTEXT, cc->context);
}

struct payload *raft_conf_change_encode(enum raft_entry_type type,
                                        const struct raft_conf_change *cc)
{
    must(type == RAFT_ENTRY_CONF_CHANGE || type == RAFT_ENTRY_CONF_CHANGE_V2);
    struct buf b = {NULL, 0, 0};
    if (type == RAFT_ENTRY_CONF_CHANGE) {
        encode_v1(&b, cc);
    } else {
        encode_v2(&b, cc);
    }
    struct payload *p = payload_copy_of(buf_bytes(&b));
    buf_fini(&b);
    return p;
}

/* A field nobody here knows: a later version's. */
static bool skip_field(struct reader *r, uint64_t tag)
{
    switch (tag & 7) {
    case WIRE_VARINT:
        (void)read_varint(r);
        return true;
    case WIRE_FIXED64:
        (void)read_u64(r);
        return true;
    case WIRE_SIZED:
        (void)read_sized(r);
        return true;
    case WIRE_FIXED32:
        (void)read_u32(r);
        return true;
    default:
        return false;
    }
}

static bool read_type(struct reader *r, struct raft_conf_change_single *ret)
{
    const uint64_t type = read_varint(r);
    if (type > RAFT_ADD_LEARNER_NODE) {
        return false;
    }
    ret->type = (enum raft_conf_change_type)type;
    return true;
}

static MUST_USE enum status decode_v1(struct bytes data,
                                      struct raft_conf_change *cc)
{
    struct reader r = reader_of(data);
    cc->changes_count = 1;
    while (reader_ok(&r) && r.left.size > 0) {
        const uint64_t tag = read_varint(&r);
        bool ok = true;
        if (tag == V1_ID) {
            cc->id = read_varint(&r);
        } else if (tag == V1_TYPE) {
            ok = read_type(&r, &cc->changes[0]);
        } else if (tag == V1_NODE) {
            cc->changes[0].node = read_varint(&r);
        } else if (tag == V1_CONTEXT) {
            cc->context = read_sized(&r);
        } else {
            ok = skip_field(&r, tag);
        }
        if (!ok) {
            return ST_INVALID;
        }
    }
    return reader_done(&r) ? ST_OK : ST_INVALID;
}

static MUST_USE enum status
decode_single(struct bytes data, struct raft_conf_change_single *single)
{
    struct reader r = reader_of(data);
    while (reader_ok(&r) && r.left.size > 0) {
        const uint64_t tag = read_varint(&r);
        bool ok = true;
        if (tag == SINGLE_TYPE) {
            ok = read_type(&r, single);
        } else if (tag == SINGLE_NODE) {
            single->node = read_varint(&r);
        } else {
            ok = skip_field(&r, tag);
        }
        if (!ok) {
            return ST_INVALID;
        }
    }
    return reader_done(&r) ? ST_OK : ST_INVALID;
}

static MUST_USE enum status decode_v2_field(struct reader *r, uint64_t tag,
                                            struct raft_conf_change *cc)
{
    if (tag == V2_TRANSITION) {
        const uint64_t transition = read_varint(r);
        cc->transition = (enum raft_conf_transition)transition;
        return transition <= RAFT_TRANSITION_JOINT_EXPLICIT ? ST_OK
                                                            : ST_INVALID;
    }
    if (tag == V2_CHANGE) {
        const struct bytes single = read_sized(r);
        if (cc->changes_count == RAFT_CHANGES_MAX) {
            return ST_TOO_MANY;
        }
        return decode_single(single, &cc->changes[cc->changes_count++]);
    }
    if (tag == V2_CONTEXT) {
        cc->context = read_sized(r);
        return ST_OK;
    }
    return skip_field(r, tag) ? ST_OK : ST_INVALID;
}

static MUST_USE enum status decode_v2(struct bytes data,
                                      struct raft_conf_change *cc)
{
    struct reader r = reader_of(data);
    while (reader_ok(&r) && r.left.size > 0) {
        const uint64_t tag = read_varint(&r);
        const enum status st = decode_v2_field(&r, tag, cc);
        if (st != ST_OK) {
            return st;
        }
    }
    return reader_done(&r) ? ST_OK : ST_INVALID;
}

enum status raft_conf_change_decode(enum raft_entry_type type,
                                    struct bytes data,
                                    struct raft_conf_change *ret_cc)
{
    must(type == RAFT_ENTRY_CONF_CHANGE || type == RAFT_ENTRY_CONF_CHANGE_V2);
    struct raft_conf_change cc = {.transition = RAFT_TRANSITION_AUTO};
    const enum status st = type == RAFT_ENTRY_CONF_CHANGE
                               ? decode_v1(data, &cc)
                               : decode_v2(data, &cc);
    if (st == ST_OK) {
        *ret_cc = cc;
    }
    return st;
}
