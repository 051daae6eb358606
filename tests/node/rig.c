/* The replica's rig. */

#include "tests/node/rig.h"

#include <stdlib.h>

#include "base/must.h"

static const uint64_t members[] = {7, 8, 9};
static const struct membership first = {
    .conf = {.voters = {7}, .voters_count = 1},
    .members = {{.id = 7, .name = "seven", .peer_urls = "http://seven:1"}},
    .count = 1};
static const struct membership first_three = {
    .conf = {.voters = {7, 8, 9}, .voters_count = 3},
    .members = {{.id = 7, .name = "seven", .peer_urls = "http://seven:1"},
                {.id = 8, .name = "eight", .peer_urls = "http://eight:1"},
                {.id = 9, .name = "nine", .peer_urls = "http://nine:1"}},
    .count = 3};

static bool reserve(void *arg, uint64_t bytes)
{
    (void)bytes;
    return !((struct rig *)arg)->log_full;
}

static void unreserve(void *arg, uint64_t bytes)
{
    (void)arg;
    (void)bytes;
}

static void send(void *arg, struct raft_message *m)
{
    struct rig *r = arg;
    char line[256];
    EXPECT(r->of_three); /* else there is nobody to send to */
    size_t size = (size_t)snprintf(
        line, sizeof line, "to %llu: %s index %llu commit %llu",
        (unsigned long long)m->to, raft_message_type_name(m->type),
        (unsigned long long)m->index, (unsigned long long)m->commit);
    if (m->entries.count > 0) {
        size += (size_t)snprintf(line + size, sizeof line - size, " +%zu",
                                 m->entries.count);
    }
    line[size++] = '\n';
    buf_append(&r->sent, (struct bytes){(const uint8_t *)line, size});
    raft_message_fini(m);
}

static int64_t now_ns(void *arg)
{
    return ((struct rig *)arg)->clock.now_ns;
}

void rig_say(struct rig *r, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_append(&r->trace, bytes_of(line));
    buf_append_byte(&r->trace, '\n');
}

static const char *take_text(struct buf *b, char *text, size_t size)
{
    must(b->size < size);
    if (b->size > 0) {
        memcpy(text, b->data, b->size);
    }
    text[b->size] = '\0';
    buf_clear(b);
    return text;
}

const char *rig_trace(struct rig *r)
{
    static char text[4096];
    return take_text(&r->trace, text, sizeof text);
}

const char *rig_sent(struct rig *r)
{
    static char text[4096];
    return take_text(&r->sent, text, sizeof text);
}

void rig_hear(struct rig *r, struct raft_message m)
{
    struct fault fault = {{0}};
    m.to = members[0];
    EXPECT_INT(replica_receive(r->replica, &m, &fault), ST_OK);
    raft_message_fini(&m);
    rig_turn(r);
}

static void hear_answer(struct rig *r, enum raft_message_type type)
{
    rig_hear(r, (struct raft_message){
                    .type = type, .from = 8, .term = 1, .index = 1});
    rig_settle(r);
}

void rig_elect(struct rig *r)
{
    for (int ticks = 0; ticks < 20 && r->sent.size == 0; ticks++) {
        replica_tick(r->replica);
        rig_settle(r);
    }
    hear_answer(r, RAFT_MSG_PRE_VOTE_RESPONSE);
    hear_answer(r, RAFT_MSG_VOTE_RESPONSE);
    hear_answer(r, RAFT_MSG_APPEND_RESPONSE);
    struct raft_status s;
    raft_status(replica_raft(r->replica), &s);
    EXPECT_INT(s.soft.role, RAFT_LEADER);
    EXPECT(s.committed_in_term);
    (void)rig_sent(r);
}

