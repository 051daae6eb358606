/* The host: carries out on threads, disk and loop what the replica asks for.
 *
 *   loop       replica_turn() at the end of every turn
 *   WAL thread append and sync of everything saved since the last sync
 *   store thread  one flush at a time
 *
 * The log is written either by the loop or by the WAL thread, never both at
 * once: while a WAL job is out, saves gather behind it and share the next sync.
 */

#include "node/node.h"

#include <stdlib.h>
#include <time.h>

#include "base/disk.h"
#include "base/log.h"
#include "base/must.h"
#include "node/data_dir.h"
#include "node/identity.h"
#include "node/mend.h"
#include "node/node_internal.h"
#include "node/upkeep.h"
#include "wal/wal.h"

void node_options_default(struct node_options *ret)
{
    *ret = (struct node_options){
        .name = "default",
        .cluster_token = "etcd-cluster",
        .initial_cluster = "default=http://localhost:2380",
        .listen_peer_urls = "http://localhost:2380",
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .txn_ops_max = 128,
        .request_bytes_max = 1536 * 1024,
        .log_keep_entries = 5000,
        .proposals_max = 8192,
    };
}

void node_fail(struct node *n, enum status why, const struct fault *fault)
{
    if (n->broken) {
        return;
    }
    n->broken = true;
    loop_timer_clear(n->tick);
    loop_timer_clear(n->wake);
    replica_stop(n->replica);
    upkeep_stop(n->upkeep);
    n->failed(n->arg, why, fault);
}

static bool reserve(void *arg, uint64_t bytes)
{
    const struct node *n = arg;
    return wal_reserve(n->wal, bytes);
}

static void unreserve(void *arg, uint64_t bytes)
{
    const struct node *n = arg;
    wal_unreserve(n->wal, bytes);
}

static int64_t now_ns(void *arg)
{
    (void)arg;
    return loop_now_ns();
}

static struct replica_clock clock_now(void)
{
    struct timespec wall;
    must(clock_gettime(CLOCK_REALTIME, &wall) == 0);
    return (struct replica_clock){.now_ns = loop_now_ns(),
                                  .wall_ns = wall.tv_sec * INT64_C(1000000000) +
                                             wall.tv_nsec};
}

/* --- the loop's part --- */

/* All that the log had lost is durable again. */
static void end_mending(struct node *n)
{
    struct fault fault;
    if (!n->mending || replica_has_lost(n->replica)) {
        return;
    }
    const enum status st = data_dir_end_mending(&n->dir, &fault);
    if (st != ST_OK) {
        node_fail(n, st, &fault);
        return;
    }
    n->mending = false;
    log_info("all entries that the log had lost are back");
}

static bool turn(void *arg)
{
    struct node *n = arg;
    if (n->broken) {
        /* Late submissions are answered as everything else was. */
        replica_stop(n->replica);
        upkeep_stop(n->upkeep);
        return false;
    }
    const struct replica_clock clock = clock_now();
    struct fault fault;
    bool more;
    const enum status st = replica_turn(n->replica, &clock, &more, &fault);
    if (st != ST_OK) {
        node_fail(n, st, &fault);
        return false;
    }
    node_links_turn(n);
    more |= upkeep_turn(n->upkeep);
    more |= node_save(n);
    end_mending(n);
    if (n->broken) {
        return false;
    }
    node_flush(n, upkeep_wants_flush(n->upkeep));
    if (!n->was_ready && replica_is_ready(n->replica)) {
        n->was_ready = true;
        n->ready(n->arg);
    }
    const int64_t deadline = replica_next_deadline(n->replica);
    if (deadline != n->wake_at) {
        n->wake_at = deadline;
        if (deadline == INT64_MAX) {
            loop_timer_clear(n->wake);
        } else {
            loop_timer_at(n->wake, deadline);
        }
    }
    return more && !n->broken;
}

/* The turn that follows every event does the work. */
static void woken(void *arg)
{
    struct node *n = arg;
    n->wake_at = INT64_MAX;
}

static void tick(void *arg)
{
    struct node *n = arg;
    if (n->broken) {
        return;
    }
    replica_tick(n->replica);
    node_links_tick(n);
    upkeep_tick(n->upkeep);
    loop_timer_at(n->tick, loop_now_ns() + n->heartbeat_ns);
}

/* --- starting and stopping --- */

