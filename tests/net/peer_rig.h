/* Hubs of one cluster in one process on one loop, over loopback with ports the
 * system picks, and raw sockets to play peers that misbehave.  Nothing waits
 * longer than PATIENCE_MS. */
#ifndef TESTS_NET_PEER_RIG_H
#define TESTS_NET_PEER_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/prng.h"
#include "net/peer_frame.h"
#include "net/peer_internal.h"
#include "tests/lib/test.h"

#define PATIENCE_MS 20000
#define CLUSTER     0xc1

struct peer_rig {
    struct loop *loop;
    struct loop_timer *patience;
    struct loop_hook hook;
    bool (*done)(void *arg);
    void *arg;
    bool in_time;
};

/* One member: its hub, and what it was told, one line for each. */
struct member {
    struct peer_rig *rig;
    struct peer_hub *hub;
    uint64_t id;
    uint16_t port;
    char trace[4096];
    bool quiet;       /* counts messages only */
    bool no_failures; /* leaves attempts that failed out of the trace */
    size_t messages[PEER_STREAMS];
    struct fault denies; /* text: what may_join says */
    char claimed[PEER_ADDRESSES_SIZE_MAX + 1];
    /* When set, gets the messages instead of the trace. */
    void (*on_message)(struct member *m, uint64_t from, enum peer_stream s,
                       struct bytes frame);
    void *arg;
};

static inline bool rig_check(void *arg)
{
    struct peer_rig *r = arg;
    if (r->done != NULL && r->done(r->arg)) {
        loop_stop(r->loop);
    }
    return false;
}

static inline void rig_give_up(void *arg)
{
    struct peer_rig *r = arg;
    r->in_time = false;
    loop_stop(r->loop);
}

static inline void rig_begin(struct peer_rig *r)
{
    *r = (struct peer_rig){.in_time = true};
    const struct loop_options options = {.spin_us = 0};
    assert_int_equal(loop_new(&options, &r->loop, NULL), ST_OK);
    r->patience = loop_timer_new(r->loop, rig_give_up, r);
    r->hook = (struct loop_hook){.run = rig_check, .arg = r};
    loop_hook_add(r->loop, &r->hook);
}

static inline void rig_end(struct peer_rig *r)
{
    loop_hook_remove(&r->hook);
    loop_timer_free(r->patience);
    loop_free(r->loop);
}

/* False: it never came. */
static inline bool rig_run(struct peer_rig *r, bool (*done)(void *arg),
                           void *arg)
{
    r->done = done;
    r->arg = arg;
    r->in_time = true;
    loop_timer_at(r->patience, peer_ms_from_now(PATIENCE_MS));
    if (!done(arg)) {
        loop_run(r->loop);
    }
    r->done = NULL;
    loop_timer_clear(r->patience);
    return r->in_time;
}

/* --- members --- */

