/* A member of three among peers that say anything: the input is a list of
 * messages and frames from the two others, of calls made here, of what becomes
 * durable, and of time. Messages travel as bytes; entries hold commands of
 * every kind, with a few bytes changed.
 *
 * The member may stop, saying why; but it goes on with what it can, every call
 * is answered once, and what it wrote it can start from again. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "node/replica_internal.h"
#include "proto/raft_codec.h"
#include "raft/internal.h"
#include "tests/fuzz/directory.h"
#include "tests/fuzz/fuzz.h"

#define SELF      7
#define STEPS_MAX 150
#define CALLS     6
#define TICK_NS   (100 * INT64_C(1000000))

static const struct membership first = {
    .conf = {.voters = {SELF, 8, 9}, .voters_count = 3},
    .members = {{.id = SELF, .started = true, .peer_urls = "http://s:1"},
                {.id = 8, .started = true, .peer_urls = "http://e:1"},
                {.id = 9, .peer_urls = "http://n:1"}},
    .count = 3};

struct call {
    bool out;
    struct kv_txn txn;
    struct kv_range range;
    struct kv_lease lease;
    struct kv_compact compact;
    struct admin_members members;
    struct kv_op op;
};

static struct {
    struct store *store;
    struct replica *replica;
    struct replica_clock clock;
    bool broken;
    uint64_t lives;
    struct raft_entries disk; /* what is durable of the log */
    struct raft_hard_state hard;
    uint64_t sent_ticket; /* of the last proposal, as peers see it */
    struct call calls[CALLS];
} host;

static struct fuzz_input in;

/* --- the host's duties --- */

static bool reserve(void *arg, uint64_t bytes)
{
    (void)arg;
    (void)bytes;
    return true;
}

static void unreserve(void *arg, uint64_t bytes)
{
    (void)arg;
    (void)bytes;
}

static void send(void *arg, struct raft_message *m)
{
    struct buf frame = {0};
    struct fault fault;
    (void)arg;
    must(m->to != SELF);
    must(raft_codec_encode(m, &frame, &fault) == ST_OK);
    buf_fini(&frame);
    raft_message_fini(m);
}

static void send_lease(void *arg, uint64_t to, struct buf *take)
{
    (void)arg;
    must(to != SELF);
    buf_fini(take);
}

static bool tell(void *arg, uint64_t to, struct buf *take)
{
    (void)arg;
    (void)to;
    buf_fini(take);
    return true;
}

static int64_t connected_ms(void *arg, uint64_t member)
{
    (void)arg;
    return member == 8 ? 60000 : -1;
}

static int64_t now_ns(void *arg)
{
    (void)arg;
    return host.clock.now_ns;
}

/* False: this member was removed, and its data is of no use. */
static bool start(const char *directory)
{
    struct store_options so;
    struct fault fault;
    store_options_default(&so);
    so.map_size = (size_t)64 << 20;
    must(store_open(directory, &so, &host.store, &fault) == ST_OK);
    const struct replica_options ro = {.cluster_id = 99,
                                       .member_id = SELF,
                                       .first = &first,
                                       .name = "seven",
                                       .client_urls = "http://s:2",
                                       .strict = true,
                                       .learners_max = 1,
                                       .election_ticks = 10,
                                       .heartbeat_ticks = 1,
                                       .tick_ns = TICK_NS,
                                       .seed = ++host.lives,
                                       .calls_max = 8,
                                       .timeout_ms = 5000,
                                       .request_bytes_max = 4096,
                                       .message_bytes_max = 65536,
                                       .log_keep_entries = 3,
                                       .log_keep_bytes = 4096,
                                       .log_unflushed_max = 65536,
                                       .reserve = reserve,
                                       .unreserve = unreserve,
                                       .send = send,
                                       .send_lease = send_lease,
                                       .tell = tell,
                                       .connected_ms = connected_ms,
                                       .now_ns = now_ns,
                                       .host = &host};
    host.replica = replica_new(&ro, host.store);
    const struct wal_recovery recovery = {.hard_state = host.hard};
    for (size_t i = 0; i < host.disk.count; i++) {
        replica_recover_entry(host.replica, &host.disk.list[i]);
    }
    if (replica_begin(host.replica, &recovery, &fault) == ST_OK) {
        return true;
    }
    must(membership_has_left(replica_membership(host.replica), SELF));
    replica_free(host.replica);
    store_close(host.store);
    return false;
}

