/* Watches that begin anywhere in history, at any member, and live a while.
 * What each saw must be a beginning of what the final history has for it from
 * its start: nothing missing, doubled, invented or out of order, no revision
 * split, and the value before each change right where it was asked for. */

#include "base/must.h"
#include "tests/sim/internal.h"

static void act(struct sim *s, struct event *e);

static void check_revision(struct watcher *w, const struct change *c)
{
    /* Where a state came, what is gone since the revision before may come in
     * several calls. */
    int64_t again = 0;
    if (w->gaps_count > 0) {
        again = w->gaps[w->gaps_count - 1].from + 1;
        again = again > w->start ? again : w->start;
    }
    if (c->revision < w->past && c->revision != again) {
        sim_fail(w->sim, "watcher %u was given revision %lld again", w->number,
                 (long long)c->revision);
    }
    if (c->is_last) {
        w->past = c->revision + 1;
    }
}

static void on_events(struct kv_watch *kw, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    struct watcher *w = container_of(kw, struct watcher, watch);
    (void)header;
    for (size_t i = 0; i < count; i++) {
        const struct change c = change_of(&events[i], i + 1 == count);
        check_revision(w, &c);
        changes_add(&w->seen, c);
    }
}

static void on_end(struct kv_watch *kw, enum status why,
                   int64_t compact_revision)
{
    struct watcher *w = container_of(kw, struct watcher, watch);
    const int64_t asked = w->sim->compact_asked;
    if (why == ST_COMPACTED && w->gaps_count > 0) {
        sim_fail(w->sim, "watcher %u lost its place when another state came",
                 w->number);
    } else if (why == ST_COMPACTED &&
               (compact_revision > asked || w->past >= compact_revision)) {
        sim_fail(w->sim,
                 "watcher %u at %lld was told that all below %lld is gone; "
                 "nobody compacted beyond %lld",
                 w->number, (long long)w->past, (long long)compact_revision,
                 (long long)asked);
    } else if (why != ST_COMPACTED && why != ST_STOPPED) {
        sim_fail(w->sim, "watcher %u ended: %s", w->number, status_name(why));
    }
    w->member = NULL;
}

static bool is_for(const struct watcher *w, const struct change *c)
{
    return w->key == KEYS || w->key == c->key;
}

static void check_prev(struct watcher *w, const struct change *c,
                       const struct changes *all)
{
    int64_t mod;
    const uint64_t was = value_at(all, c->key, c->revision - 1, &mod);
    const bool may_be_gone = c->revision <= w->sim->compact_asked;
    if (c->key < KEYS && w->watch.prev_kv && c->prev != was &&
        !(may_be_gone && c->prev == 0)) {
        sim_fail(w->sim,
                 "watcher %u: before revision %lld key %u was %llu, not %llu",
                 w->number, (long long)c->revision, c->key,
                 (unsigned long long)was, (unsigned long long)c->prev);
    }
}

/* What differed, told where there was no history; the next that was seen. */
static size_t check_gap(struct watcher *w, size_t gap, size_t at,
                        const struct changes *all, bool is_complete)
{
    struct changes due = {0}, wanted = {0};
    size_t next = 0;
    changes_between(all, w->gaps[gap].from, w->gaps[gap].at, w->start, &due);
    for (size_t i = 0; i < due.count; i++) {
        if (is_for(w, &due.list[i])) {
            changes_add(&wanted, due.list[i]);
        }
    }
    while (at < w->seen.count && next < wanted.count &&
           changes_take(&wanted, &next, &w->seen.list[at])) {
        at++;
    }
    if (next < wanted.count && (at < w->seen.count || is_complete)) {
        sim_fail(w->sim,
                 "watcher %u was not told that key %u is %llu since revision "
                 "%lld, when a state came",
                 w->number, wanted.list[next].key,
                 (unsigned long long)wanted.list[next].value,
                 (long long)wanted.list[next].revision);
    }
    changes_fini(&due);
    changes_fini(&wanted);
    return at;
}

static void check_one(struct watcher *w, const struct change *got,
                      const struct change *want, const struct changes *all)
{
    if (got->revision != want->revision || got->key != want->key ||
        got->value != want->value) {
        sim_fail(w->sim,
                 "watcher %u saw revision %lld key %u value %llu where "
                 "revision %lld key %u value %llu was due",
                 w->number, (long long)got->revision, got->key,
                 (unsigned long long)got->value, (long long)want->revision,
                 want->key, (unsigned long long)want->value);
        return;
    }
    check_prev(w, got, all);
    const bool is_last = want + 1 == all->list + all->count;
    if (got->is_last && !is_last && is_for(w, want + 1) &&
        want[1].revision == want->revision) {
        sim_fail(w->sim, "watcher %u was given a part of revision %lld",
                 w->number, (long long)want->revision);
    }
}

