/* Addresses of peers, and looking up their names. */
#ifndef NET_PEER_ADDRESS_H
#define NET_PEER_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "net/loop.h"
#include "net/peer.h"

union peer_socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct peer_address {
    char host[256];
    char port[6];
};

struct peer_addresses {
    struct peer_address list[PEER_ADDRESSES_MAX];
    size_t count;
};

/* "host:port,[v6]:port,…"; at least one.
 *
 *   ST_INVALID, ST_TOO_MANY                                                */
enum status peer_addresses_parse(const char *text, struct peer_addresses *ret,
                                 struct fault *reterr) MUST_USE;

/* True: the host is written as a number, and here it is. */
bool peer_address_is_numeric(const struct peer_address *address,
                             union peer_socket_address *ret);

/* "127.0.0.1:2380", "[::1]:2380". */
#define PEER_ADDRESS_TEXT_SIZE 64
void peer_address_text(const struct sockaddr *address,
                       char text[PEER_ADDRESS_TEXT_SIZE]);

/* Looks the name up now and waits for it; the first of its addresses. */
enum status peer_address_lookup(struct loop *l,
                                const struct peer_address *address,
                                union peer_socket_address *ret,
                                struct fault *reterr) MUST_USE;

#define PEER_LOOKUP_MAX 8 /* addresses of one name */
struct peer_lookup;
/* Looks the name up on libuv's pool; done() gets a fault or 1 to
 * PEER_LOOKUP_MAX addresses, later, unless it is cancelled. */
enum status peer_lookup_start(
    struct loop *l, const struct peer_address *address,
    void (*done)(void *arg, const struct fault *fault,
                 const union peer_socket_address *list, size_t count),
    void *arg, struct peer_lookup **ret, struct fault *reterr) MUST_USE;
/* done() is not called any more. After done() the lookup is gone. NULL is
 * fine. */
void peer_lookup_cancel(struct peer_lookup *lookup);

#endif
