/* The text of /metrics: Prometheus' exposition format 0.0.4, with etcd's names
 * where they mean the same (etcd-surface 1.13). */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/internal.h"
#include "api/process.h"

static void add(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add(struct buf *b, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    must(size >= 0);
    must((size_t)size <
         sizeof line); /* names and numbers are of this program */
    buf_append(b, (struct bytes){(const uint8_t *)line, (size_t)size});
}

static void head(struct buf *b, const char *name, const char *type,
                 const char *help)
{
    add(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buf *b, const char *name, const char *type,
                   const char *help, uint64_t value)
{
    head(b, name, type, help);
    add(b, "%s %" PRIu64 "\n", name, value);
}

#define gauge(b, name, value, help)   number(b, name, "gauge", help, value)
#define counter(b, name, value, help) number(b, name, "counter", help, value)

/* --- the member --- */

static void add_server(struct api *a, struct buf *b)
{
    const struct kv_status *s = api_fresh_status(a);
    const char *version = a->options.server_version;
    head(b, "etcd_cluster_version", "gauge", "Which version is running.");
    add(b, "etcd_cluster_version{cluster_version=\"%.3s\"} 1\n",
        a->options.cluster_version);
    head(b, "etcd_server_version", "gauge", "Which version is running.");
    add(b, "etcd_server_version{server_version=\"%s\"} 1\n", version);
    head(b, "etcd_server_id", "gauge", "Identity of this member.");
    add(b, "etcd_server_id{server_id=\"%" PRIx64 "\"} 1\n",
        s->header.member_id);
    gauge(b, "etcd_server_has_leader", s->leader != 0,
          "Whether a leader is known.");
    gauge(b, "etcd_server_is_leader", s->role == KV_LEADER,
          "Whether this member leads.");
    gauge(b, "etcd_server_is_learner", a->is_learner,
          "Whether this member is a learner.");
    counter(b, "etcd_server_leader_changes_seen_total",
            a->counts.leader_changes, "Changes of the leader seen.");
    gauge(b, "etcd_server_proposals_applied_total", s->applied,
          "Index of the last entry applied.");
    counter(b, "etcd_server_proposals_failed_total", a->counts.writes_failed,
            "Writes of clients that no leader took in time.");
    gauge(b, "etcd_server_quota_backend_bytes", s->quota_bytes,
          "Size at which the store refuses writes.");
    counter(b, "etcd_server_health_success", a->counts.health_success,
            "Health checks that passed.");
    counter(b, "etcd_server_health_failures", a->counts.health_failures,
            "Health checks that failed.");
}

static void add_upkeep(struct api *a, struct buf *b)
{
    if (a->admin == NULL) {
        return;
    }
    struct admin_status s;
    admin_status(a->admin, &s);
    gauge(b, "etcd_server_proposals_committed_total", s.raft_index,
          "Index of the last entry committed.");
    head(b, "etcd_debugging_server_alarms", "gauge", "Alarms raised.");
    for (size_t i = 0; i < s.alarms_count; i++) {
        add(b,
            "etcd_debugging_server_alarms{server_id=\"%" PRIx64
            "\",alarm_type=\"%s\"} 1\n",
            s.alarms[i].member,
            s.alarms[i].type == ADMIN_ALARM_NOSPACE ? "NOSPACE" : "CORRUPT");
    }
}

static void add_store(struct api *a, struct buf *b)
{
    const struct kv_status *s = api_status(a);
    gauge(b, "etcd_mvcc_db_total_size_in_bytes", s->size_bytes,
          "Size of the store's file.");
    gauge(b, "etcd_mvcc_db_total_size_in_use_in_bytes", s->used_bytes,
          "Bytes of the store's file in use.");
    gauge(b, "etcd_disk_wal_write_bytes_total", s->log_written_bytes,
          "Bytes written to the log.");
    gauge(b, "keelfs_log_size_in_bytes", s->log_bytes,
          "Size of the log's files.");
    gauge(b, "keelfs_log_entries", s->log_entries,
          "Entries that the log keeps.");
    gauge(b, "etcd_debugging_mvcc_keys_total", s->keys_count, "Live keys.");
    gauge(b, "etcd_debugging_mvcc_current_revision",
          (uint64_t)s->header.revision, "Revision of the store.");
    gauge(b, "etcd_debugging_mvcc_compact_revision",
          (uint64_t)s->compact_revision, "Revision of the last compaction.");
    gauge(b, "etcd_debugging_mvcc_watch_stream_total", a->counts.watch_streams,
          "Streams of watches.");
    gauge(b, "etcd_debugging_mvcc_watcher_total", a->counts.watchers,
          "Watchers.");
    gauge(b, "etcd_debugging_mvcc_slow_watcher_total",
          a->counts.watchers_parked, "Watchers whose clients do not keep up.");
    counter(b, "etcd_debugging_mvcc_events_total", a->counts.events,
            "Events sent to watchers.");
}

/* --- rpcs --- */

static const char *type_of(const struct api_rpc *r)
{
    return r->client_streams && r->server_streams ? "bidi_stream"
           : r->server_streams                    ? "server_stream"
           : r->client_streams                    ? "client_stream"
                                                  : "unary";
}

/* {grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary" */
static void add_rpc(struct buf *b, const char *name, const struct api_rpc *r)
{
    const char *method = strrchr(r->path, '/');
    must(method != NULL);
    add(b, "%s{", name);
    add(b, "grpc_method=\"%s\",grpc_service=\"%.*s\",grpc_type=\"%s\"",
        method + 1, (int)(method - r->path - 1), r->path + 1, type_of(r));
}

static const char *const code_names[GRPC_CODES_COUNT] = {"OK",
                                                         "Canceled",
                                                         "Unknown",
                                                         "InvalidArgument",
                                                         "DeadlineExceeded",
                                                         "NotFound",
                                                         "AlreadyExists",
                                                         "PermissionDenied",
                                                         "ResourceExhausted",
                                                         "FailedPrecondition",
                                                         "Aborted",
                                                         "OutOfRange",
                                                         "Unimplemented",
                                                         "Internal",
                                                         "Unavailable",
                                                         "DataLoss",
                                                         "Unauthenticated"};

static void add_handled(struct api *a, struct buf *b)
{
    static const char name[] = "grpc_server_handled_total";
    head(b, name, "counter", "RPCs completed, whatever came of them.");
    for (size_t i = 0; i < api_rpcs_count; i++) {
        for (int code = 0; code < GRPC_CODES_COUNT; code++) {
            add_rpc(b, name, a->methods[i].rpc);
            add(b, ",grpc_code=\"%s\"} %" PRIu64 "\n", code_names[code],
                a->methods[i].handled[code]);
        }
    }
}

static void add_messages(struct api *a, struct buf *b, const char *name,
                         const char *help, size_t offset)
{
    head(b, name, "counter", help);
    for (size_t i = 0; i < api_rpcs_count; i++) {
        uint64_t value;
        memcpy(&value, (const uint8_t *)&a->methods[i] + offset, sizeof value);
        add_rpc(b, name, a->methods[i].rpc);
        add(b, "} %" PRIu64 "\n", value);
    }
}

static void add_rpcs(struct api *a, struct buf *b)
{
    add_messages(a, b, "grpc_server_started_total", "RPCs started.",
                 offsetof(struct api_method, started));
    add_handled(a, b);
    add_messages(a, b, "grpc_server_msg_received_total", "Messages received.",
                 offsetof(struct api_method, received));
    add_messages(a, b, "grpc_server_msg_sent_total", "Messages sent.",
                 offsetof(struct api_method, sent));
    if (a->server != NULL) {
        struct grpc_counts counts;
        grpc_server_counts(a->server, &counts);
        counter(b, "etcd_network_client_grpc_received_bytes_total",
                counts.bytes_received, "Bytes received from clients.");
        counter(b, "etcd_network_client_grpc_sent_bytes_total",
                counts.bytes_sent, "Bytes sent to clients.");
    }
}

/* --- the process --- */

static void add_process(struct buf *b)
{
    struct process_facts p;
    process_facts(&p);
    head(b, "process_cpu_seconds_total", "counter",
         "User and system CPU time in seconds.");
    add(b, "process_cpu_seconds_total %.2f\n", p.cpu_s);
    head(b, "process_start_time_seconds", "gauge",
         "When the process started, in seconds since 1970.");
    add(b, "process_start_time_seconds %.2f\n", p.start_s);
    gauge(b, "process_resident_memory_bytes", p.resident_bytes,
          "Resident memory.");
    gauge(b, "process_virtual_memory_bytes", p.virtual_bytes,
          "Virtual memory.");
    gauge(b, "process_open_fds", p.open_fds, "Open file descriptors.");
    gauge(b, "process_max_fds", p.max_fds, "Most that may be open.");
    gauge(b, "os_fd_used", p.open_fds, "Open file descriptors.");
    gauge(b, "os_fd_limit", p.max_fds, "Most that may be open.");
}

void api_metrics(struct api *a, struct buf *to)
{
    add_server(a, to);
    add_upkeep(a, to);
    add_store(a, to);
    add_rpcs(a, to);
    add_process(to);
}
