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

    UNARY("/etcdserverpb.Cluster/MemberAdd", api_member_add),
    UNARY("/etcdserverpb.Cluster/MemberRemove", api_member_remove),
    UNARY("/etcdserverpb.Cluster/MemberUpdate", api_member_update),
    UNARY("/etcdserverpb.Cluster/MemberList", api_member_list),
    UNARY("/etcdserverpb.Cluster/MemberPromote", api_member_promote),
    UNARY("/keelfspb.Cluster/MemberChange", api_member_change),

    UNARY("/etcdserverpb.Maintenance/Alarm", api_alarm),
    UNARY_ANYWHERE("/etcdserverpb.Maintenance/Status", api_status_rpc),
    UNARY("/etcdserverpb.Maintenance/Defragment", api_defragment),
    UNARY("/etcdserverpb.Maintenance/Hash", api_hash),
    UNARY("/etcdserverpb.Maintenance/HashKV", api_hash_kv),
    STREAM_OUT_ANYWHERE("/etcdserverpb.Maintenance/Snapshot", api_snapshot),
    UNARY("/etcdserverpb.Maintenance/MoveLeader", api_move_leader),
    UNARY("/etcdserverpb.Maintenance/Downgrade", api_downgrade),

    UNARY("/etcdserverpb.Auth/AuthEnable", api_auth_enable),
    UNARY("/etcdserverpb.Auth/AuthDisable", api_auth_disable),
    UNARY("/etcdserverpb.Auth/AuthStatus", api_auth_status),
    UNARY("/etcdserverpb.Auth/Authenticate", api_authenticate),
    UNARY("/etcdserverpb.Auth/UserAdd", api_user_add),
    UNARY("/etcdserverpb.Auth/UserGet", api_user_get),
    UNARY("/etcdserverpb.Auth/UserList", api_user_list),
    UNARY("/etcdserverpb.Auth/UserDelete", api_user_delete),
    UNARY("/etcdserverpb.Auth/UserChangePassword", api_user_change_password),
    UNARY("/etcdserverpb.Auth/UserGrantRole", api_user_grant_role),
    UNARY("/etcdserverpb.Auth/UserRevokeRole", api_user_revoke_role),
    UNARY("/etcdserverpb.Auth/RoleAdd", api_role_add),
    UNARY("/etcdserverpb.Auth/RoleGet", api_role_get),
    UNARY("/etcdserverpb.Auth/RoleList", api_role_list),
    UNARY("/etcdserverpb.Auth/RoleDelete", api_role_delete),
    UNARY("/etcdserverpb.Auth/RoleGrantPermission", api_role_grant_permission),
    UNARY("/etcdserverpb.Auth/RoleRevokePermission",
          api_role_revoke_permission),

    UNARY("/v3lockpb.Lock/Lock", api_lock),
    UNARY("/v3lockpb.Lock/Unlock", api_unlock),

    UNARY("/v3electionpb.Election/Campaign", api_campaign),
    UNARY("/v3electionpb.Election/Proclaim", api_proclaim),
    UNARY("/v3electionpb.Election/Leader", api_leader),
    STREAM_OUT("/v3electionpb.Election/Observe", api_observe),
    UNARY("/v3electionpb.Election/Resign", api_resign),

    UNARY_ANYWHERE("/grpc.health.v1.Health/Check", api_health_check),
    STREAM_OUT_ANYWHERE("/grpc.health.v1.Health/Watch", api_health_watch),
};

const size_t api_rpcs_count = count_of(api_rpcs);
