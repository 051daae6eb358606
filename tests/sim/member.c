/* One simulated member: the host's part of node/, on virtual time. */

#include <stdlib.h>
#include <sys/stat.h>

#include "base/hmap.h"
#include "base/must.h"
#include "tests/sim/internal.h"

static struct replica_clock clock_of(const struct member *m)
{
    const int64_t now =
        MS + m->sim->now_ns + m->sim->now_ns / 1000000 * m->clock_drift_ppm;
    return (struct replica_clock){.now_ns = now,
                                  .wall_ns = INT64_C(1700000000000000000) +
                                             now + m->clock_offset_ns};
}

static bool reserve(void *arg, uint64_t bytes)
{
    const struct member *m = arg;
    return wal_reserve(m->wal, bytes);
}

static void unreserve(void *arg, uint64_t bytes)
{
    const struct member *m = arg;
    wal_unreserve(m->wal, bytes);
}

static int64_t now_ns(void *arg)
{
    return clock_of(arg).now_ns;
}

static void send(void *arg, struct raft_message *take)
{
    struct member *m = arg;
    network_send(m->sim, m->id, take);
}

static void send_lease(void *arg, uint64_t to, struct buf *take)
{
    struct member *m = arg;
    network_send_lease(m->sim, m->id, to, take);
}

void member_receive_lease(struct member *m, uint64_t from, struct bytes frame)
{
    if (m->up && !m->paused && !m->broken) {
        replica_receive_lease(m->replica, from, frame);
        member_turn(m);
    }
}

struct change change_of(const struct kv_event *e, bool is_last)
{
    return (struct change){
        .revision = e->item.mod_revision,
        .key = key_number(e->item.key),
        .name = hash_bytes(e->item.key, 1),
        .value = e->type == KV_EVENT_PUT ? value_number(e->item.value) : 0,
        .prev = e->prev != NULL ? value_number(e->prev->value) : 0,
        .is_last = is_last};
}

void member_note_due(struct member *m)
{
    if (m->due_next == m->due.count && m->due_at > 0) {
        m->seen = m->due_at;
        m->seen_events = changes_at(&m->sim->all, m->seen + 1);
        m->due_at = 0;
    }
}

/* What differs from what it was told, when a state came without history. */
static void note_difference(struct member *m, struct change c)
{
    if (!changes_take(&m->due, &m->due_next, &c)) {
        sim_fail(m->sim,
                 "member %u's watch was told that key %u is %llu since "
                 "revision %lld, of what differs from what it knew up to %lld",
                 member_number(m), c.key, (unsigned long long)c.value,
                 (long long)c.revision, (long long)m->due_at);
        return;
    }
    m->seen = c.revision;
    member_note_due(m);
}

/* All tell one history; whoever is first makes it longer. */
static void note_seen(struct member *m, struct change c)
{
    struct changes *all = &m->sim->all;
    if (m->seen_events == all->count) {
        changes_add(all, c);
    }
    const struct change *right = &all->list[m->seen_events++];
    if (right->revision != c.revision || right->key != c.key ||
        right->value != c.value) {
        sim_fail(m->sim,
                 "member %u's watch told of revision %lld key %u value %llu "
                 "where another's told of revision %lld key %u value %llu",
                 member_number(m), (long long)c.revision, c.key,
                 (unsigned long long)c.value, (long long)right->revision,
                 right->key, (unsigned long long)right->value);
    }
    m->seen = c.revision;
}

static void on_events(struct kv_watch *w, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    struct member *m = container_of(w, struct member, watch);
    (void)header;
    for (size_t i = 0; i < count; i++) {
        const struct change c = change_of(&events[i], i + 1 == count);
        if (m->due_next < m->due.count) {
            note_difference(m, c);
        } else {
            note_seen(m, c);
        }
    }
}

static void on_end(struct kv_watch *w, enum status why,
                   int64_t compact_revision)
{
    struct member *m = container_of(w, struct member, watch);
    m->watches = false;
    if (why != ST_STOPPED) {
        sim_fail(m->sim,
                 "member %u's watch from %lld, told up to %lld, ended: "
                 "%s at %lld",
                 member_number(m), (long long)w->start_revision,
                 (long long)m->seen, status_name(why),
                 (long long)compact_revision);
    }
}

