/* Opening a data directory: who this member is, its store, its log.
 *
 * The data directory decides who the member is; the flags do when it is new, or
 * the members that it asks when it joins (join.h). */

#include <stdlib.h>
#include <sys/stat.h>

#include "base/disk.h"
#include "base/log.h"
#include "base/must.h"
#include "node/join.h"
#include "node/mend.h"
#include "node/node_internal.h"
#include "wal/wal.h"

/* --- of struct replica_options --- */

static void log_stats(void *arg, struct wal_stats *ret)
{
    const struct node *n = arg;
    wal_stats(n->wal, ret);
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

/* --- store and log --- */

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

static enum status force_new_cluster(struct node *n,
                                     const struct wal_recovery *recovery,
                                     struct fault *reterr)
{
    log_warn("--force-new-cluster: this member goes on alone; start it without "
             "that flag from now on, and add new members");
    return replica_force_alone(n->replica, recovery->last_index, reterr);
}

static enum status open_log(struct node *n, const struct node_options *o,
                            const struct join_result *who, bool is_new,
                            struct disk *disk, struct fault *reterr)
{
    const struct replica_options ro = {
        .cluster_id = who->cluster_id,
        .member_id = who->member_id,
        .first = who->members,
        .name = o->name,
        .client_urls = o->advertise_client_urls,
        .cluster_token = o->cluster_token,
        .strict = o->strict_reconfig,
        .learners_max = o->learners_max,
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
        .log_unflushed_max = 128 * 1024 * 1024,
        .reserve = reserve,
        .unreserve = unreserve,
        .send = node_send,
        .send_lease = node_send_lease,
        .now_ns = now_ns,
        .tell = node_tell,
        .connected_ms = node_connected_ms,
        .can_grow = node_can_grow,
        .log_stats = log_stats,
        .host = n,
    };
    n->replica = replica_new(&ro, n->store);
    const enum status kept =
        is_new ? replica_keep_membership(n->replica, reterr) : ST_OK;
    if (kept != ST_OK) {
        disk->ops->free(disk);
        return kept;
    }
    struct wal_options wo;
    wal_options_default(&wo);
    wo.cluster_id = who->cluster_id;
    wo.member_id = who->member_id;
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
    if (st == ST_OK && o->force_new_cluster) {
        st = force_new_cluster(n, &recovery, reterr);
    }
    return st == ST_OK ? replica_begin(n->replica, &recovery, reterr) : st;
}

/* --- who this member is --- */

/* The store is told who it is after the log has been made, so a store that
 * knows has a log, or has lost it. */
static enum status check_log(const struct store_identity *stored, bool has_log,
                             const char *log_path, struct fault *reterr)
{
    if (stored->member_id == 0 || has_log) {
        return ST_OK;
    }
    return fault_set(reterr, ST_CORRUPT,
                     "the log is gone: '%s' holds nothing, but the store "
                     "beside it belongs to member %llx; put the log back, or "
                     "start again from a backup in a new data directory",
                     log_path, (unsigned long long)stored->member_id);
}

static enum status is_another(const struct store_identity *stored,
                              const struct identity *id, struct fault *reterr)
{
    return fault_set(
        reterr, ST_INVALID,
        "the data directory belongs to member %llx of cluster %llx, but "
        "--name, --initial-cluster and --initial-cluster-token make this "
        "member %llx of cluster %llx: give those it was made with",
        (unsigned long long)stored->member_id,
        (unsigned long long)stored->cluster_id,
        (unsigned long long)id->member_id, (unsigned long long)id->cluster_id);
}

/* As long as the members are the first ones the flags have to agree with the
 * data: what they say is needed, or a mistake.  Later they say nothing, unless
 * they make this member another one of its cluster. */
static enum status who_it_was(struct node *n, const struct node_options *o,
                              const struct store_identity *stored,
                              struct join_result *ret, struct fault *reterr)
{
    const struct bytes record = store_record(n->store, MEMBERSHIP_RECORD);
    struct identity *id = xcalloc(1, sizeof *id);
    enum status st = identity_derive(o->name, o->cluster_token,
                                     o->initial_cluster, id, reterr);
    bool changed = false;
    ret->members = xcalloc(1, sizeof *ret->members);
    if (record.size > 0 && membership_read(record, ret->members) == ST_OK) {
        changed = ret->members->changed_index > 0 ||
                  ret->members->conf.voters_count == 0 || o->force_new_cluster;
    } else if (st == ST_OK) {
        free(ret->members);
        ret->members = join_first_members(id, o->initial_cluster);
    }
    ret->cluster_id = stored->cluster_id;
    ret->member_id = stored->member_id;
    if (!changed && st == ST_OK &&
        (stored->member_id != id->member_id ||
         stored->cluster_id != id->cluster_id)) {
        st = is_another(stored, id, reterr);
    } else if (changed) {
        st = st == ST_OK && id->member_id != stored->member_id &&
                     membership_find(ret->members, id->member_id) != NULL
                 ? is_another(stored, id, reterr)
                 : ST_OK;
    }
    free(id);
    return st;
}

static enum status who_is_new(const struct node_options *o, bool has_log,
                              struct join_result *ret, struct fault *reterr)
{
    if (o->join) {
        return join_existing(o->name, o->advertise_peer_urls,
                             o->initial_cluster, ret, reterr);
    }
    struct identity *id = xcalloc(1, sizeof *id);
    enum status st = identity_derive(o->name, o->cluster_token,
                                     o->initial_cluster, id, reterr);
    if (st == ST_OK && !has_log) {
        st = join_check_new(id, reterr);
    }
    if (st == ST_OK) {
        ret->cluster_id = id->cluster_id;
        ret->member_id = id->member_id;
        ret->members = join_first_members(id, o->initial_cluster);
    }
    free(id);
    return st;
}

static void note_name(void *arg, const char *name)
{
    (void)name;
    *(bool *)arg = true;
}

static enum status open_parts(struct node *n, const struct node_options *o,
                              bool has_log, struct disk *disk,
                              struct fault *reterr)
{
    struct store_identity stored = {0};
    struct join_result who = {.members = NULL};
    store_identity(n->store, &stored);
    enum status st = check_log(&stored, has_log, n->dir.wal, reterr);
    if (st == ST_OK) {
        st = stored.member_id != 0 ? who_it_was(n, o, &stored, &who, reterr)
                                   : who_is_new(o, has_log, &who, reterr);
    }
    if (st != ST_OK) {
        disk->ops->free(disk);
        free(who.members);
        return st;
    }
    n->cluster_id = who.cluster_id;
    n->member_id = who.member_id;
    st = open_log(n, o, &who, stored.member_id == 0, disk, reterr);
    free(who.members);
    if (st == ST_OK && stored.member_id == 0) {
        stored = (struct store_identity){.cluster_id = n->cluster_id,
                                         .member_id = n->member_id};
        st = store_set_identity(n->store, &stored, reterr);
    }
    return st;
}

/* A start that is refused for its flags shall leave nothing behind that looks
 * like a member. */
static enum status check_flags_of_new(const struct node_options *o,
                                      struct fault *reterr)
{
    struct stat there;
    if (o->join || stat(o->data_dir, &there) == 0) {
        return ST_OK; /* asked later, with what the directory holds */
    }
    struct identity *id = xcalloc(1, sizeof *id);
    const enum status st = identity_derive(o->name, o->cluster_token,
                                           o->initial_cluster, id, reterr);
    free(id);
    return st;
}

/* The log's lock guards the whole directory: it comes first. */
enum status node_open_data(struct node *n, const struct node_options *o,
                           struct fault *reterr)
{
    struct disk *disk;
    bool has_log = false;
    const enum status refused = check_flags_of_new(o, reterr);
    if (refused != ST_OK) {
        return refused;
    }
    enum status st = data_dir_open(o->data_dir, &n->dir, reterr);
    if (st == ST_OK) {
        st = disk_open(n->dir.wal, &disk, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    st = disk->ops->list(disk, note_name, &has_log, reterr);
    if (st == ST_OK) {
        st = open_store(n, o, reterr);
    }
    if (st != ST_OK) {
        disk->ops->free(disk);
        return st;
    }
    return open_parts(n, o, has_log, disk, reterr);
}
