/* What processes on the mounts did and saw, against the final history.  They
 * know no revisions: a value that was written says its own, since values are
 * unique. */

#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"
#include "tests/sim/internal.h"

/* Whether the key was away at a revision from `since` to `until`. */
static bool was_absent(const struct changes *all, uint32_t key, int64_t since,
                       int64_t until)
{
    int64_t mod;
    bool found = value_at(all, key, since, &mod) == 0;
    for (size_t i = changes_at(all, since);
         i < all->count && all->list[i].revision <= until && !found; i++) {
        found = all->list[i].key == key && all->list[i].value == 0;
    }
    return found;
}

/* A name that a process makes is there at once on its own mount, empty; the
 * others see it with its contents. */
static bool is_being_made(const struct sim *s, const struct record *r,
                          uint32_t key)
{
    const struct history *h = &s->history;
    for (size_t i = 0; i < h->file_puts_count; i++) {
        const struct record *other = &h->records[h->file_puts[i]];
        if (other->begin_ns > r->end_ns) {
            break;
        }
        if (other->key == key && other->at_mount == r->at_mount &&
            other->end_ns >= r->begin_ns) {
            return true;
        }
    }
    return false;
}

static void check_read(struct sim *s, struct record *r, int64_t since,
                       int64_t until)
{
    const struct changes *all = &s->all;
    if (r->value == 0 || r->value == VALUE_EMPTY) {
        if (!was_absent(all, r->key, since, until) ||
            (r->value != 0 && !is_being_made(s, r, r->key))) {
            sim_fail(s, "a process found key %u %s after revision %lld", r->key,
                     r->value == 0 ? "gone" : "empty", (long long)since);
        }
        return;
    }
    const struct change *c = changes_find(all, r->key, r->value);
    if (c == NULL || c->revision > until) {
        sim_fail(s, "a process read %llu from key %u, which was not there yet",
                 (unsigned long long)r->value, r->key);
        return;
    }
    r->revision = c->revision;
    for (const struct change *n = c + 1; n < all->list + all->count; n++) {
        if (n->key == r->key) {
            if (n->revision <= since) {
                sim_fail(s,
                         "a process read %llu from key %u after revision %lld, "
                         "which replaced it, was acknowledged",
                         (unsigned long long)r->value, r->key,
                         (long long)n->revision);
            }
            return;
        }
    }
}

/* Whether a process renamed another file over it meanwhile. */
static bool was_replaced(const struct sim *s, uint32_t key, int64_t since,
                         int64_t until)
{
    for (size_t i = 0; i < s->history.count; i++) {
        const struct record *r = &s->history.records[i];
        const struct change *c = r->renames && r->key == key
                                     ? changes_find(&s->all, key, r->value)
                                     : NULL;
        if (c != NULL && c->revision > since && c->revision <= until) {
            return true;
        }
    }
    return false;
}

/* What is written to a file that somebody unlinked meanwhile, or replaced, goes
 * with it. */
static void check_write(struct sim *s, struct record *r, int64_t since,
                        int64_t until)
{
    const struct changes *all = &s->all;
    const struct change *c = changes_find(all, r->key, r->value);
    if (c != NULL && c->revision > since && c->revision <= until) {
        r->revision = c->revision;
    } else if (c == NULL && (was_absent(all, r->key, since, until) ||
                             was_replaced(s, r->key, since, until))) {
        r->vanished = true;
    } else {
        sim_fail(s, "a process's write of %llu to key %u is %s",
                 (unsigned long long)r->value, r->key,
                 c == NULL ? "lost" : "out of its time");
    }
}

static void check_unlink(struct sim *s, struct record *r, int64_t since,
                         int64_t until)
{
    const struct changes *all = &s->all;
    for (size_t i = changes_at(all, since + 1);
         i < all->count && all->list[i].revision <= until; i++) {
        if (all->list[i].key == r->key && all->list[i].value == 0) {
            return; /* this one or a later one */
        }
    }
    r->vanished = true; /* before it was in the store */
    if (!is_being_made(s, r, r->key)) {
        sim_fail(s, "a process unlinked key %u, and it stayed", r->key);
    }
}

