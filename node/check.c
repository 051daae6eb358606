/* Comparing members' states. */

#include "node/check.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/must.h"
#include "node/upkeep.h"
#include "store/hashes.h"

#define SECOND_NS INT64_C(1000000000)
#define EVERY_NS  (60 * SECOND_NS) /* etcd's --compact-hash-check-time */
#define ANSWER_NS (300 * SECOND_NS)

static void send(struct upkeep *u, uint64_t to, struct buf *frame)
{
    if (u->node->peers != NULL) {
        /* What is dropped is missing, as if its member were not there. */
        (void)peers_send_bulk(u->node->peers, to, frame);
    }
    buf_fini(frame);
}

/* --- who is asked --- */

static void answer(struct upkeep *u, enum status st, uint32_t hash)
{
    const struct check *c = &u->check;
    struct buf frame = {0};
    write_u8(&frame, CHECK_ANSWER);
    write_u64(&frame, c->asked_number);
    write_u8(&frame, st == ST_OK);
    write_u32(&frame, hash);
    send(u, c->asked_by, &frame);
}

static void asked_done(struct kv_call *call)
{
    struct admin_hash *hash = container_of(call, struct admin_hash, call);
    struct check *c = container_of(hash, struct check, asked);
    c->asked_out = false;
    if (call->status != ST_STOPPED) {
        answer(container_of(c, struct upkeep, check), call->status, hash->hash);
    }
}

static void on_ask(struct upkeep *u, uint64_t from, struct reader *r)
{
    struct check *c = &u->check;
    const uint64_t number = read_u64(r);
    const int64_t revision = (int64_t)read_u64(r);
    const uint64_t index = read_u64(r);
    if (!reader_done(r) || revision <= 0 || c->asked_out || u->node->broken) {
        return; /* busy with another question: that leader counts without us */
    }
    c->asked_out = true;
    c->asked_by = from;
    c->asked_number = number;
    c->asked =
        (struct admin_hash){.call = {.done = asked_done}, .revision = revision};
    upkeep_hash_state(u, &c->asked, index);
}

/* --- the leader --- */

static void tell(const struct check *c, enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_EQUAL:
        log_debug("the members' states agree at revision %lld",
                  (long long)c->revision);
        return;
    case VERDICT_UNDECIDED:
        log_warn("members' states differ at revision %lld; too few answered "
                 "to tell who is wrong",
                 (long long)c->revision);
        return;
    case VERDICT_WRONG:
        log_error("members' states differ at revision %lld",
                  (long long)c->revision);
        return;
    case VERDICT_NOBODY:
        log_error("members' states differ at revision %lld, and no majority "
                  "agrees: none of them is to be believed; stop them, compare "
                  "their data, and restore the cluster from a snapshot",
                  (long long)c->revision);
        return;
    }
}

static void judge(struct upkeep *u, int64_t now_ns)
{
    struct check *c = &u->check;
    c->asking = false;
    c->next_ns = now_ns + EVERY_NS;
    const enum verdict verdict = verdict_of(c->votes, c->votes_count);
    tell(c, verdict);
    c->due = verdict == VERDICT_UNDECIDED; /* again, with more of them */
}

static void vote(struct upkeep *u, uint64_t member, uint32_t hash)
{
    struct check *c = &u->check;
    bool all = true;
    for (size_t i = 0; i < c->votes_count; i++) {
        struct verdict_vote *v = &c->votes[i];
        if (v->member == member) {
            v->answered = true;
            v->hash = hash;
        }
        all = all && v->answered;
    }
    if (all && !c->own_out) {
        judge(u, loop_now_ns());
    }
}

static void own_done(struct kv_call *call)
{
    struct admin_hash *hash = container_of(call, struct admin_hash, call);
    struct check *c = container_of(hash, struct check, own);
    struct upkeep *u = container_of(c, struct upkeep, check);
    c->own_out = false;
    if (!c->asking) {
        return;
    }
    if (call->status == ST_OK) {
        vote(u, call->header.member_id, hash->hash);
    } else {
        c->asking = false; /* compacted further, or stopping */
    }
}

