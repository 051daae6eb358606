/* The network: delays, losses, duplicates, reordering, partitions. */

#include <stdlib.h>

#include "base/must.h"
#include "tests/sim/internal.h"

struct flight {
    struct event event;
    struct list landed; /* kept for the next one */
    enum { FLIGHT_MESSAGE, FLIGHT_LEASE, FLIGHT_TOLD } kind;
    struct member *from; /* not always message.from: some are passed on */
    uint64_t to;
    bool is_lost;
    struct raft_message message;
    struct buf bytes; /* a snapshot's state, or the frame */
};

struct member *network_member(struct sim *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->members_count; i++) {
        if (id != 0 && s->members[i].id == id) {
            return &s->members[i];
        }
    }
    return NULL;
}

/* The host that sends a state always hears what became of it. */
void network_report(struct member *from, uint64_t to, bool ok)
{
    if (from->up) {
        replica_report_snapshot(from->replica, to, ok);
        member_turn(from);
    }
}

/* *ret_waits: what becomes of it is not known yet. */
static void deliver(struct flight *f, struct member *from, struct member *to,
                    bool *ret_waits)
{
    switch (f->kind) {
    case FLIGHT_MESSAGE:
        member_receive(to, from, &f->message, buf_bytes(&f->bytes), ret_waits);
        break;
    case FLIGHT_LEASE:
        member_receive_lease(to, from->id, buf_bytes(&f->bytes));
        break;
    case FLIGHT_TOLD:
        if (to->up && !to->paused && !to->broken) {
            replica_hear(to->replica, from->id, buf_bytes(&f->bytes));
            member_turn(to);
        }
        break;
    }
}

static bool knows_as_removed(const struct member *m, uint64_t id)
{
    return m->up && !m->paused && replica_has_left(m->replica, id);
}

static void arrive(struct sim *s, struct event *e)
{
    struct flight *f = container_of(e, struct flight, event);
    struct member *from = f->from;
    const uint64_t to_id = f->to;
    struct member *to = network_member(s, to_id);
    const bool is_state =
        f->kind == FLIGHT_MESSAGE && f->message.type == RAFT_MSG_SNAPSHOT;
    bool waits = false;
    bool arrives = to != NULL && !to->gone && !f->is_lost && !from->muted &&
                   !s->cut[from - s->members][to - s->members];
    if (!arrives) {
        sim_count(s, SIM_FAULT_DROP);
    } else if (knows_as_removed(to, from->id)) {
        arrives = false;
        membership_refuse(to, from);
    } else {
        deliver(f, from, to, &waits);
    }
    network_free(&f->event);
    if (is_state && !waits) {
        network_report(from, to_id, arrives);
    }
}

/* When a message arrives. A link is a stream: what is sent later arrives later,
 * but for some that take another way (a new connection overtakes an old one).
 * If every message were reordered, a window of appends would be refused again
 * and again: pipelining is made for streams. */
static int64_t arrival(struct sim *s, const struct member *from,
                       const struct member *to)
{
    int64_t at = s->now_ns + 100000 + (int64_t)prng_below(&s->prng, 2 * MS);
    if (!s->healed && prng_chance(&s->prng, 1, 50)) {
        sim_count(s, SIM_FAULT_REORDER);
        return at + (int64_t)prng_below(&s->prng, 300 * MS);
    }
    if (!s->healed && s->profile.slow_network && prng_chance(&s->prng, 1, 40)) {
        sim_count(s, SIM_FAULT_DELAY);
        return at + (int64_t)prng_below(&s->prng, 6000 * MS); /* from another
                                                                 term */
    }
    int64_t *last = &s->arrived[from - s->members][to - s->members];
    *last = at > *last ? at : *last + 1;
    return *last;
}

void network_free(struct event *e)
{
    struct flight *f = container_of(e, struct flight, event);
    raft_message_fini(&f->message);
    buf_fini(&f->bytes);
    list_push(&f->from->sim->landed, &f->landed);
}

static struct flight *new_flight(struct sim *s)
{
    struct list *old = list_pop(&s->landed);
    struct flight *f = old != NULL ? container_of(old, struct flight, landed)
                                   : xmalloc(sizeof *f);
    *f = (struct flight){.kind = FLIGHT_MESSAGE};
    return f;
}

void network_init(struct sim *s)
{
    list_init(&s->landed);
}

void network_fini(struct sim *s)
{
    for (struct list *l; (l = list_pop(&s->landed)) != NULL;) {
        free(container_of(l, struct flight, landed));
    }
}

static void start_flight(struct sim *s, struct flight *f)
{
    const struct member *to = network_member(s, f->to);
    sim_at(s, &f->event,
           to != NULL ? arrival(s, f->from, to) : s->now_ns + 10 * MS, arrive);
}

static void fly(struct sim *s, uint64_t from, struct raft_message *take)
{
    struct flight *f = new_flight(s);
    f->from = network_member(s, from);
    f->to = take->to;
    raft_message_take(&f->message, take);
    f->is_lost = f->message.type == RAFT_MSG_SNAPSHOT &&
                 !member_export(f->from, &f->message, &f->bytes);
    start_flight(s, f);
}