/* From where it was, if that is still there; of who joined, from the first
 * state it has. */
static void begin_watch(struct member *m)
{
    m->due.count = m->due_next = 0;
    m->due_at = 0;
    if (m->joins && m->seen == 0 && store_applied_index(m->store) == 0) {
        return;
    }
    if ((m->joins && m->seen == 0) ||
        m->seen + 1 < store_compact_revision(m->store)) {
        m->seen = store_revision(m->store);
    }
    m->seen_events = changes_at(&m->sim->all, m->seen + 1);
    m->watches = true;
    m->watch = (struct kv_watch){
        .keys = {{(const uint8_t *)"", 1}, {(const uint8_t *)"", 1}},
        .start_revision = m->seen + 1,
        .on_events = on_events,
        .on_end = on_end};
    kv_watch(replica_kv(m->replica), &m->watch);
}

static void tick(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, tick);
    if (!m->up) {
        return;
    }
    sim_at(s, &m->tick,
           s->now_ns + TICK_NS - TICK_NS / 1000000 * m->clock_drift_ppm, tick);
    if (!m->paused && !m->broken) {
        if (m->saving_count == 0) {
            disk_tend(m);
        }
        m->ticks++;
        replica_tick(m->replica);
        member_turn(m);
        membership_tick(m);
    }
}

struct store_options member_store_options(const struct sim *s)
{
    /* Slices that are nothing, small, and as they are by default. */
    static const uint32_t sweep_rows_max[] = {4, 64, 0, 0};
    struct store_options so;
    store_options_default(&so);
    so.map_size = 256 * 1024 * 1024;
    so.memtable_bytes_max = 8 * 1024; /* flushes often */
    so.sweep_rows_max =
        sweep_rows_max[s->options.seed / 2 % count_of(sweep_rows_max)];
    so.watch_changes_max = 5;
    return so;
}

struct wal_options member_wal_options(const struct member *m)
{
    struct wal_options wo;
    wal_options_default(&wo);
    wo.cluster_id = 1;
    wo.member_id = m->id;
    wo.segment_size = 64 * 1024;
    return wo;
}

static enum status open_member(struct member *m, struct fault *reterr)
{
    const struct store_options so = member_store_options(m->sim);
    enum status st = store_open(m->directory, &so, &m->store, reterr);
    if (st != ST_OK) {
        return st;
    }
    const struct replica_options ro = {
        .cluster_id = 1,
        .member_id = m->id,
        .first = m->first != NULL ? m->first : m->sim->first,
        .name = m->name,
        .client_urls = m->name,
        .strict = m->sim->profile.strict,
        .learners_max = MEMBERS_MAX,
        .tell = network_tell,
        .connected_ms = network_connected_ms,
        .election_ticks = ELECTION_TICKS,
        .heartbeat_ticks = 1,
        .tick_ns = TICK_NS,
        .seed = hash_u64(m->sim->options.seed ^ m->id ^ (++m->life << 32)),
        .calls_max = 1024,
        .timeout_ms = 5000,
        .request_bytes_max = 64 * 1024,
        .message_bytes_max = m->sim->profile.message_bytes_max,
        .log_keep_entries = m->sim->profile.forgets         ? 3
                            : m->sim->options.seed % 2 == 0 ? 1000000
                                                            : 20,
        .log_keep_bytes = 64 * 1024 * 1024,
        .log_unflushed_max = 128 * 1024 * 1024,
        .reserve = reserve,
        .unreserve = unreserve,
        .send = send,
        .send_lease = send_lease,
        .now_ns = now_ns,
        .host = m,
    };
    m->replica = replica_new(&ro, m->store);
    if (store_record(m->store, MEMBERSHIP_RECORD).size == 0) {
        st = replica_keep_membership(m->replica, reterr);
        must(st == ST_OK);
    }
    const struct wal_options wo = member_wal_options(m);
    struct disk *disk;
    disk_before_start(m);
    st = disk_sim_open(m->disk_sim, &disk, reterr);
    must(st == ST_OK);
    struct wal_recovery recovery;
    st = wal_open(disk, &wo, replica_recover_entry, m->replica, &recovery,
                  &m->wal, reterr);
    if (st == ST_CORRUPT && recovery.end_is_known) {
        st = member_mend(m, &recovery, reterr);
    }
    replica_set_lost(m->replica, m->lost_index, m->lost_term);
    return st == ST_OK ? replica_begin(m->replica, &recovery, reterr) : st;
}

