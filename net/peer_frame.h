/* The bytes of a peer link.  Integers are little-endian.
 *
 *   frame    u32 size of the body, u8 type, u8[3] zero,
 *            u32 CRC-32C of these eight bytes and the body, body
 *
 *   HELLO    "keelpeer", u16 lowest version, u16 highest version spoken;
 *            (as of version 1:) u64 cluster, u64 from, u64 to, u8 stream,
 *            sized text: the sender's addresses
 *   WELCOME  "keelpeer", u16 version chosen, u64 cluster, u64 from, u64 to
 *   REJECT   u16 reason, sized text for people
 *   PING, PONG  u64 number, answered with the same
 *   MESSAGE  the owner's bytes
 *
 * Who connects says HELLO and gets WELCOME or REJECT; after WELCOME it sends
 * MESSAGE and PING, and gets PONG.  The frame, the beginning of HELLO and
 * REJECT never change: they are how versions find each other.
 *
 * Pure: no I/O.  Decoders take any bytes. */
#ifndef NET_PEER_FRAME_H
#define NET_PEER_FRAME_H

#include "base/buf.h"
#include "base/fault.h"
#include "net/peer.h"

#define PEER_HEADER_SIZE 12
/* Bodies of everything but MESSAGE, and all that is taken from somebody who
 * was not welcomed yet. */
#define PEER_CONTROL_SIZE_MAX 2048

enum peer_frame_type {
    PEER_FRAME_HELLO = 1,
    PEER_FRAME_WELCOME = 2,
    PEER_FRAME_REJECT = 3,
    PEER_FRAME_MESSAGE = 4,
    PEER_FRAME_PING = 5,
    PEER_FRAME_PONG = 6,
    PEER_FRAME_QUERY = 7, /* instead of HELLO: a question, */
    PEER_FRAME_INFO = 8   /* and its answer; no more comes on either side */
};

void peer_header_put(uint8_t header[PEER_HEADER_SIZE],
                     enum peer_frame_type type, struct bytes body);

struct peer_header {
    enum peer_frame_type type;
    size_t size; /* of the body */
    uint32_t crc;
};
/* ST_INVALID: no known type, or a longer body than size_max, or than that type
 * may have. */
enum status peer_header_read(const uint8_t header[PEER_HEADER_SIZE],
                             size_t size_max, struct peer_header *ret,
                             struct fault *reterr) MUST_USE;
bool peer_header_matches(const uint8_t header[PEER_HEADER_SIZE],
                         struct bytes body);

struct peer_hello {
    uint16_t version_min, version_max;
    uint64_t cluster_id, from, to;
    enum peer_stream stream;
    char addresses[PEER_ADDRESSES_SIZE_MAX + 1];
};
void peer_hello_put(struct buf *to, const struct peer_hello *hello);
/* ST_UNSUPPORTED: no version in common; only the versions are set. */
enum status peer_hello_read(struct bytes body, struct peer_hello *ret,
                            struct fault *reterr) MUST_USE;

struct peer_welcome {
    uint16_t version;
    uint64_t cluster_id, from, to;
};
void peer_welcome_put(struct buf *to, const struct peer_welcome *welcome);
enum status peer_welcome_read(struct bytes body, struct peer_welcome *ret,
                              struct fault *reterr) MUST_USE;

enum peer_reason {
    PEER_REASON_VERSION = 1,
    PEER_REASON_CLUSTER = 2,
    PEER_REASON_TARGET = 3, /* `to` is not this member */
    PEER_REASON_SENDER = 4, /* `from` is this member, or nobody */
    PEER_REASON_DENIED = 5, /* by the owner */
    PEER_REASON_REMOVED = 6 /* `from` was a member once */
};
struct peer_reject {
    uint16_t reason;
    char text[400]; /* printable */
};
void peer_reject_put(struct buf *to, const struct peer_reject *reject);
enum status peer_reject_read(struct bytes body, struct peer_reject *ret,
                             struct fault *reterr) MUST_USE;

void peer_ping_put(struct buf *to, uint64_t number);
enum status peer_ping_read(struct bytes body, uint64_t *ret_number,
                           struct fault *reterr) MUST_USE;

#endif
