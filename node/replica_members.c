/* Changes of the membership as they are asked for: on whichever member, judged
 * and proposed by the leader, one at a time.
 *
 *   asked here -> leader: an order in its list
 *              -> others: told to the leader, which takes it as its own
 *   order      -> judged (strict reconfiguration check, learners in sync)
 *              -> proposed -> applied: whoever asked sees its own ticket
 *              -> refused: whoever asked is told
 *
 * A leader keeps at most one order in the log.  An order that its leader takes
 * along when it loses the leadership is forgotten: who asked hears nothing
 * before its time is over, as it cannot be known what became of it.
 *
 * UPDATE and PUBLISH change no configuration: they are entries like any other.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"
#include "base/sha1.h"
#include "node/identity.h"
#include "node/replica_internal.h"

/* --- answers --- */

static size_t split_urls(const char *list, struct bytes *to)
{
    size_t count = 0;
    while (*list != '\0' && count < ADMIN_URLS_MAX) {
        const size_t size = strcspn(list, ",");
        to[count++] = (struct bytes){(const uint8_t *)list, size};
        list += size;
        list += *list == ',';
    }
    return count;
}

static void tell_member(struct replica *r, size_t at, struct admin_member *ret)
{
    const struct membership_member *m = &r->membership->members[at];
    struct member_urls *urls = &r->told_urls[at];
    *ret = (struct admin_member){
        .id = m->id,
        .name = m->started ? bytes_of(m->name) : BYTES_NONE,
        .peer_urls = urls->peer,
        .peer_urls_count = split_urls(m->peer_urls, urls->peer),
        .client_urls = urls->client,
        .client_urls_count = split_urls(m->client_urls, urls->client),
        .is_learner = membership_is_learner(r->membership, m->id)};
}

void replica_answer_members(struct replica *r, struct admin_members *call)
{
    for (size_t i = 0; i < r->membership->count; i++) {
        tell_member(r, i, &r->told[i]);
        if (call->op == ADMIN_MEMBER_ADD && r->told[i].id == call->id) {
            call->member = r->told[i];
        }
    }
    call->members = r->told;
    call->members_count = r->membership->count;
}

/* --- asking --- */

static int compare_bytes(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* etcd's rule: the first eight bytes of a SHA-1 over the sorted URLs, the
 * cluster's token and the second. */
static uint64_t new_id(struct replica *r, const struct bytes *peer_urls,
                       size_t count)
{
    struct bytes urls[ADMIN_URLS_MAX];
    struct buf text = {0};
    char second[24];
    uint8_t hash[SHA1_SIZE];
    memcpy(urls, peer_urls, count * sizeof urls[0]);
    qsort(urls, count, sizeof urls[0], compare_bytes);
    for (size_t i = 0; i < count; i++) {
        buf_append(&text, urls[i]);
    }
    if (r->options.cluster_token != NULL) {
        buf_append(&text, bytes_of(r->options.cluster_token));
    }
    (void)snprintf(second, sizeof second, "%lld",
                   (long long)(r->clock.wall_ns / INT64_C(1000000000)));
    buf_append(&text, bytes_of(second));
    sha1(buf_bytes(&text), hash);
    buf_fini(&text);
    return get_u64_be(hash);
}

static enum status check_urls(const struct bytes *urls, size_t count)
{
    char joined[MEMBERSHIP_URLS_MAX + 1] = "";
    char stripped[MEMBERSHIP_URLS_MAX + 1];
    struct fault fault;
    size_t size = 0;
    if (count == 0 || count > ADMIN_URLS_MAX) {
        return ST_MEMBER_BAD_URLS;
    }
    for (size_t i = 0; i < count; i++) {
        const struct bytes url = urls[i];
        if (url.size == 0 || memchr(url.data, ',', url.size) != NULL ||
            memchr(url.data, 0, url.size) != NULL ||
            size + url.size + 1 >= sizeof joined) {
            return ST_MEMBER_BAD_URLS;
        }
        size += (size_t)snprintf(joined + size, sizeof joined - size, "%s%.*s",
                                 i > 0 ? "," : "", (int)url.size,
                                 (const char *)url.data);
    }
    return identity_strip_urls(joined, stripped, sizeof stripped, &fault) ==
                   ST_OK
               ? ST_OK
               : ST_MEMBER_BAD_URLS;
}

/* What can be said without asking anybody. */
static enum status check_call(const struct admin_members *call)
{
    if (call->op == ADMIN_MEMBER_ADD || call->op == ADMIN_MEMBER_UPDATE) {
        return check_urls(call->peer_urls, call->peer_urls_count);
    }
    if (call->op != ADMIN_MEMBER_CHANGE) {
        return ST_OK;
    }
    if (call->changes_count == 0 ||
        call->changes_count > ADMIN_MEMBER_CHANGES_MAX) {
        return ST_TOO_MANY_OPS;
    }
    enum status st = ST_OK;
    for (size_t i = 0; i < call->changes_count && st == ST_OK; i++) {
        const struct admin_member_change *c = &call->changes[i];
        if (c->op == ADMIN_MEMBER_ADD) {
            st = check_urls(c->peer_urls, c->peer_urls_count);
        } else if (c->op != ADMIN_MEMBER_REMOVE &&
                   c->op != ADMIN_MEMBER_PROMOTE) {
            st = ST_UNSUPPORTED;
        }
    }
    return st;
}

void replica_members(struct replica *r, struct admin_members *call)
{
    call->members = NULL;
    call->members_count = 0;
    if (call->op == ADMIN_MEMBER_LIST) {
        replica_submit(r, &call->call, PENDING_MEMBERS, false, ST_OK);
        return;
    }
    enum status st = replica_has_leader(r);
    const enum status bad = check_call(call);
    st = bad != ST_OK ? bad : st;
    replica_submit(r, &call->call, PENDING_MEMBERS, true, st);
}

static void join_urls(const struct bytes *urls, size_t count, struct buf *to)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_byte(to, ',');
        }
        buf_append(to, urls[i]);
    }
}

