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
};

static void on_message(void *arg, uint64_t from, enum peer_stream stream,
                       struct bytes frame)
{
    struct hostile *h = arg;
    struct raft_message m;
    struct fault fault;
    (void)from;
    if (stream == PEER_BULK) {
        h->failed = h->failed || frame.data[0] == TRANSFER_FAILED;
        return;
    }
    if (frame.data[0] != 0 && raft_codec_decode(frame, &m, &fault) == ST_OK) {
        h->answered = h->answered || m.type == RAFT_MSG_PRE_VOTE_RESPONSE;
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
    m.snapshot = raft_snapshot_new(70, 50, &conf, NULL);
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
