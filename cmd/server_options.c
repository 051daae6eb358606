/* From flags to options: ranges and contradictions of what is used. */

#include "cmd/server_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/flag_value.h"

/* etcd's own limits (server/embed/config.go): an election must leave room for
 * lost heartbeats, and must not take a minute. */
#define ELECTION_HEARTBEATS_MIN 5
#define ELECTION_MS_MAX         50000

/* Requests travel and are stored whole; larger ones belong into files. */
#define REQUEST_BYTES_MAX (10 * 1024 * 1024)

/* More would be a core that is busy for good. */
#define SPIN_US_MAX 10000

#define HOUR_NS          (INT64_C(3600) * 1000000000)
#define HOURS_MAX        (24 * 3660) /* ten years */
#define RETENTION_NS_MIN INT64_C(1000000000)

static enum status check_times(const struct server_options *o,
                               struct fault *reterr)
{
    if (o->heartbeat_ms == 0 || o->election_ms == 0) {
        return fault_set(
            reterr, ST_INVALID, "--%s must be more than 0 (milliseconds)",
            o->heartbeat_ms == 0 ? "heartbeat-interval" : "election-timeout");
    }
    if (o->election_ms > ELECTION_MS_MAX) {
        return fault_set(reterr, ST_INVALID,
                         "--election-timeout is %lld ms: at most %d ms are "
                         "allowed",
                         (long long)o->election_ms, ELECTION_MS_MAX);
    }
    if (o->heartbeat_ms > o->election_ms / ELECTION_HEARTBEATS_MIN) {
        return fault_set(reterr, ST_INVALID,
                         "--election-timeout is %lld ms: it must be at least "
                         "%d times --heartbeat-interval, %lld ms",
                         (long long)o->election_ms, ELECTION_HEARTBEATS_MIN,
                         (long long)o->heartbeat_ms);
    }
    return ST_OK;
}

static enum status check_range(const struct flags *f, const char *name,
                               int64_t min, int64_t max, int64_t *ret,
                               struct fault *reterr)
{
    const int64_t value = flags_int(f, name);
    if (value < min || value > max) {
        return fault_set(reterr, ST_INVALID,
                         "--%s is %lld: it must be from %lld to %lld", name,
                         (long long)value, (long long)min, (long long)max);
    }
    *ret = value;
    return ST_OK;
}

static enum status limits_from(const struct flags *f, struct server_options *o,
                               struct fault *reterr)
{
    int64_t ops = 0, bytes = 0, keep = 0, spin = 0, learners = 0;
    enum status st = check_range(f, "max-txn-ops", 1, UINT32_MAX, &ops, reterr);
    if (st == ST_OK) {
        st = check_range(f, "max-request-bytes", 1, REQUEST_BYTES_MAX, &bytes,
                         reterr);
    }
    if (st == ST_OK) {
        st = check_range(f, "snapshot-catchup-entries", 0, INT32_MAX, &keep,
                         reterr);
    }
    if (st == ST_OK) {
        st = check_range(f, "loop-spin", 0, SPIN_US_MAX, &spin, reterr);
    }
    if (st == ST_OK) {
        st = check_range(f, "max-learners", 0, INT32_MAX, &learners, reterr);
        o->learners_max = (size_t)learners;
    }
    if (st != ST_OK) {
        return st;
    }
    o->spin_us = (uint32_t)spin;
    o->txn_ops_max = (uint32_t)ops;
    o->request_bytes_max = (uint64_t)bytes;
    o->log_keep_entries = (uint64_t)keep;
    const int64_t quota = flags_int(f, "quota-backend-bytes");
    o->quota_bytes = quota < 0 ? UINT64_MAX : (uint64_t)quota;
    return ST_OK;
}

/* A bare number is hours or revisions. */
static enum status compaction_from(const struct flags *f,
                                   struct server_options *o,
                                   struct fault *reterr)
{
    const char *retention = flags_text(f, "auto-compaction-retention");
    const bool by_time =
        strcmp(flags_text(f, "auto-compaction-mode"), "periodic") == 0;
    int64_t value = 0;
    bool good = false;
    if (flag_value_int(retention, &value)) {
        good = value >= 0 && (!by_time || value <= HOURS_MAX);
        value *= by_time && good ? HOUR_NS : 1;
    } else if (by_time && flag_value_duration(retention, &value)) {
        good = value == 0 ||
               (value >= RETENTION_NS_MIN && value <= HOURS_MAX * HOUR_NS);
    }
    if (!good) {
        return fault_set(reterr, ST_INVALID,
                         "--auto-compaction-retention is '%s': in mode %s",
                         retention,
                         by_time ? "periodic it is a number of hours or a time "
                                   "(30m), at least a second"
                                 : "revision it is a number of revisions");
    }
    o->auto_compaction = (struct compactor_options){
        .period_ns = by_time ? value : 0, .revisions = by_time ? 0 : value};
    return ST_OK;
}