static const enum membership_op ops[] = {
    [ADMIN_MEMBER_ADD] = MEMBERSHIP_ADD,
    [ADMIN_MEMBER_REMOVE] = MEMBERSHIP_REMOVE,
    [ADMIN_MEMBER_UPDATE] = MEMBERSHIP_UPDATE,
    [ADMIN_MEMBER_PROMOTE] = MEMBERSHIP_PROMOTE};

static void encode_several(struct replica *r,
                           const struct membership_stamp *stamp,
                           struct admin_members *call)
{
    struct membership_change list[ADMIN_MEMBER_CHANGES_MAX];
    struct buf urls[ADMIN_MEMBER_CHANGES_MAX] = {{0}};
    must(call->changes_count <= ADMIN_MEMBER_CHANGES_MAX);
    for (size_t i = 0; i < call->changes_count; i++) {
        struct admin_member_change *c = &call->changes[i];
        if (c->op == ADMIN_MEMBER_ADD) {
            c->id = new_id(r, c->peer_urls, c->peer_urls_count);
            join_urls(c->peer_urls, c->peer_urls_count, &urls[i]);
        }
        list[i] = (struct membership_change){.op = ops[c->op],
                                             .id = c->id,
                                             .is_learner = c->is_learner,
                                             .peer_urls = buf_bytes(&urls[i])};
    }
    membership_encode(stamp, list, call->changes_count, &r->command);
    for (size_t i = 0; i < call->changes_count; i++) {
        buf_fini(&urls[i]);
    }
}

/* The command of a queued call into r->command. */
void replica_encode_members(struct replica *r, const struct pending *p)
{
    struct admin_members *call =
        container_of(p->call, struct admin_members, call);
    const struct membership_stamp stamp = {p->ticket, r->options.member_id};
    struct buf urls = {0};
    struct membership_change c = {.op = MEMBERSHIP_PUBLISH,
                                  .id = r->options.member_id};
    buf_clear(&r->command);
    if (call->op == ADMIN_MEMBER_CHANGE) {
        encode_several(r, &stamp, call);
        return;
    }
    if (call == &r->publish) {
        c.name = bytes_of(r->options.name);
        c.client_urls = bytes_of(r->options.client_urls);
    } else {
        if (call->op == ADMIN_MEMBER_ADD) {
            call->id = new_id(r, call->peer_urls, call->peer_urls_count);
        }
        join_urls(call->peer_urls, call->peer_urls_count, &urls);
        c = (struct membership_change){.op = ops[call->op],
                                       .id = call->id,
                                       .is_learner = call->is_learner,
                                       .peer_urls = buf_bytes(&urls)};
    }
    membership_encode(&stamp, &c, 1, &r->command);
    buf_fini(&urls);
}

