/* One bit of data.mdb is turned over; a child process opens the store and asks
 * it everything: keys that are there, keys that are not, old revisions,
 * listings, events, a hash of all rows.  It may refuse, or stop, or answer as
 * before the damage (a bit that nobody uses); it may not answer otherwise.
 */

#include "flips.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "base/prng.h"
#include "rig.h"

#define KEYS      300
#define QUESTIONS 2000
#define ASKED     600 /* of them, of each damaged file */

enum outcome { SAME, REFUSED, WRONG, OUTCOMES };

struct question {
    uint8_t key[700], end[700];
    struct kv_range_spec spec;
    uint32_t answer;
};

struct exam {
    struct rig rig;
    struct question *questions;
    size_t questions_count;
    uint32_t events, hash;
    int64_t revision;
    uint64_t index;
    struct prng prng;
};

static struct bytes name_of(struct exam *x, unsigned i, uint8_t *to)
{
    (void)x;
    int size = snprintf((char *)to, 64, "/dir%u/sub%u/key%u", i % 7, i % 3, i);
    if (i % 25 == 0) {
        memset(to + size, 'y', 500);
        size += 500;
        to[size++] = (uint8_t)('a' + i % 26);
    }
    return (struct bytes){to, (size_t)size};
}

static void put(struct exam *x, unsigned i, size_t size)
{
    static uint8_t value[20000];
    uint8_t key[700];
    must(size <= sizeof value);
    prng_fill(&x->prng, value, size);
    const struct kv_op op = {
        .type = KV_OP_PUT,
        .put = {.key = name_of(x, i, key), .value = {value, size}}};
    EXPECT_INT(rig_op(&x->rig, &op), ST_OK);
}

static void fill(struct exam *x)
{
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = round; i < KEYS; i += 1 + round) {
            put(x, i, i % 40 == 3 ? 9000 : 10 + i % 200);
        }
        for (unsigned i = 0; i < 20; i++) {
            uint8_t key[700];
            const struct kv_op op = {
                .type = KV_OP_DELETE_RANGE,
                .delete_range = {{.key = name_of(x, i * 13 + round, key)},
                                 false}};
            EXPECT_INT(rig_op(&x->rig, &op), ST_OK);
        }
        if (round == 2) {
            EXPECT_INT(rig_compact(&x->rig, store_revision(x->rig.store) - 90),
                       ST_OK);
        }
        rig_deliver(&x->rig);
        rig_settle(&x->rig);
    }
}

/* --- what is asked --- */

static uint32_t digest(uint32_t crc, const void *data, size_t size)
{
    return crc32c(crc, (struct bytes){data, size});
}

static uint32_t digest_item(uint32_t crc, const struct kv_item *i)
{
    crc = crc32c(crc, i->key);
    crc = crc32c(crc, i->value);
    crc = crc32c(crc, i->attrs);
    const int64_t numbers[] = {(int64_t)i->value_size,
                               i->create_revision,
                               i->mod_revision,
                               i->version,
                               i->lease,
                               (int64_t)i->ino,
                               i->mtime_ns,
                               i->group};
    return digest(crc, numbers, sizeof numbers);
}

static enum status ask(struct store *s, struct store_results *results,
                       const struct kv_range_spec *spec, uint32_t *ret)
{
    struct kv_range_result got;
    struct fault fault;
    store_results_clear(results);
    const enum status st = store_range(s, spec, results, &got, &fault);
    if (st != ST_OK) {
        return st;
    }
    uint32_t crc = 0;
    for (size_t i = 0; i < got.items_count; i++) {
        crc = digest_item(crc, &got.items[i]);
    }
    const int64_t numbers[] = {(int64_t)got.items_count, got.more, got.count};
    *ret = digest(crc, numbers, sizeof numbers);
    return ST_OK;
}

struct listener {
    struct kv_watch watch;
    uint32_t crc;
    enum status why;
};

static void listen(struct kv_watch *watch, const struct kv_event *events,
                   size_t count, struct kv_header header)
{
    struct listener *l = container_of(watch, struct listener, watch);
    (void)header;
    for (size_t i = 0; i < count; i++) {
        l->crc = digest_item(l->crc, &events[i].item);
        if (events[i].prev != NULL) {
            l->crc = digest_item(l->crc, events[i].prev);
        }
    }
}

static void listen_end(struct kv_watch *watch, enum status why, int64_t at)
{
    (void)at;
    container_of(watch, struct listener, watch)->why = why;
}

static enum status ask_events(struct store *s, uint32_t *ret)
{
    struct listener l = {
        .watch = {.keys = {{(const uint8_t *)"", 1}, {(const uint8_t *)"", 1}},
                  .start_revision = store_compact_revision(s),
                  .prev_kv = true,
                  .on_events = listen,
                  .on_end = listen_end}};
    store_watch(s, &l.watch);
    while (
        store_deliver(s, (struct kv_header){.revision = store_revision(s)})) {
    }
    store_unwatch(s, &l.watch);
    *ret = l.crc;
    return l.why;
}

