/* Questions to the leader from elsewhere: frames of a kind of their own.
 *
 *   0x00 0x01  then for each question: varint number, u8 op, svarint id
 *   0x00 0x02  varint applied index, then for each answer: varint number,
 *              svarint ttl, svarint granted ttl
 *
 * (No raft message begins with a zero byte.)  All questions of a turn share a
 * frame.  Asking twice does no harm, so what is not answered in time is asked
 * again, at once when there is another leader; the call's own deadline ends
 * that.  An answer counts when as much is applied here as was at the leader.
 */

#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"
#include "node/replica_internal.h"

#define FRAME_QUESTIONS_MAX 4096

enum { FRAME = 0, QUESTIONS = 1, ANSWERS = 2 };

/* To one member, while a turn lasts. */
struct lease_replies {
    struct list link;
    uint64_t to;
    struct buf body;
};

static struct lease_question *question_of(struct list *link)
{
    return container_of(link, struct lease_question, link);
}

static void send(struct replica *r, uint64_t to, struct buf *take)
{
    if (r->options.send_lease != NULL) {
        r->options.send_lease(r->options.host, to, take);
    }
    buf_fini(take);
    *take = (struct buf){0};
}

/* --- ours --- */

static void ask(struct replica *r, uint64_t leader)
{
    struct leases *t = &r->leases;
    if (list_is_empty(&t->forwarded)) {
        t->forward_retry_ns = r->clock.now_ns + LEASE_RETRY_NS;
    }
    t->forward_to = leader;
    while (!list_is_empty(&t->queued)) {
        struct buf frame = {0};
        write_u8(&frame, FRAME);
        write_u8(&frame, QUESTIONS);
        for (size_t i = 0;
             i < FRAME_QUESTIONS_MAX && !list_is_empty(&t->queued); i++) {
            struct lease_question *q = question_of(list_pop(&t->queued));
            write_varint(&frame, q->number);
            write_u8(&frame, (uint8_t)q->op);
            write_svarint(&frame, q->id);
            list_push(&t->forwarded, &q->link);
        }
        send(r, leader, &frame);
    }
}

void lease_route(struct replica *r)
{
    struct leases *t = &r->leases;
    if (list_is_empty(&t->queued) && list_is_empty(&t->forwarded)) {
        return;
    }
    const uint64_t leader = raft_leader(r->raft);
    if (!list_is_empty(&t->forwarded) &&
        (leader != t->forward_to || r->clock.now_ns >= t->forward_retry_ns)) {
        list_splice(&t->forwarded, &t->queued); /* these are older */
        list_splice(&t->queued, &t->forwarded);
    }
    if (leader == r->options.member_id) {
        list_splice(&t->asked, &t->queued);
    } else if (leader != RAFT_NONE && !list_is_empty(&t->queued)) {
        ask(r, leader);
    }
}

static void take_answers(struct replica *r, struct reader *in)
{
    const uint64_t index = read_varint(in);
    while (in->left.size > 0) {
        const uint64_t number = read_varint(in);
        const int64_t ttl_s = read_svarint(in);
        const int64_t granted_ttl_s = read_svarint(in);
        if (!reader_ok(in)) {
            return;
        }
        struct pending *p = pending_find(&r->pending, number);
        if (p == NULL || p->place != PENDING_ASKING ||
            p->kind != PENDING_LEASE) {
            continue; /* it gave up, or was answered before */
        }
        struct lease_question *q = &p->question;
        q->ttl_s = ttl_s;
        q->granted_ttl_s = granted_ttl_s;
        q->index = index;
        list_remove(&q->link);
        list_push(&r->leases.answered, &q->link);
    }
}

