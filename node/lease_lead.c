/* The leader's part: questions behind a confirmation, and expiry.
 *
 *   asked -> confirming -> (read index came and is applied) -> answered
 *                                                           -> waiting -> ...
 *
 * One confirmation at a time serves all questions that came before it and all
 * leases that ended before it.  A question waits for the log when its renewal
 * has to be recorded (lease_record.c), or when the lease is on its way out.
 */

#include "base/codec.h"
#include "base/log.h"
#include "base/must.h"
#include "node/replica_internal.h"

#define CONTEXT_SIZE 24
#define CONTEXT_TAG  UINT64_C(0x6c65617365730a01)
#define NS_PER_S     INT64_C(1000000000)

void lease_tick(struct replica *r)
{
    r->leases.budget = LEASE_REVOKES_TICK;
}

/* --- confirmations --- */

static bool any_expired(const struct replica *r)
{
    const struct leases *t = &r->leases;
    const struct heap_node *first = heap_first(&t->deadlines);
    return t->budget > 0 && t->revoking_count < LEASE_REVOKES_OUT &&
           first != NULL && first->at <= lease_now(r);
}

static void confirm(struct replica *r)
{
    struct leases *t = &r->leases;
    t->confirming_now = true;
    t->confirmed = false;
    t->confirm_from_ns = lease_now(r);
    t->confirm_retry_ns = r->clock.now_ns + LEASE_RETRY_NS;
    struct payload *context = payload_new(CONTEXT_SIZE);
    put_u64(context->data, r->options.seed);
    put_u64(context->data + 8, ++t->confirm_number);
    put_u64(context->data + 16, CONTEXT_TAG);
    /* Not taken: the same as no answer, asked again. */
    (void)!raft_read_index(r->raft, context);
    payload_drop(context);
}

/* A gap between turns in which this process cannot have run. */
static void note_time(struct replica *r)
{
    struct leases *t = &r->leases;
    const int64_t gap_ns = r->clock.now_ns - t->turn_ns;
    const int64_t long_ns = r->options.tick_ns * r->options.election_ticks;
    if (t->turn_ns != 0 && long_ns > 0 && gap_ns > long_ns) {
        t->pauses_ns += gap_ns;
    }
    t->turn_ns = r->clock.now_ns;
}

void lease_begin(struct replica *r)
{
    struct leases *t = &r->leases;
    note_time(r);
    lease_route(r);
    if (!t->leads) {
        return;
    }
    if (t->confirming_now) {
        if (!t->confirmed && r->clock.now_ns >= t->confirm_retry_ns) {
            confirm(r);
        }
        return;
    }
    if (!list_is_empty(&t->asked) || any_expired(r)) {
        list_splice(&t->confirming, &t->asked);
        confirm(r);
    }
}

bool lease_on_read_state(struct replica *r, const struct raft_read_state *state)
{
    struct leases *t = &r->leases;
    const struct bytes context = payload_bytes(state->context);
    if (context.size != CONTEXT_SIZE ||
        get_u64(context.data + 16) != CONTEXT_TAG) {
        return false;
    }
    if (t->confirming_now && get_u64(context.data) == r->options.seed &&
        get_u64(context.data + 8) == t->confirm_number) {
        t->confirmed = true;
        t->confirm_index = state->index;
    }
    return true;
}

/* --- questions --- */

static void answer(struct replica *r, struct lease_question *q)
{
    list_remove(&q->link);
    if (q->from == 0) {
        lease_complete(r, q);
    } else {
        lease_reply(r, q);
    }
}

static void answer_unknown(struct replica *r, struct lease_question *q)
{
    q->ttl_s = q->op == KV_LEASE_TTL ? -1 : 0;
    q->granted_ttl_s = 0;
    answer(r, q);
}

static void wait_for_log(struct replica *r, struct lease_question *q)
{
    list_remove(&q->link);
    list_push(&r->leases.waiting, &q->link);
}

static int64_t seconds_left(const struct replica *r, const struct lease *l)
{
    if (l->revoking || l->deadline.at <= lease_now(r)) {
        return 0;
    }
    return (l->deadline.at - lease_now(r)) / NS_PER_S;
}

