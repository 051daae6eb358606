/* The simulator: virtual time, faults, phases. */

#include "tests/sim/sim.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hmap.h"
#include "base/log.h"
#include "base/must.h"
#include "tests/sim/internal.h"

void sim_at(struct sim *s, struct event *e, int64_t at_ns,
            void (*run)(struct sim *s, struct event *e))
{
    e->run = run;
    heap_remove(&s->events, &e->at);
    heap_push(&s->events, &e->at, at_ns);
}

void sim_note(struct sim *s, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    s->report->trace_hash = hash_bytes(
        bytes_of(line), s->report->trace_hash ^ hash_u64((uint64_t)s->now_ns));
    if (s->options.trace != NULL) {
        (void)fprintf(s->options.trace, "%10.3f %s\n",
                      (double)s->now_ns / (double)MS, line);
    }
}

void sim_fail(struct sim *s, const char *format, ...)
{
    if (sim_failed(s)) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(s->report->failure, sizeof s->report->failure, format,
                    args);
    va_end(args);
    sim_note(s, "FAILURE %s", s->report->failure);
}

void sim_restart(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, restart);
    if (!m->up && !m->gone) {
        if (!s->profile.old_leaders && prng_chance(&s->prng, 1, 4)) {
            member_damage(m);
        }
        member_start(m);
    }
}

static void unpause(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, restart);
    (void)s;
    if (m->up && m->paused) {
        m->paused = false;
        sim_note(s, "%u goes on", member_number(m));
        member_turn(m);
    } else if (!m->up && !m->gone) {
        member_start(m);
    }
}

struct member *sim_pick(struct sim *s, struct prng *prng)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->members_count; i++) {
        count += !s->members[i].gone;
    }
    must(count > 0);
    uint64_t left = prng_below(prng, count);
    struct member *m = s->members;
    while (m->gone || left-- > 0) {
        m++;
    }
    return m;
}

struct member *sim_any_up(struct sim *s)
{
    struct member *m = s->members;
    while (!m->up) {
        m++;
        must(m < s->members + s->members_count);
    }
    return m;
}

/* Leaders are where it hurts. */
static struct member *victim(struct sim *s)
{
    struct member *m = sim_pick(s, &s->prng);
    for (uint32_t i = 0; i < s->members_count; i++) {
        if (s->members[i].up && prng_chance(&s->prng, 1, 3) &&
            replica_leads(s->members[i].replica)) {
            m = &s->members[i];
        }
    }
    return m;
}

static void cause_trouble(struct sim *s, struct event *e)
{
    if (s->healed || s->profile.old_leaders) {
        return;
    }
    struct member *m = victim(s);
    const int64_t lasts =
        50 * MS + (int64_t)prng_below(&s->prng, s->profile.lasts_ns);
    switch (prng_below(&s->prng, 9)) {
    case 0:
    case 1:
        if (m->up) {
            member_crash(m);
            sim_at(s, &m->restart, s->now_ns + lasts, sim_restart);
        }
        break;
    case 2:
    case 3:
        if (m->up && !m->paused) {
            m->paused = true;
            sim_count(s, SIM_FAULT_PAUSE);
            sim_note(s, "%u pauses", member_number(m));
            sim_at(s, &m->restart, s->now_ns + lasts, unpause);
        }
        break;
    case 4:
    case 5:
        network_partition(s);
        break;
    case 6:
        m->clock_offset_ns =
            (int64_t)prng_below(&s->prng, 20000 * MS) - 10000 * MS;
        sim_count(s, SIM_FAULT_CLOCK_JUMP);
        break;
    default:
        network_heal(s);
        break;
    }
    sim_at(s, e, s->now_ns + (int64_t)prng_below(&s->prng, s->profile.calm_ns),
           cause_trouble);
}

static void heal(struct sim *s)
{
    s->healed = true;
    for (uint32_t i = 0; i < s->members_count; i++) {
        disk_calm(&s->members[i]);
    }
    sim_note(s, "healed");
    network_heal(s);
    for (uint32_t i = 0; i < s->members_count; i++) {
        struct member *m = &s->members[i];
        heap_remove(&s->events, &m->restart.at);
        heap_remove(&s->events, &m->doom.at);
        m->paused = m->muted = false;
        m->doom_above = 0;
        if (!m->up && !m->gone) {
            member_start(m);
        }
    }
}

static void run_until(struct sim *s, int64_t end_ns)
{
    struct heap_node *n;
    while (!sim_failed(s) && (n = heap_first(&s->events)) != NULL &&
           n->at <= end_ns) {
        struct event *e = container_of(n, struct event, at);
        must(n->at >= s->now_ns);
        s->now_ns = n->at;
        heap_remove(&s->events, n);
        s->report->events++;
        e->run(s, e);
    }
    s->now_ns = end_ns;
}

/* Clients stop; what is under way ends; every member catches up. Watches stay,
 * and must have seen everything in the end. */