/* --- the cluster --- */

/* The next part of a list; NULL at its end. */
static const char *next_part(const char **list, size_t *ret_size)
{
    if (**list == '\0') {
        return NULL;
    }
    const char *part = *list;
    *ret_size = strcspn(part, ",");
    *list += *ret_size;
    *list += **list == ',';
    return part;
}

static bool has_part(const char *list, const char *part, size_t part_size)
{
    size_t size;
    const char *other;
    while ((other = next_part(&list, &size)) != NULL) {
        if (size == part_size && memcmp(other, part, size) == 0) {
            return true;
        }
    }
    return false;
}

/* "<name>=<url>" for each URL of a list; owned by the caller. */
static char *cluster_of(const char *name, const char *urls)
{
    size_t size = 1;
    size_t url_size;
    const char *list = urls;
    while (next_part(&list, &url_size) != NULL) {
        size += strlen(name) + url_size + 2;
    }
    char *text = xcalloc(1, size);
    size_t used = 0;
    const char *url;
    while ((url = next_part(&urls, &url_size)) != NULL) {
        used += (size_t)snprintf(text + used, size - used, "%s%s=%.*s",
                                 used > 0 ? "," : "", name, (int)url_size, url);
    }
    return text;
}

/* What the cluster is told about this member must be what it says itself. */
static enum status check_own_urls(const struct flags *f,
                                  const struct server_options *o,
                                  struct fault *reterr)
{
    const char *own = flags_text(f, "initial-advertise-peer-urls");
    const size_t name_size = strlen(o->name);
    const char *list = o->initial_cluster;
    const char *part;
    size_t size;
    bool any = false;
    while ((part = next_part(&list, &size)) != NULL) {
        if (size <= name_size || memcmp(part, o->name, name_size) != 0 ||
            part[name_size] != '=') {
            continue;
        }
        any = true;
        if (!has_part(own, part + name_size + 1, size - name_size - 1)) {
            return fault_set(reterr, ST_INVALID,
                             "--initial-cluster has '%.*s', which is missing "
                             "from --initial-advertise-peer-urls '%s'",
                             (int)size, part, own);
        }
    }
    return any ? ST_OK
               : fault_set(reterr, ST_INVALID,
                           "--initial-cluster '%s' does not name this member, "
                           "'%s': give --name one of its names",
                           o->initial_cluster, o->name);
}

static enum status cluster_from(const struct flags *f, struct server_options *o,
                                struct fault *reterr)
{
    o->name = flags_text(f, "name");
    o->cluster_token = flags_text(f, "initial-cluster-token");
    o->listen_peer_urls = flags_text(f, "listen-peer-urls");
    o->join = strcmp(flags_text(f, "initial-cluster-state"), "existing") == 0;
    if (o->name[0] == '\0' || strpbrk(o->name, ",=") != NULL) {
        return fault_set(reterr, ST_INVALID,
                         "--name is '%s': it must not be empty, nor hold ',' "
                         "or '='",
                         o->name);
    }
    const struct flag_setting *given = flags_setting(f, "initial-cluster");
    o->named_cluster = given->source != FLAG_FROM_DEFAULT;
    const char *urls = flags_text(f, "initial-advertise-peer-urls");
    o->advertise_peer_urls = urls;
    o->force_new_cluster = flags_bool(f, "force-new-cluster");
    o->strict_reconfig = flags_bool(f, "strict-reconfig-check");
    if (urls[0] == '\0') {
        return fault_set(reterr, ST_INVALID,
                         "--initial-advertise-peer-urls must not be empty");
    }
    if (!o->named_cluster || given->value[0] == '\0') {
        o->initial_cluster = o->owned[0] = cluster_of(o->name, urls);
        return ST_OK;
    }
    o->initial_cluster = given->value;
    return check_own_urls(f, o, reterr);
}

/* --- clients --- */

/* etcd's own limit: more often would only cost. */
#define PROGRESS_MS_MIN 100

static int64_t milliseconds(const struct flags *f, const char *name)
{
    return flags_duration_ns(f, name) / 1000000;
}

