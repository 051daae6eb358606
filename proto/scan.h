/* A look at a protobuf message from outside, before protobuf-c unpacks it.
 *
 * protobuf-c has no limits of its own: nesting eats the stack, and many empty
 * sub-messages of two bytes each eat memory.  So every message from outside is
 * scanned first, which takes a fixed amount of stack and no memory, and then
 * unpacked with an allocator that has a budget (proto/budget.h). */
#ifndef PROTO_SCAN_H
#define PROTO_SCAN_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/fault.h"

/* What proto_limits.depth_max may be at most. */
#define PROTO_DEPTH_MAX 100

struct proto_limits {
    size_t size_max;    /* bytes of the whole message */
    uint32_t depth_max; /* 1: no message inside the message */
    size_t fields_max;  /* occurrences of fields, all levels together */
    size_t repeats_max; /* elements of one repeated field in one message */
    size_t memory_max;  /* bytes for unpacking, see ret_memory */
};

/* Walks the message and everything in it that `type` knows.  *ret_memory is a
 * budget with which proto_unpack() cannot run out.
 *
 * Stricter than protobuf, for good encoders do none of this: a field with
 * another wire type than its own, a group, a singular message given twice.
 * Unknown fields are fine.
 *
 *   ST_INVALID    not such a message
 *   ST_TOO_LARGE  beyond one of the limits                                 */
enum status proto_scan(const ProtobufCMessageDescriptor *type,
                       struct bytes message, const struct proto_limits *limits,
                       size_t *ret_memory, struct fault *reterr) MUST_USE;

#endif
