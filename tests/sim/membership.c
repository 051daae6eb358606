/* Members that come and go while everything else goes on: an operator, who
 * wants one thing at a time and asks for it, through the same calls as
 * etcdctl's, until a list of the members says that it is so.
 *
 *   somebody comes   as a learner, promoted or not, or as a voter at once
 *   somebody goes    any, the leader too
 *   both             one is replaced: one that is well, or one whose data is
 *                    lost, which must not come back as who it was; in two steps
 *                    or in one, through a joint configuration
 *   leadership       is handed over
 *
 * Within the fault model: the operator loses a member's data only when all that
 * was asked for is done, a quorum stays without it, and no other lacks what it
 * had promised; and asks for nothing else before that member is out. */

#include <stdlib.h>

#include "base/codec.h"
#include "base/hmap.h"
#include "base/must.h"
#include "node/join.h"
#include "node/replica_internal.h"
#include "tests/sim/internal.h"

#define VOTERS_MAX 5
#define LISTED_MAX 32

/* One member as the last list had it. */
struct listed {
    uint64_t id;
    bool is_learner, started;
    char url[48];
};

struct steward {
    struct sim *sim;
    struct prng prng; /* its own: runs without changes stay what they are */
    struct event next;
    bool busy; /* with one of: */
    struct admin_members call;
    struct admin_move_leader move;
    char url[48]; /* in call */
    struct bytes urls[1];

    struct listed list[LISTED_MAX];
    size_t count;
    bool is_listed; /* and nothing was asked for since */

    /* What is wanted: all false and NULL when nothing is. */
    struct member *comer, *leaver;
    bool as_learner, promote, jointly;
    bool was_leader, may_have_happened;
    int64_t wanted_ns;
    uint64_t applied_then; /* when a promotion was first asked for */
    struct member *spare;  /* was to come, and nobody heard of it */
};

static void act(struct sim *s, struct event *e);

static void url_of(const struct member *m, char to[48])
{
    (void)snprintf(to, 48, "http://%s:2380", m->name);
}

static const struct listed *find(const struct steward *o,
                                 const struct member *m)
{
    char url[48];
    url_of(m, url);
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->list[i].url, url) == 0) {
            return &o->list[i];
        }
    }
    return NULL;
}

static size_t voters(const struct steward *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++) {
        n += !o->list[i].is_learner;
    }
    return n;
}

static bool wants(const struct steward *o)
{
    return o->comer != NULL || o->leaver != NULL;
}

static struct member *leader(struct sim *s)
{
    for (uint32_t i = 0; i < s->members_count; i++) {
        if (s->members[i].up && replica_leads(s->members[i].replica)) {
            return &s->members[i];
        }
    }
    return NULL;
}

/* --- coming --- */

static void new_member(struct sim *s, struct member **ret)
{
    *ret = &s->members[s->members_count];
    member_init(s, s->members_count++);
    (*ret)->gone = true; /* until it is in */
    (*ret)->joins = true;
}

/* All who can be reached are asked; false: nobody can. */
static bool ask_around(struct member *m, struct join_result *ret)
{
    struct sim *s = m->sim;
    *ret = (struct join_result){0};
    for (uint32_t i = 0; i < s->members_count; i++) {
        const struct member *by = &s->members[i];
        if (by == m || !by->up || by->paused || network_is_cut(s, m, by) ||
            network_is_cut(s, by, m)) {
            continue;
        }
        struct join_result one = {.cluster_id = 1,
                                  .member_id = by->id,
                                  .members = xmalloc(sizeof *one.members)};
        replica_tell_members(by->replica, one.members);
        join_take_answer(ret, &one);
    }
    return ret->answered_count > 0;
}

