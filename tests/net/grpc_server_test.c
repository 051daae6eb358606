/* The server on a loop, over loopback, with a client in a thread of its own
 * that reads and writes as a plain program does. */

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "base/status.h"
#include "tests/net/frames.h"
#include "tests/net/rig.h"

#include "net/grpc.h"

#define LARGE ((size_t)10 << 20)

struct server_rig {
    struct rig rig;
    struct grpc_server *server;
    uint16_t port;
    struct loop_post done, drain;
    pthread_t thread;
    void (*client)(struct server_rig *r);
    char answer[256]; /* of the client */
    size_t size;
    int cancelled;
};

static struct server_rig *the;

/* --- services --- */

static void hold_message(struct grpc_call *c, struct bytes message)
{
    (void)c;
    (void)message;
}

static void hold_cancel(struct grpc_call *c)
{
    (void)c;
    the->cancelled++;
}

static const struct grpc_handler hold = {.on_message = hold_message,
                                         .on_cancel = hold_cancel};

static const struct grpc_handler *hold_begin(void *arg, struct grpc_call *c)
{
    (void)arg;
    (void)c;
    return &hold;
}

static void http_request(void *arg, struct grpc_http_request *r,
                         struct bytes method, struct bytes target,
                         struct bytes body)
{
    (void)arg;
    (void)method;
    (void)body;
    static uint8_t large[LARGE];
    if (bytes_equal(target, bytes_of("/large"))) {
        memset(large, 'x', sizeof large);
        grpc_http_answer(r, 200, NULL, (struct bytes){large, sizeof large});
    } else {
        grpc_http_answer(r, 200, NULL, target);
    }
}

/* --- the rig --- */

static void stop(struct loop_post *p)
{
    (void)p;
    loop_stop(the->rig.loop);
}

static void drain(struct loop_post *p)
{
    (void)p;
    grpc_server_drain(the->server);
}

static void *client_thread(void *arg)
{
    struct server_rig *r = arg;
    r->client(r);
    loop_post(r->rig.loop, &r->done);
    return NULL;
}

static void run(struct server_rig *r, uint32_t connections_max,
                void (*client)(struct server_rig *r))
{
    static const struct grpc_method methods[] = {
        {"/test.Echo/Stream", true, true, hold_begin, NULL}};
    static const struct grpc_http http = {.on_request = http_request};
    *r = (struct server_rig){
        .client = client, .done = {.run = stop}, .drain = {.run = drain}};
    the = r;
    rig_begin(&r->rig, 0);
    struct grpc_limits limits;
    struct fault fault;
    grpc_limits_default(&limits);
    limits.connections_max = connections_max;
    r->server = grpc_server_new(r->rig.loop, &limits, methods, 1, &http);
    EXPECT_INT(grpc_server_listen(r->server, "127.0.0.1:0", &r->port, &fault),
               ST_OK);
    EXPECT_INT(pthread_create(&r->thread, NULL, client_thread, r), 0);
    loop_run(r->rig.loop);
    EXPECT_INT(pthread_join(r->thread, NULL), 0);
    grpc_server_free(r->server);
    rig_end(&r->rig);
}

/* --- clients --- */

