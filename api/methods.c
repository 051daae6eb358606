/* Every rpc there is (etcd-surface 1.1). */

#include "api/internal.h"

#define UNARY(path, run)                                                       \
    {                                                                          \
        path, false, false, false, run, NULL                                   \
    }
/* A learner answers it too, or decides by what is asked. */
#define UNARY_ANYWHERE(path, run)                                              \
    {                                                                          \
        path, false, false, true, run, NULL                                    \
    }
#define STREAM_OUT(path, run)                                                  \
    {                                                                          \
        path, false, true, false, run, NULL                                    \
    }
#define STREAM_OUT_ANYWHERE(path, run)                                         \
    {                                                                          \
        path, false, true, true, run, NULL                                     \
    }
#define STREAMS(path, begin)                                                   \
    {                                                                          \
        path, true, true, false, NULL, begin                                   \
    }

const struct api_rpc api_rpcs[] = {
    UNARY_ANYWHERE("/etcdserverpb.KV/Range", api_range),
    STREAM_OUT("/etcdserverpb.KV/RangeStream", api_range_stream),
    UNARY("/etcdserverpb.KV/Put", api_put),
    UNARY("/etcdserverpb.KV/DeleteRange", api_delete),
    UNARY("/etcdserverpb.KV/Txn", api_txn),
    UNARY("/etcdserverpb.KV/Compact", api_compact),

    STREAMS("/etcdserverpb.Watch/Watch", api_watch_begin),

    UNARY("/etcdserverpb.Lease/LeaseGrant", api_lease_grant),
    UNARY("/etcdserverpb.Lease/LeaseRevoke", api_lease_revoke),
    STREAMS("/etcdserverpb.Lease/LeaseKeepAlive", api_keepalive_begin),
    UNARY("/etcdserverpb.Lease/LeaseTimeToLive", api_lease_ttl),
    UNARY("/etcdserverpb.Lease/LeaseLeases", api_lease_leases),
};

const size_t api_rpcs_count = count_of(api_rpcs);
