/* What the host does with the other members: messages, and whole states. */

#include <sys/random.h>

#include "base/codec.h"
#include "base/must.h"
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
    if (what == TRANSFER_TAKEN || what == TRANSFER_FAILED) {
        sender_on_frame(n->sender, from, what, r.left);
    } else if (what >= TRANSFER_BEGIN && what <= TRANSFER_END && !n->broken) {
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
    if (!replica_snapshot_waits(n->replica)) {
        receiver_drop(n->receiver); /* raft did not need what arrived */
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

static enum status start_transfers(struct node *n, const struct identity *id,
                                   struct fault *reterr)
{
    const struct sender_options so = {
        .loop = n->loop, .peers = n->peers, .over = state_sent, .arg = n};
    const struct receiver_options ro = {
        .loop = n->loop,
        .peers = n->peers,
        .store_path = n->dir.store,
        .store = n->store_options,
        .identity = {.cluster_id = id->cluster_id, .member_id = id->member_id},
        .arrived = state_arrived,
        .arg = n};
    const enum status st = sender_new(&so, &n->sender, reterr);
    return st == ST_OK ? receiver_new(&ro, &n->receiver, reterr) : st;
}

/* A cluster of one has nobody to listen to. */
enum status node_start_links(struct node *n, const struct node_options *o,
                             const struct identity *id, struct fault *reterr)
{
    if (id->voters_count == 1) {
        return ST_OK;
    }
    char listen[IDENTITY_ADDRESSES_MAX];
    const enum status bad =
        identity_strip_urls(o->listen_peer_urls, listen, sizeof listen, reterr);
    if (bad != ST_OK) {
        return bad;
    }
    const struct peers_options po = {.identity = id,
                                     .listen = listen,
                                     .seed = node_random_seed(),
                                     .receive = receive,
                                     .receive_lease = receive_lease,
                                     .lost_touch = lost_touch,
                                     .bulk = bulk,
                                     .bulk_lost = bulk_lost,
                                     .bulk_ready = bulk_ready,
                                     .arg = n};
    const enum status st = peers_new(n->loop, &po, &n->peers, reterr);
    return st == ST_OK ? start_transfers(n, id, reterr) : st;
}

void node_free_links(struct node *n)
{
    peers_free(n->peers);
    sender_free(n->sender);
    receiver_free(n->receiver);
    n->peers = NULL;
    n->sender = NULL;
    n->receiver = NULL;
}
