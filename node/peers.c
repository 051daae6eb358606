/* Encoding, sending, receiving. */

#include "node/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/must.h"
#include "net/peer.h"
#include "node/lazy.h"
#include "proto/raft_codec.h"

/* What one member is told without hurry. */
struct slow_lane {
    uint64_t id;
    struct lazy lazy;
};

/* Since when there is a connection that messages go out on. */
struct connected {
    struct list link;
    uint64_t member;
    int64_t since_ns;
};

struct peers {
    struct peers_options options;
    uint64_t member_id;
    struct peer_hub *hub;
    struct slow_lane lanes[RAFT_MEMBERS_MAX];
    size_t lanes_count;
    /* The loop's timers count milliseconds, which is too long to wait. */
    int alarm_fd;
    struct loop_poll *alarm;
    int64_t alarm_ns; /* when it goes off; INT64_MAX: never */
    struct list connected;
};

static struct slow_lane *lane_of(struct peers *p, uint64_t id)
{
    for (size_t i = 0; i < p->lanes_count; i++) {
        if (p->lanes[i].id == id) {
            return &p->lanes[i];
        }
    }
    if (p->lanes_count == RAFT_MEMBERS_MAX) {
        return NULL; /* after many changes of the membership: all at once */
    }
    p->lanes[p->lanes_count].id = id;
    return &p->lanes[p->lanes_count++];
}

static void on_message(void *arg, uint64_t from, enum peer_stream stream,
                       struct bytes frame)
{
    struct peers *p = arg;
    struct raft_message m;
    struct fault fault;
    if (stream == PEER_BULK) {
        p->options.bulk(p->options.arg, from, frame);
        return;
    }
    if (frame.size > 0 && frame.data[0] == 0) {
        p->options.receive_lease(p->options.arg, from, frame);
        return;
    }
    if (raft_codec_decode(frame, &m, &fault) != ST_OK) {
        log_warn("a message of member %llx is dropped: %s",
                 (unsigned long long)from, fault.text);
        return;
    }
    if (m.type == RAFT_MSG_SNAPSHOT) {
        /* It would have to be installed, and nothing came with it: a state and
         * its message come as a transfer (node/transfer.h). */
        log_warn("member %llx announces a state without sending one",
                 (unsigned long long)from);
    } else if (m.to == p->member_id) {
        p->options.receive(p->options.arg, &m);
    }
    raft_message_fini(&m);
}

static void on_unreachable(void *arg, uint64_t to, enum peer_stream stream)
{
    struct peers *p = arg;
    if (stream == PEER_MESSAGES) {
        struct slow_lane *lane = lane_of(p, to);
        if (lane != NULL) {
            lazy_on_loss(&lane->lazy);
        }
        p->options.lost_touch(p->options.arg, to);
    }
}

static void on_drained(void *arg, uint64_t to, enum peer_stream stream)
{
    struct peers *p = arg;
    if (stream == PEER_BULK) {
        p->options.bulk_ready(p->options.arg, to);
    }
}

static struct connected *find_connected(const struct peers *p, uint64_t member)
{
    list_each (link, &p->connected) {
        struct connected *c = container_of(link, struct connected, link);
        if (c->member == member) {
            return c;
        }
    }
    return NULL;
}

static void forget_connected(struct peers *p, uint64_t member)
{
    struct connected *c = find_connected(p, member);
    if (c != NULL) {
        list_remove(&c->link);
        free(c);
    }
}

static void on_connected(void *arg, uint64_t to, enum peer_stream stream)
{
    struct peers *p = arg;
    if (stream == PEER_MESSAGES) {
        forget_connected(p, to);
        struct connected *c = xmalloc(sizeof *c);
        *c = (struct connected){.member = to, .since_ns = loop_now_ns()};
        list_push(&p->connected, &c->link);
        log_info("connected to member %llx", (unsigned long long)to);
    } else {
        p->options.bulk_ready(p->options.arg, to);
    }
}