/* As a first start with --initial-cluster-state=existing (node/join.c). */
static void join(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, join);
    char url[48];
    struct fault fault;
    struct join_result who;
    url_of(m, url);
    const enum status st =
        ask_around(m, &who) ? join_take_place(&who, url, &fault) : ST_NOT_FOUND;
    if (st != ST_OK) {
        free(who.members);
        if (m->id == 0 || st == ST_NOT_FOUND) {
            sim_at(s, e, s->now_ns + 200 * MS, join); /* not yet, then */
        } else {
            sim_count(s, SIM_FAULT_RETURN_REFUSED);
            sim_note(s, "%u is refused", member_number(m));
        }
        return;
    }
    sim_note(s, "%u joins as %llx", member_number(m),
             (unsigned long long)who.member_id);
    free(m->first);
    m->first = who.members;
    m->returns = m->id != 0;
    m->id = who.member_id;
    m->gone = false;
    m->joins = true;
    m->seen = 0;
    member_start(m);
}

/* --- going --- */

static void leave(struct member *m)
{
    sim_note(m->sim, "%u was removed and ends", member_number(m));
    heap_remove(&m->sim->events, &m->restart.at);
    heap_remove(&m->sim->events, &m->doom.at);
    member_end(m);
}

bool membership_turned_away(struct member *m, enum status st)
{
    if (st != ST_INVALID || !m->returns) {
        return false;
    }
    sim_count(m->sim, SIM_FAULT_RETURN_REFUSED);
    sim_note(m->sim, "%u finds out who it was, and ends", member_number(m));
    heap_remove(&m->sim->events, &m->restart.at);
    heap_remove(&m->sim->events, &m->doom.at);
    if (m->up) {
        member_end(m);
    }
    m->gone = true;
    return true;
}

void membership_refuse(struct member *by, struct member *m)
{
    if (m->up && !m->paused) {
        sim_note(m->sim, "%u is told by %u", member_number(m),
                 member_number(by));
        leave(m);
        aim_at_teller(by);
    }
}

/* As the peers' links, which are made anew now and then. */
void membership_tick(struct member *m)
{
    struct sim *s = m->sim;
    for (uint32_t i = 0; i < s->members_count; i++) {
        struct member *by = &s->members[i];
        if (m->up && !m->paused && by != m && by->up && !by->paused &&
            !network_is_cut(s, m, by) && !network_is_cut(s, by, m) &&
            replica_has_left(by->replica, m->id)) {
            membership_refuse(by, m);
        }
    }
}

/* --- asking --- */

static void again(struct steward *o)
{
    sim_at(o->sim, &o->next,
           o->sim->now_ns + 10 * MS + (int64_t)prng_below(&o->prng, 200 * MS),
           act);
}

static void note_change(struct steward *o, enum sim_fault what)
{
    sim_count(o->sim, what);
    if (!network_is_whole(o->sim)) {
        sim_count(o->sim, SIM_FAULT_CHANGE_IN_PARTITION);
    }
}

static void take_list(struct steward *o)
{
    const struct admin_members *c = &o->call;
    must(c->members_count <= LISTED_MAX);
    o->count = c->members_count;
    for (size_t i = 0; i < o->count; i++) {
        const struct admin_member *m = &c->members[i];
        struct listed *to = &o->list[i];
        *to = (struct listed){.id = m->id,
                              .is_learner = m->is_learner,
                              .started = m->name.size > 0};
        (void)snprintf(to->url, sizeof to->url, "%.*s",
                       (int)m->peer_urls[0].size,
                       (const char *)m->peer_urls[0].data);
    }
    o->is_listed = true;
}

/* The leader said that it was in sync. */
static void check_promoted(struct steward *o)
{
    const uint64_t has = safety_durable(o->comer);
    if (10 * has < 9 * o->applied_then) {
        sim_fail(o->sim,
                 "member %u was promoted with the log up to %llu, where %llu "
                 "was applied long before",
                 member_number(o->comer), (unsigned long long)has,
                 (unsigned long long)o->applied_then);
    }
}