/* A key that is there, was there, or never was; a range; a listing. */
static void invent(struct exam *x, struct question *q)
{
    const unsigned i = (unsigned)prng_below(&x->prng, KEYS + 20);
    q->spec.keys.key = name_of(x, i, q->key);
    switch (prng_below(&x->prng, 8)) {
    case 0:
        q->key[q->spec.keys.key.size++] = 'z';
        break;
    case 1:
        q->spec.keys.key.size -= 1;
        break;
    case 2:
    case 3:
        q->spec.keys.end =
            name_of(x, (unsigned)prng_below(&x->prng, KEYS), q->end);
        q->spec.limit = (int64_t)prng_below(&x->prng, 20);
        break;
    case 4:
        q->spec.keys.key.size = 1 + prng_below(&x->prng, 8);
        q->spec.keys.end = (struct bytes){(const uint8_t *)"", 1};
        q->spec.grouped = true;
        q->spec.group_from = (uint32_t)q->spec.keys.key.size;
        break;
    default:
        break;
    }
    if (prng_below(&x->prng, 3) == 0) {
        const int64_t compact = store_compact_revision(x->rig.store);
        q->spec.revision =
            compact + (int64_t)prng_below(
                          &x->prng, (uint64_t)(x->revision - compact) + 1);
    }
}

static void prepare(struct exam *x)
{
    x->revision = store_revision(x->rig.store);
    x->index = store_applied_index(x->rig.store);
    x->questions = xcalloc(QUESTIONS, sizeof *x->questions);
    x->questions_count = QUESTIONS;
    for (size_t i = 0; i < x->questions_count; i++) {
        invent(x, &x->questions[i]);
        EXPECT_INT(ask(x->rig.store, x->rig.results, &x->questions[i].spec,
                       &x->questions[i].answer),
                   ST_OK);
    }
    EXPECT_INT(ask_events(x->rig.store, &x->events), ST_OK);
    x->hash = rig_hash(&x->rig);
}

/* In the child. The questions begin at a place of their own each time, so that
 * what stops at the first damage does not hide what comes after. */
static enum outcome examine(struct exam *x, unsigned from)
{
    struct fault fault;
    struct store *s;
    struct store_results *results = store_results_new();
    if (store_open(x->rig.path, &x->rig.options, &s, &fault) != ST_OK) {
        return REFUSED;
    }
    if (store_revision(s) != x->revision ||
        store_applied_index(s) != x->index) {
        return WRONG;
    }
    bool refused = false;
    for (size_t i = 0; i < ASKED; i++) {
        const struct question *q =
            &x->questions[(i + from) % x->questions_count];
        uint32_t answer;
        const enum status st = ask(s, results, &q->spec, &answer);
        refused = refused || st != ST_OK;
        if (st == ST_OK && answer != q->answer) {
            return WRONG;
        }
    }
    uint32_t got;
    enum status st = ask_events(s, &got);
    if (st == ST_OK && got != x->events) {
        return WRONG;
    }
    refused = refused || st != ST_OK;
    st = store_hash(s, &got, &fault);
    if (st == ST_OK && got != x->hash) {
        return WRONG;
    }
    return refused || st != ST_OK ? REFUSED : SAME;
}

static enum outcome examine_in_child(struct exam *x, unsigned from,
                                     unsigned *stopped)
{
    (void)fflush(NULL);
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        /* The test runner's handlers would go on with the next test. */
        static const int deaths[] = {SIGSEGV, SIGBUS, SIGABRT,
                                     SIGFPE,  SIGILL, SIGSYS};
        for (unsigned i = 0; i < count_of(deaths); i++) {
            (void)signal(deaths[i], SIG_DFL);
        }
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)alarm(20);
        const int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, 2);
        _exit(examine(x, from));
    }
    int how;
    must(waitpid(pid, &how, 0) == pid);
    if (!WIFEXITED(how) || WEXITSTATUS(how) >= OUTCOMES) {
        (*stopped)++;
        return REFUSED;
    }
    return (enum outcome)WEXITSTATUS(how);
}

void flips_run(const struct flips_options *options)
{
    struct exam x = {0};
    char path[600];
    prng_init(&x.prng, options->seed);
    rig_begin(&x.rig);
    fill(&x);
    prepare(&x);
    store_close(x.rig.store);
    x.rig.store = NULL;

    (void)snprintf(path, sizeof path, "%s/data.mdb", x.rig.path);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0);
    const off_t size = lseek(fd, 0, SEEK_END);
    uint8_t *whole = xmalloc((size_t)size);
    must(pread(fd, whole, (size_t)size, 0) == size);

    unsigned counts[OUTCOMES] = {0};
    unsigned stopped = 0;
    EXPECT_INT(examine_in_child(&x, 0, &stopped), SAME);
    for (unsigned i = 0; i < options->flips; i++) {
        const uint64_t bit = prng_below(&x.prng, (uint64_t)size * 8);
        whole[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        must(pwrite(fd, whole, (size_t)size, 0) == size);
        const enum outcome o = examine_in_child(&x, i * ASKED, &stopped);
        counts[o]++;
        whole[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (o == WRONG) {
            fail_msg("seed %llu: bit %llu (page %llu, byte %llu) turned over: "
                     "something wrong was served",
                     (unsigned long long)options->seed, (unsigned long long)bit,
                     (unsigned long long)(bit / 8 / 4096),
                     (unsigned long long)(bit / 8 % 4096));
        }
    }
    print_message(
        "# %u flips in %lld bytes: %u refused, %u stopped the process, %u in "
        "bytes that nobody uses\n",
        options->flips, (long long)size, counts[REFUSED] - stopped, stopped,
        counts[SAME]);
    (void)close(fd);
    free(whole);
    free(x.questions);
    rig_end(&x.rig);
}
