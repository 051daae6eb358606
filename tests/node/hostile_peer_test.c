/* Another member that says what none would: the node goes on. */

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/must.h"
#include "net/peer.h"
#include "node/identity.h"
#include "node/node.h"
#include "node/transfer.h"
#include "proto/raft_codec.h"
#include "tests/lib/test.h"

#define PATIENCE_NS (INT64_C(20) * 1000000000)

/* The test is member b of two; the node under test is a. */
struct hostile {
    struct loop *loop;
    struct node *node;
    struct peer_hub *hub;
    struct identity a, b;
    uint64_t number; /* counts what was said */
    bool answered;   /* to a vote */
    bool failed;     /* the transfer */
    bool broken;     /* the node */

    /* Of a state that is as it should be: */
    uint64_t entry;      /* of which it is; 0: 70 */
    uint64_t size;       /* bytes of its stream */
    uint64_t heard_last; /* revision that a watch was told */
    size_t signs;        /* that all but the last byte was taken: the second
                            says that it was the end, */
    size_t votes;        /* asked for and given since, */
    bool all;            /* until all was */
    size_t events, early;
    bool over;
};

static void ask(struct hostile *h);
static void on_bulk(struct hostile *h, struct bytes frame);

static void on_message(void *arg, uint64_t from, enum peer_stream stream,
                       struct bytes frame)
{
    struct hostile *h = arg;
    struct raft_message m;
    struct fault fault;
    (void)from;
    if (stream == PEER_BULK) {
        on_bulk(h, frame);
        return;
    }
    if (frame.data[0] != 0 && raft_codec_decode(frame, &m, &fault) == ST_OK) {
        const bool is_vote = m.type == RAFT_MSG_PRE_VOTE_RESPONSE;
        h->answered = h->answered || is_vote;
        if (is_vote && h->signs > 1 && !h->all) {
            h->votes++;
            ask(h);
        }
        raft_message_fini(&m);
    }
}

static void say(struct hostile *h, enum peer_stream stream,
                struct raft_message *take)
{
    struct buf frame = {0};
    struct fault fault;
    if (stream == PEER_BULK) {
        write_u8(&frame, TRANSFER_BEGIN);
        write_u64(&frame, ++h->number);
    }
    EXPECT_INT(raft_codec_encode(take, &frame, &fault), ST_OK);
    (void)peer_hub_send_take(h->hub, h->a.member_id, stream, &frame);
    raft_message_fini(take);
}

static struct raft_message message(const struct hostile *h,
                                   enum raft_message_type type)
{
    return (struct raft_message){.type = type,
                                 .from = h->b.member_id,
                                 .to = h->a.member_id,
                                 .term = 50,
                                 .index = 70,
                                 .log_term = 50};
}

/* As a leader that says the follower is behind its log. */
static struct raft_message state(const struct hostile *h)
{
    struct raft_message m = message(h, RAFT_MSG_SNAPSHOT);
    const struct raft_conf_state conf = {.voters = h->a.voters,
                                         .voters_count = 2};
    m.index = h->entry != 0 ? h->entry : m.index;
    m.snapshot = raft_snapshot_new(m.index, 50, &conf, NULL);
    return m;
}

/* --- the two of them --- */

static void failed(void *arg, enum status why, const struct fault *fault)
{
    print_message("# %s: %s\n", status_name(why), fault->text);
    ((struct hostile *)arg)->broken = true;
}

static void ready(void *arg)
{
    (void)arg;
}