static void done(struct kv_call *call)
{
    struct steward *o = container_of(call, struct steward, call.call);
    static const char *const names[] = {"list",   "add",     "remove",
                                        "update", "promote", "change"};
    o->busy = false;
    sim_note(o->sim, "operator: %s: %s", names[o->call.op],
             status_name(call->status));
    again(o);
    if (call->status == ST_TIMEOUT || call->status == ST_STOPPED) {
        o->may_have_happened |= o->call.op != ADMIN_MEMBER_LIST;
    }
    if (call->status != ST_OK) {
        return;
    }
    switch (o->call.op) {
    case ADMIN_MEMBER_LIST:
        take_list(o);
        break;
    case ADMIN_MEMBER_ADD:
        o->may_have_happened = true;
        note_change(o, o->call.is_learner ? SIM_FAULT_LEARNER_ADDED
                                          : SIM_FAULT_MEMBER_ADDED);
        break;
    case ADMIN_MEMBER_REMOVE:
        o->may_have_happened = true;
        note_change(o, SIM_FAULT_MEMBER_REMOVED);
        if (o->was_leader) {
            sim_count(o->sim, SIM_FAULT_LEADER_REMOVED);
        }
        break;
    case ADMIN_MEMBER_PROMOTE:
        note_change(o, SIM_FAULT_LEARNER_PROMOTED);
        check_promoted(o);
        break;
    case ADMIN_MEMBER_UPDATE:
    case ADMIN_MEMBER_CHANGE:
        break;
    }
}

static void ask(struct steward *o, enum admin_member_op op, uint64_t id,
                const struct member *comer)
{
    struct sim *s = o->sim;
    struct member *at = sim_pick(s, &o->prng);
    if (!at->up || at->paused) {
        again(o);
        return;
    }
    o->busy = true;
    o->is_listed = false;
    o->call =
        (struct admin_members){.call = {.done = done, .timeout_ms = 4000},
                               .op = op,
                               .id = id,
                               .is_learner = comer != NULL && o->as_learner,
                               .linearizable = true};
    if (comer != NULL) {
        url_of(comer, o->url);
        o->urls[0] = bytes_of(o->url);
        o->call.peer_urls = o->urls;
        o->call.peer_urls_count = 1;
    }
    replica_members(at->replica, &o->call);
    member_turn(at);
}

static void ask_to_remove(struct steward *o, uint64_t id)
{
    const struct member *who = network_member(o->sim, id);
    o->was_leader = who != NULL && who->up && replica_leads(who->replica);
    ask(o, ADMIN_MEMBER_REMOVE, id, NULL);
}

/* Both at once; kv/admin.h has no call for it, the log has. */
static void order_jointly(struct steward *o, uint64_t id)
{
    struct sim *s = o->sim;
    struct member *l = leader(s);
    again(o);
    o->is_listed = false;
    if (l == NULL || l->paused) {
        return;
    }
    url_of(o->comer, o->url);
    const struct membership_change changes[] = {
        {.op = MEMBERSHIP_ADD,
         .id = hash_u64(s->options.seed ^ (uint64_t)s->now_ns) >> 1,
         .is_learner = o->as_learner,
         .peer_urls = bytes_of(o->url)},
        {.op = MEMBERSHIP_REMOVE, .id = id}};
    const struct membership_stamp stamp = {.member = l->id};
    struct buf frame = {0};
    write_u8(&frame, REPLICA_TELL_ORDER);
    membership_encode(&stamp, changes, count_of(changes), &frame);
    sim_note(s, "operator: both at once");
    o->may_have_happened = true;
    replica_hear(l->replica, l->id, buf_bytes(&frame));
    buf_fini(&frame);
    member_turn(l);
}

static void moved(struct kv_call *call)
{
    struct steward *o = container_of(call, struct steward, move.call);
    o->busy = false;
    sim_note(o->sim, "operator: move: %s", status_name(call->status));
    if (call->status == ST_OK) {
        sim_count(o->sim, SIM_FAULT_LEADER_MOVED);
    }
    again(o);
}