static enum status open_store(struct node *n, const struct node_options *o,
                              struct fault *reterr)
{
    struct store_options *so = &n->store_options;
    store_options_default(so);
    so->txn_ops_max = o->txn_ops_max;
    so->request_bytes_max = o->request_bytes_max;
    if (o->quota_bytes > 0) {
        so->quota_bytes = o->quota_bytes;
    }
    const enum status st = store_import_discard(n->dir.store, reterr);
    return st == ST_OK ? store_open(n->dir.store, so, &n->store, reterr) : st;
}

/* The data directory decides who this member is; the options only when it is
 * new.  The store is told after the log has been made, so a store that knows
 * who it is has a log, or has lost it. */
static enum status check_identity(const struct identity *id,
                                  const struct store_identity *stored,
                                  bool has_log, const char *log_path,
                                  struct fault *reterr)
{
    if (stored->member_id == 0) {
        return ST_OK;
    }
    if (!has_log) {
        return fault_set(reterr, ST_CORRUPT,
                         "the log is gone: '%s' holds nothing, but the store "
                         "beside it belongs to member %llx; put the log back, "
                         "or start again from a backup in a new data directory",
                         log_path, (unsigned long long)stored->member_id);
    }
    if (stored->member_id != id->member_id ||
        stored->cluster_id != id->cluster_id) {
        return fault_set(
            reterr, ST_INVALID,
            "the data directory belongs to member %llx of cluster %llx, but "
            "--name, --initial-cluster and --initial-cluster-token make this "
            "member %llx of cluster %llx: give those it was made with",
            (unsigned long long)stored->member_id,
            (unsigned long long)stored->cluster_id,
            (unsigned long long)id->member_id,
            (unsigned long long)id->cluster_id);
    }
    return ST_OK;
}

static void note_name(void *arg, const char *name)
{
    (void)name;
    *(bool *)arg = true;
}