static void stop(void)
{
    replica_stop(host.replica);
    for (size_t i = 0; i < CALLS; i++) {
        must(!host.calls[i].out);
    }
    replica_free(host.replica);
    store_close(host.store);
}

static void turn(void)
{
    struct fault fault;
    bool more = true;
    for (int rounds = 0; more && !host.broken; rounds++) {
        must(rounds < 1000);
        host.broken =
            replica_turn(host.replica, &host.clock, &more, &fault) != ST_OK;
    }
}

static void save_one(void)
{
    struct raft_message m;
    struct fault fault;
    if (!replica_take_save(host.replica, &m)) {
        return;
    }
    must(m.snapshot == NULL); /* none is let in */
    if (m.term != 0) {
        host.hard = (struct raft_hard_state){m.term, m.vote, m.commit};
    }
    while (host.disk.count > 0 && m.entries.count > 0 &&
           host.disk.list[host.disk.count - 1].index >=
               m.entries.list[0].index) {
        payload_drop(host.disk.list[--host.disk.count].payload);
    }
    raft_entries_add(&host.disk, m.entries.list, m.entries.count);
    host.broken =
        host.broken || replica_saved(host.replica, &m, &fault) != ST_OK;
    turn();
}

static void flush(void)
{
    struct fault fault;
    struct store_flush *f = replica_flush_begin(host.replica, true);
    if (f != NULL) {
        must(store_flush_run(f, &fault) == ST_OK);
        must(store_flush_end(host.store, f, &fault) == ST_OK);
    }
}

/* --- what peers say --- */

static uint64_t near(uint64_t number)
{
    const uint8_t how = fuzz_byte(&in);
    if (how < 8) {
        return number + how;
    }
    if (how < 16) {
        return number > how - 7U ? number - (how - 7U) : 0;
    }
    return how < 240 ? number : how < 250 ? how - 240U : UINT64_MAX - how;
}

static void add_txn(const struct store_stamp *stamp, struct buf *to)
{
    static const char *const keys[] = {"/a", "/b", "/d/c", "/d/"};
    const uint8_t how = fuzz_byte(&in);
    const struct bytes key = bytes_of(keys[how % 4]);
    const struct kv_op ops[] = {
        {.type = KV_OP_PUT,
         .put = {.key = key,
                 .value = bytes_of("value"),
                 .prev_kv = how >= 128,
                 .lease = how % 32 / 4 == 7 ? 5 : 0}},
        {.type = KV_OP_DELETE_RANGE,
         .delete_range = {.keys = {.key = bytes_of("/a"),
                                   .end = bytes_of("/c")},
                          .prev_kv = true}},
        {.type = KV_OP_MOVE, .move = {.from = key, .to = bytes_of("/m")}},
        {.type = KV_OP_RANGE, .range = {.keys = {.key = key}}}};
    const struct kv_compare compare = {.keys = {.key = key},
                                       .target = KV_COMPARE_CREATE};
    const struct kv_txn_spec inner = {.compares = &compare,
                                      .compares_count = 1,
                                      .success = ops,
                                      .success_count = 1,
                                      .failure = ops + 1,
                                      .failure_count = 2};
    const struct kv_op nested = {.type = KV_OP_TXN, .txn = &inner};
    const struct kv_txn_spec txn = {
        .success = how % 16 < 12 ? ops + how % 16 / 4 : &nested,
        .success_count = 1};
    store_encode_txn(stamp, &txn, to);
}

static void add_change(uint64_t ticket, uint64_t member, struct buf *to)
{
    static const char *const urls[] = {"http://x:1", "http://e:1",
                                       "http://y:1,http://z:2", ""};
    const struct membership_stamp stamp = {.ticket = ticket, .member = member};
    const uint8_t how = fuzz_byte(&in);
    const struct membership_change change = {
        .op = (enum membership_op)(1 + how % 5),
        .id = 6U + fuzz_byte(&in) % 6U,
        .is_learner = how >= 128,
        .name = bytes_of("name"),
        .peer_urls = bytes_of(urls[how / 8 % 4]),
        .client_urls = bytes_of(urls[how / 32 % 4])};
    membership_encode(&stamp, &change, 1, to);
}