static void hand_over(struct steward *o)
{
    struct member *l = leader(o->sim);
    const uint64_t to = o->list[prng_below(&o->prng, o->count)].id;
    o->is_listed = false;
    if (l == NULL || l->paused || l->id == to) {
        again(o);
        return;
    }
    o->busy = true;
    o->move = (struct admin_move_leader){
        .call = {.done = moved, .timeout_ms = 4000}, .to = to};
    replica_move_leader(l->replica, &o->move);
    member_turn(l);
}

/* --- wanting --- */

/* Of those listed; NULL: somebody whom nobody runs. */
static struct member *any_listed(struct steward *o)
{
    struct member *l = leader(o->sim);
    if (l != NULL && prng_chance(&o->prng, 1, 3)) {
        return l;
    }
    return network_member(o->sim, o->list[prng_below(&o->prng, o->count)].id);
}

static bool is_quiet(const struct sim *s)
{
    const struct steward *o = s->steward;
    for (uint32_t i = 0; i < s->members_count; i++) {
        if (s->members[i].lost_index > 0) {
            return false;
        }
    }
    for (size_t i = 0; i < o->count; i++) {
        if (!o->list[i].started) {
            return false;
        }
    }
    return voters(o) >= 3;
}

bool membership_can_spare(const struct sim *s, const struct member *m)
{
    const struct steward *o = s->steward;
    if (!s->options.changes) {
        return s->options.members >= 3;
    }
    return !wants(o) && voters(o) >= 3 && find(o, m) != NULL;
}

static void lose(struct steward *o, struct member *m)
{
    struct sim *s = o->sim;
    heap_remove(&s->events, &m->restart.at);
    heap_remove(&s->events, &m->doom.at);
    if (m->up) {
        member_crash(m);
    }
    member_lose_data(m);
    m->gone = true;
    sim_count(s, SIM_FAULT_DATA_LOST);
    sim_note(s, "%u loses its data", member_number(m));
    sim_at(s, &m->join, s->now_ns + (int64_t)prng_below(&o->prng, 2000 * MS),
           join);
}

static void want_comer(struct steward *o)
{
    if (o->spare != NULL) {
        o->comer = o->spare;
        o->spare = NULL;
    } else if (o->sim->members_count < MEMBERS_MAX) {
        new_member(o->sim, &o->comer);
    } else {
        return;
    }
    o->as_learner = prng_chance(&o->prng, 1, 2);
    o->promote = prng_chance(&o->prng, 4, 5);
    sim_at(o->sim, &o->comer->join, o->sim->now_ns + 100 * MS, join);
}

static void want_leaver(struct steward *o)
{
    o->leaver = any_listed(o);
    if (o->leaver != NULL && voters(o) == 1 &&
        !find(o, o->leaver)->is_learner) {
        o->leaver = NULL;
    }
}

static void want_replacement(struct steward *o)
{
    const bool loses = is_quiet(o->sim) && prng_chance(&o->prng, 2, 3);
    const bool strict = o->sim->profile.strict;
    want_comer(o);
    if (o->comer == NULL) {
        return;
    }
    o->leaver = any_listed(o);
    if (o->leaver == NULL) {
        return;
    }
    /* Who adds while one is away is refused when that is strict. */
    o->jointly = prng_chance(&o->prng, 3, 4) && !(loses && strict);
    if (loses) {
        lose(o, o->leaver);
    }
}

static void want(struct steward *o)
{
    o->was_leader = o->may_have_happened = o->jointly = false;
    o->as_learner = o->promote = false;
    o->wanted_ns = o->sim->now_ns;
    o->applied_then = 0;
    const uint64_t pick = prng_below(&o->prng, 10);
    if (pick < 1) {
        hand_over(o);
        return;
    }
    if (pick < 4 || voters(o) == 1) {
        if (voters(o) < VOTERS_MAX) {
            want_comer(o);
        }
    } else if (pick < 7) {
        want_leaver(o);
    } else {
        want_replacement(o);
    }
    if (wants(o)) {
        sim_note(o->sim, "operator: %u to come%s, %u to go%s",
                 o->comer != NULL ? member_number(o->comer) : 0,
                 o->as_learner ? " as a learner" : "",
                 o->leaver != NULL ? member_number(o->leaver) : 0,
                 o->jointly ? ", at once" : "");
    }
    again(o);
}

