/* Puts to etcd over gRPC, measured one by one.
 *
 *   etcd_put N SECONDS PORT            N threads, a connection each
 *
 * Each thread has one put of 256 bytes under way, in a stream of its own of one
 * kept HTTP/2 connection, and reads no more of the answer than where it ends:
 * a client that costs next to nothing, so that the server is what is measured.
 * Prints one line of JSON (samples.h).
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "bench/samples.h"

enum { VALUE_SIZE = 256, THREADS_MAX = 1024, FRAME_HEAD = 9 };

/* RFC 9113, section 6. */
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6 };
enum { GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct client {
    pthread_t thread;
    unsigned which;
    uint16_t port;
    int64_t end_ns;
    int fd;
    size_t got, used;
    uint8_t in[65536];
    struct samples samples;
};

static void send_all(const struct client *c, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            fail("send to etcd");
        }
        data += sent;
        size -= (size_t)sent;
    }
}

static size_t put_head(uint8_t *to, size_t size, uint8_t type, uint8_t flags,
                       uint32_t stream)
{
    must(size < 1 << 14);
    to[0] = 0;
    to[1] = (uint8_t)(size >> 8);
    to[2] = (uint8_t)size;
    to[3] = type;
    to[4] = flags;
    for (int i = 0; i < 4; i++) {
        to[5 + i] = (uint8_t)(stream >> (24 - 8 * i));
    }
    return FRAME_HEAD;
}

