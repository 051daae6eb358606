/* Maintenance.Snapshot: the member's state as a file, piece by piece, as fast
 * as the client takes it. */

#include "api/internal.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire.h"

static void on_chunk(struct admin_snapshot *s, struct bytes chunk,
                     uint64_t remaining)
{
    struct api_call *c = container_of(s, struct api_call, snapshot);
    if (c->grpc == NULL) {
        return; /* cancelled already */
    }
    struct buf *b = api_begin(c);
    wire_add_number(b, 2, remaining);
    wire_add_bytes(b, 3, chunk);
    wire_add_text(b, 4, c->api->options.cluster_version);
    if (api_send(c)) {
        admin_snapshot_next(c->api->admin, s);
    }
}

static void resume(struct api_call *c)
{
    if (c->waiting != NULL) {
        admin_snapshot_next(c->api->admin, &c->snapshot);
    }
}

static void done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, snapshot.call);
    if (api_call_back(c)) {
        api_end(c);
    }
}

void api_snapshot(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__snapshot_request__descriptor, message) ==
        NULL) {
        return;
    }
    c->snapshot = (struct admin_snapshot){.on_chunk = on_chunk};
    if (api_submit_admin(c, &c->snapshot.call, done)) {
        c->resume = resume;
        admin_snapshot(c->api->admin, &c->snapshot);
    }
}
