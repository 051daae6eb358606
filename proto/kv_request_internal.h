/* Between kv_request.c and kv_request_txn.c. */
#ifndef PROTO_KV_REQUEST_INTERNAL_H
#define PROTO_KV_REQUEST_INTERNAL_H

#include "proto/kv_request.h"
#include "proto/wire.h"

/* As wire_next(); a field numbered up to known_max that is not of its type is a
 * failure: bytes where bytes_fields has its bit, a number elsewhere. */
bool kv_request_next(struct wire_reader *r, uint64_t bytes_fields,
                     uint32_t known_max, struct wire_field *f) MUST_USE;

#endif