static void free_member(struct member *m)
{
    replica_free(m->replica);
    wal_close(m->wal);
    store_close(m->store);
    m->replica = NULL;
    m->wal = NULL;
    m->store = NULL;
}

void member_start(struct member *m)
{
    must(!m->up);
    struct fault fault = {{0}};
    const enum status st = open_member(m, &fault);
    if (st != ST_OK && disk_start_failed(m, st)) {
        free_member(m);
        return;
    }
    if (st != ST_OK) {
        if (!membership_turned_away(m, st)) {
            sim_fail(m->sim, "member %u cannot restart: %s: %s",
                     member_number(m), status_name(st), fault.text);
        }
        return;
    }
    safety_started(m);
    m->up = true;
    m->up_since_ns = m->sim->now_ns;
    m->muted = false;
    m->doom_above = 0;
    m->died_ns = 0;
    lessees_forget(m);
    begin_watch(m);
    const size_t mounts = 1 + prng_below(&m->sim->prng, MOUNTS);
    for (size_t i = 0; i < mounts; i++) {
        m->mounts[i] = mount_new(m, clock_of(m).now_ns);
    }
    sim_at(m->sim, &m->tick, m->sim->now_ns + TICK_NS, tick);
    sim_note(m->sim, "%u starts applied %llu", member_number(m),
             (unsigned long long)store_applied_index(m->store));
    member_turn(m);
}

static void close_member(struct member *m)
{
    watchers_forget(m->sim, m);
    processes_forget(m->sim, m);
    for (size_t i = 0; i < MOUNTS; i++) {
        mount_free(m->mounts[i]);
        m->mounts[i] = NULL;
    }
    replica_stop(m->replica);
    install_forget(m);
    for (size_t i = 0; i < m->saving_count; i++) {
        raft_message_fini(&m->saving[i]);
    }
    m->saving_count = 0;
    m->was_alone = replica_is_alone(m->replica);
    free_member(m);
    m->flushing = NULL;
    m->up = m->watches = m->broken = false;
    heap_remove(&m->sim->events, &m->tick.at);
    heap_remove(&m->sim->events, &m->saved.at);
    heap_remove(&m->sim->events, &m->flushed.at);
}

void member_crash(struct member *m)
{
    must(m->up);
    sim_note(m->sim, "%u crashes", member_number(m));
    sim_count(m->sim, SIM_FAULT_CRASH);
    disk_sim_crash(m->disk_sim);
    close_member(m);
    m->paused = false;
    m->died_ns = m->sim->now_ns;
    disk_count_losses(m);
    rot_check(m);
}

void member_stop(struct member *m)
{
    must(m->up);
    sim_note(m->sim, "%u stops", member_number(m));
    close_member(m);
    m->paused = false;
    m->died_ns = m->sim->now_ns;
}

void member_end(struct member *m)
{
    must(m->up);
    close_member(m);
    m->paused = false;
    m->gone = true;
}

void member_lose_data(struct member *m)
{
    must(!m->up);
    disk_sim_free(m->disk_sim);
    m->disk_sim = disk_sim_new(prng_next(&m->sim->prng));
    m->losses = (struct disk_sim_losses){0};
    m->lost_index = m->lost_term = 0;
    files_remove(m->directory);
}

void member_fini(struct member *m)
{
    if (m->up) {
        close_member(m);
    }
    free_member(m); /* of a start that failed half-way */
    disk_sim_free(m->disk_sim);
    free(m->first);
}

static enum status append(struct member *m, const struct raft_message *x,
                          struct fault *reterr)
{
    const struct raft_hard_state hard = {x->term, x->vote, x->commit};
    const struct wal_batch batch = {.hard_state = x->term != 0 ? &hard : NULL,
                                    .entries = x->entries.list,
                                    .entries_count = x->entries.count};
    return batch.hard_state != NULL || batch.entries_count > 0
               ? wal_append(m->wal, &batch, reterr)
               : ST_OK;
}