/* What was promised is noted before the log changes. */
static enum status mend(struct node *n, const struct wal_options *wo,
                        struct wal_recovery *recovery, struct fault *reterr)
{
    struct disk *disk;
    enum status st = data_dir_set_mending(&n->dir, recovery->end_index,
                                          recovery->end_term, reterr);
    if (st == ST_OK) {
        st = disk_open(n->dir.wal, &disk, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    const uint64_t end = recovery->end_index;
    st = mend_log(disk, wo, n->replica, recovery, &n->wal, reterr);
    if (st == ST_OK) {
        log_warn("the log is damaged: %s. It goes on behind entry %llu; those "
                 "up to entry %llu are fetched from the other members again",
                 recovery->damaged_text,
                 (unsigned long long)recovery->last_index,
                 (unsigned long long)end);
    }
    return st;
}

static enum status take_up_mending(struct node *n, struct fault *reterr)
{
    uint64_t index, term;
    const enum status st = data_dir_mending(&n->dir, &index, &term, reterr);
    if (st == ST_OK) {
        n->mending = true;
        replica_set_lost(n->replica, index, term);
        log_warn("this member lost log entries up to %llu of term %llu: until "
                 "it has them again it does not lead, and votes only for who "
                 "has them",
                 (unsigned long long)index, (unsigned long long)term);
    }
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status open_log(struct node *n, const struct node_options *o,
                            const struct identity *id, struct disk *disk,
                            struct fault *reterr)
{
    const char *names[IDENTITY_MEMBERS_MAX];
    for (size_t i = 0; i < id->voters_count; i++) {
        names[i] = id->names[i];
    }
    const struct replica_options ro = {
        .names = names,
        .cluster_id = id->cluster_id,
        .member_id = id->member_id,
        .first_conf = {.voters = id->voters, .voters_count = id->voters_count},
        .election_ticks = (uint32_t)(o->election_ms / o->heartbeat_ms),
        .heartbeat_ticks = 1,
        .tick_ns = o->heartbeat_ms * INT64_C(1000000),
        .seed = node_random_seed(),
        .calls_max = o->proposals_max,
        .timeout_ms = 5000 + 2 * o->election_ms, /* etcd's ReqTimeout */
        .request_bytes_max = o->request_bytes_max,
        .log_keep_entries = o->log_keep_entries,
        .message_bytes_max = 1024 * 1024,
        .log_keep_bytes = 64 * 1024 * 1024,
        .reserve = reserve,
        .unreserve = unreserve,
        .send = node_send,
        .send_lease = node_send_lease,
        .now_ns = now_ns,
        .host = n,
    };
    n->replica = replica_new(&ro, n->store);
    struct wal_options wo;
    wal_options_default(&wo);
    wo.cluster_id = id->cluster_id;
    wo.member_id = id->member_id;
    struct wal_recovery recovery;
    enum status st = wal_open(disk, &wo, replica_recover_entry, n->replica,
                              &recovery, &n->wal, reterr);
    if (st == ST_CORRUPT && recovery.end_is_known &&
        !replica_is_alone(n->replica)) {
        st = mend(n, &wo, &recovery, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    if (recovery.torn) {
        log_warn("the log's unsynced end was cut: %s", recovery.torn_text);
    }
    st = take_up_mending(n, reterr);
    if (st == ST_OK) {
        st = node_finish_install(n, reterr);
    }
    return st == ST_OK ? replica_begin(n->replica, &recovery, reterr) : st;
}

static enum status start_threads(struct node *n, struct fault *reterr)
{
    loop_ask_for_short_turns(); /* threads inherit it from who makes them */
    const enum status st =
        worker_new(n->loop, "keelfs-wal", &n->wal_worker, reterr);
    return st == ST_OK
               ? worker_new(n->loop, "keelfs-store", &n->store_worker, reterr)
               : st;
}

/* The log's lock guards the whole directory: it comes first. */
static enum status open_data(struct node *n, const struct node_options *o,
                             const struct identity *id, struct fault *reterr)
{
    struct disk *disk;
    enum status st = data_dir_open(o->data_dir, &n->dir, reterr);
    if (st == ST_OK) {
        st = disk_open(n->dir.wal, &disk, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    struct store_identity stored = {0};
    bool has_log = false;
    st = disk->ops->list(disk, note_name, &has_log, reterr);
    if (st == ST_OK) {
        st = open_store(n, o, reterr);
    }
    if (st == ST_OK) {
        store_identity(n->store, &stored);
        st = check_identity(id, &stored, has_log, n->dir.wal, reterr);
    }
    if (st != ST_OK) {
        disk->ops->free(disk);
        return st;
    }
    st = open_log(n, o, id, disk, reterr);
    if (st == ST_OK && stored.member_id == 0) {
        stored = (struct store_identity){.cluster_id = id->cluster_id,
                                         .member_id = id->member_id};
        st = store_set_identity(n->store, &stored, reterr);
    }
    return st;
}

static enum status open_all(struct node *n, const struct node_options *o,
                            struct fault *reterr)
{
    struct identity *id = xcalloc(1, sizeof *id);
    enum status st = identity_derive(o->name, o->cluster_token,
                                     o->initial_cluster, id, reterr);
    if (st == ST_OK) {
        st = open_data(n, o, id, reterr);
    }
    if (st == ST_OK) {
        st = start_threads(n, reterr);
    }
    if (st == ST_OK) {
        st = node_start_links(n, o, id, reterr);
    }
    free(id);
    return st;
}

static void free_all(struct node *n)
{
    node_free_links(n);
    upkeep_free(n->upkeep);
    worker_free(n->wal_worker);
    worker_free(n->store_worker);
    node_save_fini(n);
    replica_free(n->replica);
    wal_close(n->wal);
    store_close(n->store);
    free(n);
}

enum status node_start(struct loop *loop, const struct node_options *options,
                       void (*ready)(void *arg),
                       void (*failed)(void *arg, enum status why,
                                      const struct fault *fault),
                       void *arg, struct node **ret, struct fault *reterr)
{
    must(options->heartbeat_ms > 0 &&
         options->election_ms > options->heartbeat_ms);
    struct node *n = xcalloc(1, sizeof *n);
    n->loop = loop;
    n->ready = ready;
    n->failed = failed;
    n->arg = arg;
    n->heartbeat_ns = options->heartbeat_ms * INT64_C(1000000);
    n->wake_at = INT64_MAX;
    n->upkeep = upkeep_new(n, options);
    /* Before the links', so that what a turn sends leaves in that turn. */
    n->hook = (struct loop_hook){.run = turn, .arg = n};
    loop_hook_add(loop, &n->hook);
    const enum status st = open_all(n, options, reterr);
    if (st != ST_OK) {
        loop_hook_remove(&n->hook);
        free_all(n);
        return st;
    }
    n->tick = loop_timer_new(loop, tick, n);
    n->wake = loop_timer_new(loop, woken, n);
    loop_timer_at(n->tick, loop_now_ns() + n->heartbeat_ns);
    *ret = n;
    return ST_OK;
}

struct kv *node_kv(struct node *n)
{
    return replica_kv(n->replica);
}

void node_stop(struct node *n)
{
    if (n == NULL) {
        return;
    }
    loop_hook_remove(&n->hook);
    loop_timer_free(n->tick);
    loop_timer_free(n->wake);
    replica_stop(n->replica);
    upkeep_stop(n->upkeep);
    node_free_links(n);
    node_flush_finish(n);
    free_all(n);
}
