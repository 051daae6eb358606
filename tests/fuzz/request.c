/* Each request message of the API; the first byte says which. What is unpacked
 * within the limits can be packed again. */

#include "base/must.h"
#include "proto/auth.pb-c.h"
#include "proto/budget.h"
#include "proto/election.pb-c.h"
#include "proto/health.pb-c.h"
#include "proto/lock.pb-c.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &etcdserverpb__range_request__descriptor,
    &etcdserverpb__put_request__descriptor,
    &etcdserverpb__delete_range_request__descriptor,
    &etcdserverpb__txn_request__descriptor,
    &etcdserverpb__compaction_request__descriptor,
    &etcdserverpb__hash_request__descriptor,
    &etcdserverpb__snapshot_request__descriptor,
    &etcdserverpb__watch_request__descriptor,
    &etcdserverpb__watch_create_request__descriptor,
    &etcdserverpb__watch_cancel_request__descriptor,
    &etcdserverpb__watch_progress_request__descriptor,
    &etcdserverpb__lease_grant_request__descriptor,
    &etcdserverpb__lease_revoke_request__descriptor,
    &etcdserverpb__lease_keep_alive_request__descriptor,
    &etcdserverpb__lease_time_to_live_request__descriptor,
    &etcdserverpb__lease_leases_request__descriptor,
    &etcdserverpb__member_add_request__descriptor,
    &etcdserverpb__member_remove_request__descriptor,
    &etcdserverpb__member_update_request__descriptor,
    &etcdserverpb__member_list_request__descriptor,
    &etcdserverpb__member_promote_request__descriptor,
    &etcdserverpb__defragment_request__descriptor,
    &etcdserverpb__move_leader_request__descriptor,
    &etcdserverpb__alarm_request__descriptor,
    &etcdserverpb__downgrade_request__descriptor,
    &etcdserverpb__status_request__descriptor,
    &etcdserverpb__auth_enable_request__descriptor,
    &etcdserverpb__auth_disable_request__descriptor,
    &etcdserverpb__auth_status_request__descriptor,
    &etcdserverpb__authenticate_request__descriptor,
    &etcdserverpb__auth_user_add_request__descriptor,
    &etcdserverpb__auth_user_get_request__descriptor,
    &etcdserverpb__auth_user_delete_request__descriptor,
    &etcdserverpb__auth_user_change_password_request__descriptor,
    &etcdserverpb__auth_user_grant_role_request__descriptor,
    &etcdserverpb__auth_user_revoke_role_request__descriptor,
    &etcdserverpb__auth_role_add_request__descriptor,
    &etcdserverpb__auth_role_get_request__descriptor,
    &etcdserverpb__auth_user_list_request__descriptor,
    &etcdserverpb__auth_role_list_request__descriptor,
    &etcdserverpb__auth_role_delete_request__descriptor,
    &etcdserverpb__auth_role_grant_permission_request__descriptor,
    &etcdserverpb__auth_role_revoke_permission_request__descriptor,
    &v3lockpb__lock_request__descriptor,
    &v3lockpb__unlock_request__descriptor,
    &v3electionpb__campaign_request__descriptor,
    &v3electionpb__leader_request__descriptor,
    &v3electionpb__resign_request__descriptor,
    &v3electionpb__proclaim_request__descriptor,
    &grpc__health__v1__health_check_request__descriptor,
};

static const struct proto_limits limits = {.size_max = (size_t)64 << 10,
                                           .depth_max = 20,
                                           .fields_max = 2000,
                                           .repeats_max = 500,
                                           .memory_max = (size_t)1 << 20};

static void walk(struct bytes message, unsigned depth)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        must(f.size <= message.size);
        if (f.type == WIRE_BYTES && depth > 0) {
            walk(f.bytes, depth - 1);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % count_of(types);
    struct proto_budget budget;
    struct fault fault;
    ProtobufCMessage *m;
    walk(in.left, 4);
    if (proto_unpack(types[which], in.left, &limits, &budget, &m, &fault) ==
        ST_OK) {
        const size_t packed_size = protobuf_c_message_get_packed_size(m);
        uint8_t *packed = xmalloc(packed_size + 1);
        must(protobuf_c_message_pack(m, packed) == packed_size);
        free(packed);
        proto_free(&budget, m);
    }
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    /* Three fields that most requests have, and messages in messages. */
    static const uint8_t fields[] = {0x0a, 2,    'a',  'b', 0x12, 1,
                                     'c',  0x18, 0x85, 1,   0x28, 1};
    static const uint8_t nested[] = {0x0a, 6,   0x08, 1, 0x10, 1, 0x1a, 0,
                                     0x12, 8,   0x12, 6, 0x0a, 1, 'k',  0x12,
                                     1,    'v', 0x1a, 4, 0x0a, 2, 0x0a, 0};
    if (n >= 2 * count_of(types)) {
        return false;
    }
    buf_append_byte(to, (uint8_t)(n / 2));
    buf_append(to, n % 2 == 0 ? (struct bytes){fields, sizeof fields}
                              : (struct bytes){nested, sizeof nested});
    return true;
}
