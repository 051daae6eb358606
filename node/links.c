/* What the host does with the other members: messages, and whole states. */

#include <sys/random.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/must.h"
#include "node/join.h"
#include "node/upkeep.h"

uint64_t node_random_seed(void)
{
    uint64_t seed = 0;
    must(getrandom(&seed, sizeof seed, 0) == sizeof seed);
    return seed;
}

static void send_state(struct node *n, struct raft_message *take)
{
    const uint64_t to = take->to;
    uint64_t index;
    if (sender_begin(n->sender, n->store, take, &index)) {
        replica_pin_log(n->replica, index);
    } else {
        n->state_refused = to; /* raft is told when it does not call us */
    }
}

void node_send(void *arg, struct raft_message *take)
{
    struct node *n = arg;
    if (n->peers == NULL) {
        raft_message_fini(take); /* stopping */
    } else if (take->type == RAFT_MSG_SNAPSHOT) {
        send_state(n, take);
    } else {
        peers_send(n->peers, take);
    }
}

void node_send_lease(void *arg, uint64_t to, struct buf *take)
{
    const struct node *n = arg;
    if (n->peers != NULL) {
        peers_send_lease(n->peers, to, take);
    }
}

static void receive_lease(void *arg, uint64_t from, struct bytes frame)
{
    struct node *n = arg;
    if (!n->broken) {
        replica_receive_lease(n->replica, from, frame);
    }
}

static void state_sent(void *arg, uint64_t member, bool ok)
{
    struct node *n = arg;
    replica_pin_log(n->replica, 0);
    if (!n->broken) {
        replica_report_snapshot(n->replica, member, ok);
    }
}

static void receive(void *arg, const struct raft_message *m)
{
    struct node *n = arg;
    struct fault fault;
    if (n->broken) {
        return;
    }
    const enum status st = replica_receive(n->replica, m, &fault);
    if (st != ST_OK) {
        node_fail(n, st, &fault);
    } else if (m->type == RAFT_MSG_PROPOSE) {
        struct raft_status s;
        raft_status(replica_raft(n->replica), &s);
        peers_owe(n->peers, m->from, s.last_index);
    }
}

static void lost_touch(void *arg, uint64_t member)
{
    struct node *n = arg;
    if (!n->broken) {
        replica_unreachable(n->replica, member);
    }
}

static void bulk(void *arg, uint64_t from, struct bytes frame)
{
    struct node *n = arg;
    struct reader r = reader_of(frame);
    const uint8_t what = read_u8(&r);
    if (what == TRANSFER_TOLD) {
        if (!n->broken) {
            replica_hear(n->replica, from, r.left);
        }
    } else if (what == TRANSFER_TAKEN || what == TRANSFER_FAILED ||
               what == TRANSFER_AT) {
        sender_on_frame(n->sender, from, what, r.left);
    } else if (((what >= TRANSFER_BEGIN && what <= TRANSFER_END) ||
                what == TRANSFER_RESUME) &&
               !n->broken) {
        receiver_on_frame(n->receiver, from, what, r.left);
    } else if (what == CHECK_ASK || what == CHECK_ANSWER) {
        check_on_frame(n->upkeep, from, what, r.left);
    }
}

static void bulk_lost(void *arg, uint64_t member)
{
    struct node *n = arg;
    sender_on_lost(n->sender, member);
}

static void bulk_ready(void *arg, uint64_t member)
{
    struct node *n = arg;
    sender_on_ready(n->sender, member);
}

void node_links_turn(struct node *n)
{
    if (n->peers == NULL) {
        return;
    }
    if (n->state_refused != RAFT_NONE) {
        replica_report_snapshot(n->replica, n->state_refused, false);
        n->state_refused = RAFT_NONE;
    }
    if (receiver_has_told(n->receiver) && !replica_snapshot_waits(n->replica)) {
        node_forget_state(n); /* raft did not need what arrived */
        receiver_drop(n->receiver);
    }
}

void node_links_tick(struct node *n)
{
    if (n->peers != NULL) {
        sender_on_tick(n->sender, loop_now_ns());
        receiver_on_tick(n->receiver, loop_now_ns());
    }
}

static void state_arrived(void *arg, const struct raft_message *snapshot)
{
    receive(arg, snapshot);
}

static bool conf_at(void *arg, uint64_t index, struct raft_conf_state *ret)
{
    const struct node *n = arg;
    return replica_conf_at(n->replica, index, ret);
}

static enum status start_transfers(struct node *n, struct fault *reterr)
{
    const struct sender_options so = {.loop = n->loop,
                                      .peers = n->peers,
                                      .over = state_sent,
                                      .conf_at = conf_at,
                                      .arg = n};
    const struct receiver_options ro = {
        .loop = n->loop,
        .peers = n->peers,
        .store_path = n->dir.store,
        .store = n->store_options,
        .identity = {.cluster_id = n->cluster_id, .member_id = n->member_id},
        .arrived = state_arrived,
        .arg = n};
    const enum status st = sender_new(&so, &n->sender, reterr);
    return st == ST_OK ? receiver_new(&ro, &n->receiver, reterr) : st;
}