/* A command, perhaps one of ours, perhaps damaged. */
static void add_command(uint8_t kind, struct buf *to)
{
    const uint8_t whose = fuzz_byte(&in);
    const struct store_stamp stamp = {
        .time_ns = host.clock.wall_ns,
        .ticket = host.replica->pending.ticket_last - whose % 4,
        .member = whose < 128 ? SELF : 8};
    const struct store_lease list[] = {{5, 0, 100}, {6, 0, 1}};
    const struct store_alarm_change alarm = {
        .clear = whose % 2 == 0,
        .automatic = whose % 4 < 2,
        .alarm = {.member = 6U + whose / 4 % 6U, .type = 1 + whose / 32 % 2}};
    switch (kind % 8) {
    case 0:
        buf_append(to, fuzz_bytes(&in, fuzz_byte(&in)));
        break;
    case 1:
    case 2:
        add_txn(&stamp, to);
        break;
    case 3:
        store_encode_lease_grant(&stamp, fuzz_byte(&in) % 8, whose, to);
        break;
    case 4:
        store_encode_lease_revoke(&stamp, fuzz_byte(&in) % 8, whose % 3, to);
        break;
    case 5:
        store_encode_lease_checkpoint(&stamp, host.hard.term, whose, list, 2,
                                      to);
        break;
    case 6:
        if (whose % 2 == 0) {
            store_encode_compact(&stamp, fuzz_byte(&in), to);
        } else {
            store_encode_alarm(&stamp, &alarm, to);
        }
        break;
    default:
        add_change(stamp.ticket, stamp.member, to);
    }
    for (uint8_t flips = fuzz_byte(&in); flips >= 240 && to->size > 0;
         flips--) {
        to->data[fuzz_byte(&in) % to->size] ^= fuzz_byte(&in);
    }
}

static void add_entry(struct raft_message *m, uint64_t index, uint64_t term)
{
    struct buf command = {0};
    const uint8_t kind = fuzz_byte(&in);
    struct raft_entry e = {.index = index, .term = term};
    if (kind < 200) {
        add_command(kind, &command);
        e.payload = payload_copy_of(buf_bytes(&command));
    } else if (kind < 250) {
        const struct raft_conf_change cc = {
            .transition = (enum raft_conf_transition)(kind % 3),
            .changes_count = 1,
            .changes = {{(enum raft_conf_change_type)(kind / 4 % 4),
                         6U + fuzz_byte(&in) % 6U}},
            .context = buf_bytes(&command)};
        add_command(7, &command);
        struct raft_conf_change with = cc;
        with.context = buf_bytes(&command);
        e.type = RAFT_ENTRY_CONF_CHANGE_V2;
        e.payload = raft_conf_change_encode(e.type, &with);
    }
    raft_entries_add(&m->entries, &e, 1);
    payload_drop(e.payload);
    buf_fini(&command);
}

/* Through bytes, as it would come. */
static void deliver(struct raft_message *m)
{
    struct buf frame = {0};
    struct fault fault;
    struct raft_message got;
    if (raft_codec_encode(m, &frame, &fault) == ST_OK &&
        raft_codec_decode(buf_bytes(&frame), &got, &fault) == ST_OK) {
        if (got.type != RAFT_MSG_SNAPSHOT && got.to == SELF) {
            host.broken = replica_receive(host.replica, &got, &fault) != ST_OK;
        }
        raft_message_fini(&got);
    }
    buf_fini(&frame);
    raft_message_fini(m);
    turn();
}

static void hear_message(void)
{
    static const enum raft_message_type often[] = {
        RAFT_MSG_APPEND,        RAFT_MSG_APPEND,
        RAFT_MSG_APPEND,        RAFT_MSG_APPEND_RESPONSE,
        RAFT_MSG_VOTE_RESPONSE, RAFT_MSG_PRE_VOTE_RESPONSE,
        RAFT_MSG_HEARTBEAT,     RAFT_MSG_HEARTBEAT_RESPONSE,
        RAFT_MSG_PROPOSE,       RAFT_MSG_READ_INDEX};
    struct raft_status s;
    raft_status(replica_raft(host.replica), &s);
    const uint8_t how = fuzz_byte(&in);
    struct raft_message m = {
        .type = how < 200 ? often[how % count_of(often)]
                          : (enum raft_message_type)(how % RAFT_MSG_TYPES),
        .to = SELF,
        .from = fuzz_byte(&in) % 8 == 7 ? 6 : 8 + how % 2U};
    m.term = near(s.hard.term);
    m.index = near(s.last_index);
    m.log_term = near(s.hard.term);
    m.commit = near(s.last_index + 1);
    m.reject = fuzz_byte(&in) >= 192;
    if (m.reject) {
        m.reject_hint = near(s.last_index);
        m.lost = m.reject_hint % 5 == 0;
    }
    if (m.type == RAFT_MSG_APPEND || m.type == RAFT_MSG_PROPOSE) {
        const uint8_t count = fuzz_byte(&in) % 4;
        for (uint64_t i = 1; i <= count; i++) {
            add_entry(&m, m.index + i, m.term);
        }
    }
    if (m.type == RAFT_MSG_READ_INDEX ||
        m.type == RAFT_MSG_READ_INDEX_RESPONSE) {
        m.context = payload_copy_of(fuzz_bytes(&in, fuzz_byte(&in) % 40));
    }
    deliver(&m);
}