bool lease_finish_answered(struct replica *r)
{
    struct leases *t = &r->leases;
    bool any = false;
    struct list now; /* done() may cancel any of them */
    list_init(&now);
    list_splice(&now, &t->answered);
    while (!list_is_empty(&now)) {
        struct lease_question *q = question_of(list_pop(&now));
        if (q->index > store_applied_index(r->store)) {
            list_push(&t->answered, &q->link);
        } else {
            lease_complete(r, q);
            any = true;
        }
    }
    return any;
}

/* --- others' --- */

static void forget(struct replica *r, struct lease_question *q)
{
    must(q->from != 0 && r->leases.asked_count > 0);
    r->leases.asked_count--;
    list_remove(&q->link);
    free(q);
}

static void return_list(struct replica *r, struct list *from)
{
    struct list *link;
    while ((link = list_pop(from)) != NULL) {
        struct lease_question *q = question_of(link);
        if (q->from != 0) {
            forget(r, q);
        } else {
            q->renewed = false;
            list_push(&r->leases.queued, &q->link);
        }
    }
}

void lease_return_questions(struct replica *r)
{
    return_list(r, &r->leases.waiting);
    return_list(r, &r->leases.confirming);
    return_list(r, &r->leases.asked);
}

static void take_questions(struct replica *r, uint64_t from, struct reader *in)
{
    struct leases *t = &r->leases;
    while (in->left.size > 0 && t->asked_count < LEASE_ASKED_MAX) {
        const uint64_t number = read_varint(in);
        const uint8_t op = read_u8(in);
        const int64_t id = read_svarint(in);
        if (!reader_ok(in) ||
            (op != KV_LEASE_KEEPALIVE && op != KV_LEASE_TTL)) {
            return;
        }
        struct lease_question *q = xmalloc(sizeof *q);
        *q = (struct lease_question){.from = from,
                                     .number = number,
                                     .op = (enum kv_lease_op)op,
                                     .id = id};
        list_init(&q->link);
        list_push(&t->asked, &q->link);
        t->asked_count++;
    }
}

void lease_reply(struct replica *r, struct lease_question *q)
{
    struct leases *t = &r->leases;
    struct lease_replies *replies = NULL;
    list_each (link, &t->replies) {
        struct lease_replies *at =
            container_of(link, struct lease_replies, link);
        replies = at->to == q->from ? at : replies;
    }
    if (replies == NULL) {
        replies = xcalloc(1, sizeof *replies);
        replies->to = q->from;
        list_init(&replies->link);
        list_push(&t->replies, &replies->link);
    }
    write_varint(&replies->body, q->number);
    write_svarint(&replies->body, q->ttl_s);
    write_svarint(&replies->body, q->granted_ttl_s);
    forget(r, q);
}

void lease_send_replies(struct replica *r)
{
    struct list *link;
    while ((link = list_pop(&r->leases.replies)) != NULL) {
        struct lease_replies *replies =
            container_of(link, struct lease_replies, link);
        struct buf frame = {0};
        write_u8(&frame, FRAME);
        write_u8(&frame, ANSWERS);
        write_varint(&frame, store_applied_index(r->store));
        buf_append(&frame, buf_bytes(&replies->body));
        send(r, replies->to, &frame);
        buf_fini(&replies->body);
        free(replies);
    }
}

void lease_forget_replies(struct replica *r)
{
    struct list *link;
    while ((link = list_pop(&r->leases.replies)) != NULL) {
        struct lease_replies *replies =
            container_of(link, struct lease_replies, link);
        buf_fini(&replies->body);
        free(replies);
    }
}

void replica_receive_lease(struct replica *r, uint64_t from, struct bytes frame)
{
    struct reader in = reader_of(frame);
    const uint8_t zero = read_u8(&in);
    const uint8_t what = read_u8(&in);
    if (!reader_ok(&in) || zero != FRAME || from == 0 ||
        from == r->options.member_id) {
        return;
    }
    if (what == QUESTIONS && replica_leads(r)) {
        take_questions(r, from, &in);
    } else if (what == ANSWERS) {
        take_answers(r, &in);
    }
}
