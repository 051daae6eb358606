/* The flags of `keelfs server`, one row each: name, kind, etcd's default,
 * choices, what this version does with it and why, group, meaning. */

#include "cmd/server_flags.h"

#define NOT_SERVED "not served by this version"
#define NO_CLIENT_TLS                                                          \
    "clients connect without encryption to this version: bind the client "     \
    "port "                                                                    \
    "to a trusted network"
#define MOOT_CLIENT_TLS "has no effect without TLS"
#define NO_GATEWAY      "has no effect: there is no JSON gateway in this version"
#define NO_PEER_TLS                                                            \
    "links between members are neither encrypted nor authenticated by this "   \
    "version: use a network that only members reach"
#define OWN_LIMITS                                                             \
    "has no effect: links between members have limits of their own"
#define NOT_DONE "not done by this version"
#define NO_DISCOVERY                                                           \
    "discovery is not supported by this version: name the members with "       \
    "--initial-cluster"
#define MOOT_DISCOVERY "has no effect without discovery"
#define NO_AUTH                                                                \
    "not served by this version: access is checked by the modes of the mount"

#define USED(kind, name, normal, choices, help)                                \
    {                                                                          \
        name, FLAG_##kind, normal, choices, FLAG_USED, "", GROUP, help         \
    }
#define LATER(kind, name, normal, choices, note, help)                         \
    {                                                                          \
        name, FLAG_##kind, normal, choices, FLAG_LATER, note, GROUP, help      \
    }
#define MOOT(kind, name, normal, choices, note, help)                          \
    {                                                                          \
        name, FLAG_##kind, normal, choices, FLAG_MOOT, note, GROUP, help       \
    }
#define REFUSED(kind, name, normal, choices, note, help)                       \
    {                                                                          \
        name, FLAG_##kind, normal, choices, FLAG_REFUSED, note, GROUP, help    \
    }

