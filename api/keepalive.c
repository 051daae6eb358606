/* Lease.LeaseKeepAlive: a stream of renewals.  They run side by side, and are
 * answered in the order in which they were asked.
 *
 * Few wait at once: beyond RENEWALS_MAX the client's next ones are not read.
 */

#include <stdlib.h>

#include "api/internal.h"
#include "proto/kv_response.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire.h"

#define RENEWALS_MAX 256u

struct lease_stream {
    struct api_method *method;
    struct grpc_call *grpc; /* NULL: it has gone; renewals still return */
    struct list link;       /* api->lease_streams, while grpc is there */
    struct list renewals;   /* in order of arrival */
    size_t renewals_count;
    bool wants_leader;
    bool half_closed, full, paused;
};

struct renewal {
    struct kv_lease lease;
    struct list link;
    struct lease_stream *stream;
    struct kv_header header; /* of before the renewal */
    bool done;
};

static struct api *api_of(const struct lease_stream *s)
{
    return s->method->api;
}

static void renewal_free(struct renewal *r)
{
    list_remove(&r->link);
    r->stream->renewals_count--;
    free(r);
}

static void free_when_over(struct lease_stream *s)
{
    if (s->grpc == NULL && s->renewals_count == 0) {
        free(s);
    }
}

/* Nobody hears any more of what is still under way. */
static void leave(struct lease_stream *s)
{
    s->grpc = NULL;
    list_remove(&s->link);
    list_each_safe (node, &s->renewals) {
        struct renewal *r = container_of(node, struct renewal, link);
        if (r->done) {
            renewal_free(r);
        } else {
            kv_cancel(api_of(s)->kv, &r->lease.call);
        }
    }
}

static void end(struct lease_stream *s, struct api_error why)
{
    struct grpc_call *grpc = s->grpc;
    struct api_method *m = s->method;
    leave(s);
    free_when_over(s);
    api_finish(m, grpc, why);
}

static void pace(struct lease_stream *s)
{
    const bool wait = s->full || s->renewals_count >= RENEWALS_MAX;
    if (wait && !s->paused) {
        grpc_pause_reading(s->grpc);
    } else if (!wait && s->paused) {
        grpc_resume_reading(s->grpc);
    }
    s->paused = wait;
}

static void send(struct lease_stream *s, const struct renewal *r)
{
    struct buf *b = grpc_begin_message(s->grpc);
    kv_response_header(b, &r->header);
    wire_add_number(b, 2, (uint64_t)r->lease.id);
    wire_add_number(b, 3, (uint64_t)r->lease.result.ttl_s);
    s->method->sent++;
    if (!grpc_end_message(s->grpc)) {
        s->full = true;
    }
}

/* What is done at the front is answered. */
static void answer(struct lease_stream *s)
{
    while (s->renewals_count > 0 && !s->full) {
        struct renewal *r =
            container_of(s->renewals.next, struct renewal, link);
        if (!r->done) {
            break;
        }
        const enum status st = r->lease.call.status;
        /* etcd tells a lease that is gone by its TTL, not by an error. */
        if (st != ST_OK && st != ST_LEASE_NOT_FOUND) {
            end(s, api_error_of(st));
            return;
        }
        if (st == ST_LEASE_NOT_FOUND) {
            r->lease.result.ttl_s = 0;
        }
        send(s, r);
        renewal_free(r);
    }
    if (s->half_closed && s->renewals_count == 0) {
        end(s, (struct api_error){GRPC_OK, NULL});
        return;
    }
    pace(s);
}

static void renewed(struct kv_call *call)
{
    struct renewal *r = container_of(call, struct renewal, lease.call);
    struct lease_stream *s = r->stream;
    api_of(s)->held--;
    r->done = true;
    if (s->grpc == NULL) {
        renewal_free(r);
        free_when_over(s);
        return;
    }
    answer(s);
}

static void on_message(struct grpc_call *grpc, struct bytes message)
{
    struct lease_stream *s = grpc_call_state(grpc);
    struct api *a = api_of(s);
    const struct proto_limits limits = api_proto_limits(a);
    struct proto_budget budget;
    ProtobufCMessage *m;
    struct fault fault;
    s->method->received++;
    const enum status st =
        proto_unpack(&etcdserverpb__lease_keep_alive_request__descriptor,
                     message, &limits, &budget, &m, &fault);
    if (st != ST_OK) {
        end(s, (struct api_error){GRPC_INTERNAL, fault.text});
        return;
    }
    struct renewal *r = xcalloc(1, sizeof *r);
    r->stream = s;
    r->header = api_fresh_status(a)->header;
    r->lease =
        (struct kv_lease){.call.done = renewed,
                          .op = KV_LEASE_KEEPALIVE,
                          .id = ((Etcdserverpb__LeaseKeepAliveRequest *)m)->id};
    proto_free(&budget, m);
    list_push(&s->renewals, &r->link);
    s->renewals_count++;
    a->held++;
    pace(s);
    kv_lease(a->kv, &r->lease);
}

static void on_half_close(struct grpc_call *grpc)
{
    struct lease_stream *s = grpc_call_state(grpc);
    s->half_closed = true;
    answer(s);
}

static void on_writable(struct grpc_call *grpc)
{
    struct lease_stream *s = grpc_call_state(grpc);
    s->full = false;
    answer(s);
}

static void on_cancel(struct grpc_call *grpc)
{
    struct lease_stream *s = grpc_call_state(grpc);
    s->method->handled[GRPC_CANCELLED]++;
    leave(s);
    free_when_over(s);
}

static const struct grpc_handler handler = {.on_message = on_message,
                                            .on_half_close = on_half_close,
                                            .on_writable = on_writable,
                                            .on_cancel = on_cancel};

const struct grpc_handler *api_keepalive_begin(struct api_method *m,
                                               struct grpc_call *c)
{
    struct api *a = m->api;
    if (a->kv->ops->lease == NULL) {
        api_finish(m, c, API_NOT_SUPPORTED);
        return NULL;
    }
    struct lease_stream *s = xcalloc(1, sizeof *s);
    s->method = m;
    s->grpc = c;
    s->wants_leader = api_wants_leader(c);
    list_init(&s->renewals);
    list_push(&a->lease_streams, &s->link);
    if (s->wants_leader) {
        api_leader_timer_start(a);
    }
    grpc_call_set_state(c, s);
    return &handler;
}

void api_lease_leader_lost(struct api *a)
{
    list_each_safe (node, &a->lease_streams) {
        struct lease_stream *s = container_of(node, struct lease_stream, link);
        if (s->wants_leader) {
            end(s, api_error_of(ST_NO_LEADER));
        }
    }
}