bool member_export(struct member *m, struct raft_message *message,
                   struct buf *to)
{
    struct fault fault;
    struct store_export *e;
    if (store_export_begin(m->store, 4096, &e, &fault) != ST_OK) {
        return false;
    }
    struct store_transfer_info info;
    store_export_info(e, &info);
    bool done = false;
    while (!done) {
        if (store_export_next(e, to, &done, &fault) != ST_OK) {
            sim_fail(m->sim, "member %u cannot send its state: %s",
                     member_number(m), fault.text);
            break;
        }
    }
    store_export_free(e);
    struct raft_conf_state conf;
    must(replica_conf_at(m->replica, info.index, &conf));
    struct raft_snapshot *s =
        raft_snapshot_new(info.index, info.term, &conf, NULL);
    raft_snapshot_drop(message->snapshot);
    message->snapshot = s;
    return done;
}

/* The log is written when the save begins and synced when it ends: a crash in
 * between leaves what an unsynced write may leave. */
static void saved(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, saved);
    if (m->broken) {
        return;
    }
    if (m->paused) {
        sim_at(s, e, s->now_ns + 10 * MS, saved);
        return;
    }
    struct fault fault = {{0}};
    enum status st = ST_OK;
    if (m->saving[0].snapshot != NULL && !install_is_ready(m)) {
        sim_at(s, e, s->now_ns + 1 * MS, saved);
        member_turn(m);
        return;
    }
    if (m->saving[0].snapshot != NULL) {
        disk_calm(m); /* node/install.c is tested elsewhere */
        st = install_carry_out(m, &m->saving[0], &fault);
        if (st == ST_OK) {
            st = append(m, &m->saving[0], &fault);
        }
    }
    if (st == ST_OK) {
        st = wal_sync(m->wal, &fault);
    }
    if (st == ST_OK && m->trims) {
        st = wal_trim(m->wal, m->trim_index, m->trim_term, &fault);
    }
    for (size_t i = 0; i < m->saving_count; i++) {
        if (st == ST_OK) {
            safety_saved(m, &m->saving[i]);
            st = replica_saved(m->replica, &m->saving[i], &fault);
        }
        raft_message_fini(&m->saving[i]);
    }
    m->saving_count = 0;
    if (st != ST_OK) {
        if (!membership_turned_away(m, st)) {
            disk_failed(m, st, "save", &fault);
        }
        return;
    }
    disk_tend(m);
    member_turn(m);
}

/* A save with a snapshot goes alone: it changes what the others build on. */
static void begin_save(struct member *m)
{
    if (m->saving_count > 0) {
        return;
    }
    struct fault fault = {{0}};
    bool alone = false;
    enum status st = ST_OK;
    while (
        st == ST_OK && !alone && m->saving_count < count_of(m->saving) &&
        (m->saving_count == 0 || !replica_next_save_is_snapshot(m->replica)) &&
        replica_take_save(m->replica, &m->saving[m->saving_count])) {
        const struct raft_message *x = &m->saving[m->saving_count++];
        alone = x->snapshot != NULL;
        st = alone ? ST_OK : append(m, x, &fault);
    }
    if (st != ST_OK) {
        disk_failed(m, st, "append", &fault);
        return;
    }
    m->trims = m->saving_count > 0 && !alone &&
               replica_trim_point(m->replica, &m->trim_index, &m->trim_term);
    if (m->saving_count > 0) {
        int64_t took = 100000 + (int64_t)prng_below(&m->sim->prng, 2 * MS);
        if (!m->sim->healed && m->sim->profile.slow_disk &&
            prng_chance(&m->sim->prng, 1, 20)) {
            took += (int64_t)prng_below(&m->sim->prng, 1500 * MS);
            sim_count(m->sim, SIM_FAULT_SLOW_DISK);
        }
        sim_at(m->sim, &m->saved, m->sim->now_ns + took, saved);
    }
}

