/* The network: delays, losses, duplicates, reordering, partitions. */

#include <stdlib.h>

#include "base/must.h"
#include "tests/sim/internal.h"

struct flight {
    struct event event;
    uint64_t sender; /* not always message.from: some are passed on */
    struct raft_message message;
    struct buf state;  /* of a snapshot */
    uint64_t lease_to; /* a frame about leases, in `state`; 0: a message */
};

static struct member *member_of(struct sim *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->options.members; i++) {
        if (s->members[i].id == id) {
            return &s->members[i];
        }
    }
    return NULL;
}

/* The host that sends a state always hears what became of it. */
static void report(struct member *from, uint64_t to, bool ok)
{
    if (from->up) {
        replica_report_snapshot(from->replica, to, ok);
        member_turn(from);
    }
}

static void arrive_lease(struct sim *s, struct flight *f)
{
    struct member *to = member_of(s, f->lease_to);
    const struct member *from = member_of(s, f->sender);
    if (s->cut[from - s->members][to - s->members]) {
        sim_count(s, SIM_FAULT_DROP);
    } else {
        member_receive_lease(to, f->sender, buf_bytes(&f->state));
    }
    buf_fini(&f->state);
    free(f);
}

static void arrive(struct sim *s, struct event *e)
{
    struct flight *f = container_of(e, struct flight, event);
    if (f->lease_to != 0) {
        arrive_lease(s, f);
        return;
    }
    struct member *to = member_of(s, f->message.to);
    struct member *from = member_of(s, f->sender);
    must(to != NULL && from != NULL);
    const bool is_state = f->message.type == RAFT_MSG_SNAPSHOT;
    const bool is_cut = s->cut[from - s->members][to - s->members];
    if (is_cut) {
        sim_count(s, SIM_FAULT_DROP);
        raft_message_fini(&f->message);
    } else {
        member_receive(to, &f->message, buf_bytes(&f->state));
    }
    buf_fini(&f->state);
    free(f);
    if (is_state) {
        report(from, to->id, !is_cut);
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
    buf_fini(&f->state);
    free(f);
}

static void fly(struct sim *s, uint64_t from, struct raft_message *take)
{
    struct flight *f = xcalloc(1, sizeof *f);
    f->sender = from;
    raft_message_take(&f->message, take);
    struct member *m = member_of(s, from);
    if (f->message.type == RAFT_MSG_SNAPSHOT &&
        !member_export(m, &f->message, &f->state)) {
        network_free(&f->event);
        return;
    }
    const struct member *to = member_of(s, f->message.to);
    must(to != NULL);
    sim_at(s, &f->event, arrival(s, m, to), arrive);
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

static void fly_lease(struct sim *s, uint64_t from, uint64_t to,
                      struct bytes frame)
{
    struct flight *f = xcalloc(1, sizeof *f);
    f->sender = from;
    f->lease_to = to;
    buf_append(&f->state, frame);
    sim_at(s, &f->event, arrival(s, member_of(s, from), member_of(s, to)),
           arrive);
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
        fly_lease(s, from, to, buf_bytes(take));
    }
}

void network_heal(struct sim *s)
{
    memset(s->cut, 0, sizeof s->cut);
}

/* Splits in two, isolates one, or cuts one direction only. */
void network_partition(struct sim *s)
{
    network_heal(s);
    const uint32_t n = s->options.members;
    const uint64_t kind = prng_below(&s->prng, 3);
    const uint32_t side = (uint32_t)prng_below(&s->prng, 1u << n);
    const uint32_t one = (uint32_t)prng_below(&s->prng, n);
    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t b = 0; b < n; b++) {
            s->cut[a][b] = kind == 0   ? ((side >> a) & 1) != ((side >> b) & 1)
                           : kind == 1 ? (a == one) != (b == one)
                                       : a == one && b != one;
        }
    }
    sim_count(s, kind == 0   ? SIM_FAULT_PARTITION_SIDES
                 : kind == 1 ? SIM_FAULT_PARTITION_ALONE
                             : SIM_FAULT_PARTITION_ONE_WAY);
    sim_note(s, "partition kind %u side %x one %u", (unsigned)kind, side, one);
}
