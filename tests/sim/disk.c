/* What disks do wrong while their members run, and what the host makes of it:
 * as node/save.c and node/flush.c have it, a write or a sync that fails is the
 * end of the process, a full disk is waited out where that can be.
 *
 * A process that ends finds on its next start what the kernel has, not what the
 * disk has; a power cut may come in between, or later. Nothing that was
 * acknowledged is lost by any of it, so it may strike all members at once. */

#include "base/must.h"
#include "tests/sim/internal.h"

#define ROOMY (UINT64_C(1) << 40)

static void room(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, room);
    (void)s;
    disk_calm(m);
}

void disk_calm(struct member *m)
{
    disk_sim_unplan_all(m->disk_sim);
    disk_sim_set_capacity(m->disk_sim, ROOMY);
    m->disk_full = false;
}

static void fill(struct sim *s, struct member *m)
{
    const uint64_t left = prng_below(&s->disk_prng, 100 * 1024);
    sim_count(s, SIM_FAULT_DISK_FULL);
    sim_note(s, "%u has %llu bytes left", member_number(m),
             (unsigned long long)left);
    m->disk_full = true;
    disk_sim_set_capacity(m->disk_sim, disk_sim_used(m->disk_sim) + left);
    const int64_t lasts =
        100 * MS + (int64_t)prng_below(&s->disk_prng, 4000 * MS);
    sim_at(s, &m->room, s->now_ns + lasts, room);
}

static void plan(struct member *m, enum disk_sim_op op, uint64_t after_max,
                 enum sim_fault kind)
{
    m->disk_fault = kind;
    disk_sim_plan(m->disk_sim,
                  (struct disk_sim_fault){
                      .on = op,
                      .after = prng_below(&m->sim->disk_prng, after_max),
                      .what = DISK_SIM_FAIL,
                      .st = ST_IO});
}

static void stop(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, stop);
    m->broken = false;
    if (!m->up) {
        return;
    }
    if (prng_chance(&s->disk_prng, 1, 2)) {
        member_crash(m);
    } else {
        member_stop(m);
    }
    disk_sim_unplan_all(m->disk_sim);
    sim_at(s, &m->restart,
           s->now_ns + 50 * MS + (int64_t)prng_below(&s->disk_prng, 3000 * MS),
           sim_restart);
}

static void trouble(struct sim *s, struct event *e)
{
    if (s->healed) {
        return;
    }
    struct member *m = sim_pick(s, &s->disk_prng);
    disk_calm(m);
    if (m->up && !m->broken) {
        switch (prng_below(&s->disk_prng, 3)) {
        case 0:
            plan(m, DISK_SIM_SYNC, 8, SIM_FAULT_SYNC_FAILS);
            if (prng_chance(&s->disk_prng, 1, 2)) { /* whatever it made of it */
                sim_at(s, &m->stop,
                       s->now_ns + (int64_t)prng_below(&s->disk_prng, 400 * MS),
                       stop);
            }
            break;
        case 1:
            plan(m, DISK_SIM_WRITE, 8, SIM_FAULT_WRITE_FAILS);
            break;
        default:
            fill(s, m);
        }
    }
    sim_at(s, e,
           s->now_ns + 100 * MS + (int64_t)prng_below(&s->disk_prng, 2000 * MS),
           trouble);
}

void disk_init(struct sim *s)
{
    prng_init(&s->disk_prng, s->options.seed ^ (UINT64_C(78) << 32));
    if (prng_chance(&s->disk_prng, 1, 3)) {
        s->profile.bad_disks = true;
        sim_at(s, &s->disk_trouble, 2000 * MS, trouble);
    }
}

void disk_count_losses(struct member *m)
{
    const struct disk_sim_losses l = disk_sim_losses(m->disk_sim);
    uint64_t *faults = m->sim->report->faults;
    faults[SIM_FAULT_WRITES_UNSYNCED] += l.lost - m->losses.lost;
    faults[SIM_FAULT_SECTORS_TORN] += l.torn - m->losses.torn;
    m->losses = l;
}

void disk_fini(struct sim *s)
{
    heap_remove(&s->events, &s->disk_trouble.at);
    for (uint32_t i = 0; i < s->members_count; i++) {
        heap_remove(&s->events, &s->members[i].room.at);
        heap_remove(&s->events, &s->members[i].stop.at);
    }
}

void disk_before_start(struct member *m)
{
    struct sim *s = m->sim;
    m->struck = disk_sim_faults_struck(m->disk_sim);
    if (s->profile.bad_disks && !s->healed &&
        prng_chance(&s->disk_prng, 1, 6)) {
        plan(m, DISK_SIM_READ, 30, SIM_FAULT_READ_FAILS);
    }
}

static bool is_excused(const struct member *m, enum status st)
{
    const bool struck = disk_sim_faults_struck(m->disk_sim) > m->struck;
    return (st == ST_IO && struck) || (st == ST_NO_SPACE && m->disk_full);
}

static void note_failure(struct member *m, enum status st, const char *doing)
{
    if (st == ST_IO) {
        sim_count(m->sim, m->disk_fault);
    }
    sim_note(m->sim, "%u cannot %s: %s", member_number(m), doing,
             status_name(st));
}

void disk_failed(struct member *m, enum status st, const char *doing,
                 const struct fault *fault)
{
    if (m->broken) {
        return;
    }
    if (!is_excused(m, st)) {
        sim_fail(m->sim, "member %u cannot %s: %s", member_number(m), doing,
                 fault->text);
        return;
    }
    note_failure(m, st, doing);
    m->broken = true; /* its last turn ends first */
    sim_at(m->sim, &m->stop, m->sim->now_ns, stop);
}

bool disk_start_failed(struct member *m, enum status st)
{
    struct sim *s = m->sim;
    if (s->healed || !is_excused(m, st)) {
        return false;
    }
    note_failure(m, st, "start");
    disk_sim_unplan_all(m->disk_sim);
    sim_at(s, &m->restart,
           s->now_ns + 50 * MS + (int64_t)prng_below(&s->disk_prng, 1000 * MS),
           sim_restart);
    return true;
}

/* The host's idle work, as node/save.c does it: a full disk is no failure. */
void disk_tend(struct member *m)
{
    struct fault fault = {{0}};
    enum status st = ST_OK;
    bool more = wal_wants_tending(m->wal);
    while (more && st == ST_OK) {
        st = wal_tend(m->wal, UINT64_MAX, &more, &fault);
    }
    if (st != ST_OK && !(st == ST_NO_SPACE && m->disk_full)) {
        disk_failed(m, st, "make a segment", &fault);
    }
}
