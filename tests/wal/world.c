/* See world.h. */

#include "tests/wal/world.h"

#include <stdarg.h>
#include <stdlib.h>

__attribute__((format(printf, 2, 3))) static void tell(struct world *w,
                                                       const char *format, ...)
{
    char line[200];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    must(size >= 0 && (size_t)size < sizeof line);
    buf_append(&w->story, (struct bytes){(uint8_t *)line, (size_t)size});
}

static struct rig_log *now(struct world *w)
{
    must(w->states_count > 0);
    return &w->states[w->states_count - 1];
}

static struct rig_log *add_state(struct world *w)
{
    w->states =
        xrealloc(w->states, (w->states_count + 1) * sizeof w->states[0]);
    w->states[w->states_count] = rig_log_copy(&w->states[w->states_count - 1]);
    w->states_count++;
    return now(w);
}

static void drop_states(struct world *w, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        rig_log_fini(&w->states[i]);
    }
    memmove(w->states + from, w->states + to,
            (w->states_count - to) * sizeof w->states[0]);
    w->states_count -= to - from;
}

static void only_now(struct world *w)
{
    drop_states(w, 0, w->states_count - 1);
}

void world_init(struct world *w, uint64_t seed, uint64_t segment_size)
{
    *w = (struct world){.sim = disk_sim_new(seed),
                        .options = rig_options(segment_size)};
    prng_init(&w->prng, seed);
    w->states = xcalloc(1, sizeof w->states[0]);
    w->states_count = 1;
}

void world_fini(struct world *w)
{
    world_end(w, WORLD_CLOSED);
    drop_states(w, 0, w->states_count);
    free(w->states);
    buf_fini(&w->story);
    disk_sim_free(w->sim);
}

void world_clone(struct world *to, const struct world *from, uint64_t seed)
{
    *to = (struct world){.sim = disk_sim_clone(from->sim, seed),
                         .options = from->options,
                         .prng = from->prng,
                         .states_count = from->states_count};
    to->states = xcalloc(from->states_count, sizeof to->states[0]);
    for (size_t i = 0; i < from->states_count; i++) {
        to->states[i] = rig_log_copy(&from->states[i]);
    }
    buf_append(&to->story, buf_bytes(&from->story));
    tell(to, "clone %ju\n", (uintmax_t)seed);
}

void world_fail(struct world *w, const char *what, const struct fault *f)
{
    print_error("%.*s%s%s%s\n", (int)w->story.size, (const char *)w->story.data,
                what, f != NULL ? ": " : "", f != NULL ? f->text : "");
    for (size_t i = 0; i < w->states_count; i++) {
        rig_log_print("may be", &w->states[i]);
    }
    fail();
}

/* --- operations --- */

/* After a failure: does the log still take anything? */
static bool is_usable(struct world *w)
{
    return rig_append(w->wal, (struct rig_batch){0}, NULL) == ST_OK;
}

static enum status append(struct world *w, struct fault *reterr)
{
    static const uint32_t sizes[] = {0, 1, 100, 320, 476, 477, 1500};
    const struct rig_log *log = now(w);
    const uint64_t last = rig_log_last(log);
    const size_t before = w->states_count;
    struct raft_hard_state hs = log->hard_state;
    struct rig_batch b = {.first = last + 1,
                          .count = prng_below(&w->prng, 7),
                          .size = sizes[prng_below(&w->prng, count_of(sizes))]};
    if (log->count > 0 && prng_chance(&w->prng, 1, 5)) {
        b.first = log->start_index + 1 + prng_below(&w->prng, log->count);
        hs.term++;
        hs.vote = prng_below(&w->prng, 4);
    }
    if (prng_chance(&w->prng, 1, 3) || hs.term != log->hard_state.term) {
        hs.commit =
            log->start_index + prng_below(&w->prng, b.first - log->start_index);
        b.hard_state = &hs;
    }
    b.term = hs.term;
    tell(w, "append %ju@%ju x%zu +%u%s\n", (uintmax_t)b.first,
         (uintmax_t)b.term, b.count, b.size, b.hard_state ? " hs" : "");
    if (b.count == 0 && b.hard_state != NULL) {
        rig_log_append(add_state(w), b);
    }
    struct rig_batch one = b;
    for (one.count = 1; one.first < b.first + b.count; one.first++) {
        rig_log_append(add_state(w), one);
    }
    const enum status st = rig_append(w->wal, b, reterr);
    if (st != ST_OK && is_usable(w)) {
        tell(w, " refused: %s\n", status_name(st));
        if (st != ST_NO_SPACE) {
            world_fail(w, "refused for no reason", reterr);
        }
        drop_states(w, before, w->states_count);
        return ST_OK;
    }
    return st;
}