/* The usual: a leader's heartbeat and its next entries, all committed. */
static void follow(void)
{
    struct raft_status s;
    raft_status(replica_raft(host.replica), &s);
    struct raft_message m = {.type = RAFT_MSG_APPEND,
                             .to = SELF,
                             .from = 8,
                             .term = s.hard.term > 0 ? s.hard.term : 1,
                             .index = s.last_index};
    m.log_term = raft_log_last_id(&replica_raft(host.replica)->log).term;
    m.commit = s.last_index + 4;
    const uint8_t count = 1 + fuzz_byte(&in) % 3;
    for (uint64_t i = 1; i <= count; i++) {
        add_entry(&m, m.index + i, m.term);
    }
    deliver(&m);
}

static void hear_frame(void)
{
    struct buf frame = {0};
    const uint8_t what = fuzz_byte(&in);
    if (what < 64) {
        buf_append(&frame, fuzz_bytes(&in, what));
        replica_receive_lease(host.replica, 8, buf_bytes(&frame));
    } else if (what < 192) {
        /* Questions or answers, the numbers in the input. */
        buf_append_byte(&frame, 0);
        buf_append_byte(&frame, 1 + what % 2);
        buf_append(&frame, fuzz_bytes(&in, what % 32));
        replica_receive_lease(host.replica, 8, buf_bytes(&frame));
    } else if (what < 224) {
        buf_append(&frame, fuzz_bytes(&in, what % 32));
        replica_hear(host.replica, 8, buf_bytes(&frame));
    } else {
        buf_append_byte(&frame, REPLICA_TELL_ORDER);
        add_change(what, 8, &frame);
        replica_hear(host.replica, 8, buf_bytes(&frame));
    }
    buf_fini(&frame);
    turn();
}

/* --- calls made here --- */

static void txn_done(struct kv_call *c)
{
    struct call *call = container_of(c, struct call, txn.call);
    must(call->out);
    call->out = false;
    if (c->status == ST_OK) {
        /* What was asked for was done, and nothing else. */
        const struct kv_txn_result *r = &call->txn.result;
        must(r->succeeded && r->results_count == 1);
        must(r->results[0].type == call->op.type);
    }
}

static void range_done(struct kv_call *c)
{
    struct call *call = container_of(c, struct call, range.call);
    must(call->out);
    call->out = false;
    for (size_t i = 0; c->status == ST_OK && i < call->range.result.items_count;
         i++) {
        fuzz_touch(call->range.result.items[i].value);
    }
}

static void lease_done(struct kv_call *c)
{
    struct call *call = container_of(c, struct call, lease.call);
    must(call->out);
    call->out = false;
    for (size_t i = 0; c->status == ST_OK && i < call->lease.result.keys_count;
         i++) {
        fuzz_touch(call->lease.result.keys[i]);
    }
}

static void compact_done(struct kv_call *c)
{
    struct call *call = container_of(c, struct call, compact.call);
    must(call->out);
    call->out = false;
}

static void members_done(struct kv_call *c)
{
    struct call *call = container_of(c, struct call, members.call);
    must(call->out);
    call->out = false;
    for (size_t i = 0; c->status == ST_OK && i < call->members.members_count;
         i++) {
        fuzz_touch(call->members.members[i].name);
    }
}

