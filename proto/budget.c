/* The allocator with a budget, and unpacking with it. */

#include "proto/budget.h"

#include "base/must.h"

static struct payload *payload_of(void *block)
{
    return container_of(block, struct payload, data);
}

static void *take_block(void *arg, size_t size)
{
    struct proto_budget *b = arg;
    if (size > UINT32_MAX || b->left < PROTO_BLOCK_OVERHEAD ||
        b->left - PROTO_BLOCK_OVERHEAD < size) {
        return NULL;
    }
    b->left -= PROTO_BLOCK_OVERHEAD + size;
    return payload_new(size)->data;
}

static void drop_block(void *arg, void *block)
{
    (void)arg;
    if (block != NULL) {
        payload_drop(payload_of(block));
    }
}

enum status proto_unpack(const ProtobufCMessageDescriptor *type,
                         struct bytes from, const struct proto_limits *limits,
                         struct proto_budget *budget, ProtobufCMessage **ret,
                         struct fault *reterr)
{
    /* The blocks hold pointers and 64-bit numbers. */
    _Static_assert(offsetof(struct payload, data) % _Alignof(uint64_t) == 0,
                   "alignment of blocks");
    size_t memory;
    const enum status st = proto_scan(type, from, limits, &memory, reterr);
    if (st != ST_OK) {
        return st;
    }
    *budget = (struct proto_budget){
        .allocator = {take_block, drop_block, budget}, .left = memory};
    /* Not NULL even when empty: protobuf-c looks at no byte of it then. */
    const uint8_t *data = from.data != NULL ? from.data : (const uint8_t *)"";
    ProtobufCMessage *m =
        protobuf_c_message_unpack(type, &budget->allocator, from.size, data);
    if (m == NULL) {
        return fault_set(reterr, ST_INVALID, "cannot unpack a %s of %zu bytes",
                         type->name, from.size);
    }
    *ret = m;
    return ST_OK;
}

void proto_free(struct proto_budget *budget, ProtobufCMessage *m)
{
    protobuf_c_message_free_unpacked(m, &budget->allocator);
}

struct payload *proto_take(ProtobufCBinaryData *field)
{
    struct payload *p;
    if (field->data == NULL) {
        must(field->len == 0);
        p = payload_new(0);
    } else {
        p = payload_of(field->data);
        must(p->holders == 1);
        must(p->size == field->len);
    }
    *field = (ProtobufCBinaryData){0, NULL};
    return p;
}
