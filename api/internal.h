/* What the files of api/ share. */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H

#include "api/api.h"
#include "api/errors.h"
#include "base/list.h"
#include "proto/budget.h"
#include "proto/kv_request.h"

#define NS_PER_MS INT64_C(1000000)

#define GRPC_CODES_COUNT 17
#define API_MESSAGE_MAX                                                        \
    INT32_MAX /* bytes of a response, as of a gRPC server's */

struct api_call;
struct api_method;

/* One rpc: a row of methods.c. */
struct api_rpc {
    const char *path; /* "/etcdserverpb.KV/Range" */
    bool client_streams, server_streams;
    bool for_learners; /* a learner answers it too */
    /* One request message: run() with the whole of it. */
    void (*run)(struct api_call *c, struct bytes message);
    /* Several: the stream's own. */
    const struct grpc_handler *(*begin)(struct api_method *m,
                                        struct grpc_call *c);
};
extern const struct api_rpc api_rpcs[];
extern const size_t api_rpcs_count;

/* An rpc of one server, with what /metrics says of it. */
struct api_method {
    struct api *api;
    const struct api_rpc *rpc;
    uint64_t started, received, sent;
    uint64_t handled[GRPC_CODES_COUNT];
};

struct api_counts {
    uint64_t watch_streams, watchers, watchers_parked, events;
    uint64_t writes_failed; /* without a leader, or too late */
    uint64_t leader_changes, health_success, health_failures;
};

struct api {
    struct loop *loop;
    struct kv *kv;
    struct admin *admin; /* NULL: none */
    struct api_options options;
    struct grpc_server *server;  /* NULL once closed */
    struct grpc_server *metrics; /* of --listen-metrics-urls; NULL: none */
    struct grpc_http http;
    struct grpc_method *grpc_methods;
    struct api_method *methods; /* one for each of api_rpcs */
    struct loop_hook hook;
    struct loop_timer *leader_timer; /* runs while there are streams */

    struct list calls; /* of one request, in progress */
    struct list pool;  /* calls to be used again */
    size_t pool_count;
    struct list watch_streams;
    struct list lease_streams;
    struct list busy_streams;       /* watch streams with work for the hook */
    struct list leaderless_calls;   /* writes that wait for a leader */
    struct loop_timer *retry_timer; /* while there are some */
    size_t held; /* calls of kv and admin that are not done, all kinds */

    struct kv_status status; /* of this turn */
    bool status_known, is_learner;
    uint64_t leader_seen; /* the last one that was known */
    unsigned leaderless;  /* timer periods without a leader */

    struct api_counts counts;
    int64_t started_ns;
};

/* --- server.c --- */

/* The local view, no older than this turn of the loop. */
const struct kv_status *api_status(struct api *a);
const struct kv_status *api_fresh_status(struct api *a); /* as of now */
/* The limits for unpacking any request that is not KV's. */
struct proto_limits api_proto_limits(const struct api *a);
/* Metadata that goes for all calls; false: the call has been refused. */
bool api_admit(struct api_method *m, struct grpc_call *c);
/* Counts and ends. */
void api_finish(struct api_method *m, struct grpc_call *c,
                struct api_error why);
bool api_wants_leader(const struct grpc_call *c);
void api_leader_timer_start(struct api *a);

/* --- call.c: calls of one request --- */

struct api_call {
    struct api *api;
    struct api_method *method;
    struct grpc_call *grpc; /* NULL: the client has gone */
    struct list link;       /* in api->calls or api->pool */

    /* What kv or admin is doing for it; NULL: nothing. */
    struct kv_call *waiting;
    bool waiting_admin;
    /* Until there is a leader, instead of being refused. */
    struct list hold_link;             /* in api->leaderless_calls */
    void (*again)(struct api_call *c); /* NULL: never */
    int64_t since_ns;                  /* held; 0: not yet */

    /* Set by those that need them. */
    void (*resume)(struct api_call *c); /* there is room to send again */
    /* The client has gone while something is under way: ends it and releases
     * the call when it may. NULL: cancelling what is waited for does that. */
    void (*gone)(struct api_call *c);
    void *own;
    void (*free_own)(void *own);

    struct bytes message; /* the request, kept for as long as the call */
    uint8_t small[256];
    void *large;
    ProtobufCMessage *unpacked;
    struct proto_budget budget;
    struct kv_request_memory memory;

    union {
        struct kv_range range;
        struct {
            struct kv_txn txn;
            struct kv_op op;
        };
        struct kv_compact compact;
        struct kv_lease lease;
        struct admin_members members;
        struct admin_move_leader move_leader;
        struct admin_alarm alarm;
        struct admin_hash hash;
        struct admin_defragment defragment;
        struct admin_snapshot snapshot;
    };
};

extern const struct grpc_handler api_call_handler;
/* For grpc_method.begin. */
const struct grpc_handler *api_call_begin(struct api_method *m,
                                          struct grpc_call *grpc);

/* The request as that generated type, kept for as long as the call; NULL: it
 * was none, and the call is over. */
void *api_unpack(struct api_call *c, const ProtobufCMessageDescriptor *type,
                 struct bytes message);
/* A copy of the message's bytes that lives as long as the call. */
struct bytes api_keep(struct api_call *c, struct bytes message);

/* Hands a request on; its done() begins with api_call_back(). */
void api_submit_range(struct api_call *c, void (*done)(struct kv_call *));
void api_submit_txn(struct api_call *c, void (*done)(struct kv_call *));
void api_submit_compact(struct api_call *c, void (*done)(struct kv_call *));
void api_submit_lease(struct api_call *c, void (*done)(struct kv_call *));
/* Before handing a call to admin; false: there is no admin, and the call is
 * over. */