static enum status clients_from(const struct flags *f, struct server_options *o,
                                struct fault *reterr)
{
    int64_t streams = 0;
    const enum status st = check_range(f, "max-concurrent-streams", 1,
                                       UINT32_MAX, &streams, reterr);
    if (st != ST_OK) {
        return st;
    }
    o->streams_max = (uint32_t)streams;
    o->listen_client_urls = flags_text(f, "listen-client-urls");
    o->advertise_client_urls = flags_text(f, "advertise-client-urls");
    o->listen_metrics_urls = flags_text(f, "listen-metrics-urls");
    o->client_urls_given =
        flags_setting(f, "listen-client-urls")->source != FLAG_FROM_DEFAULT;
    o->progress_interval_ms = milliseconds(f, "watch-progress-notify-interval");
    o->ping_interval_min_ms = milliseconds(f, "grpc-keepalive-min-time");
    o->keepalive_ms = milliseconds(f, "grpc-keepalive-interval");
    o->keepalive_timeout_ms = milliseconds(f, "grpc-keepalive-timeout");
    if (o->progress_interval_ms < PROGRESS_MS_MIN) {
        return fault_set(reterr, ST_INVALID,
                         "--watch-progress-notify-interval must be at least "
                         "%dms",
                         PROGRESS_MS_MIN);
    }
    return ST_OK;
}

/* --- the log --- */

static enum log_level level_of(const char *name)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}};
    for (size_t i = 0; i < count_of(levels); i++) {
        if (strcmp(name, levels[i].name) == 0) {
            return levels[i].level;
        }
    }
    return LOG_ERROR; /* error, and what etcd calls worse */
}

static enum status log_from(const struct flags *f, struct server_options *o,
                            struct fault *reterr)
{
    o->log_level = level_of(flags_text(f, "log-level"));
    const char *output = flags_text(f, "log-outputs");
    if (output[0] == '\0' || strchr(output, ',') != NULL) {
        return fault_set(reterr, ST_INVALID,
                         "--log-outputs is '%s': give one of stderr, stdout or "
                         "a file; this version writes to one place",
                         output);
    }
    o->log_output = strcmp(output, "default") == 0 ? "stderr" : output;
    return ST_OK;
}

enum status server_options_from(const struct flags *f,
                                struct server_options *ret,
                                struct fault *reterr)
{
    struct server_options o = {0};
    o.heartbeat_ms = flags_int(f, "heartbeat-interval");
    o.election_ms = flags_int(f, "election-timeout");
    enum status st = check_times(&o, reterr);
    if (st == ST_OK) {
        st = limits_from(f, &o, reterr);
    }
    if (st == ST_OK) {
        st = compaction_from(f, &o, reterr);
    }
    if (st == ST_OK) {
        st = cluster_from(f, &o, reterr);
    }
    if (st == ST_OK) {
        st = clients_from(f, &o, reterr);
    }
    if (st == ST_OK) {
        st = log_from(f, &o, reterr);
    }
    if (st == ST_OK) {
        st = server_options_check_rest(f, reterr);
    }
    if (st != ST_OK) {
        server_options_fini(&o);
        return st;
    }
    o.data_dir = flags_text(f, "data-dir");
    if (o.data_dir[0] == '\0') {
        const size_t size = strlen(o.name) + sizeof ".etcd";
        o.data_dir = o.owned[1] = xmalloc(size);
        (void)snprintf(o.owned[1], size, "%s.etcd", o.name);
    }
    const struct flag_setting *mounts = flags_setting(f, "mount");
    o.mounts = mounts->values;
    o.mounts_count = mounts->count;
    o.mount_options = flags_text(f, "mount-options");
    *ret = o;
    return ST_OK;
}

void server_options_fini(struct server_options *o)
{
    free(o->owned[0]);
    free(o->owned[1]);
    *o = (struct server_options){0};
}

void server_options_to_node(const struct server_options *o,
                            struct node_options *ret)
{
    ret->data_dir = o->data_dir;
    ret->name = o->name;
    ret->cluster_token = o->cluster_token;
    ret->initial_cluster = o->initial_cluster;
    ret->listen_peer_urls = o->listen_peer_urls;
    ret->advertise_peer_urls = o->advertise_peer_urls;
    ret->advertise_client_urls = o->advertise_client_urls;
    ret->join = o->join;
    ret->force_new_cluster = o->force_new_cluster;
    ret->strict_reconfig = o->strict_reconfig;
    ret->learners_max = o->learners_max;
    ret->heartbeat_ms = o->heartbeat_ms;
    ret->election_ms = o->election_ms;
    ret->quota_bytes = o->quota_bytes;
    ret->txn_ops_max = o->txn_ops_max;
    ret->request_bytes_max = o->request_bytes_max;
    ret->log_keep_entries = o->log_keep_entries;
    ret->auto_compaction = o->auto_compaction;
}