static void ask(void)
{
    static const struct bytes url = {(const uint8_t *)"http://q:1", 10};
    struct kv *kv = replica_kv(host.replica);
    const uint8_t how = fuzz_byte(&in);
    struct call *c = &host.calls[how % CALLS];
    if (c->out) {
        return;
    }
    *c = (struct call){.out = true};
    switch (how / CALLS % 5) {
    case 0:
        c->op = (struct kv_op){
            .type = KV_OP_PUT,
            .put = {.key = bytes_of("/a"), .value = bytes_of("mine")}};
        c->txn =
            (struct kv_txn){.call.done = txn_done,
                            .spec = {.success = &c->op, .success_count = 1}};
        kv_txn(kv, &c->txn);
        break;
    case 1:
        c->range = (struct kv_range){
            .call.done = range_done,
            .spec = {.keys = {.key = bytes_of("/"), .end = bytes_of("0")},
                     .serializable = how >= 128}};
        kv_range(kv, &c->range);
        break;
    case 2:
        c->lease = (struct kv_lease){.call.done = lease_done,
                                     .op = (enum kv_lease_op)(how / 32 % 5),
                                     .id = 5,
                                     .ttl_s = 10,
                                     .with_keys = true};
        kv_lease(kv, &c->lease);
        break;
    case 3:
        c->compact = (struct kv_compact){.call.done = compact_done,
                                         .revision = how / 64,
                                         .physical = how >= 128};
        kv_compact(kv, &c->compact);
        break;
    default:
        c->members =
            (struct admin_members){.call.done = members_done,
                                   .op = (enum admin_member_op)(how / 32 % 5),
                                   .id = 9,
                                   .peer_urls = &url,
                                   .peer_urls_count = 1,
                                   .is_learner = how >= 128,
                                   .linearizable = true};
        replica_members(host.replica, &c->members);
    }
    turn();
}

/* False: it has ended. */
static bool step(const char *directory)
{
    const uint8_t what = fuzz_byte(&in);
    switch (what % 8) {
    case 0:
    case 1:
        hear_message();
        break;
    case 2:
    case 3:
        follow();
        break;
    case 4:
        hear_frame();
        break;
    case 5:
        ask();
        break;
    case 6:
        for (int i = 0; i < 1 + what / 32 && !host.broken; i++) {
            host.clock.now_ns += TICK_NS;
            host.clock.wall_ns += TICK_NS;
            replica_tick(host.replica);
            turn();
        }
        break;
    default:
        if (what < 16) {
            stop(); /* and starts with what is durable */
            if (!start(directory)) {
                return false;
            }
        } else if (what < 48) {
            flush();
        }
    }
    for (int i = 0; i < 20 && what < 224 && !host.broken; i++) {
        save_one();
    }
    return true;
}

static void check_start(const char *directory)
{
    struct fault fault;
    bool more = true;
    if (start(directory)) {
        (void)!replica_turn(host.replica, &host.clock, &more, &fault);
        stop();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *directory = fuzz_directory();
    log_set_level((enum log_level)(LOG_ERROR + 1)); /* nothing */
    in.left = (struct bytes){data, size};
    memset(&host, 0, sizeof host);
    host.clock = (struct replica_clock){.now_ns = 1000, .wall_ns = 5000};
    must(start(directory));
    bool runs = true;
    for (int i = 0; in.left.size > 0 && i < STEPS_MAX && runs; i++) {
        runs = step(directory);
        if (runs && host.broken) {
            break;
        }
    }
    if (runs) {
        stop();
        if (!host.broken) {
            check_start(directory);
        }
    }
    raft_entries_fini(&host.disk);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const uint8_t work[] = {
        2,  0, 201, 1,                /* a leader's first entry */
        5,  0, 2,   0,   1, 0,  0, 0, /* a put, and an entry that answers it */
        2,  2, 3,   200, 5, 0,        /* a lease of another's */
        3,  1, 7,   0,   0, 3,  0,    /* a member */
        5,  6, 5,   12,  5, 24,       /* a range, a lease, members */
        38, 7, 230,                   /* time, an election */
        0,  5, 0,   0,   0, 0,  0, 0, /* votes */
        0,  4, 0,   0,   0, 0,  0, 0, 4, 100, 5, 2, 10, 23, 15, /* frames */
    };
    const size_t cuts[] = {0, 4, 12, 18, 25, 31};
    if (n >= count_of(cuts)) {
        return false;
    }
    buf_append(to, (struct bytes){work, 4});
    buf_append(to, (struct bytes){work + cuts[n], sizeof work - cuts[n]});
    return true;
}