enum status rig_try_start(struct rig *r, struct fault *reterr)
{
    if (r->directory == NULL) {
        r->directory = test_directory();
        r->clock = (struct replica_clock){.now_ns = 1000, .wall_ns = 5000};
    }
    struct store_options so;
    store_options_default(&so);
    so.map_size = 64 * 1024 * 1024;
    so.quota_bytes = r->quota_bytes;
    EXPECT_INT(store_open(r->directory, &so, &r->store, reterr), ST_OK);
    const struct replica_options ro = {
        .cluster_id = 99,
        .member_id = members[0],
        .first = r->of_three ? &first_three : &first,
        .election_ticks = 10,
        .heartbeat_ticks = 1,
        .tick_ns = 100 * INT64_C(1000000),
        .seed = ++r->life,
        .calls_max = 4,
        .timeout_ms = 5000,
        .request_bytes_max = 64 * 1024,
        .message_bytes_max = 1024 * 1024,
        .log_keep_entries = r->log_keep_entries,
        .log_keep_bytes = 1024 * 1024,
        .log_unflushed_max = 1024 * 1024,
        .reserve = reserve,
        .unreserve = unreserve,
        .send = send,
        .now_ns = now_ns,
        .host = r,
    };
    r->replica = replica_new(&ro, r->store);
    struct wal_recovery recovery = {.hard_state = r->hard};
    for (size_t i = 0; i < r->disk.count; i++) {
        replica_recover_entry(r->replica, &r->disk.list[i]);
    }
    r->kv = replica_kv(r->replica);
    return replica_begin(r->replica, &recovery, reterr);
}

void rig_start(struct rig *r)
{
    struct fault fault = {{0}};
    EXPECT_INT(rig_try_start(r, &fault), ST_OK);
}

static void stop(struct rig *r)
{
    replica_stop(r->replica);
    replica_free(r->replica);
    store_close(r->store);
}

void rig_crash(struct rig *r)
{
    stop(r);
    buf_clear(&r->trace);
}

void rig_end(struct rig *r)
{
    stop(r);
    raft_entries_fini(&r->disk);
    buf_fini(&r->trace);
    buf_fini(&r->sent);
}

void rig_turn(struct rig *r)
{
    struct fault fault = {{0}};
    bool more = true;
    for (int rounds = 0; more; rounds++) {
        EXPECT(rounds < 1000);
        EXPECT_INT(replica_turn(r->replica, &r->clock, &more, &fault), ST_OK);
    }
}

static void save(struct rig *r, struct raft_message *m)
{
    if (m->term != 0) {
        r->hard = (struct raft_hard_state){m->term, m->vote, m->commit};
    }
    while (r->disk.count > 0 && m->entries.count > 0 &&
           r->disk.list[r->disk.count - 1].index >= m->entries.list[0].index) {
        payload_drop(r->disk.list[--r->disk.count].payload);
    }
    raft_entries_add(&r->disk, m->entries.list, m->entries.count);
    r->saves++;
}

void rig_save_one(struct rig *r)
{
    struct raft_message m;
    struct fault fault = {{0}};
    EXPECT(replica_take_save(r->replica, &m));
    save(r, &m);
    EXPECT_INT(replica_saved(r->replica, &m, &fault), ST_OK);
    rig_turn(r);
}

void rig_settle(struct rig *r)
{
    rig_turn(r);
    while (replica_has_save(r->replica)) {
        rig_save_one(r);
    }
}

bool rig_leads(struct rig *r)
{
    struct kv_status status;
    kv_status(r->kv, &status);
    return status.writable;
}

void rig_flush(struct rig *r)
{
    struct fault fault = {{0}};
    struct store_flush *f = replica_flush_begin(r->replica, true);
    if (f != NULL) {
        EXPECT_INT(store_flush_run(f, &fault), ST_OK);
        EXPECT_INT(store_flush_end(r->store, f, &fault), ST_OK);
    }
}

static void put_done(struct kv_call *call)
{
    struct rig_put *p = container_of(call, struct rig_put, txn.call);
    p->calls++;
    rig_say(p->rig, "put %s %s @%lld", p->key, status_name(call->status),
            call->status == ST_OK ? (long long)call->header.revision : 0);
}