static void settle(struct sim *s)
{
    s->healed_for_good = true;
    for (uint32_t i = 0; i < WATCHERS_MAX; i++) {
        heap_remove(&s->events, &s->watchers[i].next.at);
    }
    for (uint32_t i = 0; i < s->options.clients; i++) {
        heap_remove(&s->events, &s->clients[i].next.at);
    }
    for (int i = 0; i < 100; i++) {
        run_until(s, s->now_ns + 200 * MS);
        for (uint32_t c = 0; c < s->options.clients; c++) {
            heap_remove(&s->events, &s->clients[c].next.at);
        }
    }
}

static void tear_down(struct sim *s)
{
    for (uint32_t i = 0; i < s->members_count; i++) {
        member_fini(&s->members[i]);
    }
    for (uint32_t i = 0; i < s->options.clients; i++) {
        heap_remove(&s->events, &s->clients[i].next.at);
    }
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        task_drop(&s->processes[i].task);
        heap_remove(&s->events, &s->processes[i].next.at);
    }
    for (uint32_t i = 0; i < WATCHERS_MAX; i++) {
        watcher_fini(&s->watchers[i]);
    }
    for (uint32_t i = 0; i < LESSEES_MAX; i++) {
        heap_remove(&s->events, &s->lessees[i].next.at);
    }
    heap_remove(&s->events, &s->fault.at);
    disk_fini(s);
    lockers_fini(s);
    membership_fini(s);
    for (uint32_t i = 0; i < s->members_count; i++) {
        heap_remove(&s->events, &s->members[i].restart.at);
        heap_remove(&s->events, &s->members[i].doom.at);
    }
    struct heap_node *n;
    while ((n = heap_first(&s->events)) != NULL) {
        heap_remove(&s->events, n);
        network_free(container_of(n, struct event, at));
    }
    heap_fini(&s->events);
    network_fini(s);
    safety_free(s->safety);
    changes_fini(&s->all);
    history_fini(&s->history);
    files_remove(s->directory);
}

/* Every seed has its own weather: rare kinds of trouble meet only where each
 * is common for a while. */
static void draw_profile(struct sim *s)
{
    static const uint64_t calm[] = {300, 1500, 4000};
    struct profile *p = &s->profile;
    p->calm_ns = calm[prng_below(&s->prng, count_of(calm))] * MS;
    p->message_bytes_max = prng_chance(&s->prng, 1, 2) ? 1 : 1024 * 1024;
    p->lasts_ns = (prng_chance(&s->prng, 1, 4) ? 12000 : 3000) * MS;
    p->think_ns = (prng_chance(&s->prng, 1, 3) ? 5 : 40) * MS;
    p->leaders_die = prng_chance(&s->prng, 1, 4);
    p->slow_disk = prng_chance(&s->prng, 1, 3);
    p->slow_network = prng_chance(&s->prng, 1, 3);
    p->lossy_network = prng_chance(&s->prng, 1, 3);
    p->strict = prng_chance(&s->prng, 1, 2);
    aim_draw_profile(s);
}

void sim_run(const struct sim_options *options, struct sim_report *ret)
{
    must(options->members >= 1 && options->members <= MEMBERS_MAX);
    must(options->clients <= CLIENTS_MAX);
    struct sim *s = xcalloc(1, sizeof *s);
    *ret = (struct sim_report){0};
    s->options = *options;
    /* Large pieces come zeroed from the kernel, as far as they are touched
     * (LMDB asks for two megabytes at each open); what is freed is kept. */
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    log_set_level(LOG_ERROR); /* what members say is what they are put to */
    s->report = ret;
    prng_init(&s->prng, options->seed);
    /* In memory where that can be: syncs are the simulated disk's affair, and
     * LMDB is tested with cut power elsewhere. */
    const char *base =
        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    (void)snprintf(s->directory, sizeof s->directory, "%s/keelfs-sim-XXXXXX",
                   base != NULL ? base : "/tmp");
    must(mkdtemp(s->directory) != NULL);
    s->safety = safety_new();
    network_init(s);
    draw_profile(s);
    disk_init(s);
    lockers_init(s);
    membership_init(s);
    for (uint32_t i = 0; i < options->members && !sim_failed(s); i++) {
        member_start(&s->members[i]);
    }
    for (uint32_t i = 0; i < options->clients; i++) {
        client_init(s, i);
    }
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        process_init(s, i);
    }
    for (uint32_t i = 0; i < WATCHERS_MAX; i++) {
        watcher_init(s, i);
    }
    must(options->lessees <= LESSEES_MAX);
    for (uint32_t i = 0; i < options->lessees; i++) {
        lessee_init(s, i);
    }
    membership_begin(s);
    sim_at(s, &s->fault, 3000 * MS, cause_trouble);
    run_until(s, options->faults_ms * MS);
    if (!sim_failed(s)) {
        heal(s);
        const uint64_t before = ret->acknowledged;
        run_until(s, s->now_ns + options->healed_ms * MS);
        settle(s);
        if (!sim_failed(s) && ret->acknowledged < before + 10) {
            membership_describe(s);
            sim_fail(s, "no progress after healing");
        }
    }
    if (!sim_failed(s)) {
        membership_check_end(s);
        sim_check(s);
        lockers_check(s);
        lessees_check_end(s);
        told_check(s);
    }
    ret->virtual_ms = s->now_ns / MS;
    tear_down(s);
    free(s);
}