const struct flag server_flags[] = {
#define GROUP FLAG_GROUP_OWN
    USED(LIST, "mount", "", "",
         "directory at which the keystore is mounted; may be given several "
         "times"),
    USED(TEXT, "mount-options", "", "",
         "options of the mounts, separated by commas; a wrong one lists the "
         "right ones"),
    USED(COUNT, "loop-spin", "50", "",
         "microseconds that the server looks for more work before it sleeps; "
         "0 where cores are scarce"),
#undef GROUP

#define GROUP "Member"
    USED(TEXT, "name", "default", "", "name of this member"),
    USED(TEXT, "data-dir", "", "",
         "directory of the log and the store; ${name}.etcd when not given"),
    LATER(TEXT, "wal-dir", "", "",
          "not used by this version: the log is in the data directory",
          "directory of the log"),
    MOOT(COUNT, "snapshot-count", "10000", "",
         "has no effect: the store is moved to disk by size, continuously",
         "applied entries between snapshots"),
    USED(COUNT, "heartbeat-interval", "100", "",
         "milliseconds between the heartbeats of a leader"),
    USED(COUNT, "election-timeout", "1000", "",
         "milliseconds without a heartbeat until an election; at least 5 "
         "heartbeats"),
    MOOT(BOOL, "initial-election-tick-advance", "true", "",
         "has no effect: an only member elects itself at once",
         "shorten the first election after a start"),
    USED(URLS, "listen-peer-urls", "http://localhost:2380", "",
         "where other members connect; not listened on by a cluster of one"),
    USED(URLS, "listen-client-urls", "http://localhost:2379", "",
         "where clients connect"),
    LATER(URLS, "listen-client-http-urls", "", "", NOT_SERVED,
          "where clients connect for HTTP only"),
    MOOT(COUNT, "max-snapshots", "5", "",
         "has no effect: there are no snapshot files", "snapshot files kept"),
    MOOT(COUNT, "max-wals", "5", "",
         "has no effect: log files are recycled as soon as the store has what "
         "they hold",
         "log files kept"),
    LATER(BOOL, "memory-mlock", "false", "", "not supported by this version",
          "keep the process in memory"),
    USED(
        INT, "quota-backend-bytes", "0", "",
        "size at which the store refuses writes; 0 is 2 GiB, negative is none"),
    MOOT(CHOICE, "backend-bbolt-freelist-type", "map", "map array",
         "has no effect: the store is not bbolt", "kind of free list"),
    MOOT(DURATION, "backend-batch-interval", "100ms", "",
         "has no effect: the store is committed by size",
         "time between commits of the store"),
    MOOT(COUNT, "backend-batch-limit", "10000", "",
         "has no effect: the store is committed by size",
         "operations between commits of the store"),
    USED(COUNT, "max-txn-ops", "128", "",
         "operations allowed in one transaction"),
    USED(COUNT, "max-request-bytes", "1572864", "",
         "bytes allowed in one request"),
    USED(COUNT, "max-concurrent-streams", "4294967295", "",
         "streams allowed in one connection"),
    USED(DURATION, "grpc-keepalive-min-time", "5s", "",
         "shortest time between pings of a client"),
    USED(DURATION, "grpc-keepalive-interval", "2h", "",
         "time between pings to a client; 0 for none"),
    USED(DURATION, "grpc-keepalive-timeout", "20s", "",
         "wait for the answer to a ping"),
    LATER(BOOL, "socket-reuse-port", "false", "", NOT_SERVED,
          "listen with SO_REUSEPORT"),
    LATER(BOOL, "socket-reuse-address", "false", "", NOT_SERVED,
          "listen with SO_REUSEADDR"),
    LATER(BOOL, "enable-grpc-gateway", "true", "", NO_GATEWAY,
          "serve JSON under /v3/"),
    MOOT(DURATION, "raft-read-timeout", "5s", "", OWN_LIMITS,
         "time a peer connection may be silent"),
    MOOT(DURATION, "raft-write-timeout", "5s", "", OWN_LIMITS,
         "time a peer connection may be stuck"),
    LATER(TEXT, "feature-gates", "", "",
          "no gate has an effect in this version", "gates as Name=true,..."),
#undef GROUP

#define GROUP "Clustering"
    USED(URLS, "initial-advertise-peer-urls", "http://localhost:2380", "",
         "peer URLs of this member, as told to the cluster"),
    USED(TEXT, "initial-cluster", "default=http://localhost:2380", "",
         "first members as NAME=URL,..."),
    USED(CHOICE, "initial-cluster-state", "new", "new existing",
         "whether the first start makes a cluster or joins one"),
    USED(TEXT, "initial-cluster-token", "etcd-cluster", "",
         "tells clusters with the same members apart"),
    USED(URLS, "advertise-client-urls", "http://localhost:2379", "",
         "client URLs of this member, as told to clients"),
    REFUSED(TEXT, "discovery", "", "", NO_DISCOVERY,
            "URL of a version 2 discovery service"),
    REFUSED(TEXT, "discovery-token", "", "", NO_DISCOVERY,
            "token of the cluster to discover"),
    REFUSED(TEXT, "discovery-endpoints", "", "", NO_DISCOVERY,
            "endpoints of the discovery service"),
    MOOT(DURATION, "discovery-dial-timeout", "2s", "", MOOT_DISCOVERY,
         "limit on connecting to it"),
    MOOT(DURATION, "discovery-request-timeout", "5s", "", MOOT_DISCOVERY,
         "limit on a request to it"),
    MOOT(DURATION, "discovery-keepalive-time", "2s", "", MOOT_DISCOVERY,
         "time between pings to it"),
    MOOT(DURATION, "discovery-keepalive-timeout", "6s", "", MOOT_DISCOVERY,
         "wait for the answer to a ping"),
    MOOT(BOOL, "discovery-insecure-transport", "true", "", MOOT_DISCOVERY,
         "speak to it without TLS"),
    MOOT(BOOL, "discovery-insecure-skip-tls-verify", "false", "",
         MOOT_DISCOVERY, "do not verify its certificate"),
    MOOT(TEXT, "discovery-cert", "", "", MOOT_DISCOVERY,
         "certificate shown to it"),
    MOOT(TEXT, "discovery-key", "", "", MOOT_DISCOVERY,
         "key of that certificate"),
    MOOT(TEXT, "discovery-cacert", "", "", MOOT_DISCOVERY,
         "certificates that verify it"),
    MOOT(TEXT, "discovery-user", "", "", MOOT_DISCOVERY,
         "user, or user:password"),
    MOOT(TEXT, "discovery-password", "", "", MOOT_DISCOVERY, "password"),
    MOOT(CHOICE, "discovery-fallback", "exit", "exit", MOOT_DISCOVERY,
         "what to do when discovery fails"),
    MOOT(TEXT, "discovery-proxy", "", "", MOOT_DISCOVERY,
         "HTTP proxy on the way to it"),
    REFUSED(TEXT, "discovery-srv", "", "", NO_DISCOVERY,
            "DNS domain whose SRV records name the members"),
    MOOT(TEXT, "discovery-srv-name", "", "", MOOT_DISCOVERY,
         "suffix of the SRV records"),
    USED(BOOL, "strict-reconfig-check", "true", "",
         "refuse member changes that would cost the quorum"),
    MOOT(BOOL, "pre-vote", "true", "",
         "has no effect: members always ask first",
         "ask before an election whether it could be won"),
    USED(TEXT, "auto-compaction-retention", "0", "",
         "history kept by compaction: a time or a number of revisions; 0 "
         "keeps all"),
    USED(CHOICE, "auto-compaction-mode", "periodic", "periodic revision",
         "what auto-compaction-retention counts"),
    MOOT(CHOICE, "v2-deprecation", "write-only",
         "not-yet write-only write-only-drop-data gone",
         "has no effect: there is no version 2 store",
         "phase of the end of the version 2 store"),
#undef GROUP

#define GROUP "Security"
    REFUSED(TEXT, "cert-file", "", "", NO_CLIENT_TLS,
            "certificate shown to clients"),
    REFUSED(TEXT, "key-file", "", "", NO_CLIENT_TLS, "key of that certificate"),
    REFUSED(BOOL, "client-cert-auth", "false", "", NO_CLIENT_TLS,
            "clients must show a certificate"),
    REFUSED(TEXT, "client-cert-file", "", "", NO_CLIENT_TLS,
            "certificate this member shows to itself and to peers as a client"),
    REFUSED(TEXT, "client-key-file", "", "", NO_CLIENT_TLS,
            "key of that certificate"),
    REFUSED(TEXT, "client-crl-file", "", "", NO_CLIENT_TLS,
            "revoked client certificates"),
    REFUSED(TEXT, "client-cert-allowed-hostname", "", "", NO_CLIENT_TLS,
            "host names allowed in client certificates"),
    REFUSED(TEXT, "trusted-ca-file", "", "", NO_CLIENT_TLS,
            "certificates that verify clients"),
    REFUSED(BOOL, "auto-tls", "false", "", NO_CLIENT_TLS,
            "make a certificate for clients"),
    REFUSED(TEXT, "peer-cert-file", "", "", NO_PEER_TLS,
            "certificate shown to peers"),
    REFUSED(TEXT, "peer-key-file", "", "", NO_PEER_TLS,
            "key of that certificate"),
    REFUSED(BOOL, "peer-client-cert-auth", "false", "", NO_PEER_TLS,
            "peers must show a certificate"),
    REFUSED(TEXT, "peer-client-cert-file", "", "", NO_PEER_TLS,
            "certificate shown when connecting to peers"),
    REFUSED(TEXT, "peer-client-key-file", "", "", NO_PEER_TLS,
            "key of that certificate"),
    REFUSED(TEXT, "peer-trusted-ca-file", "", "", NO_PEER_TLS,
            "certificates that verify peers"),
    REFUSED(TEXT, "peer-cert-allowed-cn", "", "", NO_PEER_TLS,
            "common names allowed in peer certificates"),
    REFUSED(TEXT, "peer-cert-allowed-hostname", "", "", NO_PEER_TLS,
            "host names allowed in peer certificates"),
    REFUSED(BOOL, "peer-auto-tls", "false", "", NO_PEER_TLS,
            "make a certificate for peers"),
    MOOT(COUNT, "self-signed-cert-validity", "1", "", MOOT_CLIENT_TLS,
         "years that certificates made here are valid"),
    REFUSED(TEXT, "peer-crl-file", "", "", NO_PEER_TLS,
            "revoked peer certificates"),
    MOOT(BOOL, "peer-skip-client-san-verification", "false", "",
         MOOT_CLIENT_TLS, "do not compare addresses with peer certificates"),
    MOOT(TEXT, "cipher-suites", "", "", MOOT_CLIENT_TLS,
         "TLS 1.2 cipher suites allowed"),
    LATER(TEXT, "cors", "*", "", NO_GATEWAY,
          "origins allowed to scripts in browsers"),
    LATER(TEXT, "host-whitelist", "*", "", NO_GATEWAY,
          "host names accepted in plain HTTP requests"),
    MOOT(CHOICE, "tls-min-version", "TLS1.2", "TLS1.2 TLS1.3", MOOT_CLIENT_TLS,
         "lowest TLS version allowed"),
    MOOT(CHOICE, "tls-max-version", "", "TLS1.2 TLS1.3", MOOT_CLIENT_TLS,
         "highest TLS version allowed"),
#undef GROUP

#define GROUP "Auth"
    LATER(TEXT, "auth-token", "simple", "", NO_AUTH,
          "kind of token: simple, or jwt and its options"),
    LATER(COUNT, "bcrypt-cost", "10", "", NO_AUTH,
          "work to hash a password; 4 to 31"),
    LATER(COUNT, "auth-token-ttl", "300", "", NO_AUTH,
          "seconds that a simple token lives"),
#undef GROUP

#define GROUP "Metrics"
    LATER(BOOL, "enable-pprof", "false", "", NOT_SERVED,
          "serve profiles over HTTP"),
    LATER(CHOICE, "metrics", "basic", "basic extensive", NOT_SERVED,
          "detail of the metrics"),
    USED(URLS, "listen-metrics-urls", "", "",
         "where /metrics and /health are served too"),
    LATER(BOOL, "enable-distributed-tracing", "false", "", NOT_SERVED,
          "send traces"),
    LATER(TEXT, "distributed-tracing-address", "localhost:4317", "", NOT_SERVED,
          "collector of traces"),
    LATER(TEXT, "distributed-tracing-service-name", "etcd", "", NOT_SERVED,
          "name of this service in traces"),
    LATER(TEXT, "distributed-tracing-instance-id", "", "", NOT_SERVED,
          "name of this member in traces"),
    LATER(COUNT, "distributed-tracing-sampling-rate", "0", "", NOT_SERVED,
          "traces kept of a million"),
#undef GROUP

#define GROUP "Logging"
    MOOT(CHOICE, "logger", "zap", "zap", "has no effect",
         "kept for old command lines"),
    USED(TEXT, "log-outputs", "default", "",
         "default, stderr, stdout, or a file"),
    USED(CHOICE, "log-level", "info",
         "debug info warn error dpanic panic fatal",
         "least important lines written"),
    MOOT(CHOICE, "log-format", "console", "json console",
         "not written by this version: log lines are plain text",
         "form of the lines (etcd: json)"),
    LATER(BOOL, "enable-log-rotation", "false", "",
          "not done by this version: use logrotate with copytruncate",
          "begin a new log file when it is large"),
    MOOT(TEXT, "log-rotation-config-json",
         "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": "
         "false, \"compress\": false}",
         "", "has no effect without log rotation",
         "when a new log file begins"),
    LATER(DURATION, "warning-unary-request-duration", "300ms", "",
          "not logged by this version", "log requests that take longer"),
#undef GROUP

#define GROUP "Checks and tuning"
    LATER(DURATION, "corrupt-check-time", "0s", "", NOT_DONE,
          "time between comparisons with the other members; 0 for none"),
    MOOT(DURATION, "compact-hash-check-time", "1m", "",
         "has no effect: states are compared after compactions, at most once "
         "a minute",
         "time between comparisons of compacted history"),
    MOOT(COUNT, "compaction-batch-limit", "1000", "",
         "has no effect: what was compacted is swept beside the writes to disk",
         "revisions compacted in one step"),
    MOOT(DURATION, "compaction-sleep-interval", "10ms", "",
         "has no effect: what was compacted is swept beside the writes to disk",
         "rest between steps of a compaction"),
    USED(DURATION, "watch-progress-notify-interval", "10m", "",
         "time between progress notices to watchers"),
    LATER(DURATION, "warning-apply-duration", "100ms", "",
          "not logged by this version",
          "log requests whose application takes longer"),
    LATER(COUNT, "bootstrap-defrag-threshold-megabytes", "0", "",
          "not done by this version",
          "defragment at start when this much is gained"),
    USED(COUNT, "max-learners", "1", "",
         "learners allowed in the cluster at once"),
    LATER(DURATION, "downgrade-check-time", "5s", "", NOT_DONE,
          "time between looks at a downgrade"),
    USED(COUNT, "snapshot-catchup-entries", "5000", "",
         "log entries kept for slow followers"),
#undef GROUP

#define GROUP "Unsafe"
    USED(BOOL, "force-new-cluster", "false", "",
         "go on with this member's data alone: the others are given up"),
    REFUSED(
        BOOL, "unsafe-no-fsync", "false", "",
        "refused: acknowledged writes would be lost with the power; remove it",
        "do not sync the log to disk"),
    REFUSED(TEXT, "config-file", "", "",
            "not read by this version: give flags or ETCD_ variables instead",
            "file of flags; others are then ignored"),
#undef GROUP
};

const size_t server_flags_count = count_of(server_flags);