void rig_put(struct rig *r, struct rig_put *p, const char *key,
             const char *value)
{
    *p = (struct rig_put){.rig = r, .key = key};
    p->op =
        (struct kv_op){.type = KV_OP_PUT,
                       .put = {.key = bytes_of(key), .value = bytes_of(value)}};
    p->txn.spec = (struct kv_txn_spec){.success = &p->op, .success_count = 1};
    p->txn.call.done = put_done;
    kv_txn(r->kv, &p->txn);
}

static void get_done(struct kv_call *call)
{
    struct rig_get *g = container_of(call, struct rig_get, range.call);
    g->calls++;
    const struct kv_range_result *result = &g->range.result;
    const struct bytes value = call->status == ST_OK && result->items_count > 0
                                   ? result->items[0].value
                                   : BYTES_NONE;
    rig_say(g->rig, "get %s %s '%.*s'", g->key, status_name(call->status),
            (int)value.size, (const char *)value.data);
}

void rig_get(struct rig *r, struct rig_get *g, const char *key,
             bool serializable)
{
    *g = (struct rig_get){.rig = r, .key = key};
    g->range.spec.keys.key = bytes_of(key);
    g->range.spec.serializable = serializable;
    g->range.call.done = get_done;
    kv_range(r->kv, &g->range);
}

void rig_pass(struct rig *r, unsigned ticks)
{
    for (unsigned i = 0; i < ticks; i++) {
        r->clock.now_ns += 100 * INT64_C(1000000);
        replica_tick(r->replica);
        rig_settle(r);
    }
}

static void say_lease(const struct rig_lease *l)
{
    static const char *const names[] = {
        [KV_LEASE_GRANT] = "grant",         [KV_LEASE_REVOKE] = "revoke",
        [KV_LEASE_KEEPALIVE] = "keepalive", [KV_LEASE_TTL] = "ttl",
        [KV_LEASE_LIST] = "list",
    };
    const struct kv_lease *lease = &l->lease;
    const struct kv_lease_result *res = &lease->result;
    char text[200];
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < res->keys_count; i++) {
        size += (size_t)snprintf(text + size, sizeof text - size, "%s %.*s",
                                 i == 0 ? " keys" : "", (int)res->keys[i].size,
                                 (const char *)res->keys[i].data);
    }
    for (size_t i = 0; i < res->ids_count; i++) {
        size += (size_t)snprintf(text + size, sizeof text - size, " %lld",
                                 (long long)res->ids[i]);
    }
    if (lease->call.status != ST_OK) {
        rig_say(l->rig, "%s %lld %s", names[lease->op], (long long)lease->id,
                status_name(lease->call.status));
    } else if (lease->op == KV_LEASE_LIST) {
        rig_say(l->rig, "list OK%s", text);
    } else if (lease->op == KV_LEASE_REVOKE) {
        rig_say(l->rig, "revoke %lld OK @%lld", (long long)lease->id,
                (long long)lease->call.header.revision);
    } else if (lease->op == KV_LEASE_TTL) {
        rig_say(l->rig, "ttl %lld OK ttl %lld of %lld%s", (long long)lease->id,
                (long long)res->ttl_s, (long long)res->granted_ttl_s, text);
    } else {
        rig_say(l->rig, "%s %lld OK ttl %lld", names[lease->op],
                (long long)lease->id, (long long)res->ttl_s);
    }
}

static void lease_done(struct kv_call *call)
{
    struct rig_lease *l = container_of(call, struct rig_lease, lease.call);
    l->calls++;
    say_lease(l);
}

void rig_lease(struct rig *r, struct rig_lease *l, enum kv_lease_op op,
               int64_t id, int64_t ttl_s)
{
    *l = (struct rig_lease){.rig = r};
    l->lease = (struct kv_lease){.call.done = lease_done,
                                 .op = op,
                                 .id = id,
                                 .ttl_s = ttl_s,
                                 .with_keys = true};
    kv_lease(r->kv, &l->lease);
}