/* --- getting there --- */

static void has_what_was_wanted(struct steward *o)
{
    if (o->jointly) {
        note_change(o, SIM_FAULT_JOINT_CHANGE);
    }
    sim_note(o->sim, "operator: so it is, %zu vote", voters(o));
    o->comer = o->leaver = NULL;
    const uint64_t rest = o->sim->profile.calm_ns;
    sim_at(o->sim, &o->next,
           o->sim->now_ns + (int64_t)prng_below(&o->prng, rest), act);
}

/* Refused for long, and nobody was lost: something else, then. */
static bool gives_up(struct steward *o)
{
    if (o->may_have_happened || (o->leaver != NULL && o->leaver->gone) ||
        o->sim->now_ns < o->wanted_ns + 3000 * MS) {
        return false;
    }
    if (o->comer != NULL) {
        heap_remove(&o->sim->events, &o->comer->join.at);
        o->spare = o->comer;
    }
    o->comer = o->leaver = NULL;
    return true;
}

/* Somebody whom nobody runs: an addition that was asked for twice. */
static const struct listed *stranger(const struct steward *o)
{
    for (size_t i = 0; i < o->count; i++) {
        if (network_member(o->sim, o->list[i].id) == NULL &&
            (o->comer == NULL || &o->list[i] != find(o, o->comer))) {
            return &o->list[i];
        }
    }
    return NULL;
}

static void get_on(struct steward *o)
{
    const struct listed *out = stranger(o);
    const struct listed *in = o->comer != NULL ? find(o, o->comer) : NULL;
    const struct listed *goes = o->leaver != NULL ? find(o, o->leaver) : NULL;
    if (out != NULL) {
        ask_to_remove(o, out->id);
    } else if (goes != NULL && o->jointly && in == NULL &&
               o->sim->now_ns < o->wanted_ns + 8000 * MS) {
        order_jointly(o, goes->id);
    } else if (goes != NULL) {
        o->jointly &= in != NULL;
        ask_to_remove(o, goes->id);
    } else if (o->comer != NULL && in == NULL) {
        ask(o, ADMIN_MEMBER_ADD, 0, o->comer);
    } else if (in != NULL && in->is_learner && o->promote) {
        o->applied_then =
            o->applied_then > 0 ? o->applied_then : safety_applied(o->sim);
        ask(o, ADMIN_MEMBER_PROMOTE, in->id, NULL);
    } else if (in != NULL && !in->started) {
        o->is_listed = false;
        again(o);
    } else {
        has_what_was_wanted(o);
    }
}

static void act(struct sim *s, struct event *e)
{
    struct steward *o = container_of(e, struct steward, next);
    must(!o->busy);
    if (!o->is_listed) {
        ask(o, ADMIN_MEMBER_LIST, 0, NULL);
    } else if (stranger(o) != NULL) {
        ask_to_remove(o, stranger(o)->id);
    } else if (wants(o) && !gives_up(o)) {
        get_on(o);
    } else if (!s->healed) {
        want(o);
    }
}

/* --- a run --- */

void membership_init(struct sim *s)
{
    s->steward = xcalloc(1, sizeof *s->steward);
    s->steward->sim = s;
    s->first = xcalloc(1, sizeof *s->first);
    prng_init(&s->steward->prng, s->options.seed ^ (UINT64_C(78) << 32));
    for (uint32_t i = 0; i < s->options.members; i++) {
        struct member *m = &s->members[s->members_count];
        struct membership_member first = {.id = i + 1};
        member_init(s, s->members_count++);
        m->id = first.id;
        char url[48];
        url_of(m, url);
        (void)snprintf(first.peer_urls, sizeof first.peer_urls, "%s", url);
        const bool added = membership_add_first(s->first, &first);
        must(added);
        s->first->conf.voters[s->first->conf.voters_count++] = first.id;
    }
}

