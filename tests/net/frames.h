/* HTTP/2 frames of a client, written as text.
 *
 * A script is lines of frames:
 *
 *   TYPE STREAM FLAGS PAYLOAD     what the client sends
 *   --                            a part of the script ends
 *
 * FLAGS: '.' none, S end of stream or ack, H end of headers, P padded, R
 * priority, U one that is undefined.  PAYLOAD is '.', or parts joined by '+':
 * post, get, head (fields of a request; post is a gRPC call that echoes), n:v
 * (a field, literal), xHEX, zN (N zeros), mTEXT (a gRPC message).
 */
#ifndef TESTS_NET_FRAMES_H
#define TESTS_NET_FRAMES_H

#include "base/buf.h"

/* "MANY" in a script: HEADERS of one stream more than these. */
#define FRAMES_MANY 100

/* The client's preface, with SETTINGS. */
void frames_preface(struct buf *to);
/* Appends the first part; returns where the next one begins, or NULL. */
const char *frames_put(struct buf *to, const char *script);
uint8_t frames_type(const char *name);
uint8_t frames_flags(const char *text);

#endif