/* --- who may be here --- */

static enum status may_join(void *arg, uint64_t member, struct fault *reterr)
{
    const struct node *n = arg;
    return replica_has_left(n->replica, member)
               ? fault_set(reterr, ST_MEMBER_NOT_FOUND,
                           "member %llx was removed from the cluster",
                           (unsigned long long)member)
               : ST_OK;
}

static void query(void *arg, struct bytes question, struct buf *to)
{
    const struct node *n = arg;
    struct membership *m = xmalloc(sizeof *m);
    replica_tell_members(n->replica, m);
    join_answer(question, n->cluster_id, n->member_id, m, to);
    free(m);
}

static void removed(void *arg)
{
    struct node *n = arg;
    if (!n->broken) {
        node_was_removed(n);
    }
}

bool node_tell(void *arg, uint64_t to, struct buf *take)
{
    struct node *n = arg;
    struct buf frame = {0};
    bool sent = false;
    if (n->peers != NULL) {
        write_u8(&frame, TRANSFER_TOLD);
        buf_append(&frame, buf_bytes(take));
        sent = peers_send_bulk(n->peers, to, &frame);
    }
    buf_fini(take);
    return sent;
}

int64_t node_connected_ms(void *arg, uint64_t member)
{
    const struct node *n = arg;
    return n->peers == NULL ? -1 : peers_connected_ms(n->peers, member);
}

/* --- links --- */

static enum status start(struct node *n, struct fault *reterr)
{
    const struct peers_options po = {.cluster_id = n->cluster_id,
                                     .member_id = n->member_id,
                                     .listen = n->listen,
                                     .advertise = n->advertise,
                                     .seed = node_random_seed(),
                                     .receive = receive,
                                     .receive_lease = receive_lease,
                                     .lost_touch = lost_touch,
                                     .bulk = bulk,
                                     .bulk_lost = bulk_lost,
                                     .bulk_ready = bulk_ready,
                                     .may_join = may_join,
                                     .query = query,
                                     .removed = removed,
                                     .arg = n};
    enum status st = peers_new(n->loop, &po, &n->peers, reterr);
    if (st == ST_OK) {
        st = start_transfers(n, reterr);
    }
    if (st != ST_OK) {
        node_free_links(n);
    }
    return st;
}

static bool has_others(const struct node *n)
{
    const struct membership *m = replica_membership(n->replica);
    return m->count > 1 || membership_find(m, n->member_id) == NULL;
}

bool node_can_grow(void *arg)
{
    struct node *n = arg;
    struct fault fault;
    if (n->peers == NULL && start(n, &fault) != ST_OK) {
        log_error("no member can be added: %s", fault.text);
        return false;
    }
    return true;
}

static void link_to(struct node *n, const struct membership_member *m)
{
    char addresses[MEMBERSHIP_URLS_MAX + 1];
    struct fault fault;
    enum status st =
        identity_strip_urls(m->peer_urls, addresses, sizeof addresses, &fault);
    if (st == ST_OK) {
        st = peers_set(n->peers, m->id, addresses, &fault);
    }
    if (st != ST_OK) {
        log_error("cannot connect to member %llx: %s",
                  (unsigned long long)m->id, fault.text);
    }
}

void node_link_members(struct node *n)
{
    const struct membership *m = replica_membership(n->replica);
    if (n->peers == NULL && (!has_others(n) || !node_can_grow(n))) {
        return;
    }
    for (size_t i = 0; i < m->count; i++) {
        if (m->members[i].id != n->member_id) {
            link_to(n, &m->members[i]);
        }
    }
    for (size_t i = 0; i < m->removed_count; i++) {
        if (replica_has_left(n->replica, m->removed[i])) {
            peers_remove(n->peers, m->removed[i]);
        }
    }
}

/* A cluster of one has nobody to listen to. */
enum status node_start_links(struct node *n, const struct node_options *o,
                             struct fault *reterr)
{
    enum status st = identity_strip_urls(o->listen_peer_urls, n->listen,
                                         sizeof n->listen, reterr);
    if (st == ST_OK) {
        st = identity_strip_urls(o->advertise_peer_urls, n->advertise,
                                 sizeof n->advertise, reterr);
    }
    if (!has_others(n)) {
        return ST_OK; /* and does not need to know where */
    }
    if (st == ST_OK) {
        st = start(n, reterr);
    }
    if (st == ST_OK) {
        node_link_members(n);
    }
    return st;
}

void node_free_links(struct node *n)
{
    node_forget_state(n);
    peers_free(n->peers);
    sender_free(n->sender);
    receiver_free(n->receiver);
    n->peers = NULL;
    n->sender = NULL;
    n->receiver = NULL;
}