static int dial(const struct server_rig *r)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(r->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 20};
    must(fd >= 0);
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ==
         0);
    must(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static void say_all(int fd, struct bytes bytes)
{
    must(send(fd, bytes.data, bytes.size, MSG_NOSIGNAL) == (ssize_t)bytes.size);
}

/* Reads until the end; keeps the first bytes. */
static void read_all(struct server_rig *r, int fd, useconds_t pause_us)
{
    static char piece[1 << 16];
    ssize_t size;
    r->size = 0;
    while ((size = recv(fd, piece, sizeof piece, 0)) > 0) {
        for (ssize_t i = 0; i < size && r->size + (size_t)i < 255; i++) {
            r->answer[r->size + (size_t)i] = piece[i];
        }
        r->size += (size_t)size;
        if (pause_us > 0) {
            (void)usleep(pause_us);
        }
    }
    must(size == 0);
    (void)close(fd);
}

static void ask_for_large(struct server_rig *r)
{
    const int fd = dial(r);
    say_all(fd, bytes_of("GET /large HTTP/1.1\r\nHost: x\r\n"
                         "Connection: close\r\n\r\n"));
    read_all(r, fd, 200);
}

/* An answer that the socket does not take at once must arrive whole. */
TEST(grpc_server, a_large_answer_reaches_a_slow_reader)
{
    struct server_rig r;
    run(&r, 10, ask_for_large);
    EXPECT_INT(
        memcmp(r.answer, "HTTP/1.1 200 OK\r\nContent-Length: 10485760", 41), 0);
    EXPECT(r.size > LARGE);
    EXPECT(r.size < LARGE + 200);
}

static void open_too_many(struct server_rig *r)
{
    static const char request[] = "GET /a HTTP/1.1\r\nHost: x\r\n"
                                  "Connection: close\r\n\r\n";
    const int first = dial(r), second = dial(r);
    const int third = dial(r);
    char byte;
    must(recv(third, &byte, 1, 0) == 0); /* closed at once */
    (void)close(third);
    say_all(second, bytes_of(request));
    read_all(r, second, 0);
    (void)close(first);
    /* There is room again, as soon as the server has seen the end. */
    for (int tries = 0;; tries++) {
        const int fourth = dial(r);
        must(tries < 1000);
        (void)send(fourth, request, sizeof request - 1, MSG_NOSIGNAL);
        if (recv(fourth, &byte, 1, 0) == 1) {
            (void)close(fourth);
            return;
        }
        (void)close(fourth);
        (void)usleep(1000);
    }
}

/* A flood of connections must not cost the ones that are there. */
TEST(grpc_server, connections_beyond_the_limit_are_closed)
{
    struct server_rig r;
    run(&r, 2, open_too_many);
    EXPECT_INT(memcmp(r.answer, "HTTP/1.1 200 OK\r\n", 17), 0);
}

static int hold_a_call(const struct server_rig *r, const char *timeout)
{
    char script[128];
    struct buf bytes = {0};
    frames_preface(&bytes);
    (void)snprintf(script, sizeof script, "HEADERS 1 H post%s%s",
                   timeout == NULL ? "" : "+grpc-timeout:",
                   timeout == NULL ? "" : timeout);
    (void)frames_put(&bytes, script);
    const int fd = dial(r);
    say_all(fd, buf_bytes(&bytes));
    buf_fini(&bytes);
    return fd;
}

/* "grpc-status", as nghttp2 writes it: in Huffman code. */
#define GRPC_STATUS "\x9a\xca\xc8\xb2\x12\x34\xda\x8f"

static bool has_text(const struct server_rig *r, const char *text)
{
    return memmem(r->answer, r->size < 256 ? r->size : 256, text,
                  strlen(text)) != NULL;
}

/* Reads until the text comes. */
static void read_until(struct server_rig *r, int fd, const char *text)
{
    while (!has_text(r, text)) {
        must(r->size < sizeof r->answer);
        const ssize_t more =
            recv(fd, r->answer + r->size, sizeof r->answer - r->size, 0);
        must(more > 0);
        r->size += (size_t)more;
    }
}

static void wait_for_deadline(struct server_rig *r)
{
    const int fd = hold_a_call(r, "20m");
    read_until(r, fd, GRPC_STATUS);
    (void)close(fd);
}

/* The timer is the server's own: nothing else wakes it. */
TEST(grpc_server, a_deadline_passes_while_nothing_happens)
{
    struct server_rig r;
    run(&r, 10, wait_for_deadline);
    EXPECT_INT(r.cancelled, 1);
}

static void wait_for_end(struct server_rig *r)
{
    const int idle = dial(r);
    say_all(idle, bytes_of("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    char answer[64];
    must(recv(idle, answer, sizeof answer, 0) > 0);
    const int busy = hold_a_call(r, NULL);
    must(recv(busy, answer, sizeof answer, 0) > 0);
    loop_post(r->rig.loop, &r->drain);
    read_all(r, idle, 0); /* an idle connection is closed */
    must(recv(busy, answer, sizeof answer, 0) > 0); /* GOAWAY */
    (void)close(busy);
}

/* A member that stops must not wait for who is idle. */
TEST(grpc_server, draining_closes_what_is_idle)
{
    struct server_rig r;
    run(&r, 10, wait_for_end);
    EXPECT_INT(r.size, 0);
    EXPECT_INT(r.cancelled, 1);
}

static int left_open;

static void leave_open(struct server_rig *r)
{
    left_open = hold_a_call(r, NULL);
    char byte;
    must(recv(left_open, &byte, 1, 0) == 1);
}

/* Who is still there when the server ends is told UNAVAILABLE, which clients
 * try again elsewhere. */
TEST(grpc_server, calls_that_are_left_at_the_end_are_unavailable)
{
    struct server_rig r;
    run(&r, 10, leave_open);
    EXPECT_INT(r.cancelled, 1);
    r.size = 0;
    read_until(&r, left_open, GRPC_STATUS);
    (void)close(left_open);
}

/* What a user mistypes gets a sentence. */
TEST(grpc_server, addresses_that_cannot_be_listened_at_are_faults)
{
    static const char *const wrong[] = {"",
                                        "127.0.0.1",
                                        "127.0.0.1:x",
                                        "127.0.0.1:99999",
                                        "a:1,b:2",
                                        "http://127.0.0.1:2379"};
    struct rig rig;
    rig_begin(&rig, 0);
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    struct grpc_server *s = grpc_server_new(rig.loop, &limits, NULL, 0, NULL);
    uint16_t port;
    for (size_t i = 0; i < count_of(wrong); i++) {
        struct fault fault = {{0}};
        EXPECT(grpc_server_listen(s, wrong[i], &port, &fault) != ST_OK);
        EXPECT(fault.text[0] != 0);
    }
    struct fault fault;
    EXPECT_INT(grpc_server_listen(s, "127.0.0.1:0", &port, &fault), ST_OK);
    char taken[32];
    uint16_t other;
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", port);
    EXPECT(grpc_server_listen(s, taken, &other, &fault) != ST_OK);
    EXPECT_INT(grpc_server_listen(s, "[::1]:0", &other, &fault), ST_OK);
    grpc_server_free(s);
    rig_end(&rig);
}