static enum status sync_log(struct world *w, struct fault *reterr)
{
    tell(w, "sync\n");
    const enum status st = wal_sync(w->wal, reterr);
    if (st == ST_OK) {
        only_now(w);
    }
    return st;
}

static enum status trim(struct world *w, struct fault *reterr)
{
    const struct rig_log *log = now(w);
    const uint64_t index =
        log->start_index + prng_below(&w->prng, log->count + 1);
    const uint64_t term = rig_log_term(log, index);
    tell(w, "trim %ju@%ju\n", (uintmax_t)index, (uintmax_t)term);
    /* The states before keep their entries: they may still be found. */
    rig_log_trim(add_state(w), index, term);
    const enum status st = wal_trim(w->wal, index, term, reterr);
    return st != ST_OK && is_usable(w) ? ST_OK : st;
}

static enum status restart(struct world *w, struct fault *reterr)
{
    const uint64_t index =
        now(w)->start_index + prng_below(&w->prng, now(w)->count + 20);
    const uint64_t term = now(w)->hard_state.term;
    const size_t before = w->states_count;
    tell(w, "restart at %ju@%ju\n", (uintmax_t)index, (uintmax_t)term);
    struct rig_log *log = add_state(w);
    log->count = 0;
    log->start_index = index;
    log->start_term = term;
    const enum status st = wal_restart_at(w->wal, index, term, reterr);
    if (st == ST_OK) {
        only_now(w);
    } else if (is_usable(w)) {
        drop_states(w, before, w->states_count);
        return ST_OK;
    }
    return st;
}

static enum status tend(struct world *w, struct fault *reterr)
{
    bool more;
    tell(w, "tend\n");
    const enum status st =
        wal_tend(w->wal, 1 + prng_below(&w->prng, 8192), &more, reterr);
    return st != ST_OK && is_usable(w) ? ST_OK : st;
}

enum status world_step(struct world *w, struct fault *reterr)
{
    must(w->wal != NULL);
    const uint64_t dice = prng_below(&w->prng, 100);
    if (dice < 55) {
        return append(w, reterr);
    }
    if (dice < 80) {
        return sync_log(w, reterr);
    }
    if (dice < 92) {
        return trim(w, reterr);
    }
    if (dice < 96) {
        return tend(w, reterr);
    }
    return restart(w, reterr);
}

/* --- lives --- */

void world_end(struct world *w, enum world_end how)
{
    static const char *const names[] = {"close", "kill", "power lost"};
    tell(w, "%s\n", names[how]);
    if (how == WORLD_POWER_LOST) {
        disk_sim_crash(w->sim);
    }
    wal_close(w->wal); /* writes nothing: the same as being killed */
    w->wal = NULL;
}

static bool is_possible(const struct world *w, const struct rig_log *got)
{
    if (got->start_index > w->states[w->states_count - 1].start_index) {
        return false;
    }
    for (size_t i = 0; i < w->states_count; i++) {
        if (rig_log_agrees(got, &w->states[i])) {
            return true;
        }
    }
    return false;
}

enum status world_reopen(struct world *w, struct fault *reterr)
{
    must(w->wal == NULL);
    struct rig_recovery r;
    tell(w, "open\n");
    const enum status st =
        rig_open_sim(w->sim, &w->options, &r, &w->wal, reterr);
    if (st != ST_OK) {
        rig_recovery_fini(&r);
        return st;
    }
    if (r.garbage || r.wal.damaged_index != 0 || !is_possible(w, &r.log)) {
        rig_log_print("got", &r.log);
        world_fail(w, r.garbage ? "garbage" : "not what was written", NULL);
    }
    drop_states(w, 0, w->states_count);
    w->states[0] = r.log;
    w->states_count = 1;
    return ST_OK;
}

void world_reopen_well(struct world *w)
{
    struct fault f = {{0}};
    if (world_reopen(w, &f) != ST_OK) {
        world_fail(w, "cannot open", &f);
    }
}

enum status world_begin(struct world *w, struct fault *reterr)
{
    return world_reopen(w, reterr);
}
