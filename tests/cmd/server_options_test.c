/* The real table against etcd 3.6's documentation, and the values made of it.
 */

#include <string.h>

#include "cmd/server_flags.h"
#include "cmd/server_options.h"
#include "tests/lib/test.h"

/* Names and defaults that etcd's users rely on, from etcd's configuration
 * page. */
static const struct {
    const char *name, *normal;
} documented[] = {
    {"name", "default"},
    {"snapshot-count", "10000"},
    {"heartbeat-interval", "100"},
    {"election-timeout", "1000"},
    {"initial-election-tick-advance", "true"},
    {"listen-peer-urls", "http://localhost:2380"},
    {"listen-client-urls", "http://localhost:2379"},
    {"listen-client-http-urls", ""},
    {"max-snapshots", "5"},
    {"max-wals", "5"},
    {"quota-backend-bytes", "0"},
    {"backend-batch-interval", "100ms"},
    {"backend-batch-limit", "10000"},
    {"max-txn-ops", "128"},
    {"max-request-bytes", "1572864"},
    {"grpc-keepalive-min-time", "5s"},
    {"grpc-keepalive-interval", "2h"},
    {"grpc-keepalive-timeout", "20s"},
    {"enable-grpc-gateway", "true"},
    {"initial-advertise-peer-urls", "http://localhost:2380"},
    {"initial-cluster", "default=http://localhost:2380"},
    {"initial-cluster-state", "new"},
    {"initial-cluster-token", "etcd-cluster"},
    {"advertise-client-urls", "http://localhost:2379"},
    {"strict-reconfig-check", "true"},
    {"pre-vote", "true"},
    {"auto-compaction-retention", "0"},
    {"auto-compaction-mode", "periodic"},
    {"client-cert-auth", "false"},
    {"auto-tls", "false"},
    {"self-signed-cert-validity", "1"},
    {"cors", "*"},
    {"host-whitelist", "*"},
    {"tls-min-version", "TLS1.2"},
    {"auth-token", "simple"},
    {"bcrypt-cost", "10"},
    {"auth-token-ttl", "300"},
    {"enable-pprof", "false"},
    {"metrics", "basic"},
    {"log-outputs", "default"},
    {"log-level", "info"},
    {"corrupt-check-time", "0s"},
    {"compact-hash-check-time", "1m"},
    {"watch-progress-notify-interval", "10m"},
    {"max-learners", "1"},
    {"snapshot-catchup-entries", "5000"},
    {"force-new-cluster", "false"},
    {"unsafe-no-fsync", "false"},
};

TEST(server_flags, have_etcds_names_and_defaults)
{
    struct flags f;
    flags_init(&f, server_flags, server_flags_count);
    for (size_t i = 0; i < count_of(documented); i++) {
        EXPECT_TEXT(flags_text(&f, documented[i].name), documented[i].normal);
    }
    flags_fini(&f);
}

static void no_line(void *arg, const char *line)
{
    (void)arg;
    fail_msg("a default is warned about: %s", line);
}

/* Rows must be whole: a default that its own kind refuses would stop the
 * process when somebody reads it. */
TEST(server_flags, accept_their_own_defaults_and_explain_themselves)
{
    struct flags f;
    struct fault fault;
    flags_init(&f, server_flags, server_flags_count);
    EXPECT_INT(flags_review(&f, no_line, NULL, &fault), ST_OK);
    for (size_t i = 0; i < server_flags_count; i++) {
        const struct flag *row = &server_flags[i];
        EXPECT(row->help[0] != '\0');
        EXPECT((row->fate == FLAG_USED) == (row->note[0] == '\0'));
        EXPECT((row->kind == FLAG_CHOICE) == (row->choices[0] != '\0'));
        for (size_t j = 0; j < i; j++) {
            EXPECT(strcmp(server_flags[j].name, row->name) != 0);
        }
        if (row->kind == FLAG_LIST) {
            continue;
        }
        char word[256];
        (void)snprintf(word, sizeof word, "--%s=%s", row->name, row->normal);
        char *const argv[] = {word};
        if (flags_read_line(&f, 1, argv, &fault) != ST_OK) {
            fail_msg("%s", fault.text);
        }
    }
    flags_fini(&f);
}

/* --- values --- */

struct rig {
    struct flags flags;
    struct server_options options;
    struct fault fault;
};