static void connect_to(struct client *c)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(c->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 ||
        connect(c->fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        fail("connect to port %u", c->port);
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    uint8_t out[128];
    size_t n = sizeof preface - 1;
    memcpy(out, preface, n);
    n += put_head(out + n, 0, SETTINGS, 0, 0);
    /* Room for all answers that will ever come. */
    n += put_head(out + n, 4, WINDOW_UPDATE, 0, 0);
    memcpy(out + n, "\x7f\xfe\x00\x00", 4);
    send_all(c, out, n + 4);
}

static size_t put_text(uint8_t *to, const char *text)
{
    const size_t size = strlen(text);
    must(size < 127);
    to[0] = (uint8_t)size;
    memcpy(to + 1, text, size);
    return size + 1;
}

/* Literals without indexing (RFC 7541, 6.2.2): no state to keep. */
static size_t put_headers(uint8_t *to)
{
    size_t n = 0;
    to[n++] = 0x83; /* :method POST */
    to[n++] = 0x86; /* :scheme http */
    to[n++] = 0x04; /* :path */
    n += put_text(to + n, "/etcdserverpb.KV/Put");
    to[n++] = 0x01; /* :authority */
    n += put_text(to + n, "localhost");
    to[n++] = 0x0f; /* content-type */
    to[n++] = 0x10;
    n += put_text(to + n, "application/grpc");
    to[n++] = 0x00;
    n += put_text(to + n, "te");
    n += put_text(to + n, "trailers");
    return n;
}

static size_t put_request(const struct client *c, uint8_t *to)
{
    char key[32];
    (void)snprintf(key, sizeof key, "bench/writer-%u", c->which);
    size_t n = 5; /* gRPC's prefix: not compressed, size */
    to[n++] = 0x0a;
    n += put_text(to + n, key);
    to[n++] = 0x12;
    to[n++] = 0x80 | (VALUE_SIZE & 0x7f);
    to[n++] = VALUE_SIZE >> 7;
    memset(to + n, 'v', VALUE_SIZE);
    n += VALUE_SIZE;
    memset(to, 0, 5);
    to[3] = (uint8_t)((n - 5) >> 8);
    to[4] = (uint8_t)(n - 5);
    return n;
}

static void fill_in(struct client *c, size_t wanted)
{
    if (c->used > 0) {
        memmove(c->in, c->in + c->used, c->got - c->used);
        c->got -= c->used;
        c->used = 0;
    }
    must(wanted <= sizeof c->in);
    while (c->got < wanted) {
        const ssize_t size =
            recv(c->fd, c->in + c->got, sizeof c->in - c->got, 0);
        if (size <= 0) {
            fail("etcd's connection ended");
        }
        c->got += (size_t)size;
    }
}

/* An error has trailers alone: a message in DATA says that the put is done. */
static void await_answer(struct client *c, uint32_t stream)
{
    bool has_message = false;
    for (;;) {
        fill_in(c, FRAME_HEAD);
        const size_t size =
            (size_t)c->in[0] << 16 | (size_t)c->in[1] << 8 | c->in[2];
        const uint8_t type = c->in[3], flags = c->in[4];
        const uint32_t of =
            ((uint32_t)c->in[5] << 24 | (uint32_t)c->in[6] << 16 |
             (uint32_t)c->in[7] << 8 | c->in[8]) &
            0x7fffffff;
        fill_in(c, FRAME_HEAD + size);
        c->used = FRAME_HEAD + size;
        if ((type == SETTINGS || type == PING) && (flags & ACK) == 0) {
            uint8_t out[FRAME_HEAD + 8];
            const size_t back = type == PING ? 8 : 0;
            (void)put_head(out, back, type, ACK, 0);
            memcpy(out + FRAME_HEAD, c->in + FRAME_HEAD, back);
            send_all(c, out, FRAME_HEAD + back);
        } else if (type == GOAWAY || type == RST_STREAM) {
            fail("etcd refused a stream");
        } else if (of == stream && type == DATA) {
            has_message = has_message || size > 5;
        } else if (of == stream && type == HEADERS &&
                   (flags & END_STREAM) != 0) {
            if (!has_message) {
                fail("etcd answered a put with an error");
            }
            return;
        }
    }
}

static void *put_until_end(void *arg)
{
    struct client *c = arg;
    uint8_t headers[128], request[512], out[1024];
    const size_t headers_size = put_headers(headers);
    const size_t request_size = put_request(c, request);
    int64_t now_ns = clock_ns();
    for (uint32_t stream = 1; now_ns < c->end_ns; stream += 2) {
        size_t n = put_head(out, headers_size, HEADERS, END_HEADERS, stream);
        memcpy(out + n, headers, headers_size);
        n += headers_size;
        n += put_head(out + n, request_size, DATA, END_STREAM, stream);
        memcpy(out + n, request, request_size);
        send_all(c, out, n + request_size);
        await_answer(c, stream);
        const int64_t after_ns = clock_ns();
        samples_add(&c->samples, after_ns - now_ns);
        now_ns = after_ns;
    }
    return NULL;
}

int main(int count, char **arguments)
{
    const unsigned threads =
        count == 4 ? (unsigned)strtoul(arguments[1], NULL, 10) : 0;
    if (threads == 0 || threads > THREADS_MAX) {
        (void)fputs("usage: etcd_put N SECONDS PORT\n", stderr);
        return 2;
    }
    struct client *clients = xcalloc(threads, sizeof clients[0]);
    struct samples all;
    samples_init(&all);
    for (unsigned i = 0; i < threads; i++) {
        clients[i].which = i;
        clients[i].port = (uint16_t)strtoul(arguments[3], NULL, 10);
        samples_init(&clients[i].samples);
        connect_to(&clients[i]);
    }
    const int64_t start_ns = clock_ns();
    for (unsigned i = 0; i < threads; i++) {
        struct client *c = &clients[i];
        c->end_ns = start_ns + (int64_t)(strtod(arguments[2], NULL) * 1e9);
        if (pthread_create(&c->thread, NULL, put_until_end, c) != 0) {
            fail("thread %u", i);
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        samples_merge(&all, &clients[i].samples);
        samples_fini(&clients[i].samples);
        (void)close(clients[i].fd);
    }
    samples_print(&all, clock_ns() - start_ns);
    samples_fini(&all);
    free(clients);
    return 0;
}