static void on_answer(struct upkeep *u, uint64_t from, struct reader *r)
{
    struct check *c = &u->check;
    const uint64_t number = read_u64(r);
    const bool ok = read_u8(r) == 1;
    const uint32_t hash = read_u32(r);
    if (reader_done(r) && ok && c->asking && number == c->number) {
        vote(u, from, hash);
    }
}

static void ask_all(struct upkeep *u, const struct kv_status *s, int64_t now_ns)
{
    struct check *c = &u->check;
    const uint64_t index = store_applied_index(u->node->store);
    c->asking = true;
    c->due = false;
    c->number++;
    c->until_ns = now_ns + ANSWER_NS;
    c->votes_count = 0;
    for (size_t i = 0; i < s->members_count && i < CHECK_MEMBERS_MAX; i++) {
        c->votes[c->votes_count++] =
            (struct verdict_vote){.member = s->members[i].id};
        if (s->members[i].is_self) {
            continue;
        }
        struct buf frame = {0};
        write_u8(&frame, CHECK_ASK);
        write_u64(&frame, c->number);
        write_u64(&frame, (uint64_t)c->revision);
        write_u64(&frame, index);
        send(u, s->members[i].id, &frame);
    }
    c->own_out = true;
    c->own = (struct admin_hash){.call = {.done = own_done},
                                 .revision = c->revision};
    upkeep_hash_state(u, &c->own, index);
}

/* --- alarms that follow --- */

static void alarm_done(struct kv_call *call)
{
    struct admin_alarm *alarm = container_of(call, struct admin_alarm, call);
    struct check *c = container_of(alarm, struct check, alarm);
    c->alarm_out = false;
    for (size_t i = 0; i < c->votes_count; i++) {
        if (c->votes[i].member == alarm->member && call->status == ST_OK) {
            c->votes[i].wrong = false; /* said */
        }
    }
}

/* One after the other, until all are up. */
static void raise_alarms(struct upkeep *u)
{
    struct check *c = &u->check;
    for (size_t i = 0; i < c->votes_count; i++) {
        if (c->votes[i].wrong && !c->alarm_out && !c->asking) {
            c->alarm_out = true;
            c->alarm = (struct admin_alarm){.call = {.done = alarm_done},
                                            .op = ADMIN_ALARM_RAISE,
                                            .member = c->votes[i].member,
                                            .type = ADMIN_ALARM_CORRUPT};
            replica_alarm(u->node->replica, &c->alarm);
        }
    }
}

/* --- */

void check_tick(struct upkeep *u, int64_t now_ns)
{
    struct check *c = &u->check;
    const int64_t compacted = store_compact_revision(u->node->store);
    if (!replica_leads(u->node->replica)) {
        c->asking = c->due = false;
        c->votes_count = 0;
        c->seen = compacted;
        return;
    }
    raise_alarms(u);
    if (c->asking && !c->own_out && now_ns >= c->until_ns) {
        judge(u, now_ns);
    }
    if (compacted > c->seen) {
        c->seen = compacted;
        c->due = compacted > 0;
    }
    if (!c->due || c->asking || c->own_out || now_ns < c->next_ns) {
        return;
    }
    struct kv_status s;
    kv_status(node_kv(u->node), &s);
    c->due = false;
    c->revision = compacted;
    if (s.members_count > 1) {
        ask_all(u, &s, now_ns);
    }
}

void check_on_frame(struct upkeep *u, uint64_t from, enum check_frame what,
                    struct bytes body)
{
    struct reader r = reader_of(body);
    if (what == CHECK_ASK) {
        on_ask(u, from, &r);
    } else if (what == CHECK_ANSWER) {
        on_answer(u, from, &r);
    }
}
