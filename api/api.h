/* The etcd v3 API: gRPC services and HTTP endpoints on the client port, for
 * whatever implements kv/kv.h and kv/admin.h.
 *
 * A request becomes a call of kv or admin, its result is encoded straight into
 * the connection's buffer.  Nothing is stored here but what streams need.
 *
 * Threads: all of it belongs to the loop.
 */
#ifndef API_API_H
#define API_API_H

#include "base/fault.h"
#include "kv/admin.h"
#include "net/grpc.h"

struct api;

struct api_options {
    const char *server_version;   /* "3.6.14": what Status and /version say */
    const char *cluster_version;  /* "3.6.0" */
    uint32_t txn_ops_max;         /* --max-txn-ops */
    uint64_t request_bytes_max;   /* --max-request-bytes */
    int64_t progress_interval_ms; /* --watch-progress-notify-interval */
    int64_t election_ms; /* how long the loss of a leader is tolerated: three of
                            these end streams that asked for a leader */
    uint32_t streams_max; /* --max-concurrent-streams */
    /* --grpc-keepalive-min-time, -interval (0: none), -timeout */
    int64_t ping_interval_min_ms, keepalive_ms, keepalive_timeout_ms;
};
void api_options_default(struct api_options *ret);

/* kv and admin are borrowed until api_free().  admin is NULL for a
 * store without members and upkeep: the calls that need it end with
 * UNIMPLEMENTED. */
struct api *api_new(struct loop *loop, struct kv *kv, struct admin *admin,
                    const struct api_options *options);

/* Listens at one of --listen-client-urls (everything) or --listen-metrics-urls
 * (only /metrics and the health endpoints).
 *   ST_INVALID      no URL of a kind that can be listened at
 *   ST_UNSUPPORTED  https, unix sockets
 *   ST_BUSY, ST_DENIED, ST_IO, ...  as the system says                     */
enum status api_listen(struct api *a, const char *url, bool metrics_only,
                       uint16_t *ret_port, struct fault *reterr) MUST_USE;

/* The end, in order: api_drain() tells clients to go elsewhere and takes no new
 * calls; api_close() ends what is left and closes the ports; kv and admin
 * answer what they still hold; api_free(). */
void api_drain(struct api *a);
/* Requests that wait for their one answer. */
size_t api_calls(const struct api *a);
void api_close(struct api *a);
void api_free(struct api *a); /* NULL is fine */

#endif
