/* A server with toy methods on a loop, for whoever wants to measure or attack
 * the transport alone: prints its port, ends with its standard input.
 *
 *   /etcdserverpb.KV/Range and /Put: a response with no more than a revision
 *   /toy.Toy/Echo: the request; /toy.Toy/Flood: an endless stream of 1 KiB
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/must.h"
#include "base/status.h"
#include "net/grpc.h"

static struct loop *loop;

static void empty_message(struct grpc_call *c, struct bytes message)
{
    /* header { revision: 1 } */
    static const uint8_t response[] = {0x0a, 0x02, 0x18, 0x01};
    (void)message;
    (void)grpc_send(c, (struct bytes){response, sizeof response});
    grpc_finish(c, GRPC_OK, NULL);
}

static void echo_message(struct grpc_call *c, struct bytes message)
{
    (void)grpc_send(c, message);
    grpc_finish(c, GRPC_OK, NULL);
}

static void flood(struct grpc_call *c)
{
    static const uint8_t zeros[1024];
    while (grpc_send(c, (struct bytes){zeros, sizeof zeros})) {
    }
}

static void flood_message(struct grpc_call *c, struct bytes message)
{
    (void)message;
    flood(c);
}

static const struct grpc_handler empty = {.on_message = empty_message};
static const struct grpc_handler echo = {.on_message = echo_message};
static const struct grpc_handler flooding = {.on_message = flood_message,
                                             .on_writable = flood};

static const struct grpc_handler *begin(void *arg, struct grpc_call *c)
{
    (void)c;
    return arg;
}

static void http_request(void *arg, struct grpc_http_request *r,
                         struct bytes method, struct bytes target,
                         struct bytes body)
{
    (void)arg;
    (void)method;
    (void)body;
    grpc_http_answer(r, 200, "text/plain", target);
}

static void input_ready(void *arg, int fd)
{
    struct loop_poll **poll = arg;
    char byte;
    if (read(fd, &byte, 1) <= 0) {
        loop_poll_stop(*poll);
        loop_stop(loop);
    }
}

int main(void)
{
    struct fault fault;
    const struct loop_options options = {.spin_us = 50};
    must(loop_new(&options, &loop, &fault) == ST_OK);
    union {
        const void *in;
        void *out;
    } e = {&empty}, o = {&echo}, f = {&flooding};
    const struct grpc_method methods[] = {
        {"/etcdserverpb.KV/Range", false, false, begin, e.out},
        {"/etcdserverpb.KV/Put", false, false, begin, e.out},
        {"/toy.Toy/Echo", false, false, begin, o.out},
        {"/toy.Toy/Flood", false, true, begin, f.out},
    };
    const struct grpc_http http = {.on_request = http_request};
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    struct grpc_server *server =
        grpc_server_new(loop, &limits, methods, count_of(methods), &http);
    uint16_t port;
    if (grpc_server_listen(server, "127.0.0.1:0", &port, &fault) != ST_OK) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    (void)printf("%u\n", port);
    (void)fflush(stdout);
    struct loop_poll *poll = NULL;
    poll = loop_poll_start(loop, STDIN_FILENO, input_ready, &poll);
    loop_run(loop);
    grpc_server_free(server);
    loop_free(loop);
    struct rusage usage;
    must(getrusage(RUSAGE_SELF, &usage) == 0);
    (void)printf("cpu_us %ld max_rss_kib %ld\n",
                 usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
                     usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec,
                 usage.ru_maxrss);
    return 0;
}
