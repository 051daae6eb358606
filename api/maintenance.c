/* etcdserverpb.Maintenance, all but Snapshot (etcd-surface 1.8). */

#include <ctype.h>
#include <stdio.h>

#include "api/internal.h"
#include "proto/kv_response.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire.h"

/* --- Status --- */

static const char *alarm_name(enum admin_alarm_type type)
{
    switch (type) {
    case ADMIN_ALARM_NONE:
        return "NONE";
    case ADMIN_ALARM_NOSPACE:
        return "NOSPACE";
    case ADMIN_ALARM_CORRUPT:
        return "CORRUPT";
    }
    unreachable("an alarm");
}

static void add_errors(struct buf *b, const struct admin_status *s)
{
    if (s->kv.leader == 0) {
        wire_add_text(b, 8, status_text(ST_NO_LEADER));
    }
    for (size_t i = 0; i < s->alarms_count; i++) {
        char text[80];
        /* As protobuf prints an AlarmMember in Go, down to the last space. */
        (void)snprintf(text, sizeof text, "memberID:%llu alarm:%s ",
                       (unsigned long long)s->alarms[i].member,
                       alarm_name(s->alarms[i].type));
        wire_add_text(b, 8, text);
    }
}

/* etcdctl divides by it. */
static uint64_t never_zero(uint64_t size)
{
    return size > 0 ? size : 1;
}

void api_status_rpc(struct api_call *c, struct bytes message)
{
    struct api *a = c->api;
    if (api_unpack(c, &etcdserverpb__status_request__descriptor, message) ==
        NULL) {
        return;
    }
    if (a->admin == NULL) {
        api_fail(c, API_NOT_SUPPORTED);
        return;
    }
    struct admin_status s;
    admin_status(a->admin, &s);
    struct buf *b = api_begin(c);
    kv_response_header(b, &s.kv.header);
    wire_add_text(b, 2, a->options.server_version);
    wire_add_number(b, 3, never_zero(s.kv.size_bytes));
    wire_add_number(b, 4, s.kv.leader);
    wire_add_number(b, 5, s.raft_index);
    wire_add_number(b, 6, s.kv.header.raft_term);
    wire_add_number(b, 7, s.raft_applied);
    add_errors(b, &s);
    wire_add_number(b, 9, s.kv.used_bytes);
    wire_add_number(b, 10, s.is_learner);
    wire_add_text(b, 11, a->options.cluster_version);
    wire_add_number(b, 12, s.kv.quota_bytes);
    wire_add_element(b, 13, BYTES_NONE); /* no downgrade is under way */
    api_send_end(c);
}

/* --- Alarm --- */

static void alarm_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, alarm.call);
    if (!api_call_back(c)) {
        return;
    }
    struct buf *b = api_begin(c);
    kv_response_header(b, &call->header);
    for (size_t i = 0; i < c->alarm.alarms_count; i++) {
        const struct admin_alarm_member *m = &c->alarm.alarms[i];
        const size_t mark = wire_begin(b, 2);
        wire_add_number(b, 1, m->member);
        wire_add_number(b, 2, (uint64_t)m->type);
        wire_end(b, mark);
    }
    api_send_end(c);
}

void api_alarm(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__AlarmRequest *q =
        api_unpack(c, &etcdserverpb__alarm_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    if ((unsigned)q->action > ADMIN_ALARM_CLEAR ||
        (unsigned)q->alarm > ADMIN_ALARM_CORRUPT) {
        api_fail(c, API_UNKNOWN_ALARM);
        return;
    }
    c->alarm = (struct admin_alarm){.op = (enum admin_alarm_op)q->action,
                                    .member = q->memberid,
                                    .type = (enum admin_alarm_type)q->alarm};
    if (api_submit_admin(c, &c->alarm.call, alarm_done)) {
        admin_alarm(c->api->admin, &c->alarm);
    }
}

/* --- Hash, HashKV --- */

static void hash_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, hash.call);
    if (!api_call_back(c)) {
        return;
    }
    struct buf *b = api_begin(c);
    kv_response_header(b, &call->header);
    wire_add_number(b, 2, c->hash.hash);
    if (!c->hash.whole) {
        wire_add_number(b, 3, (uint64_t)c->hash.compact_revision);
        wire_add_number(b, 4, (uint64_t)c->hash.hash_revision);
    }
    api_send_end(c);
}

void api_hash(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__hash_request__descriptor, message) ==
        NULL) {
        return;
    }
    c->hash = (struct admin_hash){.whole = true};
    if (api_submit_admin(c, &c->hash.call, hash_done)) {
        admin_hash(c->api->admin, &c->hash);
    }
}

void api_hash_kv(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__HashKVRequest *q =
        api_unpack(c, &etcdserverpb__hash_kvrequest__descriptor, message);
    if (q == NULL) {
        return;
    }
    c->hash = (struct admin_hash){.revision = q->revision};
    if (api_submit_admin(c, &c->hash.call, hash_done)) {
        admin_hash(c->api->admin, &c->hash);
    }
}

/* --- Defragment, MoveLeader: answers without a header --- */

static void defragment_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, defragment.call);
    if (api_call_back(c)) {
        (void)api_begin(c);
        api_send_end(c);
    }
}

void api_defragment(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__defragment_request__descriptor, message) ==
        NULL) {
        return;
    }
    c->defragment = (struct admin_defragment){0};
    if (api_submit_admin(c, &c->defragment.call, defragment_done)) {
        admin_defragment(c->api->admin, &c->defragment);
    }
}

static void move_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, move_leader.call);
    if (api_call_back(c)) {
        (void)api_begin(c);
        api_send_end(c);
    }
}

void api_move_leader(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__MoveLeaderRequest *q =
        api_unpack(c, &etcdserverpb__move_leader_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    c->move_leader = (struct admin_move_leader){.to = q->targetid};
    if (api_submit_admin(c, &c->move_leader.call, move_done)) {
        admin_move_leader(c->api->admin, &c->move_leader);
    }
}

/* --- Downgrade --- */

/* "3.5", "3.5.1" */
static bool is_version(const char *text)
{
    unsigned parts = 0;
    while (isdigit((unsigned char)*text)) {
        while (isdigit((unsigned char)*text)) {
            text++;
        }
        parts++;
        if (*text != '.') {
            break;
        }
        text++;
    }
    return *text == '\0' && (parts == 2 || parts == 3);
}

/* The data cannot become an older version's, so there is no target to name. */
void api_downgrade(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__DowngradeRequest *q =
        api_unpack(c, &etcdserverpb__downgrade_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    switch ((int)q->action) {
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE:
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE:
        api_fail(c, is_version(q->version) ? API_BAD_DOWNGRADE_TARGET
                                           : API_BAD_DOWNGRADE_FORMAT);
        break;
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL:
        api_fail(c, API_NO_DOWNGRADE);
        break;
    default:
        api_fail(c, API_UNKNOWN_ACTION);
        break;
    }
}