/* One moment must have had exactly these names. */
static void check_list(struct sim *s, const struct record *r, int64_t since,
                       int64_t until)
{
    const struct changes *all = &s->all;
    bool there[KEYS];
    bool judged[KEYS];
    int64_t mod;
    for (uint32_t k = 0; k < KEYS; k++) {
        there[k] = value_at(all, k, since, &mod) != 0;
        judged[k] = !is_being_made(s, r, k);
    }
    for (size_t i = changes_at(all, since + 1);; i++) {
        const bool is_over = i == all->count || all->list[i].revision > until;
        bool fits = is_over || i == 0 ||
                    all->list[i].revision != all->list[i - 1].revision;
        for (uint32_t k = 0; k < KEYS && fits; k++) {
            fits = !judged[k] || there[k] == (r->listed[k] != 0);
        }
        if (fits) {
            return;
        }
        if (is_over) {
            char shown[KEYS + 1] = {0};
            for (uint32_t k = 0; k < KEYS; k++) {
                shown[k] = (char)(r->listed[k] == 0 ? '-'
                                  : judged[k]       ? 'a' + k
                                                    : 'A' + k);
            }
            sim_fail(s,
                     "a listing between revisions %lld and %lld shows '%s', "
                     "which never was",
                     (long long)since, (long long)until, shown);
            return;
        }
        if (all->list[i].key < KEYS) {
            there[all->list[i].key] = all->list[i].value != 0;
        }
    }
}

void check_file_call(struct sim *s, struct record *r, int64_t since,
                     int64_t until)
{
    switch (r->kind) {
    case CALL_GET:
        check_read(s, r, since, until);
        break;
    case CALL_PUT:
        check_write(s, r, since, until);
        break;
    case CALL_DELETE:
        check_unlink(s, r, since, until);
        break;
    case CALL_LIST:
        check_list(s, r, since, until);
        break;
    default:
        break;
    }
}

/* --- appends: all there, each once, none torn --- */

/* What the log has in the end; NULL bytes: there is none. */
static struct kv_item log_of(struct sim *s, struct store_results *results,
                             int64_t number)
{
    char name[32];
    struct fault fault;
    (void)snprintf(name, sizeof name, "/dir/log-%04u", (unsigned)number);
    const struct kv_range_spec spec = {
        .keys = {.key = {(const uint8_t *)name, strlen(name)}}};
    struct kv_range_result found;
    if (store_range(sim_any_up(s)->store, &spec, results, &found, &fault) !=
        ST_OK) {
        sim_fail(s, "a log cannot be read: %s", fault.text);
        return (struct kv_item){0};
    }
    return found.items_count == 1 ? found.items[0] : (struct kv_item){0};
}

/* Lines are values (client.c): each says how long it is. False: one is torn. */
static bool count_in(struct bytes log, uint64_t value, size_t *ret)
{
    *ret = 0;
    while (log.size >= 8) {
        uint8_t line[VALUE_SIZE_MAX];
        const uint64_t number = get_u64(log.data);
        const struct bytes right = value_of(number, line);
        if (!bytes_starts_with(log, right)) {
            return false;
        }
        *ret += number == value;
        log = bytes_after(log, right.size);
    }
    return log.size == 0;
}

void check_appends(struct sim *s)
{
    struct store_results *results = store_results_new();
    for (size_t i = 0; i < s->history.count && !sim_failed(s); i++) {
        const struct record *r = &s->history.records[i];
        if (r->kind != CALL_APPEND) {
            continue;
        }
        const struct bytes log = log_of(s, results, r->asked).value;
        size_t times;
        if (!count_in(log, r->value, &times)) {
            sim_fail(s, "log %lld has a torn line", (long long)r->asked);
        } else if (times > 1 || (r->took_place && times != 1) ||
                   (r->never && times != 0)) {
            sim_fail(s, "log %lld has line %llu %zu times; it was %s",
                     (long long)r->asked, (unsigned long long)r->value, times,
                     r->took_place ? "acknowledged"
                     : r->never    ? "refused"
                                   : "not answered");
        }
        store_results_clear(results);
    }
    store_results_free(results);
}

/* O_EXCL has one winner in the whole cluster. */
void check_creations(struct sim *s)
{
    int64_t won = -1;
    for (size_t i = 0; i < s->history.count; i++) {
        const struct record *r = &s->history.records[i];
        if (r->kind == CALL_CREATE && r->took_place) {
            for (size_t k = i + 1; k < s->history.count; k++) {
                const struct record *other = &s->history.records[k];
                if (other->kind == CALL_CREATE && other->took_place &&
                    other->asked == r->asked) {
                    won = r->asked;
                }
            }
        }
    }
    if (won >= 0) {
        sim_fail(s, "two processes created lock %lld with O_EXCL",
                 (long long)won);
    }
}