/* A port that nobody had a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    must(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

static void start_hub(struct hostile *h, const char *listen, const char *other)
{
    static const struct peer_hub_callbacks callbacks = {.on_message =
                                                            on_message};
    struct peer_hub_options o;
    struct fault fault = {{0}};
    uint16_t port;
    peer_hub_options_default(&o);
    o.cluster_id = h->b.cluster_id;
    o.member_id = h->b.member_id;
    h->hub = peer_hub_new(h->loop, &o, &callbacks, h);
    EXPECT_INT(peer_hub_listen(h->hub, listen, &port, &fault), ST_OK);
    EXPECT_INT(peer_hub_set(h->hub, h->a.member_id, other, &fault), ST_OK);
}

static void begin(struct hostile *h)
{
    static char urls[2][64], cluster[256];
    struct fault fault = {{0}};
    const struct loop_options lo = {0};
    for (int i = 0; i < 2; i++) {
        (void)snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%u",
                       free_port());
    }
    (void)snprintf(cluster, sizeof cluster, "a=%s,b=%s", urls[0], urls[1]);
    struct node_options o;
    node_options_default(&o);
    o.data_dir = test_directory();
    o.name = "a";
    o.initial_cluster = cluster;
    o.listen_peer_urls = o.advertise_peer_urls = urls[0];
    EXPECT_INT(identity_derive("a", o.cluster_token, cluster, &h->a, &fault),
               ST_OK);
    EXPECT_INT(identity_derive("b", o.cluster_token, cluster, &h->b, &fault),
               ST_OK);
    EXPECT_INT(loop_new(&lo, &h->loop, &fault), ST_OK);
    start_hub(h, urls[1] + 7, urls[0] + 7);
    if (node_start(h->loop, &o, ready, failed, h, &h->node, &fault) != ST_OK) {
        fail_msg("%s", fault.text);
    }
}

static void end(struct hostile *h)
{
    node_stop(h->node);
    peer_hub_free(h->hub);
    loop_free(h->loop);
}

/* --- waiting --- */

struct wait {
    struct hostile *h;
    void (*again)(struct hostile *h);
    const bool *flag;
    struct loop_timer *timer;
    int64_t until_ns;
};

static void on_timer(void *arg)
{
    struct wait *w = arg;
    if (*w->flag || w->h->broken || loop_now_ns() > w->until_ns) {
        loop_stop(w->h->loop);
        return;
    }
    w->again(w->h); /* what was said before there was a connection is lost */
    loop_timer_at(w->timer, loop_now_ns() + 50000000);
}

static void until(struct hostile *h, void (*again)(struct hostile *h),
                  const bool *flag)
{
    struct wait w = {.h = h,
                     .again = again,
                     .flag = flag,
                     .until_ns = loop_now_ns() + PATIENCE_NS};
    w.timer = loop_timer_new(h->loop, on_timer, &w);
    loop_timer_at(w.timer, loop_now_ns());
    loop_run(h->loop);
    loop_timer_free(w.timer);
    EXPECT(*flag);
    EXPECT(!h->broken);
}

static void ask(struct hostile *h)
{
    struct raft_message m = message(h, RAFT_MSG_PRE_VOTE);
    m.term = 60;
    say(h, PEER_MESSAGES, &m);
}

static void announce(struct hostile *h)
{
    struct raft_message m = state(h);
    say(h, PEER_MESSAGES, &m);
    ask(h);
}

/* Danger: a few bytes on the wrong stream, and the node tries to install what
 * it never got. */
TEST(hostile_peer, announces_a_state_and_sends_none)
{
    static struct hostile h;
    h = (struct hostile){.number = 0};
    begin(&h);
    until(&h, announce, &h.answered);
    h.answered = false;
    until(&h, ask, &h.answered); /* after it */
    end(&h);
}

/* --- a state of another entry than was announced --- */

static void add_frame(struct hostile *h, enum transfer_frame what,
                      struct bytes body)
{
    struct buf frame = {0};
    write_u8(&frame, (uint8_t)what);
    write_u64(&frame, h->number);
    buf_append(&frame, body);
    (void)peer_hub_send_take(h->hub, h->a.member_id, PEER_BULK, &frame);
}

