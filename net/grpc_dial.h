/* Connections to gRPC servers: TCP on the loop, a grpc_client session on top.
 *
 * All that is asked of a session in one turn leaves in one write at the turn's
 * end.
 *
 * Threads: all of it belongs to the loop.
 */
#ifndef NET_GRPC_DIAL_H
#define NET_GRPC_DIAL_H

#include "net/grpc_client.h"
#include "net/loop.h"

/* What the connections of one owner share: the read buffer, the turn's hook. */
struct grpc_dialer;
struct grpc_dialer *grpc_dialer_new(struct loop *l);
/* Its connections have been closed. NULL is fine. */
void grpc_dialer_free(struct grpc_dialer *d);

/* ST_INVALID: not one address, as below. */
enum status grpc_address_check(const char *address,
                               struct fault *reterr) MUST_USE;

struct grpc_conn;
struct grpc_conn_options {
    const char *address;     /* "host:port", "[v6]:port"; a name is looked up */
    size_t message_size_max; /* of a response; 0: grpc_client.h's */
    int64_t connect_ms;      /* until it is given up; 0: 5 s */
    int64_t keepalive_ms;    /* silence before a ping, while there are
                                calls; 0: none */
    int64_t keepalive_timeout_ms; /* for its answer; 0: 10 s */
    /* Neither is called from inside grpc_conn_open() or grpc_conn_close(), nor
     * after the latter. */
    void (*on_up)(void *arg);
    /* It did not come about, or is lost; its calls have ended.  The owner
     * closes it. Once. */
    void (*on_down)(void *arg, const char *why);
    /* The server takes no new calls; those under way go on. May be NULL. */
    void (*on_draining)(void *arg);
    void *arg;
};

/* ST_INVALID: not such an address. */
enum status grpc_conn_open(struct grpc_dialer *d,
                           const struct grpc_conn_options *options,
                           struct grpc_conn **ret,
                           struct fault *reterr) MUST_USE;
/* Its session; calls may be started on it once on_up was called. */
struct grpc_client *grpc_conn_client(struct grpc_conn *c);
/* At once; its calls are over without a callback. From inside a callback, too.
 * NULL is fine. */
void grpc_conn_close(struct grpc_conn *c);

#endif