static void on_lost(void *arg, uint64_t to, enum peer_stream stream,
                    const struct fault *why)
{
    struct peers *p = arg;
    if (stream == PEER_MESSAGES) {
        forget_connected(p, to);
        log_warn("lost the connection to member %llx: %s",
                 (unsigned long long)to, why->text);
    } else {
        p->options.bulk_lost(p->options.arg, to);
    }
}

/* Somebody who was not known yet is added where it says it is: this member may
 * be behind, and need just that one to get on. */
static enum status may_join(void *arg, uint64_t from, const char *addresses,
                            struct fault *reterr)
{
    struct peers *p = arg;
    const enum status st = p->options.may_join(p->options.arg, from, reterr);
    if (st == ST_OK && !peer_hub_has(p->hub, from) && addresses[0] != '\0') {
        return peer_hub_set(p->hub, from, addresses, reterr);
    }
    return st;
}

static void on_query(void *arg, struct bytes question, struct buf *to)
{
    struct peers *p = arg;
    p->options.query(p->options.arg, question, to);
}

static void on_event(void *arg, enum peer_event what, uint64_t member,
                     const struct fault *why)
{
    struct peers *p = arg;
    switch (what) {
    case PEER_EVENT_REMOVED:
        log_warn("member %llx: %s", (unsigned long long)member, why->text);
        p->options.removed(p->options.arg);
        break;
    case PEER_EVENT_FAILED: /* tried again and again while a peer is down */
    case PEER_EVENT_ACCEPTED:
    case PEER_EVENT_CLOSED:
        log_debug("member %llx: %s", (unsigned long long)member, why->text);
        break;
    case PEER_EVENT_REJECTED:
    case PEER_EVENT_REFUSED:
    case PEER_EVENT_MALFORMED:
        log_warn("member %llx: %s", (unsigned long long)member, why->text);
        break;
    }
}

static enum status listen_at(struct peers *p, const char *list,
                             struct fault *reterr)
{
    while (*list != '\0') {
        char address[PEER_ADDRESSES_SIZE_MAX + 1];
        const size_t size = strcspn(list, ",");
        must(size < sizeof address);
        memcpy(address, list, size);
        address[size] = '\0';
        uint16_t port;
        const enum status st = peer_hub_listen(p->hub, address, &port, reterr);
        if (st != ST_OK) {
            return st;
        }
        list += size;
        list += *list == ',';
    }
    return ST_OK;
}

static void send_now(struct peers *p, struct raft_message *take)
{
    struct buf frame = {0};
    struct fault fault;
    const uint64_t to = take->to;
    const enum status st = raft_codec_encode(take, &frame, &fault);
    raft_message_fini(take);
    if (st != ST_OK) {
        log_error("a message to member %llx cannot be sent: %s",
                  (unsigned long long)to, fault.text);
        buf_fini(&frame);
        return;
    }
    /* Dropped: the hub has said so through on_unreachable. */
    (void)peer_hub_send_take(p->hub, to, PEER_MESSAGES, &frame);
}

/* --- what is kept for a moment --- */

