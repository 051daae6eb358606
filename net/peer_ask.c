/* Asking: connect, one frame, one frame back. */

#include "net/peer_ask.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/peer_address.h"
#include "net/peer_frame.h"

struct asking {
    const struct peer_address *whom;
    int fd;
    int64_t end_ns;
};

static enum status met(const struct asking *a, int error, const char *doing,
                       struct fault *reterr)
{
    return fault_sys(reterr, error, "cannot %s %s:%s", doing, a->whom->host,
                     a->whom->port);
}

/* 0, or what went wrong. */
static int wait_for(const struct asking *a, short events)
{
    struct pollfd p = {.fd = a->fd, .events = events};
    int left_ms = 1;
    while (left_ms > 0) {
        left_ms = (int)((a->end_ns - loop_now_ns()) / 1000000) + 1;
        const int n = left_ms > 0 ? poll(&p, 1, left_ms) : 0;
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        left_ms = n < 0 ? left_ms : 0;
    }
    return ETIMEDOUT;
}

static enum status write_all(const struct asking *a, struct bytes what,
                             struct fault *reterr)
{
    while (what.size > 0) {
        const ssize_t n = send(a->fd, what.data, what.size, MSG_NOSIGNAL);
        int error = n < 0 ? errno : 0;
        if (error == EAGAIN) {
            error = wait_for(a, POLLOUT);
        }
        if (error != 0 && error != EINTR) {
            return met(a, error, "ask", reterr);
        }
        what = bytes_after(what, n > 0 ? (size_t)n : 0);
    }
    return ST_OK;
}

static enum status read_all(const struct asking *a, uint8_t *to, size_t size,
                            struct fault *reterr)
{
    for (size_t got = 0; got < size;) {
        const ssize_t n = recv(a->fd, to + got, size - got, 0);
        int error = n < 0 ? errno : 0;
        if (n == 0) {
            return fault_set(reterr, ST_INVALID, "%s:%s answers no questions",
                             a->whom->host, a->whom->port);
        }
        if (error == EAGAIN) {
            error = wait_for(a, POLLIN);
        }
        if (error != 0 && error != EINTR) {
            return met(a, error, "get an answer from", reterr);
        }
        got += n > 0 ? (size_t)n : 0;
    }
    return ST_OK;
}

static enum status exchange(const struct asking *a, struct bytes question,
                            struct buf *ret, struct fault *reterr)
{
    uint8_t header[PEER_HEADER_SIZE];
    struct peer_header answer;
    peer_header_put(header, PEER_FRAME_QUERY, question);
    enum status st =
        write_all(a, (struct bytes){header, sizeof header}, reterr);
    if (st == ST_OK) {
        st = write_all(a, question, reterr);
    }
    if (st == ST_OK) {
        st = read_all(a, header, sizeof header, reterr);
    }
    if (st == ST_OK) {
        st = peer_header_read(header, PEER_INFO_SIZE_MAX, &answer, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    const size_t before = ret->size;
    st = read_all(a, buf_extend(ret, answer.size), answer.size, reterr);
    const struct bytes body = bytes_after(buf_bytes(ret), before);
    if (st == ST_OK && (answer.type != PEER_FRAME_INFO ||
                        !peer_header_matches(header, body))) {
        st = fault_set(reterr, ST_INVALID, "%s:%s gives no answer",
                       a->whom->host, a->whom->port);
    }
    if (st != ST_OK) {
        buf_resize(ret, before);
    }
    return st;
}

static enum status connect_to(struct asking *a, const struct addrinfo *info,
                              struct fault *reterr)
{
    a->fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (a->fd < 0) {
        return met(a, errno, "connect to", reterr);
    }
    int error =
        connect(a->fd, info->ai_addr, info->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        socklen_t size = sizeof error;
        error = wait_for(a, POLLOUT);
        if (error == 0 &&
            getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
            error = errno;
        }
    }
    return error == 0 ? ST_OK : met(a, error, "connect to", reterr);
}

static enum status ask_one(const struct peer_address *whom,
                           struct bytes question, int64_t timeout_ms,
                           struct buf *ret, struct fault *reterr)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    const int unknown = getaddrinfo(whom->host, whom->port, &hints, &list);
    if (unknown != 0) {
        return fault_set(reterr, ST_NOT_FOUND, "cannot look up %s: %s",
                         whom->host, gai_strerror(unknown));
    }
    enum status st = ST_NOT_FOUND;
    for (const struct addrinfo *i = list; i != NULL && st != ST_OK;
         i = i->ai_next) {
        struct asking a = {.whom = whom,
                           .fd = -1,
                           .end_ns = loop_now_ns() + timeout_ms * 1000000};
        st = connect_to(&a, i, reterr);
        if (st == ST_OK) {
            st = exchange(&a, question, ret, reterr);
        }
        if (a.fd >= 0) {
            (void)close(a.fd);
        }
    }
    freeaddrinfo(list);
    return st;
}

enum status peer_ask(const char *addresses, struct bytes question,
                     int64_t timeout_ms, struct buf *ret, struct fault *reterr)
{
    struct peer_addresses list;
    enum status st = peer_addresses_parse(addresses, &list, reterr);
    if (st != ST_OK) {
        return st;
    }
    for (size_t i = 0; i < list.count; i++) {
        st = ask_one(&list.list[i], question, timeout_ms, ret, reterr);
        if (st == ST_OK) {
            break;
        }
    }
    return st;
}
