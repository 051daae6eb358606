/* Unpacking within limits: scan, then protobuf-c with a bounded allocator.
 *
 * Every block of memory is a struct payload (base/payload.h), so the bytes of
 * a `bytes` field can be taken out of the unpacked message as a payload,
 * without another copy. */
#ifndef PROTO_BUDGET_H
#define PROTO_BUDGET_H

#include "base/payload.h"
#include "proto/scan.h"

struct proto_budget {
    ProtobufCAllocator allocator;
    size_t left; /* bytes */
};

/* What one block costs beside the bytes asked for. */
#define PROTO_BLOCK_OVERHEAD 16

/* The message of that type, to be freed with proto_free() and the same budget.
 * *budget is initialised here and must not move.
 *
 *   ST_INVALID, ST_TOO_LARGE  as proto_scan()                              */
enum status proto_unpack(const ProtobufCMessageDescriptor *type,
                         struct bytes from, const struct proto_limits *limits,
                         struct proto_budget *budget, ProtobufCMessage **ret,
                         struct fault *reterr) MUST_USE;
void proto_free(struct proto_budget *budget, ProtobufCMessage *m);

/* Takes the bytes of a field out of an unpacked message: a payload with one
 * holder, never NULL; the field is left empty. */
struct payload *proto_take(ProtobufCBinaryData *field);

#endif