static void set_alarm(struct peers *p, int64_t at_ns)
{
    if (at_ns >= p->alarm_ns) {
        return;
    }
    const struct itimerspec when = {
        .it_value = {.tv_sec = at_ns / 1000000000,
                     .tv_nsec = at_ns % 1000000000}};
    must(timerfd_settime(p->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
    p->alarm_ns = at_ns;
}

static void on_alarm(void *arg, int fd)
{
    struct peers *p = arg;
    uint64_t times;
    const int64_t now_ns = loop_now_ns();
    (void)!read(fd, &times, sizeof times); /* the clock decides */
    p->alarm_ns = INT64_MAX;
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < p->lanes_count; i++) {
        struct lazy *l = &p->lanes[i].lazy;
        struct raft_message m;
        if (l->keeps && l->due_ns > now_ns) {
            next_ns = l->due_ns < next_ns ? l->due_ns : next_ns;
        } else if (lazy_expire(l, &m)) {
            send_now(p, &m);
        }
    }
    set_alarm(p, next_ns);
}

static enum status make_alarm(struct peers *p, struct loop *loop,
                              struct fault *reterr)
{
    p->alarm_ns = INT64_MAX;
    p->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (p->alarm_fd < 0) {
        return fault_sys(reterr, errno, "cannot make a timer");
    }
    p->alarm = loop_poll_start(loop, p->alarm_fd, on_alarm, p);
    return ST_OK;
}

enum status peers_new(struct loop *loop, const struct peers_options *options,
                      struct peers **ret, struct fault *reterr)
{
    static const struct peer_hub_callbacks callbacks = {
        .on_message = on_message,
        .on_connected = on_connected,
        .on_lost = on_lost,
        .on_unreachable = on_unreachable,
        .on_drained = on_drained,
        .may_join = may_join,
        .on_query = on_query,
        .on_event = on_event,
    };
    struct peers *p = xcalloc(1, sizeof *p);
    p->options = *options;
    p->member_id = options->member_id;
    list_init(&p->connected);
    struct peer_hub_options ho;
    peer_hub_options_default(&ho);
    ho.cluster_id = options->cluster_id;
    ho.member_id = options->member_id;
    ho.seed = options->seed;
    ho.advertise = options->advertise;
    p->hub = peer_hub_new(loop, &ho, &callbacks, p);
    enum status st = make_alarm(p, loop, reterr);
    if (st == ST_OK) {
        st = listen_at(p, options->listen, reterr);
    }
    if (st != ST_OK) {
        peers_free(p);
        return st;
    }
    *ret = p;
    return ST_OK;
}

enum status peers_set(struct peers *p, uint64_t member, const char *addresses,
                      struct fault *reterr)
{
    return peer_hub_set(p->hub, member, addresses, reterr);
}

void peers_remove(struct peers *p, uint64_t member)
{
    peer_hub_remove(p->hub, member);
    forget_connected(p, member);
}

int64_t peers_connected_ms(const struct peers *p, uint64_t member)
{
    const struct connected *c = find_connected(p, member);
    return c == NULL ? -1 : (loop_now_ns() - c->since_ns) / 1000000;
}

void peers_free(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    peer_hub_free(p->hub);
    for (size_t i = 0; i < p->lanes_count; i++) {
        lazy_fini(&p->lanes[i].lazy);
    }
    if (p->alarm_fd >= 0) {
        loop_poll_stop(p->alarm);
        (void)close(p->alarm_fd);
    }
    struct list *link;
    while ((link = list_pop(&p->connected)) != NULL) {
        free(container_of(link, struct connected, link));
    }
    free(p);
}

void peers_send_lease(struct peers *p, uint64_t to, struct buf *take)
{
    must(take->size > 0 && take->data[0] == 0);
    /* Dropped: asked again. */
    (void)peer_hub_send_take(p->hub, to, PEER_MESSAGES, take);
}

bool peers_send_bulk(struct peers *p, uint64_t to, struct buf *take)
{
    return peer_hub_send_take(p->hub, to, PEER_BULK, take);
}

void peers_send(struct peers *p, struct raft_message *take)
{
    struct slow_lane *lane = lane_of(p, take->to);
    struct raft_message before;
    if (lane != NULL && lazy_keep(&lane->lazy, take, loop_now_ns())) {
        set_alarm(p, lane->lazy.due_ns);
        return;
    }
    if (lane != NULL && lazy_take(&lane->lazy, &before)) {
        send_now(p, &before);
    }
    send_now(p, take);
}

void peers_owe(struct peers *p, uint64_t member, uint64_t index)
{
    struct slow_lane *lane = lane_of(p, member);
    if (lane != NULL) {
        lazy_owe(&lane->lazy, index);
    }
}

void peers_flush(struct peers *p)
{
    peer_hub_flush(p->hub);
}
