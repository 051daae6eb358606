/* The hub: who is a peer, and the end of a turn, when what was queued leaves
 * and the owner hears what happened. */

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "net/peer_internal.h"

void peer_hub_options_default(struct peer_hub_options *ret)
{
    *ret = (struct peer_hub_options){
        .frame_size_max = (size_t)64 << 20,
        .queue = {[PEER_MESSAGES] = {(size_t)32 << 20, 4096},
                  [PEER_BULK] = {(size_t)16 << 20, 64}},
        .backoff_min_ms = 20,
        .backoff_max_ms = 1000,
        .handshake_ms = 2000,
        .heartbeat_ms = 500,
        .dead_ms = 5000,
        .incoming_max = 256,
    };
}

int64_t peer_ms_from_now(int64_t ms)
{
    return loop_now_ns() + ms * 1000000;
}

void peer_say(struct peer_hub *h, enum peer_event what, uint64_t member,
              const struct fault *why)
{
    if (h->callbacks.on_event != NULL) {
        h->callbacks.on_event(h->arg, what, member, why);
    }
}

/* --- the end of a turn --- */

/* Each link once for what there is now; what the owner's callbacks bring is
 * for the next round. */
static bool serve(struct peer_hub *h)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &h->dirty);
    bool told = false;
    struct list *link;
    h->in_event = true; /* the next round is certain when there is need */
    while ((link = list_pop(&now)) != NULL) {
        told |= peer_link_serve(container_of(link, struct peer_link, dirty));
    }
    h->in_event = false;
    return told || !list_is_empty(&h->dirty);
}

static bool hook_run(void *arg)
{
    struct peer_hub *h = arg;
    if (h->posted) {
        loop_post_cancel(h->loop, &h->post);
        h->posted = false;
    }
    return !list_is_empty(&h->dirty) && serve(h);
}

/* The hook is behind this in the same turn. */
static void post_run(struct loop_post *p)
{
    container_of(p, struct peer_hub, post)->posted = false;
}

/* Called by a hook that runs after ours, or from outside of the loop, a link
 * would wait for the next event; the post makes sure that there is one. */
void peer_mark(struct peer_link *l)
{
    struct peer_hub *h = l->peer->hub;
    if (list_is_empty(&l->dirty)) {
        list_push(&h->dirty, &l->dirty);
    }
    if (!h->posted && !h->in_event) {
        h->posted = true;
        loop_post(h->loop, &h->post);
    }
}

/* --- life --- */

struct peer_hub *peer_hub_new(struct loop *loop,
                              const struct peer_hub_options *options,
                              const struct peer_hub_callbacks *callbacks,
                              void *arg)
{
    must(options->member_id != 0);
    must(options->frame_size_max > 0);
    must(options->frame_size_max <= PEER_FRAME_SIZE_LIMIT);
    must(options->backoff_min_ms > 0);
    must(options->backoff_max_ms >= options->backoff_min_ms);
    must(options->handshake_ms > 0);
    must(options->heartbeat_ms > 0);
    must(options->dead_ms >= options->heartbeat_ms);
    must(callbacks->on_message != NULL);
    struct peer_hub *h = xcalloc(1, sizeof *h);
    h->loop = loop;
    h->options = *options;
    h->callbacks = *callbacks;
    h->arg = arg;
    if (options->advertise != NULL) {
        must(strlen(options->advertise) <= PEER_ADDRESSES_SIZE_MAX);
        (void)snprintf(h->advertise, sizeof h->advertise, "%s",
                       options->advertise);
    }
    h->options.advertise = h->advertise;
    prng_init(&h->chance, options->seed);
    list_init(&h->peers);
    list_init(&h->incoming);
    list_init(&h->listeners);
    list_init(&h->dirty);
    h->post.run = post_run;
    h->hook = (struct loop_hook){.run = hook_run, .arg = h};
    loop_hook_add(loop, &h->hook);
    return h;
}

static void free_peer(struct peer *p)
{
    for (size_t s = 0; s < PEER_STREAMS; s++) {
        peer_link_end(&p->links[s]);
    }
    list_remove(&p->link);
    p->hub->stats.peers--;
    free(p);
}

