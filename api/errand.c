/* Errands; see errand.h. */

#include "api/errand.h"

#include <stdlib.h>

struct errand {
    struct api *api;
    struct kv_lease lease;
    struct kv_txn txn;
    struct kv_compare compare;
    struct kv_op op;
    uint8_t key[];
};

static void over(struct errand *e)
{
    e->api->held--;
    free(e);
}

static void lease_done(struct kv_call *call)
{
    over(container_of(call, struct errand, lease.call));
}

static void txn_done(struct kv_call *call)
{
    over(container_of(call, struct errand, txn.call));
}

static struct errand *errand_new(struct api *a, size_t key_size)
{
    struct errand *e = xcalloc(1, sizeof *e + key_size);
    e->api = a;
    a->held++;
    return e;
}

void api_errand_delete(struct api *a, struct bytes key, int64_t lease)
{
    struct errand *e = errand_new(a, key.size);
    memcpy(e->key, key.data, key.size);
    const struct kv_keys keys = {{e->key, key.size}, BYTES_NONE};
    e->compare = (struct kv_compare){.keys = keys,
                                     .target = KV_COMPARE_LEASE,
                                     .result = KV_COMPARE_EQUAL,
                                     .number = lease};
    e->op =
        (struct kv_op){.type = KV_OP_DELETE_RANGE, .delete_range.keys = keys};
    e->txn = (struct kv_txn){.call.done = txn_done,
                             .spec = {.compares = &e->compare,
                                      .compares_count = 1,
                                      .success = &e->op,
                                      .success_count = 1}};
    kv_txn(a->kv, &e->txn);
}

static void ask(struct api *a, enum kv_lease_op op, int64_t lease)
{
    struct errand *e = errand_new(a, 0);
    e->lease =
        (struct kv_lease){.call.done = lease_done, .op = op, .id = lease};
    kv_lease(a->kv, &e->lease);
}

void api_errand_revoke(struct api *a, int64_t lease)
{
    ask(a, KV_LEASE_REVOKE, lease);
}

void api_errand_renew(struct api *a, int64_t lease)
{
    ask(a, KV_LEASE_KEEPALIVE, lease);
}