bool replica_is_order(const struct replica *r, const struct pending *p)
{
    const struct admin_members *call =
        container_of(p->call, struct admin_members, call);
    return p->kind == PENDING_MEMBERS && call != &r->publish &&
           call->op != ADMIN_MEMBER_UPDATE;
}

/* --- orders --- */

static bool add_order(struct replica *r, struct bytes command)
{
    if (r->orders_count == REPLICA_ORDERS_MAX) {
        return false;
    }
    struct buf *to = &r->orders[r->orders_count++];
    *to = (struct buf){0};
    buf_append(to, command);
    return true;
}

void replica_order(struct replica *r, struct pending *p)
{
    replica_encode_members(r, p);
    bool taken = false;
    if (replica_leads(r)) {
        taken = add_order(r, buf_bytes(&r->command));
    } else if (r->options.tell != NULL && raft_leader(r->raft) != RAFT_NONE) {
        struct buf frame = {0};
        write_u8(&frame, REPLICA_TELL_ORDER);
        buf_append(&frame, buf_bytes(&r->command));
        taken = r->options.tell(r->options.host, raft_leader(r->raft), &frame);
    }
    if (taken) {
        pending_set_asking(&r->pending, p);
    } else {
        pending_finish(&r->pending, p, ST_NO_LEADER);
    }
}

static void refuse(struct replica *r, struct bytes command, enum status st)
{
    struct membership_stamp stamp;
    struct membership_change changes[RAFT_CHANGES_MAX];
    size_t count;
    if (membership_decode(command, &stamp, changes, &count) != ST_OK) {
        return;
    }
    if (stamp.member == r->options.member_id) {
        struct pending *p = pending_find(&r->pending, stamp.ticket);
        if (p != NULL) {
            pending_finish(&r->pending, p, st);
        }
        return;
    }
    if (r->options.tell != NULL) {
        struct buf frame = {0};
        write_u8(&frame, REPLICA_TELL_REFUSED);
        write_u64(&frame, stamp.ticket);
        write_sized(&frame, bytes_of(status_name(st)));
        (void)r->options.tell(r->options.host, stamp.member, &frame);
    }
}

static enum status status_named(struct bytes name)
{
#define ONE(name, text, error, grpc) +1
    static const int count = 0 STATUS_TABLE(ONE);
#undef ONE
    for (int st = ST_OK + 1; st < count; st++) {
        if (bytes_equal(bytes_of(status_name((enum status)st)), name)) {
            return (enum status)st;
        }
    }
    return ST_UNHEALTHY; /* of a later version */
}

void replica_hear(struct replica *r, uint64_t from, struct bytes frame)
{
    struct reader in = reader_of(frame);
    const uint8_t what = read_u8(&in);
    if (what == REPLICA_TELL_ORDER || what == REPLICA_TELL_PASSED) {
        struct membership_stamp stamp;
        struct membership_change changes[RAFT_CHANGES_MAX];
        size_t count;
        if (membership_decode(in.left, &stamp, changes, &count) == ST_OK &&
            (stamp.member == from || what == REPLICA_TELL_PASSED) &&
            (!replica_leads(r) || !add_order(r, in.left))) {
            refuse(r, in.left, ST_NO_LEADER);
        }
        return;
    }
    const uint64_t ticket = read_u64(&in);
    const struct bytes name = read_sized(&in);
    if (what != REPLICA_TELL_REFUSED || !reader_done(&in)) {
        return;
    }
    struct pending *p = pending_find(&r->pending, ticket);
    if (p != NULL && p->kind == PENDING_MEMBERS) {
        pending_finish(&r->pending, p, status_named(name));
    }
}

/* --- the leader's orders --- */