/* all: the final history, or as much of it as is known. */
static void check_seen(struct watcher *w, const struct changes *all,
                       bool is_complete)
{
    size_t at = 0, gap = 0;
    for (size_t i = changes_at(all, w->start);
         i < all->count && !sim_failed(w->sim); i++) {
        const struct change *want = &all->list[i];
        if (gap < w->gaps_count && want->revision > w->gaps[gap].from) {
            at = check_gap(w, gap, at, all, is_complete);
            i = changes_at(all, w->gaps[gap++].at + 1) - 1;
            continue;
        }
        if (!is_for(w, want)) {
            continue;
        }
        if (at == w->seen.count) {
            if (is_complete) {
                sim_fail(w->sim, "watcher %u never saw revision %lld",
                         w->number, (long long)want->revision);
            }
            return;
        }
        check_one(w, &w->seen.list[at++], want, all);
    }
    if (at < w->seen.count && !sim_failed(w->sim)) {
        sim_fail(w->sim, "watcher %u saw revision %lld, which never was",
                 w->number, (long long)w->seen.list[at].revision);
    }
}

static void end(struct watcher *w)
{
    if (w->member != NULL) {
        kv_unwatch(replica_kv(w->member->replica), &w->watch);
        w->member = NULL;
    }
    const struct changes *all = &w->sim->all;
    const int64_t known =
        all->count > 0 ? all->list[all->count - 1].revision : 0;
    if (w->seen.count == 0 ||
        w->seen.list[w->seen.count - 1].revision <= known) {
        check_seen(w, all, false);
    } /* else ahead of all members' own watches: not judged */
    w->seen.count = 0;
}

static void begin(struct watcher *w, struct member *m)
{
    struct sim *s = w->sim;
    struct kv_status status;
    kv_status(replica_kv(m->replica), &status);
    const int64_t now = status.header.revision;
    w->member = m;
    w->key = (uint32_t)prng_below(&s->prng, KEYS + 4);
    w->watch = (struct kv_watch){.on_events = on_events,
                                 .on_end = on_end,
                                 .prev_kv = prng_chance(&s->prng, 1, 2)};
    if (w->key < KEYS) {
        key_name(w->key, w->name);
        w->watch.keys.key = (struct bytes){w->name, sizeof w->name};
    } else {
        w->key = KEYS;
        w->watch.keys = (struct kv_keys){{(const uint8_t *)"", 1},
                                         {(const uint8_t *)"", 1}};
    }
    if (prng_chance(&s->prng, 2, 3)) {
        w->watch.start_revision =
            1 + (int64_t)prng_below(&s->prng, (uint64_t)now + 3);
    } else if (prng_chance(&s->prng, 1, 3)) { /* what is long to come */
        w->watch.start_revision = now + 1 + (int64_t)prng_below(&s->prng, 100);
    }
    w->gaps_count = 0;
    w->start = w->watch.start_revision > 0 ? w->watch.start_revision : now + 1;
    w->past = w->start;
    sim_note(s, "watcher %u from %lld", w->number, (long long)w->start);
    kv_watch(replica_kv(m->replica), &w->watch);
    member_turn(m);
}

static void act(struct sim *s, struct event *e)
{
    struct watcher *w = container_of(e, struct watcher, next);
    struct member *m = sim_pick(s, &s->prng);
    const bool lives = w->member != NULL;
    end(w);
    if (!lives && m->up && !sim_failed(s)) {
        begin(w, m);
    }
    sim_at(s, e, s->now_ns + (int64_t)prng_below(&s->prng, 2000 * MS), act);
}

void watchers_expect(struct member *m, int64_t from, int64_t at)
{
    for (uint32_t i = 0; i < WATCHERS_MAX; i++) {
        struct watcher *w = &m->sim->watchers[i];
        if (w->member != m || w->start >= at) {
            continue; /* history has what it wants */
        }
        if (kv_watched(replica_kv(m->replica), &w->watch) < from) {
            continue; /* it came when it was to begin with the other state */
        }
        must(w->gaps_count < GAPS_MAX);
        w->gaps[w->gaps_count].from = from;
        w->gaps[w->gaps_count++].at = at;
    }
}

void watchers_forget(struct sim *s, const struct member *m)
{
    for (uint32_t i = 0; i < WATCHERS_MAX; i++) {
        if (s->watchers[i].member == m) {
            end(&s->watchers[i]);
        }
    }
}

void watchers_check(struct sim *s)
{
    for (uint32_t i = 0; i < WATCHERS_MAX; i++) {
        struct watcher *w = &s->watchers[i];
        if (w->member != NULL) {
            check_seen(w, &s->all, true);
        }
    }
}

void watcher_init(struct sim *s, uint32_t number)
{
    struct watcher *w = &s->watchers[number];
    w->sim = s;
    w->number = number;
    sim_at(s, &w->next, (int64_t)prng_below(&s->prng, 2000 * MS), act);
}

void watcher_fini(struct watcher *w)
{
    heap_remove(&w->sim->events, &w->next.at);
    changes_fini(&w->seen);
}
