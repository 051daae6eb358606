/* Where a peer is: looking its name up, and trying its addresses in turn.
 *
 * A lookup cannot be stopped once it runs, and it blocks a thread that others
 * need: one that takes too long is waited for again by the next attempt, and
 * there are LOOKUPS_MAX at a time, whatever the number of peers.  When names
 * cannot be looked up, the addresses of the last time are tried. */

#include "base/must.h"
#include "net/peer_internal.h"

#define LOOKUPS_MAX 2 /* of one hub */

void peer_dial_next(struct peer_link *l, const char *why)
{
    struct fault last;
    peer_why(&last, "%s", why);
    while (l->candidates_next < l->candidates_count) {
        const struct sockaddr *to = &l->candidates[l->candidates_next++].any;
        peer_link_drop(l);
        peer_address_text(to, l->address);
        l->conn = peer_conn_new(l->peer->hub->loop, &peer_link_conn_ops, l);
        if (peer_conn_connect(l->conn, to, &last) == ST_OK) {
            l->state = LINK_CONNECTING;
            loop_timer_at(l->timer,
                          peer_ms_from_now(l->peer->hub->options.handshake_ms));
            return;
        }
    }
    peer_link_fail(l, PEER_EVENT_FAILED, "cannot reach", last.text);
}

static void lookup_over(struct peer_link *l)
{
    must(l->peer->hub->lookups > 0);
    l->peer->hub->lookups--;
    l->lookup = NULL;
}

static void looked_up(void *arg, const struct fault *fault,
                      const union peer_socket_address *list, size_t count)
{
    struct peer_link *l = arg;
    lookup_over(l);
    if (fault == NULL) {
        must(count <= PEER_LOOKUP_MAX);
        memcpy(l->candidates, list, count * sizeof list[0]);
        l->candidates_count = count;
    }
    if (l->state != LINK_RESOLVING) {
        return; /* it took too long */
    }
    l->candidates_next = 0;
    peer_dial_next(l, fault != NULL ? fault->text : "");
}

/* False: not now, without harm. */
static bool look_up(struct peer_link *l, const struct peer_address *address,
                    struct fault *reterr)
{
    struct peer_hub *h = l->peer->hub;
    if (l->lookup != NULL) {
        return true; /* still that of an earlier attempt */
    }
    if (h->lookups >= LOOKUPS_MAX) {
        peer_why(reterr, "too many other names are being looked up");
        return false;
    }
    if (peer_lookup_start(h->loop, address, looked_up, l, &l->lookup, reterr) !=
        ST_OK) {
        return false;
    }
    h->lookups++;
    return true;
}

void peer_dial_begin(struct peer_link *l)
{
    must(l->state == LINK_WAITING);
    must(l->peer->addresses.count > 0);
    const struct peer_address *address =
        &l->peer->addresses.list[l->address_next++ % l->peer->addresses.count];
    l->told = false;
    l->stats.attempts++;
    l->state = LINK_RESOLVING;
    l->candidates_next = 0;
    l->address[0] = 0;
    struct fault fault;
    if (peer_address_is_numeric(address, &l->candidates[0])) {
        l->candidates_count = 1;
        peer_dial_next(l, "");
    } else if (!look_up(l, address, &fault)) {
        peer_dial_next(l, fault.text); /* to what was known, if anything */
    } else {
        loop_timer_at(l->timer,
                      peer_ms_from_now(5 * l->peer->hub->options.handshake_ms));
    }
}

void peer_dial_cancel(struct peer_link *l)
{
    if (l->lookup != NULL) {
        peer_lookup_cancel(l->lookup);
        lookup_over(l);
    }
}