static enum status propose(struct replica *r, struct bytes command,
                           const struct membership_change *changes,
                           size_t count)
{
    struct raft_conf_change cc;
    if (!membership_to_raft(changes, count, &cc)) {
        return ST_INVALID;
    }
    cc.context = command;
    struct payload *encoded =
        raft_conf_change_encode(RAFT_ENTRY_CONF_CHANGE_V2, &cc);
    const uint64_t size = payload_bytes(encoded).size;
    payload_drop(encoded);
    if (!r->options.reserve(r->options.host, size)) {
        return ST_NO_SPACE;
    }
    const enum status st =
        raft_propose_conf_change(r->raft, RAFT_ENTRY_CONF_CHANGE_V2, &cc);
    if (st != ST_OK) {
        r->options.unreserve(r->options.host, size);
    }
    return st;
}

static void drop_first_order(struct replica *r)
{
    buf_fini(&r->orders[0]);
    r->orders_count--;
    r->hands_on = false;
    memmove(r->orders, r->orders + 1, r->orders_count * sizeof r->orders[0]);
}

void replica_drop_orders(struct replica *r)
{
    while (r->orders_count > 0) {
        drop_first_order(r);
    }
    r->order_out = false;
}

/* True when one left the list. */
static bool lead_one(struct replica *r)
{
    struct membership_stamp stamp;
    struct membership_change changes[RAFT_CHANGES_MAX];
    size_t count = 0;
    const struct bytes command = buf_bytes(&r->orders[0]);
    enum status st = membership_decode(command, &stamp, changes, &count);
    must(st == ST_OK); /* it was, when it came */
    st = replica_judge(r, changes, count);
    if (st == ST_OK && replica_hands_on(r, changes, count)) {
        return false;
    }
    if (st == ST_OK) {
        st = propose(r, command, changes, count);
        if (st == ST_NO_LEADER || st == ST_TOO_MANY) {
            return false; /* the leadership is being handed on, or wait */
        }
    }
    if (st == ST_OK) {
        r->order_out = true;
        r->order_ticket = stamp.ticket;
        r->order_member = stamp.member;
    } else {
        refuse(r, command, st);
    }
    drop_first_order(r);
    return true;
}

/* Somebody else leads, perhaps: what is asked here goes there. */
static void pass_orders_on(struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    while (r->orders_count > 0) {
        const struct bytes command = buf_bytes(&r->orders[0]);
        const enum replica_passing how = replica_pass_on(r, &s, command);
        if (how == REPLICA_PASS_LATER) {
            break;
        }
        if (how == REPLICA_PASS_NOT) {
            refuse(r, command, ST_NO_LEADER);
        }
        drop_first_order(r);
    }
}

/* Not beside another change, which may be in what is not applied yet. */
static bool may_lead_one(const struct replica *r)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    return s.committed_in_term && s.applied >= s.hard.commit && !s.is_joint;
}

void replica_lead_orders(struct replica *r)
{
    const bool leads = raft_role(r->raft) == RAFT_LEADER;
    const uint64_t term = raft_term(r->raft);
    if (!leads && r->orders_count > 0) {
        pass_orders_on(r);
    }
    if (!leads || term != r->order_term) {
        r->order_out = false;
        r->order_term = term;
    }
    if (!leads || r->orders_count == 0 || !may_lead_one(r)) {
        return;
    }
    while (!r->order_out && r->orders_count > 0 && lead_one(r)) {
    }
}

/* --- saying who this member is --- */

static void published(struct kv_call *call)
{
    struct admin_members *m = container_of(call, struct admin_members, call);
    struct replica *r = container_of(m, struct replica, publish);
    r->publish_out = false; /* what failed is tried at the next tick */
}

void replica_publish(struct replica *r)
{
    const struct replica_options *o = &r->options;
    if (o->name == NULL || r->publish_out || r->stopped || r->removed ||
        !r->publish_due || replica_has_leader(r) != ST_OK) {
        return;
    }
    r->publish_due = false;
    if (r->membership->conf.voters_count == 0) {
        return; /* it waits for the state */
    }
    const struct membership_member *own =
        membership_find(r->membership, o->member_id);
    if (own == NULL || (own->started && strcmp(own->name, o->name) == 0 &&
                        strcmp(own->client_urls, o->client_urls) == 0)) {
        return;
    }
    r->publish_out = true;
    r->publish = (struct admin_members){.call = {.done = published},
                                        .op = ADMIN_MEMBER_UPDATE};
    replica_submit(r, &r->publish.call, PENDING_MEMBERS, true, ST_OK);
}
