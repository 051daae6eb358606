/* One question to a member, before this process is one: over the peer port, on
 * a connection of its own, blocking.
 *
 * What is asked and answered is the owners' (peer_hub_callbacks.on_query). */
#ifndef NET_PEER_ASK_H
#define NET_PEER_ASK_H

#include "base/buf.h"
#include "base/fault.h"

#define PEER_INFO_SIZE_MAX ((size_t)1 << 20) /* an answer */

/* `addresses` is "host:port,…", tried in turn, each for timeout_ms at most
 * (looking a name up apart).  Appends the answer to *ret.
 *
 *   ST_INVALID  not such addresses, or the answer is none
 *   others      nobody answered: what the last attempt met             */
enum status peer_ask(const char *addresses, struct bytes question,
                     int64_t timeout_ms, struct buf *ret,
                     struct fault *reterr) MUST_USE;

#endif