static enum status derive(struct rig *r, int argc, const char *const *words)
{
    char *argv[16];
    must(argc < 16);
    for (int i = 0; i < argc; i++) {
        (void)memcpy(&argv[i], &words[i], sizeof argv[i]);
    }
    *r = (struct rig){.fault = {{0}}};
    flags_init(&r->flags, server_flags, server_flags_count);
    assert_int_equal(flags_read_line(&r->flags, argc, argv, &r->fault), ST_OK);
    return server_options_from(&r->flags, &r->options, &r->fault);
}

#define DERIVE(rig, ...)                                                       \
    derive(rig, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
           (const char *const[]){__VA_ARGS__})

static void rig_end(struct rig *r)
{
    server_options_fini(&r->options);
    flags_fini(&r->flags);
}

TEST(server_options, defaults_are_etcds)
{
    struct rig r;
    EXPECT_INT(derive(&r, 0, NULL), ST_OK);
    const struct server_options *o = &r.options;
    EXPECT_TEXT(o->name, "default");
    EXPECT_TEXT(o->data_dir, "default.etcd");
    EXPECT_TEXT(o->initial_cluster, "default=http://localhost:2380");
    EXPECT_TEXT(o->cluster_token, "etcd-cluster");
    EXPECT(!o->join);
    EXPECT_INT(o->heartbeat_ms, 100);
    EXPECT_INT(o->election_ms, 1000);
    EXPECT_INT(o->quota_bytes, 0);
    EXPECT_INT(o->txn_ops_max, 128);
    EXPECT_INT(o->request_bytes_max, 1572864);
    EXPECT_INT(o->log_keep_entries, 5000);
    EXPECT_INT(o->spin_us, 50);
    EXPECT_INT(o->log_level, LOG_INFO);
    EXPECT_TEXT(o->log_output, "stderr");
    EXPECT_INT(o->mounts_count, 0);
    rig_end(&r);
}

/* As in etcd: the name decides the default of the directory and the cluster. */
TEST(server_options, the_name_makes_the_directory_and_the_cluster)
{
    struct rig r;
    EXPECT_INT(DERIVE(&r, "--name=infra1",
                      "--initial-advertise-peer-urls=http://a:1,http://b:2"),
               ST_OK);
    EXPECT_TEXT(r.options.data_dir, "infra1.etcd");
    EXPECT_TEXT(r.options.initial_cluster,
                "infra1=http://a:1,infra1=http://b:2");
    rig_end(&r);
}

TEST(server_options, given_values_reach_the_node)
{
    struct rig r;
    EXPECT_INT(
        DERIVE(&r, "--data-dir=/d", "--name=n", "--initial-cluster-token=t",
               "--initial-cluster=n=http://localhost:2380",
               "--heartbeat-interval=20", "--election-timeout=100",
               "--quota-backend-bytes=-5", "--max-txn-ops=5",
               "--max-request-bytes=4096", "--snapshot-catchup-entries=9",
               "--mount=/m", "--mount-options=ro", "--log-level=fatal"),
        ST_OK);
    struct node_options n = {.proposals_max = 77};
    server_options_to_node(&r.options, &n);
    EXPECT_TEXT(n.data_dir, "/d");
    EXPECT_TEXT(n.name, "n");
    EXPECT_TEXT(n.cluster_token, "t");
    EXPECT_TEXT(n.initial_cluster, "n=http://localhost:2380");
    EXPECT_INT(n.heartbeat_ms, 20);
    EXPECT_INT(n.election_ms, 100);
    EXPECT(n.quota_bytes == UINT64_MAX);
    EXPECT_INT(n.txn_ops_max, 5);
    EXPECT_INT(n.request_bytes_max, 4096);
    EXPECT_INT(n.log_keep_entries, 9);
    EXPECT_INT(n.proposals_max, 77);
    EXPECT_INT(r.options.mounts_count, 1);
    EXPECT_TEXT(r.options.mount_options, "ro");
    EXPECT_INT(r.options.log_level, LOG_ERROR);
    rig_end(&r);
}

/* What would make a node that cannot work, or that is not what was asked for.
 */
