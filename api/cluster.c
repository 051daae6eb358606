/* etcdserverpb.Cluster (etcd-surface 1.8). */

#include <stdlib.h>

#include "api/internal.h"
#include "proto/kv_response.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire.h"

/* --- answers --- */

static void add_member(struct buf *b, uint32_t field,
                       const struct admin_member *m)
{
    const size_t mark = wire_begin(b, field);
    wire_add_number(b, 1, m->id);
    wire_add_bytes(b, 2, m->name);
    for (size_t i = 0; i < m->peer_urls_count; i++) {
        wire_add_element(b, 3, m->peer_urls[i]);
    }
    for (size_t i = 0; i < m->client_urls_count; i++) {
        wire_add_element(b, 4, m->client_urls[i]);
    }
    wire_add_number(b, 5, m->is_learner);
    wire_end(b, mark);
}

/* Of members no revision is told. */
static void add_header(struct buf *b, const struct kv_call *call)
{
    struct kv_header h = call->header;
    h.revision = 0;
    kv_response_header(b, &h);
}

static void changed(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, members.call);
    if (!api_call_back(c)) {
        return;
    }
    struct buf *b = api_begin(c);
    add_header(b, call);
    const bool is_add = c->members.op == ADMIN_MEMBER_ADD;
    if (is_add) {
        add_member(b, 2, &c->members.member);
    }
    for (size_t i = 0; i < c->members.members_count; i++) {
        add_member(b, is_add ? 3 : 2, &c->members.members[i]);
    }
    api_send_end(c);
}

static void submit(struct api_call *c)
{
    if (api_submit_admin(c, &c->members.call, changed)) {
        admin_members(c->api->admin, &c->members);
    }
}

/* --- requests --- */

/* The URLs as bytes; false: they are none, and the call is over. */
static bool take_urls(struct api_call *c, char *const *texts, size_t count)
{
    bool good = count > 0 && count <= ADMIN_URLS_MAX;
    struct bytes *urls = xcalloc(ADMIN_URLS_MAX, sizeof *urls);
    c->own = urls;
    c->free_own = free;
    for (size_t i = 0; i < count && good; i++) {
        urls[i] = bytes_of(texts[i]);
        good = api_url_is_peer(urls[i]);
    }
    if (!good) {
        api_fail_status(c, ST_MEMBER_BAD_URLS);
        return false;
    }
    c->members.peer_urls = urls;
    c->members.peer_urls_count = count;
    return true;
}

void api_member_add(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__MemberAddRequest *q =
        api_unpack(c, &etcdserverpb__member_add_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    c->members = (struct admin_members){.op = ADMIN_MEMBER_ADD,
                                        .is_learner = q->islearner};
    if (take_urls(c, q->peerurls, q->n_peerurls)) {
        submit(c);
    }
}

void api_member_remove(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__MemberRemoveRequest *q = api_unpack(
        c, &etcdserverpb__member_remove_request__descriptor, message);
    if (q != NULL) {
        c->members =
            (struct admin_members){.op = ADMIN_MEMBER_REMOVE, .id = q->id};
        submit(c);
    }
}

void api_member_update(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__MemberUpdateRequest *q = api_unpack(
        c, &etcdserverpb__member_update_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    c->members = (struct admin_members){.op = ADMIN_MEMBER_UPDATE, .id = q->id};
    if (take_urls(c, q->peerurls, q->n_peerurls)) {
        submit(c);
    }
}

void api_member_promote(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__MemberPromoteRequest *q = api_unpack(
        c, &etcdserverpb__member_promote_request__descriptor, message);
    if (q != NULL) {
        c->members =
            (struct admin_members){.op = ADMIN_MEMBER_PROMOTE, .id = q->id};
        submit(c);
    }
}

void api_member_list(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__MemberListRequest *q =
        api_unpack(c, &etcdserverpb__member_list_request__descriptor, message);
    if (q != NULL) {
        c->members = (struct admin_members){.op = ADMIN_MEMBER_LIST,
                                            .linearizable = q->linearizable};
        submit(c);
    }
}

/* --- keelfspb: several changes at once, which etcd has no request for ---
 *
 *   message MemberChangeRequest { repeated Change changes = 1; }
 *   message Change { uint32 op = 1 (1 add, 2 remove, 3 promote); uint64 ID = 2;
 *                    repeated string peerURLs = 3; bool isLearner = 4; }
 *   answer as MemberListResponse: header = 1, members = 2
 */

struct several {
    struct admin_member_change changes[ADMIN_MEMBER_CHANGES_MAX];
    struct bytes urls[ADMIN_MEMBER_CHANGES_MAX][ADMIN_URLS_MAX];
    size_t count;
};

/* False: it is not such a message, or says what cannot be. */
static bool read_change(struct several *s, struct bytes message)
{
    static const enum admin_member_op ops[] = {[1] = ADMIN_MEMBER_ADD,
                                               [2] = ADMIN_MEMBER_REMOVE,
                                               [3] = ADMIN_MEMBER_PROMOTE};
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    struct admin_member_change *change = &s->changes[s->count];
    struct bytes *urls = s->urls[s->count];
    uint64_t op = 0;
    *change = (struct admin_member_change){.peer_urls = urls};
    while (wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            op = f.value;
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            change->id = f.value;
        } else if (f.number == 4 && f.type == WIRE_VARINT) {
            change->is_learner = f.value != 0;
        } else if (f.number == 3 && f.type == WIRE_BYTES) {
            if (change->peer_urls_count == ADMIN_URLS_MAX ||
                !api_url_is_peer(f.bytes)) {
                return false;
            }
            urls[change->peer_urls_count++] = f.bytes;
        }
    }
    if (r.failed || op == 0 || op >= count_of(ops)) {
        return false;
    }
    change->op = ops[op];
    s->count++;
    return (change->op == ADMIN_MEMBER_ADD) == (change->peer_urls_count > 0);
}

void api_member_change(struct api_call *c, struct bytes message)
{
    struct several *s = xcalloc(1, sizeof *s);
    struct wire_reader r = wire_reader_of(api_keep(c, message));
    struct wire_field f;
    bool good = true;
    c->own = s;
    c->free_own = free;
    while (good && wire_next(&r, &f)) {
        good = f.number == 1 && f.type == WIRE_BYTES &&
               s->count < ADMIN_MEMBER_CHANGES_MAX && read_change(s, f.bytes);
    }
    if (!good || r.failed || s->count == 0) {
        api_fail(c, (struct api_error){GRPC_INVALID_ARGUMENT,
                                       "keelfs: these are no changes of "
                                       "members: at most 16, each adds URLs, "
                                       "or removes or promotes a member"});
        return;
    }
    c->members = (struct admin_members){.op = ADMIN_MEMBER_CHANGE,
                                        .changes = s->changes,
                                        .changes_count = s->count};
    submit(c);
}