void peer_hub_free(struct peer_hub *h)
{
    if (h == NULL) {
        return;
    }
    must(!h->in_event);
    list_each_safe (link, &h->peers) {
        free_peer(container_of(link, struct peer, link));
    }
    list_each_safe (link, &h->incoming) {
        peer_incoming_close(container_of(link, struct peer_incoming, link));
    }
    list_each_safe (link, &h->listeners) {
        peer_listener_close(container_of(link, struct peer_listener, link));
    }
    must(list_is_empty(&h->dirty));
    loop_hook_remove(&h->hook);
    loop_post_cancel(h->loop, &h->post);
    free(h);
}

enum status peer_hub_listen(struct peer_hub *h, const char *address,
                            uint16_t *ret_port, struct fault *reterr)
{
    struct peer_addresses list;
    enum status st = peer_addresses_parse(address, &list, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (list.count != 1) {
        return fault_set(reterr, ST_INVALID, "'%s' is not one address",
                         address);
    }
    union peer_socket_address at;
    st = peer_address_lookup(h->loop, &list.list[0], &at, reterr);
    if (st != ST_OK) {
        return st;
    }
    return peer_listener_open(h, &at, ret_port, reterr);
}

/* --- peers --- */

struct peer *peer_find(const struct peer_hub *h, uint64_t id)
{
    list_each (link, &h->peers) {
        struct peer *p = container_of(link, struct peer, link);
        if (p->id == id) {
            return p;
        }
    }
    return NULL;
}

bool peer_hub_has(const struct peer_hub *h, uint64_t id)
{
    return peer_find(h, id) != NULL;
}

enum status peer_hub_set(struct peer_hub *h, uint64_t id, const char *addresses,
                         struct fault *reterr)
{
    if (id == 0 || id == h->options.member_id) {
        return fault_set(reterr, ST_INVALID, "%016llx is no other member",
                         (unsigned long long)id);
    }
    struct peer_addresses parsed;
    const enum status st = peer_addresses_parse(addresses, &parsed, reterr);
    if (st != ST_OK) {
        return st;
    }
    struct peer *p = peer_find(h, id);
    if (p != NULL) {
        p->addresses = parsed;
        for (size_t s = 0; s < PEER_STREAMS; s++) {
            peer_link_readdress(&p->links[s]);
        }
        return ST_OK;
    }
    p = xcalloc(1, sizeof *p);
    p->hub = h;
    p->id = id;
    p->addresses = parsed;
    list_push(&h->peers, &p->link);
    h->stats.peers++;
    for (size_t s = 0; s < PEER_STREAMS; s++) {
        peer_link_begin(&p->links[s], p, (enum peer_stream)s);
    }
    return ST_OK;
}

void peer_hub_remove(struct peer_hub *h, uint64_t id)
{
    struct peer *p = peer_find(h, id);
    if (p != NULL) {
        free_peer(p);
    }
    list_each_safe (link, &h->incoming) {
        struct peer_incoming *i =
            container_of(link, struct peer_incoming, link);
        if (i->welcomed && i->from == id) {
            peer_incoming_close(i);
        }
    }
}

bool peer_hub_send_take(struct peer_hub *h, uint64_t to,
                        enum peer_stream stream, struct buf *frame)
{
    struct peer *p = peer_find(h, to);
    if (p == NULL) {
        buf_fini(frame);
        return false;
    }
    return peer_link_send_take(&p->links[stream], frame);
}

/* Links stay marked: their notices are for the end of the turn. */
void peer_hub_flush(struct peer_hub *h)
{
    list_each (at, &h->dirty) {
        struct peer_link *l = container_of(at, struct peer_link, dirty);
        if (l->conn != NULL) {
            (void)peer_conn_flush(l->conn); /* the end becomes a notice */
        }
    }
}

enum status peer_hub_peer_stats(const struct peer_hub *h, uint64_t id,
                                enum peer_stream stream,
                                struct peer_stream_stats *ret)
{
    const struct peer *p = peer_find(h, id);
    if (p == NULL) {
        return ST_NOT_FOUND;
    }
    peer_link_stats(&p->links[stream], ret);
    return ST_OK;
}

void peer_hub_stats(const struct peer_hub *h, struct peer_hub_stats *ret)
{
    *ret = h->stats;
}
