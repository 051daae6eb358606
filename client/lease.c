/* Leases.  Keepalives share one stream, whose answers come in the order of the
 * questions; everything else is a call of its own. */

#include "client/internal.h"
#include "client/message.h"

static struct kv_lease *lease_of(const struct client_request *r)
{
    return container_of(r->kv, struct kv_lease, call);
}

/* --- calls --- */

static void write_grant(struct client_request *r, struct buf *to)
{
    wire_add_number(to, 1, (uint64_t)lease_of(r)->ttl_s);
    wire_add_number(to, 2, (uint64_t)lease_of(r)->id);
}

static void write_id(struct client_request *r, struct buf *to)
{
    wire_add_number(to, 1, (uint64_t)lease_of(r)->id);
    if (lease_of(r)->op == KV_LEASE_TTL) {
        wire_add_number(to, 2, lease_of(r)->with_keys);
    }
}

static void write_nothing(struct client_request *r, struct buf *to)
{
    (void)r;
    (void)to;
}

static enum status read_lease(struct client_request *r)
{
    struct kv_lease *lease = lease_of(r);
    lease->result.id = lease->id;
    return lease->op == KV_LEASE_REVOKE
               ? ST_OK
               : message_read_lease(&r->arena, buf_bytes(&r->reply), lease->op,
                                    &lease->result);
}

static const struct client_step steps[] = {
    [KV_LEASE_GRANT] = {"/etcdserverpb.Lease/LeaseGrant", write_grant,
                        read_lease},
    [KV_LEASE_REVOKE] = {"/etcdserverpb.Lease/LeaseRevoke", write_id,
                         read_lease},
    [KV_LEASE_KEEPALIVE] = {"/etcdserverpb.Lease/LeaseKeepAlive", write_id,
                            read_lease},
    [KV_LEASE_TTL] = {"/etcdserverpb.Lease/LeaseTimeToLive", write_id,
                      read_lease},
    [KV_LEASE_LIST] = {"/etcdserverpb.Lease/LeaseLeases", write_nothing,
                       read_lease}};

void client_lease(struct kv *kv, struct kv_lease *lease)
{
    struct client *c = container_of(kv, struct client, kv);
    struct client_request *r = request_new(c, &lease->call);
    lease->result = (struct kv_lease_result){0};
    r->step = &steps[lease->op];
    r->is_once = lease->op == KV_LEASE_GRANT;
    r->is_write = r->is_revoke = lease->op == KV_LEASE_REVOKE;
    r->is_keepalive = lease->op == KV_LEASE_KEEPALIVE;
    request_go(r);
}

/* --- the stream of keepalives --- */

static void renewed(struct grpc_client_call *call, struct bytes message)
{
    struct client *c = container_of(call, struct client, lease_call);
    struct kv_lease_result result = {0};
    const enum status st =
        message_read_lease(NULL, message, KV_LEASE_KEEPALIVE, &result);
    list_each_safe (link, &c->keepalives) {
        struct client_request *r =
            container_of(link, struct client_request, link);
        /* One that nobody waits for any more is not in the list. */
        if (st == ST_OK && lease_of(r)->id == result.id) {
            buf_append(&r->reply, message);
            request_replied(r);
            return;
        }
    }
}

static void stream_ended(struct grpc_client_call *call,
                         const struct grpc_outcome *how)
{
    struct client *c = container_of(call, struct client, lease_call);
    /* A stream that a server ends without a word was not ours to end. */
    const struct grpc_outcome why = {
        .code = how->code == GRPC_OK ? GRPC_UNAVAILABLE : how->code,
        .text = how->text,
        .answered = how->answered && how->code != GRPC_OK};
    struct list now, *link;
    c->lease_conn = NULL;
    client_mark(c);
    list_init(&now);
    list_splice(&now, &c->keepalives);
    while ((link = list_pop(&now)) != NULL) {
        request_failed(container_of(link, struct client_request, link), &why);
    }
}

void keepalive_send(struct client_request *r)
{
    struct client *c = r->client;
    if (c->lease_conn == NULL) {
        c->lease_conn = c->conn;
        c->lease_call.on_message = renewed;
        c->lease_call.on_end = stream_ended;
        grpc_client_start(grpc_conn_client(c->conn->grpc), &c->lease_call,
                          r->step->path, 0, NULL, 0);
    }
    r->conn = c->conn;
    buf_clear(&r->reply);
    list_remove(&r->link);
    list_push(&c->keepalives, &r->link);
    write_id(r, grpc_client_begin_message(&c->lease_call));
    grpc_client_end_message(&c->lease_call);
}

void keepalives_end(struct client *c)
{
    struct list now, *link;
    if (c->lease_conn != NULL) {
        grpc_client_cancel(&c->lease_call);
        c->lease_conn = NULL;
    }
    list_init(&now);
    list_splice(&now, &c->keepalives);
    while ((link = list_pop(&now)) != NULL) {
        request_go(container_of(link, struct client_request, link));
    }
}