static void send_another(struct hostile *h)
{
    struct store_options so;
    struct store *s;
    struct store_outcome outcome;
    struct store_export *e;
    struct fault fault = {{0}};
    struct buf stream = {0};
    const struct store_identity id = {.cluster_id = h->b.cluster_id,
                                      .member_id = h->b.member_id};
    bool done = false;
    store_options_default(&so);
    EXPECT_INT(store_open(test_directory(), &so, &s, &fault), ST_OK);
    EXPECT_INT(store_set_identity(s, &id, &fault), ST_OK);
    EXPECT_INT(store_apply(s, 1, 1, BYTES_NONE, &outcome, &fault), ST_OK);
    struct store_flush *f = store_flush_begin(s);
    EXPECT_INT(store_flush_run(f, &fault), ST_OK);
    EXPECT_INT(store_flush_end(s, f, &fault), ST_OK);
    EXPECT_INT(store_export_begin(s, STORE_EXPORT_BLOCK_BYTES, &e, &fault),
               ST_OK);
    while (!done) {
        EXPECT_INT(store_export_next(e, &stream, &done, &fault), ST_OK);
    }
    store_export_free(e);
    store_close(s);
    struct raft_message m = state(h); /* of entry 70 */
    say(h, PEER_BULK, &m);
    add_frame(h, TRANSFER_DATA, buf_bytes(&stream));
    add_frame(h, TRANSFER_END, BYTES_NONE);
    buf_fini(&stream);
}

static void send_once(struct hostile *h)
{
    if (h->answered && h->number == 0) {
        send_another(h);
    } else if (!h->answered) {
        ask(h);
    }
}

TEST(hostile_peer, sends_a_state_of_another_entry)
{
    static struct hostile h;
    h = (struct hostile){.number = 0};
    begin(&h);
    until(&h, send_once, &h.failed);
    h.answered = false;
    until(&h, ask, &h.answered);
    end(&h);
}

/* --- a state that is as it should be, of a member that is ahead --- */

#define AHEAD_ENTRIES 600u
#define AHEAD_PUTS    100u /* in each but the first and the last */

static enum status apply_puts(struct store *s, uint64_t index)
{
    struct kv_op ops[AHEAD_PUTS];
    char keys[AHEAD_PUTS][24];
    struct buf command = {0};
    struct fault fault = {{0}};
    struct store_outcome outcome;
    const struct store_stamp stamp = {.time_ns = (int64_t)index};
    for (unsigned i = 0; i < AHEAD_PUTS; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "/d%u/%llu", i,
                       (unsigned long long)index);
        ops[i] = (struct kv_op){
            .type = KV_OP_PUT,
            .put = {.key = bytes_of(keys[i]), .value = bytes_of("1")}};
    }
    const struct kv_txn_spec txn = {.success = ops,
                                    .success_count = AHEAD_PUTS};
    store_encode_txn(&stamp, &txn, &command);
    const enum status st =
        store_apply(s, index, 50, buf_bytes(&command), &outcome, &fault);
    buf_fini(&command);
    return st == ST_OK ? outcome.status : st;
}

static struct store *ahead(const struct hostile *h)
{
    struct store_options so;
    struct store *s;
    struct store_outcome outcome;
    struct fault fault = {{0}};
    struct buf compact = {0};
    const struct store_stamp stamp = {.time_ns = 1};
    const struct store_identity id = {.cluster_id = h->b.cluster_id,
                                      .member_id = h->b.member_id};
    store_options_default(&so);
    EXPECT_INT(store_open(test_directory(), &so, &s, &fault), ST_OK);
    EXPECT_INT(store_set_identity(s, &id, &fault), ST_OK);
    EXPECT_INT(store_apply(s, 1, 50, BYTES_NONE, &outcome, &fault), ST_OK);
    for (uint64_t i = 2; i < AHEAD_ENTRIES; i++) {
        EXPECT_INT(apply_puts(s, i), ST_OK);
    }
    store_encode_compact(&stamp, store_revision(s), &compact);
    EXPECT_INT(store_apply(s, AHEAD_ENTRIES, 50, buf_bytes(&compact), &outcome,
                           &fault),
               ST_OK);
    buf_fini(&compact);
    struct store_flush *f = store_flush_begin(s);
    EXPECT_INT(store_flush_run(f, &fault), ST_OK);
    EXPECT_INT(store_flush_end(s, f, &fault), ST_OK);
    return s;
}

