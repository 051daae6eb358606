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

#include "base/log.h"
#include "base/must.h"
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
        .advertise_peer_urls = "http://localhost:2380",
        .advertise_client_urls = "",
        .strict_reconfig = true,
        .learners_max = 1,
    };
}

void node_fail(struct node *n, enum status why, const struct fault *fault)
{
    if (n->broken) {
        return;
    }
    n->broken = true;
    if (!n->stopping) { /* else all that has been done */
        loop_timer_clear(n->tick);
        loop_timer_clear(n->wake);
        replica_stop(n->replica);
        upkeep_stop(n->upkeep);
    }
    n->failed(n->arg, why, fault);
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
    if (replica_members_changed(n->replica)) {
        node_link_members(n);
    }
    node_links_turn(n);
    more |= upkeep_turn(n->upkeep);
    more |= node_compare(n);
    more |= node_save(n);
    end_mending(n);
    if (n->broken) {
        return false;
    }
    if (!upkeep_holds_flushes(n->upkeep)) {
        node_flush(n, upkeep_wants_flush(n->upkeep));
    }
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

/* By one of those who remain.  That this member knows it is not enough: with
 * it the others may lack the quorum to learn it. */
void node_was_removed(struct node *n)
{
    const struct fault fault = {
        "this member was removed from the cluster: its data directory is of no "
        "more use; to take part again, add a new member and start it with an "
        "empty one"};
    node_fail(n, ST_MEMBER_NOT_FOUND, &fault);
}

/* --- starting and stopping --- */

static enum status start_threads(struct node *n, struct fault *reterr)
{
    loop_ask_for_short_turns(); /* threads inherit it from who makes them */
    const enum status st =
        worker_new(n->loop, "keelfs-wal", &n->wal_worker, reterr);
    return st == ST_OK
               ? worker_new(n->loop, "keelfs-store", &n->store_worker, reterr)
               : st;
}

static enum status open_all(struct node *n, const struct node_options *o,
                            struct fault *reterr)
{
    enum status st = node_open_data(n, o, reterr);
    if (st == ST_OK) {
        st = start_threads(n, reterr);
    }
    return st == ST_OK ? node_start_links(n, o, reterr) : st;
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
    n->stopping = true;
    loop_hook_remove(&n->hook);
    loop_timer_free(n->tick);
    loop_timer_free(n->wake);
    replica_stop(n->replica);
    upkeep_stop(n->upkeep);
    node_free_links(n);
    node_flush_finish(n);
    free_all(n);
}