static void flushed(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, flushed);
    if (m->paused) {
        sim_at(s, e, s->now_ns + 10 * MS, flushed);
        return;
    }
    if (m->disk_full) { /* as node/flush.c */
        replica_set_disk_full(m->replica, true);
        sim_at(s, e, s->now_ns + 200 * MS, flushed);
        member_turn(m);
        return;
    }
    replica_set_disk_full(m->replica, false);
    struct fault fault = {{0}};
    if (store_flush_run(m->flushing, &fault) != ST_OK ||
        store_flush_end(m->store, m->flushing, &fault) != ST_OK) {
        sim_fail(s, "member %u cannot flush: %s", member_number(m), fault.text);
        return;
    }
    m->flushing = NULL;
    m->flushes++;
    s->report->flushes++;
    member_turn(m);
}

static void begin_flush(struct member *m)
{
    if (m->flushing != NULL) {
        return;
    }
    const bool all = prng_chance(&m->sim->prng, 1, 500);
    m->flushing = replica_flush_begin(m->replica, all);
    if (m->flushing != NULL) {
        const int64_t took =
            (int64_t)prng_below(&m->sim->prng, 50 * MS) + aim_at_flush(m);
        sim_at(m->sim, &m->flushed, m->sim->now_ns + took, flushed);
    }
}

void member_turn(struct member *m)
{
    if (!m->up || m->paused || m->broken || sim_failed(m->sim)) {
        return;
    }
    const struct replica_clock clock = clock_of(m);
    struct fault fault = {{0}};
    bool more = true;
    for (int rounds = 0; more; rounds++) {
        if (rounds > 10000) {
            sim_fail(m->sim, "member %u never rests", member_number(m));
            return;
        }
        const enum status st = replica_turn(m->replica, &clock, &more, &fault);
        if (st != ST_OK) {
            if (!membership_turned_away(m, st)) {
                sim_fail(m->sim, "member %u broke: %s: %s", member_number(m),
                         status_name(st), fault.text);
            }
            return;
        }
        for (size_t i = 0; i < MOUNTS; i++) {
            more |=
                m->mounts[i] != NULL && mount_turn(m->mounts[i], clock.now_ns);
        }
    }
    if (!m->watches) {
        begin_watch(m);
    }
    safety_check(m);
    aim_at_turn(m);
    lessees_check(m);
    member_note_regained(m);
    begin_save(m);
    if (!m->broken) {
        begin_flush(m);
        install_turn(m);
    }
}

void member_serve(struct member *m)
{
    if (!m->up || m->paused || m->broken || sim_failed(m->sim)) {
        return;
    }
    const int64_t now = clock_of(m).now_ns;
    bool asked = false;
    for (size_t i = 0; i < MOUNTS; i++) {
        while (m->mounts[i] != NULL && mount_turn(m->mounts[i], now)) {
        }
        asked |= m->mounts[i] != NULL && mount_has_asked(m->mounts[i]);
    }
    if (asked) {
        member_turn(m);
    }
}

void member_receive(struct member *m, struct member *from,
                    struct raft_message *take, struct bytes state,
                    bool *ret_waits)
{
    const bool is_state = take->type == RAFT_MSG_SNAPSHOT;
    *ret_waits = false;
    if (m->up && !m->paused && !m->broken) {
        struct fault fault = {{0}};
        if (is_state) {
            *ret_waits = install_offer(m, from, take, state);
        } else if (replica_receive(m->replica, take, &fault) != ST_OK) {
            sim_fail(m->sim, "member %u: %s", member_number(m), fault.text);
        }
    }
    raft_message_fini(take);
    member_turn(m);
}

void member_init(struct sim *s, uint32_t number)
{
    struct member *m = &s->members[number];
    m->sim = s;
    (void)snprintf(m->name, sizeof m->name, "m%u", number + 1);
    (void)snprintf(m->directory, sizeof m->directory, "%s/%u", s->directory,
                   number);
    m->disk_sim = disk_sim_new(prng_next(&s->prng));
    /* Wall clocks are wrong by up to a second and rates by up to 1 %. */
    m->clock_offset_ns = (int64_t)prng_below(&s->prng, 1000 * MS);
    m->clock_drift_ppm = (int64_t)prng_below(&s->prng, 20000) - 10000;
    sim_count(s, SIM_FAULT_CLOCK_WRONG);
    sim_count(s, SIM_FAULT_CLOCK_DRIFT);
}
