/* Where clients arrive. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "net/grpc_server.h"
#include "net/peer_address.h"

#define BACKLOG 1024
/* Taken at a time, before others have their turn. */
#define ACCEPTS_MAX 64

struct grpc_listener {
    struct grpc_server *server;
    struct list link;
    int fd;
    struct loop_poll *poll;
    bool out_of_files; /* until the next tick */
};

static void someone_came(void *arg, int fd)
{
    struct grpc_listener *l = arg;
    struct grpc_server *s = l->server;
    for (size_t i = 0; i < ACCEPTS_MAX; i++) {
        const int client =
            accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                errno == ENOMEM) {
                /* It would come at once again. */
                l->out_of_files = true;
                loop_poll_want(l->poll, false, false);
                if (list_is_empty(&s->conns)) {
                    loop_timer_at(s->tick, loop_now_ns() + 1000000000);
                }
            }
            return;
        }
        if (s->host.counts.connections >= s->host.limits.connections_max) {
            (void)close(client);
            continue;
        }
        if (list_is_empty(&s->conns)) {
            loop_timer_at(s->tick, loop_now_ns() + 1000000000);
        }
        grpc_socket_new(s, client);
    }
}

void grpc_listeners_tick(struct grpc_server *s)
{
    list_each (link, &s->listeners) {
        struct grpc_listener *l =
            container_of(link, struct grpc_listener, link);
        if (l->out_of_files) {
            l->out_of_files = false;
            loop_poll_want(l->poll, true, false);
        }
    }
}

void grpc_listeners_close(struct grpc_server *s)
{
    struct list *link;
    while ((link = list_pop(&s->listeners)) != NULL) {
        struct grpc_listener *l =
            container_of(link, struct grpc_listener, link);
        loop_poll_stop(l->poll);
        (void)close(l->fd);
        free(l);
    }
}

static enum status parse(struct grpc_server *s, const char *text,
                         union peer_socket_address *ret, struct fault *reterr)
{
    struct peer_addresses addresses;
    enum status st = peer_addresses_parse(text, &addresses, reterr);
    if (st == ST_OK && addresses.count != 1) {
        st = fault_set(reterr, ST_INVALID, "'%s' is more than one address",
                       text);
    }
    if (st == ST_OK) {
        st = peer_address_lookup(s->loop, &addresses.list[0], ret, reterr);
    }
    return st;
}

static int listen_at(const union peer_socket_address *address,
                     uint16_t *ret_port)
{
    const bool is_v4 = address->any.sa_family == AF_INET;
    const socklen_t size = is_v4 ? sizeof address->v4 : sizeof address->v6;
    const int fd = socket(address->any.sa_family,
                          SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    const int on = 1;
    union peer_socket_address bound;
    socklen_t bound_size = sizeof bound;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, &address->any, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &bound.any, &bound_size) != 0) {
        const int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    *ret_port = ntohs(is_v4 ? bound.v4.sin_port : bound.v6.sin6_port);
    return fd;
}

enum status grpc_listener_open(struct grpc_server *s, const char *address,
                               uint16_t *ret_port, struct fault *reterr)
{
    union peer_socket_address parsed;
    const enum status st = parse(s, address, &parsed, reterr);
    if (st != ST_OK) {
        return st;
    }
    const int fd = listen_at(&parsed, ret_port);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot listen at %s", address);
    }
    struct grpc_listener *l = xcalloc(1, sizeof *l);
    l->server = s;
    l->fd = fd;
    l->poll = loop_poll_start(s->loop, fd, someone_came, l);
    list_push(&s->listeners, &l->link);
    return ST_OK;
}