static inline void member_say(struct member *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void member_say(struct member *m, const char *format, ...)
{
    const size_t size = strlen(m->trace);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(m->trace + size, sizeof m->trace - size, format, args);
    va_end(args);
}

static inline const char *stream_name(enum peer_stream s)
{
    return s == PEER_BULK ? "bulk" : "messages";
}

static inline void member_message(void *arg, uint64_t from, enum peer_stream s,
                                  struct bytes frame)
{
    struct member *m = arg;
    m->messages[s]++;
    if (m->on_message != NULL) {
        m->on_message(m, from, s, frame);
    } else if (!m->quiet) {
        member_say(m, "%d %s: %.*s\n", (int)from, stream_name(s),
                   (int)frame.size, (const char *)frame.data);
    }
}

static inline void member_connected(void *arg, uint64_t to, enum peer_stream s)
{
    member_say(arg, "connected %d %s\n", (int)to, stream_name(s));
}

static inline void member_lost(void *arg, uint64_t to, enum peer_stream s,
                               const struct fault *why)
{
    /* The address is of a port that differs from run to run. */
    const char *text = strstr(why->text, ": ");
    member_say(arg, "lost %d %s%s\n", (int)to, stream_name(s),
               text != NULL ? text : "");
}

static inline void member_unreachable(void *arg, uint64_t to,
                                      enum peer_stream s)
{
    member_say(arg, "unreachable %d %s\n", (int)to, stream_name(s));
}

static inline void member_drained(void *arg, uint64_t to, enum peer_stream s)
{
    member_say(arg, "drained %d %s\n", (int)to, stream_name(s));
}

static inline enum status member_may_join(void *arg, uint64_t from,
                                          const char *addresses,
                                          struct fault *reterr)
{
    struct member *m = arg;
    (void)from;
    (void)snprintf(m->claimed, sizeof m->claimed, "%s", addresses);
    if (m->denies.text[0] != 0) {
        *reterr = m->denies;
        return ST_DENIED;
    }
    return ST_OK;
}

static inline void member_event(void *arg, enum peer_event what, uint64_t from,
                                const struct fault *why)
{
    static const char *const names[] = {"failed",  "rejected",  "removed",
                                        "refused", "malformed", "accepted",
                                        "closed"};
    struct member *m = arg;
    if (what == PEER_EVENT_ACCEPTED ||
        (what <= PEER_EVENT_REJECTED && m->no_failures)) {
        return; /* the order among two streams is chance */
    }
    const char *text = strstr(why->text, ": ");
    member_say(m, "%s %d%s\n", names[what], (int)from,
               text != NULL ? text : "");
}

static const struct peer_hub_callbacks member_callbacks = {
    .on_message = member_message,
    .on_connected = member_connected,
    .on_lost = member_lost,
    .on_unreachable = member_unreachable,
    .on_drained = member_drained,
    .may_join = member_may_join,
    .on_event = member_event,
};

static inline struct peer_hub_options member_options(uint64_t id)
{
    struct peer_hub_options o;
    peer_hub_options_default(&o);
    o.cluster_id = CLUSTER;
    o.member_id = id;
    o.seed = test_seed() + id;
    o.backoff_min_ms = 2;
    o.backoff_max_ms = 20;
    return o;
}

/* Port 0: any. */
static inline void member_begin(struct member *m, struct peer_rig *r,
                                const struct peer_hub_options *o, uint16_t port)
{
    *m = (struct member){.rig = r, .id = o->member_id};
    m->hub = peer_hub_new(r->loop, o, &member_callbacks, m);
    char address[32];
    struct fault fault = {{0}};
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    const enum status st = peer_hub_listen(m->hub, address, &m->port, &fault);
    if (st != ST_OK) {
        EXPECT_TEXT(fault.text, "");
    }
}

static inline void member_end(struct member *m)
{
    peer_hub_free(m->hub);
    m->hub = NULL;
}

static inline void member_knows_port(struct member *m, uint64_t id,
                                     uint16_t port)
{
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    EXPECT_INT(peer_hub_set(m->hub, id, address, NULL), ST_OK);
}

static inline void member_knows(struct member *m, const struct member *other)
{
    member_knows_port(m, other->id, other->port);
}

static inline bool member_send(struct member *m, uint64_t to,
                               enum peer_stream s, struct bytes frame)
{
    struct buf b = {0};
    buf_append(&b, frame);
    const bool sent = peer_hub_send_take(m->hub, to, s, &b);
    EXPECT(b.data == NULL && b.size == 0);
    return sent;
}

static inline struct peer_stream_stats
member_stats(const struct member *m, uint64_t id, enum peer_stream s)
{
    struct peer_stream_stats stats;
    EXPECT_INT(peer_hub_peer_stats(m->hub, id, s, &stats), ST_OK);
    return stats;
}

/* Waits until the trace has this text. */
struct wanted {
    const struct member *member;
    const char *text;
};

static inline bool has_text(void *arg)
{
    const struct wanted *w = arg;
    return strstr(w->member->trace, w->text) != NULL;
}

static inline void member_until(struct member *m, const char *text)
{
    struct wanted w = {m, text};
    if (!rig_run(m->rig, has_text, &w)) {
        print_error("never came: %s\n", text);
        EXPECT_TEXT(m->trace, text);
    }
}

/* Both streams to that one are there. */
static inline void member_until_connected(struct member *m, uint64_t to)
{
    for (int s = 0; s < PEER_STREAMS; s++) {
        char text[64];
        (void)snprintf(text, sizeof text, "connected %d %s\n", (int)to,
                       stream_name((enum peer_stream)s));
        member_until(m, text);
    }
    m->trace[0] = 0;
}

/* Waits until so many messages have come. */
struct wanted_count {
    const struct member *member;
    enum peer_stream stream;
    size_t count;
};

static inline bool has_count(void *arg)
{
    const struct wanted_count *w = arg;
    return w->member->messages[w->stream] >= w->count;
}

static inline void member_until_count(struct member *m, enum peer_stream s,
                                      size_t count)
{
    struct wanted_count w = {m, s, count};
    EXPECT(rig_run(m->rig, has_count, &w));
}

/* --- raw sockets --- */

static inline struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static inline int raw_connect(uint16_t port)
{
    const struct sockaddr_in to = loopback(port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0);
    /* The system completes it; the hub need not run. */
    must(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static inline int raw_listen(uint16_t *ret_port)
{
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    const int small = 4096, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0);
    must(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    must(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    must(listen(fd, 16) == 0);
    must(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static inline void raw_send(int fd, struct bytes b)
{
    size_t at = 0;
    while (at < b.size) {
        const ssize_t n = send(fd, b.data + at, b.size - at, MSG_NOSIGNAL);
        if (n < 0) {
            must(errno == EPIPE || errno == ECONNRESET);
            return; /* the hub had enough */
        }
        at += (size_t)n;
    }
}

static inline void raw_frame(struct buf *to, enum peer_frame_type type,
                             struct bytes body)
{
    uint8_t header[PEER_HEADER_SIZE];
    peer_header_put(header, type, body);
    buf_append(to, (struct bytes){header, sizeof header});
    buf_append(to, body);
}

static inline struct peer_hello raw_hello(uint64_t from, uint64_t to)
{
    return (struct peer_hello){.version_min = 1,
                               .version_max = 1,
                               .cluster_id = CLUSTER,
                               .from = from,
                               .to = to,
                               .stream = PEER_MESSAGES};
}

static inline void raw_greet(struct buf *to, const struct peer_hello *hello)
{
    struct buf body = {0};
    peer_hello_put(&body, hello);
    raw_frame(to, PEER_FRAME_HELLO, buf_bytes(&body));
    buf_fini(&body);
}

/* Has the hub closed this connection? What it said goes to *said. */
struct raw_ending {
    int fd;
    struct buf said;
};

static inline bool is_closed(void *arg)
{
    struct raw_ending *e = arg;
    for (;;) {
        uint8_t bytes[4096];
        const ssize_t n = recv(e->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            return false;
        }
        if (n <= 0) {
            return true;
        }
        buf_append(&e->said, (struct bytes){bytes, (size_t)n});
    }
}

/* What the test waits for is no event of the loop: look every millisecond. */
struct ticker {
    struct loop_timer *timer;
};

static inline void ticker_fired(void *arg)
{
    loop_timer_at(((struct ticker *)arg)->timer, peer_ms_from_now(1));
}

static inline bool rig_run_ticking(struct peer_rig *r, bool (*done)(void *arg),
                                   void *arg)
{
    struct ticker t;
    t.timer = loop_timer_new(r->loop, ticker_fired, &t);
    loop_timer_at(t.timer, 0);
    const bool in_time = rig_run(r, done, arg);
    loop_timer_free(t.timer);
    return in_time;
}

static inline void raw_until_closed(struct peer_rig *r, int fd)
{
    struct raw_ending e = {.fd = fd};
    EXPECT(rig_run_ticking(r, is_closed, &e));
    buf_fini(&e.said);
    (void)close(fd);
}

#endif
