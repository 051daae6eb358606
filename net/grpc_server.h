/* The server's sockets; private to net/. */
#ifndef NET_GRPC_SERVER_H
#define NET_GRPC_SERVER_H

#include "net/grpc_session.h"

/* What a connection's socket is asked for at once. */
#define GRPC_READ_SIZE ((size_t)128 << 10)
/* What leaves on one connection before the next one has its turn. */
#define GRPC_WRITE_SIZE ((size_t)256 << 10)
/* Unsent bytes with which nothing more is read. */
#define GRPC_UNSENT_MAX ((size_t)64 << 10)
/* How long what a client still sends is read and dropped after our last byte:
 * closing earlier could take that byte from it. */
#define GRPC_LINGER_NS ((int64_t)2000000000)

struct grpc_server {
    struct loop *loop;
    struct grpc_host host;
    struct list conns;     /* of grpc_socket.link */
    struct list dirty;     /* of grpc_socket.dirty */
    struct list listeners; /* of grpc_listener.link */
    struct buf in;         /* of every read; GRPC_READ_SIZE */
    struct buf out;        /* of every write */
    struct loop_hook hook;
    struct loop_post post; /* forbids the sleep until the hook has run */
    bool posted;
    bool in_hook;
    struct loop_timer *tick; /* once a second, while there are connections */
    struct loop_timer *deadline;
    int64_t deadline_ns; /* what it is set to; INT64_MAX: off */
    bool draining;
};

struct grpc_socket {
    struct grpc_server *server;
    struct list link, dirty;
    int fd;
    struct loop_poll *poll;
    struct grpc_session *session;
    struct buf unsent; /* what the socket did not take */
    size_t unsent_at;
    int64_t linger_ns; /* when our last byte was sent; 0: not yet */
    bool closing;      /* nothing more is read */
};

/* --- grpc_socket.c --- */
/* Takes the descriptor. */
void grpc_socket_new(struct grpc_server *s, int fd);
void grpc_socket_close(struct grpc_socket *c);
void grpc_socket_mark(struct grpc_socket *c);
/* Sends what there is. True: there is more, and room for it. It may be gone
 * afterwards. */
bool grpc_socket_flush(struct grpc_socket *c);
void grpc_socket_tick(struct grpc_socket *c, int64_t now_ns);

/* --- grpc_listener.c --- */
enum status grpc_listener_open(struct grpc_server *s, const char *address,
                               uint16_t *ret_port,
                               struct fault *reterr) MUST_USE;
void grpc_listeners_tick(struct grpc_server *s);
void grpc_listeners_close(struct grpc_server *s);

/* --- grpc_server.c --- */
/* There is output for the hook to send. */
void grpc_server_wake(struct grpc_server *s);

#endif
