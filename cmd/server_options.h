/* What `keelfs server` is to do, from its flags: values in their types, and
 * checked against each other. */
#ifndef CMD_SERVER_OPTIONS_H
#define CMD_SERVER_OPTIONS_H

#include "base/log.h"
#include "cmd/flags.h"
#include "node/node.h"

struct server_options {
    const char *data_dir;
    const char *name;
    const char *cluster_token;
    const char *initial_cluster;
    const char *listen_peer_urls;
    const char *advertise_peer_urls;
    bool join; /* --initial-cluster-state=existing */
    bool force_new_cluster;
    bool strict_reconfig;
    size_t learners_max;
    bool named_cluster; /* --initial-cluster was given */
    int64_t heartbeat_ms, election_ms;
    uint64_t quota_bytes; /* UINT64_MAX: none */
    uint32_t txn_ops_max;
    uint64_t request_bytes_max;
    uint64_t log_keep_entries;
    struct compactor_options auto_compaction;

    /* Comma-separated URLs; "" for none. */
    const char *listen_client_urls;
    const char *advertise_client_urls;
    const char *listen_metrics_urls;
    bool client_urls_given; /* by flag or variable */
    int64_t progress_interval_ms;
    uint32_t streams_max;
    int64_t ping_interval_min_ms, keepalive_ms, keepalive_timeout_ms;

    const char *const *mounts;
    size_t mounts_count;
    const char *mount_options;
    uint32_t spin_us;

    enum log_level log_level;
    const char *log_output; /* "stderr", "stdout" or a path */

    char *owned[2]; /* texts made here */
};

/* Flags are those of server_flags.  *ret borrows their texts.  ST_INVALID: a
 * value out of range, or two flags that contradict each other. */
enum status server_options_from(const struct flags *f,
                                struct server_options *ret,
                                struct fault *reterr) MUST_USE;
void server_options_fini(struct server_options *o);

/* The node's part; fields that no flag sets keep node_options_default()'s. */
void server_options_to_node(const struct server_options *o,
                            struct node_options *ret);

/* Contradictions among flags that nothing uses yet, so that a command line that
 * this version accepts is one that the next ones can honour. */
enum status server_options_check_rest(const struct flags *f,
                                      struct fault *reterr) MUST_USE;

#endif
