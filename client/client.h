/* A keystore on somebody else's machines: kv/kv.h over the etcd v3 gRPC API,
 * against any cluster that speaks it.
 *
 * One connection is used at a time.  When it is lost, or its member has no
 * leader, the next endpoint is tried; what is waiting waits, up to its own
 * timeout.
 *
 *  - Reads are repeated until they are answered or their time is over.
 *  - A write is repeated only when no server can have seen it, or when one says
 *    that there is no leader to do it.  Else, when its answer is lost, it ends
 *    with ST_TIMEOUT: the outcome is not known.
 *  - ST_NO_LEADER: no server, or no leader, was there in time; nothing was
 * done.
 *  - Watches go on where they were, on any member.  They see every event of
 *    their range once and in order; ST_COMPACTED ends those that were away too
 *    long.
 *  - Keepalives of leases are repeated, revocations too.
 *
 * What a foreign store lacks is emulated where it can be:
 *  - grouped ranges skip from one group to the next, all at one revision; in a
 *    transaction only when it reads and nothing else, else ST_UNSUPPORTED;
 *  - `value_size` of ranges with keys_only: the values are fetched for it;
 *  - puts with keep_lease are nested transactions.
 * Moves, and attribute records that are not empty, are ST_UNSUPPORTED; `ino`
 * and `mtime_ns` are 0.
 *
 * Threads: all of it belongs to the loop.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "kv/kv.h"
#include "net/loop.h"

#define CLIENT_ENDPOINTS_MAX 64

struct client_options {
    /* "host:port", "http://host:port"; tried in turn, beginning anywhere. */
    const char *const *endpoints;
    size_t endpoints_count;
    /* 0 stands for what is in brackets. */
    int64_t dial_ms;              /* to give an endpoint up (3,000) */
    int64_t request_ms;           /* of requests that say nothing (7,000) */
    int64_t keepalive_ms;         /* silence before a ping (10,000) */
    int64_t keepalive_timeout_ms; /* for its answer (5,000) */
    int64_t status_ms;            /* between looks at the member (5,000) */
    uint64_t seed;                /* of back-off and first endpoint */
    /* The connection came, or went and why; text is borrowed. May be NULL. */
    void (*on_connection)(void *arg, bool up, const char *endpoint,
                          const char *why);
    void *arg;
};

struct client;

/* Begins to connect; requests may be made at once.
 *   ST_INVALID      an endpoint is no address
 *   ST_UNSUPPORTED  https: there is no TLS yet                             */
enum status client_new(struct loop *l, const struct client_options *options,
                       struct client **ret, struct fault *reterr) MUST_USE;
/* Ends what is under way with ST_STOPPED, from inside this call; nothing new
 * may be asked meanwhile. NULL is fine. */
void client_free(struct client *c);

struct kv *client_kv(struct client *c);

#endif