TEST(server_options, what_contradicts_itself_is_refused)
{
    static const struct {
        const char *words[2];
        const char *part; /* of the message */
    } rows[] = {
        {{"--heartbeat-interval=0", "--name=a"},
         "--heartbeat-interval must be more than 0"},
        {{"--election-timeout=0", "--name=a"},
         "--election-timeout must be more than 0"},
        {{"--election-timeout=499", "--heartbeat-interval=100"},
         "at least 5 times --heartbeat-interval"},
        {{"--election-timeout=50001", "--name=a"}, "at most 50000 ms"},
        {{"--loop-spin=10001", "--name=a"}, "--loop-spin is 10001"},
        {{"--max-txn-ops=0", "--name=a"}, "--max-txn-ops is 0"},
        {{"--max-txn-ops=4294967296", "--name=a"}, "--max-txn-ops is"},
        {{"--max-request-bytes=0", "--name=a"}, "--max-request-bytes is 0"},
        {{"--max-request-bytes=10485761", "--name=a"},
         "--max-request-bytes is 10485761: it must be from 1 to 10485760"},
        {{"--name=", "--data-dir=d"}, "--name is ''"},
        {{"--name=a,b", "--data-dir=d"}, "--name is 'a,b'"},
        {{"--name=a", "--initial-cluster=b=http://localhost:2380"},
         "does not name this member, 'a'"},
        {{"--name=a", "--initial-cluster=a=http://other:2380"},
         "missing from --initial-advertise-peer-urls"},
        {{"--initial-advertise-peer-urls=", "--name=a"},
         "--initial-advertise-peer-urls must not be empty"},
        {{"--log-outputs=stderr,/tmp/x", "--name=a"}, "one place"},
        {{"--cert-file=c", "--name=a"},
         "--cert-file is given without --key-file"},
        {{"--peer-key-file=k", "--name=a"},
         "--peer-key-file is given without --peer-cert-file"},
        {{"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"},
         "--tls-min-version is above --tls-max-version"},
        {{"--client-cert-auth", "--name=a"}, "without --trusted-ca-file"},
        {{"--auto-compaction-retention=soon", "--name=a"}, "in mode periodic"},
        {{"--auto-compaction-retention=5m", "--auto-compaction-mode=revision"},
         "in mode revision"},
        {{"--auto-compaction-retention=-1", "--name=a"}, "'-1'"},
        {{"--auto-compaction-retention=10ms", "--name=a"}, "at least a second"},
        {{"--auto-compaction-retention=1000000", "--name=a"}, "'1000000'"},
        {{"--bcrypt-cost=3", "--name=a"}, "from 4 to 31"},
        {{"--bcrypt-cost=32", "--name=a"}, "from 4 to 31"},
        {{"--auth-token=none", "--name=a"}, "--auth-token is 'none'"},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct rig r;
        EXPECT_INT(derive(&r, 2, rows[i].words), ST_INVALID);
        if (strstr(r.fault.text, rows[i].part) == NULL) {
            fail_msg("row %zu: '%s' does not say '%s'", i, r.fault.text,
                     rows[i].part);
        }
        rig_end(&r);
    }
}

/* etcd's reading: a bare number is hours in one mode, revisions in the other.
 */
TEST(server_options, retention_is_hours_a_time_or_revisions)
{
    static const struct {
        const char *words[2];
        int64_t period_ns, revisions;
    } rows[] = {
        {{"--name=a", "--name=a"}, 0, 0},
        {{"--auto-compaction-retention=2", "--name=a"}, 7200000000000, 0},
        {{"--auto-compaction-retention=90s", "--name=a"}, 90000000000, 0},
        {{"--auto-compaction-retention=1000",
          "--auto-compaction-mode=revision"},
         0,
         1000},
        {{"--auto-compaction-retention=0", "--auto-compaction-mode=revision"},
         0,
         0},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct rig r;
        EXPECT_INT(derive(&r, 2, rows[i].words), ST_OK);
        EXPECT_INT(r.options.auto_compaction.period_ns, rows[i].period_ns);
        EXPECT_INT(r.options.auto_compaction.revisions, rows[i].revisions);
        rig_end(&r);
    }
}

/* The edges of the ranges above are allowed. */
TEST(server_options, the_edges_are_allowed)
{
    struct rig r;
    EXPECT_INT(DERIVE(&r, "--election-timeout=500", "--bcrypt-cost=4"), ST_OK);
    rig_end(&r);
    EXPECT_INT(DERIVE(&r, "--election-timeout=50000", "--bcrypt-cost=31"),
               ST_OK);
    rig_end(&r);
    EXPECT_INT(DERIVE(&r, "--max-txn-ops=4294967295",
                      "--max-request-bytes=10485760",
                      "--auto-compaction-retention=5m"),
               ST_OK);
    rig_end(&r);
}
