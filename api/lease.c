/* etcdserverpb.Lease, all but LeaseKeepAlive (etcd-surface 1.6). */

#include "api/internal.h"
#include "proto/kv_response.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire.h"

static void grant_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, lease.call);
    if (api_call_back(c)) {
        struct buf *b = api_begin(c);
        kv_response_header(b, &call->header);
        wire_add_number(b, 2, (uint64_t)c->lease.result.id);
        wire_add_number(b, 3, (uint64_t)c->lease.result.ttl_s);
        api_send_end(c);
    }
}

void api_lease_grant(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__LeaseGrantRequest *q =
        api_unpack(c, &etcdserverpb__lease_grant_request__descriptor, message);
    if (q != NULL) {
        c->lease = (struct kv_lease){
            .op = KV_LEASE_GRANT, .id = q->id, .ttl_s = q->ttl};
        api_submit_lease(c, grant_done);
    }
}

static void revoke_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, lease.call);
    if (api_call_back(c)) {
        kv_response_header(api_begin(c), &call->header);
        api_send_end(c);
    }
}

void api_lease_revoke(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__LeaseRevokeRequest *q =
        api_unpack(c, &etcdserverpb__lease_revoke_request__descriptor, message);
    if (q != NULL) {
        c->lease = (struct kv_lease){.op = KV_LEASE_REVOKE, .id = q->id};
        api_submit_lease(c, revoke_done);
    }
}

static void ttl_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, lease.call);
    if (!api_call_back(c)) {
        return;
    }
    const struct kv_lease_result *r = &c->lease.result;
    struct buf *b = api_begin(c);
    kv_response_header(b, &call->header);
    wire_add_number(b, 2, (uint64_t)c->lease.id);
    wire_add_number(b, 3, (uint64_t)r->ttl_s);
    wire_add_number(b, 4, (uint64_t)r->granted_ttl_s);
    for (size_t i = 0; i < r->keys_count; i++) {
        wire_add_element(b, 5, r->keys[i]);
    }
    api_send_end(c);
}

void api_lease_ttl(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__LeaseTimeToLiveRequest *q = api_unpack(
        c, &etcdserverpb__lease_time_to_live_request__descriptor, message);
    if (q != NULL) {
        c->lease = (struct kv_lease){
            .op = KV_LEASE_TTL, .id = q->id, .with_keys = q->keys};
        api_submit_lease(c, ttl_done);
    }
}

static void leases_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, lease.call);
    if (!api_call_back(c)) {
        return;
    }
    const struct kv_lease_result *r = &c->lease.result;
    struct buf *b = api_begin(c);
    kv_response_header(b, &call->header);
    for (size_t i = 0; i < r->ids_count; i++) {
        const uint64_t id = (uint64_t)r->ids[i];
        uint8_t *at =
            buf_extend(b, wire_size_message(2, wire_size_number(1, id)));
        at = wire_put_message(at, 2, wire_size_number(1, id));
        (void)wire_put_number(at, 1, id);
    }
    api_send_end(c);
}

void api_lease_leases(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__lease_leases_request__descriptor,
                   message) != NULL) {
        c->lease = (struct kv_lease){.op = KV_LEASE_LIST};
        api_submit_lease(c, leases_done);
    }
}