void membership_begin(struct sim *s)
{
    if (s->options.changes) {
        sim_at(s, &s->steward->next, 1500 * MS, act);
    }
}

void membership_fini(struct sim *s)
{
    heap_remove(&s->events, &s->steward->next.at);
    for (uint32_t i = 0; i < s->members_count; i++) {
        heap_remove(&s->events, &s->members[i].join.at);
    }
    free(s->steward);
    free(s->first);
}

static bool knows_the_same(const struct member *a, const struct member *b)
{
    struct buf x = {0}, y = {0};
    membership_write(replica_membership(a->replica), &x);
    membership_write(replica_membership(b->replica), &y);
    const bool same = bytes_equal(buf_bytes(&x), buf_bytes(&y));
    buf_fini(&x);
    buf_fini(&y);
    return same;
}

void membership_check_end(struct sim *s)
{
    const struct steward *o = s->steward;
    const struct member *l = leader(s);
    if (wants(o)) {
        membership_describe(s);
        sim_fail(s, "what the operator wanted %.1f s ago never came to be",
                 (double)(s->now_ns - o->wanted_ns) / 1e9);
    }
    if (l == NULL) {
        sim_fail(s, "nobody leads in the end");
        return;
    }
    const struct membership *in = replica_membership(l->replica);
    for (size_t i = 0; i < in->count; i++) {
        const struct member *m = network_member(s, in->members[i].id);
        if (m == NULL || m->gone) {
            sim_fail(s, "member %llx is not there in the end",
                     (unsigned long long)in->members[i].id);
            return;
        }
    }
    for (uint32_t i = 0; i < s->members_count; i++) {
        const struct member *m = &s->members[i];
        if (!m->gone && membership_find(in, m->id) == NULL) {
            sim_fail(s, "member %u was removed and has not ended", i + 1);
        } else if (!m->gone && m->up && !knows_the_same(l, m)) {
            sim_fail(s, "members %u and %u know other members",
                     member_number(l), i + 1);
        }
    }
}

static size_t print_ids(char *to, size_t size, const char *what,
                        const uint64_t *ids, size_t count)
{
    size_t used = (size_t)snprintf(to, size, " %s", what);
    for (size_t i = 0; i < count && used < size; i++) {
        used += (size_t)snprintf(to + used, size - used, " %llx",
                                 (unsigned long long)ids[i]);
    }
    return used < size ? used : size;
}

void membership_describe(struct sim *s)
{
    for (uint32_t i = 0; i < s->members_count; i++) {
        const struct member *m = &s->members[i];
        if (!m->up) {
            sim_note(s, "%u is not up", i + 1);
            continue;
        }
        struct raft_status r;
        struct raft_conf_state c;
        char conf[200];
        raft_status(replica_raft(m->replica), &r);
        raft_conf(replica_raft(m->replica), &c);
        size_t used =
            print_ids(conf, sizeof conf, "voters", c.voters, c.voters_count);
        used += print_ids(conf + used, sizeof conf - used, "outgoing",
                          c.voters_outgoing, c.voters_outgoing_count);
        (void)print_ids(conf + used, sizeof conf - used, "learners", c.learners,
                        c.learners_count);
        sim_note(
            s,
            "%u is %llx, role %d term %llu of %llx, log %llu to %llu of "
            "term %llu, committed %llu, applied %llu%s,%s",
            i + 1, (unsigned long long)m->id, r.soft.role,
            (unsigned long long)r.hard.term, (unsigned long long)r.soft.leader,
            (unsigned long long)r.first_index, (unsigned long long)r.last_index,
            (unsigned long long)r.last_term, (unsigned long long)r.hard.commit,
            (unsigned long long)r.applied, r.has_lost ? ", lost" : "", conf);
    }
}
