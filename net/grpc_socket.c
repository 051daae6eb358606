/* One client's socket: a read for each time it is readable, a write for each
 * turn; the session does the rest. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "net/grpc_server.h"

static size_t unsent_size(const struct grpc_socket *c)
{
    return c->unsent.size - c->unsent_at;
}

/* Who does not take our answers is not read on. */
static bool wants_input(const struct grpc_socket *c)
{
    return c->linger_ns != 0 ||
           (!c->closing && unsent_size(c) < GRPC_UNSENT_MAX &&
            !grpc_session_is_busy(c->session));
}

static void want(struct grpc_socket *c)
{
    loop_poll_want(c->poll, wants_input(c), unsent_size(c) > 0);
}

void grpc_socket_mark(struct grpc_socket *c)
{
    if (list_is_empty(&c->dirty)) {
        list_push(&c->server->dirty, &c->dirty);
    }
    grpc_server_wake(c->server);
}

void grpc_socket_close(struct grpc_socket *c)
{
    struct grpc_counts *counts = &c->server->host.counts;
    must(counts->connections > 0);
    counts->connections--;
    list_remove(&c->link);
    grpc_session_free(c->session); /* may call handlers, which mark nobody */
    list_remove(&c->dirty);
    loop_poll_stop(c->poll);
    (void)close(c->fd); /* what was sent is the kernel's */
    buf_fini(&c->unsent);
    free(c);
}

/* --- writing --- */

/* How many bytes the socket took; -1: the connection is lost. */
static ssize_t put(struct grpc_socket *c, struct bytes bytes)
{
    size_t done = 0;
    while (done < bytes.size) {
        const ssize_t size = send(c->fd, bytes.data + done, bytes.size - done,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size >= 0) {
            done += (size_t)size;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    c->server->host.counts.bytes_sent += done;
    return (ssize_t)done;
}

/* False: the connection is lost. */
static bool put_unsent(struct grpc_socket *c)
{
    const ssize_t size =
        put(c, bytes_after(buf_bytes(&c->unsent), c->unsent_at));
    if (size < 0) {
        return false;
    }
    c->unsent_at += (size_t)size;
    if (c->unsent_at == c->unsent.size) {
        buf_fini(&c->unsent);
        c->unsent = (struct buf){0};
        c->unsent_at = 0;
    }
    return true;
}

static bool put_new(struct grpc_socket *c)
{
    struct buf *out = &c->server->out;
    buf_clear(out);
    grpc_session_pull(c->session, out, GRPC_WRITE_SIZE);
    if (out->size == 0) {
        return true;
    }
    const ssize_t size = put(c, buf_bytes(out));
    if (size < 0) {
        return false;
    }
    buf_append(&c->unsent, bytes_after(buf_bytes(out), (size_t)size));
    return true;
}

/* Everything has been said. */
static void linger(struct grpc_socket *c)
{
    if (c->linger_ns == 0) {
        c->linger_ns = loop_now_ns();
        c->closing = true;
        grpc_session_receive_end(c->session); /* its memory goes now */
        (void)shutdown(c->fd, SHUT_WR); /* it fails when there is nobody */
    }
}

bool grpc_socket_flush(struct grpc_socket *c)
{
    bool ok = true;
    if (c->unsent.size > 0) {
        ok = put_unsent(c);
    }
    if (ok && c->unsent.size == 0) {
        ok = put_new(c);
    }
    if (!ok) {
        grpc_socket_close(c);
        return false;
    }
    const bool blocked = c->unsent.size > 0;
    const bool more = grpc_session_has_output(c->session);
    if (!blocked && !more && (c->closing || grpc_session_is_over(c->session))) {
        linger(c);
    }
    want(c);
    if (!blocked && more) {
        grpc_socket_mark(c);
        return true;
    }
    return false;
}

/* --- reading --- */

static void received(struct grpc_socket *c, struct bytes bytes)
{
    c->server->host.counts.bytes_received += bytes.size;
    if (c->linger_ns != 0) {
        return;
    }
    if (!grpc_session_receive(c->session, bytes, loop_now_ns())) {
        c->closing = true;
    }
    grpc_socket_mark(c);
}

static void input_over(struct grpc_socket *c)
{
    if (c->linger_ns != 0) {
        grpc_socket_close(c);
        return;
    }
    c->closing = true;
    grpc_session_receive_end(c->session);
    if (grpc_session_is_over(c->session) && c->unsent.size == 0) {
        grpc_socket_close(c);
        return;
    }
    grpc_socket_mark(c);
}

static void ready(void *arg, int fd)
{
    struct grpc_socket *c = arg;
    if (c->unsent.size > 0) {
        grpc_socket_mark(c);
    }
    if (!wants_input(c)) {
        return;
    }
    const ssize_t size =
        recv(fd, c->server->in.data, GRPC_READ_SIZE, MSG_DONTWAIT);
    if (size > 0) {
        received(c, (struct bytes){c->server->in.data, (size_t)size});
    } else if (size == 0) {
        input_over(c);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        grpc_socket_close(c);
    }
}

void grpc_socket_new(struct grpc_server *s, int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct grpc_socket *c = xcalloc(1, sizeof *c);
    c->server = s;
    c->fd = fd;
    list_init(&c->dirty);
    list_push(&s->conns, &c->link);
    s->host.counts.connections++;
    c->session = grpc_session_new(&s->host, c, loop_now_ns());
    c->poll = loop_poll_start(s->loop, fd, ready, c);
}

void grpc_socket_tick(struct grpc_socket *c, int64_t now_ns)
{
    if (c->linger_ns != 0) {
        if (now_ns - c->linger_ns >= GRPC_LINGER_NS) {
            grpc_socket_close(c);
        }
        return;
    }
    if (!grpc_session_tick(c->session, now_ns)) {
        grpc_socket_close(c);
        return;
    }
    grpc_socket_mark(c);
}
