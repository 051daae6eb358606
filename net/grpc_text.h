/* The texts of gRPC over HTTP/2: statuses and timeouts; pure. */
#ifndef NET_GRPC_TEXT_H
#define NET_GRPC_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"

/* grpc-message: printable ASCII but '%' as it is, the rest as %XX. At most
 * text_max bytes of the text. */
void grpc_text_encode(struct buf *to, struct bytes text, size_t text_max);

/* grpc-timeout: 1 to 8 digits and a unit. False: it is not one. */
bool grpc_text_timeout(struct bytes text, int64_t *ret_ns);

/* "application/grpc", also with "+proto" or ";…" behind it. */
bool grpc_text_is_content_type(struct bytes text);

#define GRPC_NUMBER_SIZE 12
/* Decimal, into `to`. */
struct bytes grpc_text_number(int number, char to[GRPC_NUMBER_SIZE]);

#endif