static enum status consider(struct replica *r, struct lease_question *q,
                            struct fault *reterr)
{
    struct lease *l;
    const enum status st = lease_get(r, q->id, &l, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (l == NULL) {
        answer_unknown(r, q);
        return ST_OK;
    }
    q->granted_ttl_s = l->ttl_s;
    if (q->op == KV_LEASE_TTL) {
        q->ttl_s = seconds_left(r, l);
        answer(r, q);
        return ST_OK;
    }
    must(q->op == KV_LEASE_KEEPALIVE);
    q->ttl_s = l->ttl_s;
    if (l->revoking || l->deadline.at <= r->leases.confirm_from_ns) {
        wait_for_log(r, q); /* L3 */
        return ST_OK;
    }
    lease_renew(r, l, r->leases.confirm_from_ns);
    q->renewed = true;
    if (l->record == LEASE_FRESH) {
        answer(r, q);
    } else {
        wait_for_log(r, q); /* L2 */
    }
    return ST_OK;
}

/* Whoever waited for what was applied. */
static void answer_waiting(struct replica *r)
{
    struct leases *t = &r->leases;
    if (!t->waiting_due) {
        return;
    }
    t->waiting_due = false;
    struct list now; /* an answer may bring about anything but a new wait */
    list_init(&now);
    list_splice(&now, &t->waiting);
    while (!list_is_empty(&now)) {
        struct lease_question *q =
            container_of(now.next, struct lease_question, link);
        const struct lease *l = lease_known(r, q->id);
        if (l == NULL) {
            answer_unknown(r, q);
        } else if (q->renewed && !l->revoking && l->record == LEASE_FRESH) {
            answer(r, q);
        } else {
            wait_for_log(r, q);
        }
    }
}

/* --- expiry --- */

bool lease_propose(struct replica *r, struct payload **list, size_t count)
{
    size_t reserved = 0;
    bool taken = replica_leads(r) && (!store_is_full(r->store) || r->disk_full);
    while (taken && reserved < count) {
        taken = r->options.reserve(r->options.host, list[reserved]->size);
        reserved += taken ? 1 : 0;
    }
    if (taken) {
        taken = raft_propose(r->raft, list, count) == ST_OK;
    }
    for (size_t i = 0; !taken && i < reserved; i++) {
        r->options.unreserve(r->options.host, list[i]->size);
    }
    return taken;
}

/* Takes at most so many leases that ended before the confirmation was begun. */
static size_t take_expired(struct replica *r, struct lease **list, size_t max)
{
    struct leases *t = &r->leases;
    size_t count = 0;
    struct heap_node *first;
    while (count < max && (first = heap_first(&t->deadlines)) != NULL &&
           first->at <= t->confirm_from_ns) {
        heap_remove(&t->deadlines, first);
        list[count++] = container_of(first, struct lease, deadline);
    }
    return count;
}

static void expire(struct replica *r)
{
    struct leases *t = &r->leases;
    struct lease *list[LEASE_REVOKES_TICK];
    struct payload *commands[LEASE_REVOKES_TICK];
    const size_t out = t->revoking_count < LEASE_REVOKES_OUT
                           ? LEASE_REVOKES_OUT - t->revoking_count
                           : 0;
    must(t->budget <= LEASE_REVOKES_TICK);
    const size_t count =
        take_expired(r, list, t->budget < out ? t->budget : out);
    if (count == 0) {
        return;
    }
    const struct store_stamp stamp = {.time_ns = r->clock.wall_ns,
                                      .member = r->options.member_id};
    for (size_t i = 0; i < count; i++) {
        buf_clear(&r->command);
        store_encode_lease_revoke(&stamp, list[i]->id, t->term, &r->command);
        commands[i] = payload_copy_of(buf_bytes(&r->command));
    }
    const bool taken = lease_propose(r, commands, count);
    for (size_t i = 0; i < count; i++) {
        if (taken) {
            list[i]->revoking = true;
        } else {
            heap_push(&t->deadlines, &list[i]->deadline, list[i]->deadline.at);
        }
        payload_drop(commands[i]);
    }
    t->revoking_count += taken ? count : 0;
    t->budget -= taken ? (uint32_t)count : t->budget; /* the next tick again */
}

/* --- turns --- */

static enum status answer_confirmed(struct replica *r, struct fault *reterr)
{
    struct leases *t = &r->leases;
    if (!t->confirming_now || !t->confirmed ||
        store_applied_index(r->store) < t->confirm_index) {
        return ST_OK;
    }
    t->confirming_now = false;
    enum status st = ST_OK;
    struct list now; /* an answer may submit: that is the next one's */
    list_init(&now);
    list_splice(&now, &t->confirming);
    while (st == ST_OK && !list_is_empty(&now)) {
        st = consider(r, container_of(now.next, struct lease_question, link),
                      reterr);
    }
    list_splice(&t->confirming, &now); /* of a broken store: nobody answers */
    if (st == ST_OK) {
        expire(r);
    }
    return st;
}

/* L4; true when this member has just taken over. */
static bool keep_table(struct replica *r)
{
    struct leases *t = &r->leases;
    const uint64_t term = raft_term(r->raft);
    const bool is_leader = raft_role(r->raft) == RAFT_LEADER;
    if (t->leads && (!is_leader || term != t->term)) {
        lease_drop_table(r);
        t->confirming_now = false;
    }
    if (!is_leader) {
        lease_return_questions(r);
    }
    if (t->leads || !is_leader || store_applied_term(r->store) != term) {
        return false;
    }
    lease_take_over(r, term);
    return true;
}

enum status lease_turn(struct replica *r, bool *ret_more, struct fault *reterr)
{
    struct leases *t = &r->leases;
    *ret_more = keep_table(r) && !list_is_empty(&t->asked);
    if (t->leads) {
        enum status st = t->loaded ? ST_OK : lease_load(r, reterr);
        if (st == ST_OK) {
            st = answer_confirmed(r, reterr);
        }
        if (st != ST_OK) {
            return st;
        }
        answer_waiting(r);
        lease_checkpoint(r);
        *ret_more |= !t->loaded;
    }
    lease_send_replies(r);
    *ret_more |= lease_finish_answered(r) || raft_has_ready(r->raft);
    return ST_OK;
}

void lease_applied(struct replica *r, const struct store_outcome *outcome)
{
    struct leases *t = &r->leases;
    if (!t->leads) {
        return;
    }
    switch (outcome->lease_change) {
    case STORE_LEASE_NONE:
        break;
    case STORE_LEASE_GRANTED:
        lease_add(r, outcome->lease_id, outcome->lease_ttl_s);
        break;
    case STORE_LEASE_REVOKED: {
        struct lease *l = lease_known(r, outcome->lease_id);
        if (l != NULL) {
            lease_remove(r, l);
        }
        t->waiting_due = true;
        break;
    }
    case STORE_LEASE_CHECKPOINT:
        if (outcome->stamp.member == r->options.member_id) {
            lease_recorded(r, outcome->stamp.ticket);
        }
        break;
    }
}