bool api_submit_admin(struct api_call *c, struct kv_call *call,
                      void (*done)(struct kv_call *));

/* kv or admin is done: false when nobody is to be answered any more, or the
 * client has just been told why it failed. */
bool api_call_back(struct api_call *c);
/* The same, but failing is left to who asks. */
bool api_call_returned(struct api_call *c);

/* Its answer, soon or at once, will be of no use any more. */
void api_cancel_waiting(struct api_call *c);
/* True: there is no leader, and the call waits for one, as it would in etcd;
 * done() will be called later. For those that do not use api_call_back(). */
bool api_call_hold(struct api_call *c, const struct kv_call *call);

/* --- answers; c is gone after those that end it --- */
struct buf *api_begin(struct api_call *c);
/* Sends what was appended; false: wait for resume(). */
bool api_send(struct api_call *c);
void api_end(struct api_call *c);      /* success */
void api_send_end(struct api_call *c); /* the only message, then success */
void api_fail(struct api_call *c, struct api_error why);
void api_fail_status(struct api_call *c, enum status st);
/* For a request whose bytes are no such message: what a gRPC server says. */
void api_refuse(struct api_call *c, enum status st, const struct fault *fault);
/* Nobody is to be answered; what belongs to the call is freed. */
void api_release(struct api_call *c);

/* --- the rest --- */

/* etcd's checks of a request, in its order; code 0: nothing is wrong. */
struct api_error api_check_range(const struct kv_range_spec *s);
struct api_error api_check_txn(const struct kv_txn_spec *t, uint32_t ops_max);

void api_watch_turn(struct api *a);
void api_watch_leader_lost(struct api *a);
void api_lease_leader_lost(struct api *a);

/* http.c: the endpoints of HTTP/1.1. */
void api_http_init(struct api *a, struct grpc_http *ret);
/* metrics.c: the text of /metrics. */
void api_metrics(struct api *a, struct buf *to);

/* urls.c: http://host:port and the like, as etcd takes them for peers. */
bool api_url_is_peer(struct bytes url);

/* --- rpcs, by file --- */
void api_range(struct api_call *c, struct bytes message);
void api_range_stream(struct api_call *c, struct bytes message);
void api_put(struct api_call *c, struct bytes message);
void api_delete(struct api_call *c, struct bytes message);
void api_txn(struct api_call *c, struct bytes message);
void api_compact(struct api_call *c, struct bytes message);
const struct grpc_handler *api_watch_begin(struct api_method *m,
                                           struct grpc_call *c);
void api_lease_grant(struct api_call *c, struct bytes message);
void api_lease_revoke(struct api_call *c, struct bytes message);
void api_lease_ttl(struct api_call *c, struct bytes message);
void api_lease_leases(struct api_call *c, struct bytes message);
const struct grpc_handler *api_keepalive_begin(struct api_method *m,
                                               struct grpc_call *c);

void api_member_add(struct api_call *c, struct bytes message);
void api_member_remove(struct api_call *c, struct bytes message);
void api_member_update(struct api_call *c, struct bytes message);
void api_member_list(struct api_call *c, struct bytes message);
void api_member_change(struct api_call *c, struct bytes message);
void api_member_promote(struct api_call *c, struct bytes message);
void api_alarm(struct api_call *c, struct bytes message);
void api_status_rpc(struct api_call *c, struct bytes message);
void api_defragment(struct api_call *c, struct bytes message);
void api_hash(struct api_call *c, struct bytes message);
void api_hash_kv(struct api_call *c, struct bytes message);
void api_snapshot(struct api_call *c, struct bytes message);
void api_move_leader(struct api_call *c, struct bytes message);
void api_downgrade(struct api_call *c, struct bytes message);
void api_auth_enable(struct api_call *c, struct bytes message);
void api_auth_disable(struct api_call *c, struct bytes message);
void api_auth_status(struct api_call *c, struct bytes message);
void api_authenticate(struct api_call *c, struct bytes message);
void api_user_add(struct api_call *c, struct bytes message);
void api_user_get(struct api_call *c, struct bytes message);
void api_user_list(struct api_call *c, struct bytes message);
void api_user_delete(struct api_call *c, struct bytes message);
void api_user_change_password(struct api_call *c, struct bytes message);
void api_user_grant_role(struct api_call *c, struct bytes message);
void api_user_revoke_role(struct api_call *c, struct bytes message);
void api_role_add(struct api_call *c, struct bytes message);
void api_role_get(struct api_call *c, struct bytes message);
void api_role_list(struct api_call *c, struct bytes message);
void api_role_delete(struct api_call *c, struct bytes message);
void api_role_grant_permission(struct api_call *c, struct bytes message);
void api_role_revoke_permission(struct api_call *c, struct bytes message);
void api_lock(struct api_call *c, struct bytes message);
void api_unlock(struct api_call *c, struct bytes message);
void api_campaign(struct api_call *c, struct bytes message);
void api_leader(struct api_call *c, struct bytes message);
void api_proclaim(struct api_call *c, struct bytes message);
void api_observe(struct api_call *c, struct bytes message);
void api_resign(struct api_call *c, struct bytes message);
void api_health_check(struct api_call *c, struct bytes message);
void api_health_watch(struct api_call *c, struct bytes message);

#endif