static void send_ahead(struct hostile *h)
{
    struct store *s = ahead(h);
    struct store_export *e;
    struct fault fault = {{0}};
    bool done = false;
    EXPECT_INT(store_export_begin(s, STORE_EXPORT_BLOCK_BYTES, &e, &fault),
               ST_OK);
    struct raft_message m = state(h);
    say(h, PEER_BULK, &m);
    while (!done) {
        struct buf piece = {0};
        EXPECT_INT(store_export_next(e, &piece, &done, &fault), ST_OK);
        add_frame(h, TRANSFER_DATA, buf_bytes(&piece));
        buf_fini(&piece);
    }
    h->size = store_export_position(e);
    add_frame(h, TRANSFER_END, BYTES_NONE);
    store_export_free(e);
    store_close(s);
}

static void on_bulk(struct hostile *h, struct bytes frame)
{
    struct reader r = reader_of(frame);
    const uint8_t what = read_u8(&r);
    const uint64_t id = read_u64(&r);
    if (what == TRANSFER_FAILED) {
        h->failed = true;
        h->early += h->size > 0 && !h->all; /* while the first one waits */
        h->over = h->all && id == h->number;
        return;
    }
    const uint64_t taken = read_u64(&r);
    if (what != TRANSFER_TAKEN || h->size == 0) {
        return;
    }
    if (taken == h->size) {
        h->all = true;
    } else if (taken == h->size - 1 && ++h->signs == 2) {
        struct raft_message m = state(h);
        say(h, PEER_BULK, &m); /* another one, meanwhile */
        ask(h);
    }
}

struct listener {
    struct kv_watch watch;
    struct hostile *h;
};

static void heard(struct kv_watch *w, const struct kv_event *events,
                  size_t count, struct kv_header header)
{
    struct hostile *h = container_of(w, struct listener, watch)->h;
    (void)header;
    for (size_t i = 0; i < count; i++) {
        const uint64_t revision = (uint64_t)events[i].item.mod_revision;
        EXPECT(revision >= h->heard_last);
        h->heard_last = revision;
    }
    h->events += count;
    h->early += !h->all;
}

static void heard_end(struct kv_watch *w, enum status why, int64_t compacted)
{
    struct hostile *h = container_of(w, struct listener, watch)->h;
    (void)compacted;
    print_message("# the watch ended: %s\n", status_name(why));
    h->broken = true;
}

static void send_ahead_once(struct hostile *h)
{
    if (h->answered && h->number == 0) {
        send_ahead(h);
    } else if (!h->answered) {
        ask(h);
    }
}

/* Danger: while it finds out what watches have to be told, a member is silent;
 * or the sender thinks that it is over, and throws the log that follows away;
 * or a second state gets in the way. */
TEST(hostile_peer, a_state_is_compared_beside_everything_else)
{
    static struct hostile h;
    static const uint8_t zero[1];
    h = (struct hostile){.entry = AHEAD_ENTRIES};
    begin(&h);
    struct listener l = {.watch = {.keys = {{zero, 1}, {zero, 1}},
                                   .on_events = heard,
                                   .on_end = heard_end},
                         .h = &h};
    kv_watch(node_kv(h.node), &l.watch);
    until(&h, send_ahead_once, &h.over);
    EXPECT(h.votes >= 3);
    EXPECT_INT(h.early, 0);
    h.answered = false;
    until(&h, ask, &h.answered);
    EXPECT_INT(h.events, (AHEAD_ENTRIES - 2) * AHEAD_PUTS);
    EXPECT_INT(h.heard_last, AHEAD_ENTRIES - 1);
    kv_unwatch(node_kv(h.node), &l.watch);
    end(&h);
}