void network_send(struct sim *s, uint64_t from, struct raft_message *take)
{
    const bool is_state = take->type == RAFT_MSG_SNAPSHOT;
    const uint64_t arrive_of = s->profile.lossy_network ? 6 : 40;
    if (!s->healed && !is_state && prng_chance(&s->prng, 1, arrive_of)) {
        sim_count(s, SIM_FAULT_DROP);
        raft_message_fini(take);
        return;
    }
    /* A forwarded proposal is the one message that must not come twice: it
     * would be two entries.  The peers' streams send nothing again. */
    if (!s->healed && take->type != RAFT_MSG_PROPOSE &&
        prng_chance(&s->prng, 1, 60)) {
        sim_count(s, SIM_FAULT_DUPLICATE);
        struct raft_message twice = {0};
        raft_message_hold(&twice, take);
        fly(s, from, &twice);
    }
    fly(s, from, take);
}

static void fly_frame(struct sim *s, int kind, uint64_t from, uint64_t to,
                      struct bytes frame)
{
    struct flight *f = new_flight(s);
    f->kind = kind;
    f->from = network_member(s, from);
    f->to = to;
    buf_append(&f->bytes, frame);
    start_flight(s, f);
}

/* Asked again when it is lost; twice or late does no harm. */
void network_send_lease(struct sim *s, uint64_t from, uint64_t to,
                        struct buf *take)
{
    const uint64_t arrive_of = s->profile.lossy_network ? 6 : 40;
    const bool lost = !s->healed && prng_chance(&s->prng, 1, arrive_of);
    const bool twice = !s->healed && prng_chance(&s->prng, 1, 60);
    if (lost || twice) {
        sim_count(s, lost ? SIM_FAULT_DROP : SIM_FAULT_DUPLICATE);
    }
    for (int i = lost ? 2 : twice ? 0 : 1; i < 2; i++) {
        fly_frame(s, FLIGHT_LEASE, from, to, buf_bytes(take));
    }
}

bool network_tell(void *member, uint64_t to, struct buf *take)
{
    struct member *m = member;
    const bool lost = !m->sim->healed && prng_chance(&m->sim->prng, 1, 40);
    if (lost) {
        sim_count(m->sim, SIM_FAULT_DROP);
    } else {
        fly_frame(m->sim, FLIGHT_TOLD, m->id, to, buf_bytes(take));
    }
    buf_fini(take);
    return true;
}

bool network_is_cut(const struct sim *s, const struct member *from,
                    const struct member *to)
{
    return s->cut[from - s->members][to - s->members];
}

bool network_is_whole(const struct sim *s)
{
    for (uint32_t a = 0; a < MEMBERS_MAX; a++) {
        for (uint32_t b = 0; b < MEMBERS_MAX; b++) {
            if (s->cut[a][b]) {
                return false;
            }
        }
    }
    return true;
}

int64_t network_connected_ms(void *member, uint64_t to)
{
    const struct member *m = member;
    const struct sim *s = m->sim;
    const struct member *other = network_member(m->sim, to);
    if (other == NULL || !other->up || network_is_cut(s, m, other) ||
        network_is_cut(s, other, m)) {
        return -1;
    }
    int64_t since = s->linked_ns[m - s->members][other - s->members];
    const int64_t back = s->linked_ns[other - s->members][m - s->members];
    since = back > since ? back : since;
    since = m->up_since_ns > since ? m->up_since_ns : since;
    since = other->up_since_ns > since ? other->up_since_ns : since;
    return (s->now_ns - since) / MS;
}

static void set_cut(struct sim *s, uint32_t from, uint32_t to, bool cut)
{
    if (s->cut[from][to] && !cut) {
        s->linked_ns[from][to] = s->now_ns;
    }
    s->cut[from][to] = cut;
}

void network_heal(struct sim *s)
{
    for (uint32_t a = 0; a < MEMBERS_MAX; a++) {
        for (uint32_t b = 0; b < MEMBERS_MAX; b++) {
            set_cut(s, a, b, false);
        }
    }
}

/* Splits in two, isolates one, cuts one direction only, or leaves one between
 * two sides that hear of each other through it alone. */
void network_partition(struct sim *s)
{
    static const enum sim_fault names[] = {
        SIM_FAULT_PARTITION_SIDES, SIM_FAULT_PARTITION_ALONE,
        SIM_FAULT_PARTITION_ONE_WAY, SIM_FAULT_PARTITION_BRIDGE};
    const uint32_t n = s->members_count;
    const uint64_t kind = prng_below(&s->prng, n < 3 ? 3 : 4);
    const uint32_t side = (uint32_t)prng_below(&s->prng, 1u << n);
    const uint32_t one = member_number(sim_pick(s, &s->prng)) - 1;
    for (uint32_t a = 0; a < MEMBERS_MAX; a++) {
        for (uint32_t b = 0; b < MEMBERS_MAX; b++) {
            const bool apart = ((side >> a) & 1) != ((side >> b) & 1);
            set_cut(s, a, b,
                    kind == 0   ? apart
                    : kind == 1 ? (a == one) != (b == one)
                    : kind == 2 ? a == one && b != one
                                : apart && a != one && b != one);
        }
    }
    sim_count(s, names[kind]);
    sim_note(s, "partition kind %u side %x one %u", (unsigned)kind, side, one);
}
