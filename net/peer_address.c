/* Addresses of peers: their text, and what it stands for. */

#include "net/peer_address.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/must.h"
#include "net/loop_internal.h"

static bool copy_part(struct bytes from, char *to, size_t room)
{
    if (from.size == 0 || from.size >= room) {
        return false;
    }
    memcpy(to, from.data, from.size);
    to[from.size] = 0;
    return true;
}

static bool is_port(const char *text)
{
    for (const char *c = text; *c != 0; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
    }
    return strtoul(text, NULL, 10) <= UINT16_MAX;
}

static bool is_host(struct bytes host)
{
    for (size_t i = 0; i < host.size; i++) {
        /* Blanks, slashes and the like: an URL, or a list gone wrong. */
        if (host.data[i] <= ' ' || host.data[i] == '/' ||
            host.data[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static bool parse_one(struct bytes text, struct peer_address *ret)
{
    const uint8_t *colon =
        text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
    if (colon == NULL) {
        return false;
    }
    struct bytes host = {text.data, (size_t)(colon - text.data)};
    const struct bytes port = bytes_after(text, host.size + 1);
    if (host.size >= 2 && host.data[0] == '[' &&
        host.data[host.size - 1] == ']') {
        host = (struct bytes){host.data + 1, host.size - 2};
    } else if (host.size > 0 && memchr(host.data, ':', host.size) != NULL) {
        return false; /* v6 without brackets: where does it end? */
    }
    return is_host(host) && copy_part(host, ret->host, sizeof ret->host) &&
           copy_part(port, ret->port, sizeof ret->port) && is_port(ret->port);
}

enum status peer_addresses_parse(const char *text, struct peer_addresses *ret,
                                 struct fault *reterr)
{
    ret->count = 0;
    if (strlen(text) > PEER_ADDRESSES_SIZE_MAX) {
        return fault_set(reterr, ST_INVALID, "addresses longer than %d bytes",
                         PEER_ADDRESSES_SIZE_MAX);
    }
    for (const char *at = text;;) {
        const char *end = strchrnul(at, ',');
        const struct bytes one = {(const uint8_t *)at, (size_t)(end - at)};
        if (ret->count == PEER_ADDRESSES_MAX) {
            return fault_set(reterr, ST_TOO_MANY, "more than %d addresses",
                             PEER_ADDRESSES_MAX);
        }
        if (!parse_one(one, &ret->list[ret->count])) {
            return fault_set(reterr, ST_INVALID,
                             "'%.*s' is not an address (host:port)",
                             (int)one.size, at);
        }
        ret->count++;
        if (*end == 0) {
            return ST_OK;
        }
        at = end + 1;
    }
}

bool peer_address_is_numeric(const struct peer_address *address,
                             union peer_socket_address *ret)
{
    const int port = (int)strtoul(address->port, NULL, 10);
    union peer_socket_address parsed; /* libuv writes on failure, too */
    if (uv_ip4_addr(address->host, port, &parsed.v4) != 0 &&
        uv_ip6_addr(address->host, port, &parsed.v6) != 0) {
        return false;
    }
    *ret = parsed;
    return true;
}

void peer_address_text(const struct sockaddr *address,
                       char text[PEER_ADDRESS_TEXT_SIZE])
{
    char host[48];
    const union peer_socket_address *a = (const void *)address;
    if (address->sa_family == AF_INET &&
        uv_ip4_name(&a->v4, host, sizeof host) == 0) {
        (void)snprintf(text, PEER_ADDRESS_TEXT_SIZE, "%s:%u", host,
                       ntohs(a->v4.sin_port));
    } else if (address->sa_family == AF_INET6 &&
               uv_ip6_name(&a->v6, host, sizeof host) == 0) {
        (void)snprintf(text, PEER_ADDRESS_TEXT_SIZE, "[%s]:%u", host,
                       ntohs(a->v6.sin6_port));
    } else {
        (void)snprintf(text, PEER_ADDRESS_TEXT_SIZE, "unknown address");
    }
}

/* --- names --- */

struct peer_lookup {
    uv_getaddrinfo_t uv;
    struct loop *loop;
    struct peer_address address;
    bool cancelled;
    void (*done)(void *arg, const struct fault *fault,
                 const union peer_socket_address *list, size_t count);
    void *arg;
};

static const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                      .ai_socktype = SOCK_STREAM,
                                      .ai_flags = AI_NUMERICSERV};

static enum status failed(const struct peer_address *address, int error,
                          struct fault *reterr)
{
    return fault_set(reterr, ST_IO, "cannot look up '%s': %s", address->host,
                     uv_strerror(error));
}

static size_t copy_list(const struct addrinfo *from,
                        union peer_socket_address to[PEER_LOOKUP_MAX])
{
    size_t count = 0;
    for (; from != NULL && count < PEER_LOOKUP_MAX; from = from->ai_next) {
        if ((from->ai_family == AF_INET || from->ai_family == AF_INET6) &&
            from->ai_addrlen <= sizeof to[0]) {
            memcpy(&to[count++], from->ai_addr, from->ai_addrlen);
        }
    }
    return count;
}

static void looked_up(uv_getaddrinfo_t *uv, int error, struct addrinfo *list)
{
    struct peer_lookup *l = container_of(uv, struct peer_lookup, uv);
    if (!l->cancelled) {
        loop_count_event(l->loop);
        struct fault fault;
        union peer_socket_address copies[PEER_LOOKUP_MAX];
        const size_t count = error == 0 ? copy_list(list, copies) : 0;
        if (count == 0) {
            (void)failed(&l->address, error == 0 ? UV_EAI_NODATA : error,
                         &fault); /* done() gets it */
        }
        l->done(l->arg, count == 0 ? &fault : NULL, copies, count);
    }
    uv_freeaddrinfo(list);
    free(l);
}

enum status peer_lookup_start(
    struct loop *l, const struct peer_address *address,
    void (*done)(void *arg, const struct fault *fault,
                 const union peer_socket_address *list, size_t count),
    void *arg, struct peer_lookup **ret, struct fault *reterr)
{
    struct peer_lookup *lookup = xcalloc(1, sizeof *lookup);
    *lookup = (struct peer_lookup){
        .loop = l, .address = *address, .done = done, .arg = arg};
    const int error = uv_getaddrinfo(&l->uv, &lookup->uv, looked_up,
                                     address->host, address->port, &hints);
    if (error < 0) {
        free(lookup);
        return failed(address, error, reterr);
    }
    *ret = lookup;
    return ST_OK;
}

void peer_lookup_cancel(struct peer_lookup *lookup)
{
    if (lookup != NULL) {
        lookup->cancelled = true;
        /* When it is already running it ends by itself, unheard. */
        (void)uv_cancel((uv_req_t *)&lookup->uv);
    }
}

enum status peer_address_lookup(struct loop *l,
                                const struct peer_address *address,
                                union peer_socket_address *ret,
                                struct fault *reterr)
{
    if (peer_address_is_numeric(address, ret)) {
        return ST_OK;
    }
    uv_getaddrinfo_t uv; /* without a callback libuv waits */
    const int error =
        uv_getaddrinfo(&l->uv, &uv, NULL, address->host, address->port, &hints);
    if (error < 0) {
        return failed(address, error, reterr);
    }
    union peer_socket_address list[PEER_LOOKUP_MAX];
    const size_t count = copy_list(uv.addrinfo, list);
    uv_freeaddrinfo(uv.addrinfo);
    if (count == 0) {
        return failed(address, UV_EAI_NODATA, reterr);
    }
    *ret = list[0];
    return ST_OK;
}
