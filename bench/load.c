/* One load generator for whatever speaks etcd's gRPC API: an event loop, many
 * connections, no thread but its own.
 *
 *   bench-load WORK --endpoints HOST:PORT[,...] [options]
 *
 * WORK: put, get, get-serializable, txn, mixed, keepalive, watch, fill
 *   --clients N      loops of request and answer (1)
 *   --conns N        connections they share (as many as clients, at most 100)
 *   --watchers N     of `watch`: streams that watch the key (1)
 *   --seconds S      measured (1), after --warm S (0.2); or --count N
 *                    operations; SIGTERM ends it early
 *   --value-size N   (256)       --keys N   key space (10000)
 *   --filled         the keys of the space are there: reads need not write them
 *   --pids P[,...]   servers, whose CPU time is counted over the measured span
 *
 * Prints one line of JSON: throughput, p50, p99, errors, the server's CPU time
 * for each operation, and this program's own, with its share of one core.
 */

#include "bench/load.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/must.h"

#define ENDING_NS INT64_C(10000000000) /* for what is still under way */

static const char *const work_names[] = {"put",   "get",   "get-serializable",
                                         "txn",   "mixed", "keepalive",
                                         "watch", "fill"};

/* CPU time in microseconds. */
struct spent {
    int64_t at_ns;
    double own_us, servers_us;
};

static struct spent begun, ended;

static double servers_us(const struct load_options *o)
{
    double total = 0;
    for (size_t i = 0; i < o->pids_count; i++) {
        char path[64], text[1024];
        (void)snprintf(path, sizeof path, "/proc/%d/stat", o->pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            fail("%s", path);
        }
        const size_t size = fread(text, 1, sizeof text - 1, file);
        (void)fclose(file); /* only read */
        text[size] = 0;
        /* Fields are counted behind the name, which may hold anything. */
        char *at = strrchr(text, ')');
        for (int field = 2; at != NULL && field < 14; field++) {
            at = strchr(at + 1, ' ');
        }
        if (at == NULL) {
            fail("%s is not what it was", path);
        }
        const double user = strtod(at, &at), system = strtod(at, NULL);
        total += (user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
    }
    return total;
}

static struct spent look(const struct load_options *o)
{
    struct rusage own;
    must(getrusage(RUSAGE_SELF, &own) == 0);
    const struct timeval *user = &own.ru_utime, *system = &own.ru_stime;
    return (struct spent){clock_ns(),
                          (double)(user->tv_sec + system->tv_sec) * 1e6 +
                              (double)(user->tv_usec + system->tv_usec),
                          servers_us(o)};
}

/* --- what the work reports --- */

void load_sample(struct load *l, int64_t begun_ns)
{
    if (l->phase == PHASE_MEASURING ||
        (l->phase == PHASE_FILLING && l->options.work == WORK_FILL)) {
        samples_add(&l->samples, clock_ns() - begun_ns);
    }
}

void load_error(struct load *l, const struct grpc_outcome *how)
{
    if (l->errors++ == 0) {
        (void)snprintf(l->first_error, sizeof l->first_error, "%d %.*s",
                       how != NULL ? how->code : 0,
                       how != NULL ? (int)how->text.size : 0,
                       how != NULL ? (const char *)how->text.data : "");
    }
    /* A server that died would be asked for ever. */
    if (l->errors > 1000 && (l->samples.count == 0 ||
                             l->errors > 100 * l->samples.count + 100000)) {
        fail("nothing but errors: %s", l->first_error);
    }
}

static volatile sig_atomic_t told_to_end;

static void tell_to_end(int signal)
{
    (void)signal;
    told_to_end = 1;
}

static void end_measuring(struct load *l)
{
    if (l->phase == PHASE_MEASURING) {
        ended = look(&l->options);
        l->phase = PHASE_ENDING;
        loop_timer_at(l->timer, clock_ns() + ENDING_NS);
    }
}

bool load_goes_on(struct load *l)
{
    const bool enough =
        l->options.count > 0 && l->samples.count >= l->options.count;
    if (l->phase == PHASE_MEASURING && (enough || told_to_end)) {
        end_measuring(l);
    }
    return l->phase == PHASE_WARMING || l->phase == PHASE_MEASURING;
}

/* --- phases --- */

static void begin_warming(struct load *l)
{
    l->phase = PHASE_WARMING;
    loop_timer_at(l->timer,
                  clock_ns() + (int64_t)(l->options.warm_seconds * 1e9));
    const unsigned clients =
        l->options.work == WORK_WATCH ? 1 : l->options.clients;
    l->running = clients;
    for (unsigned i = 0; i < clients; i++) {
        load_begin(&l->clients[i]);
    }
}

static void begin_preparing(struct load *l)
{
    l->phase = PHASE_PREPARING;
    load_prepare(l);
    if (l->preparing == 0) {
        begin_warming(l);
    }
}

void load_prepared(struct load *l)
{
    must(l->preparing > 0);
    if (--l->preparing == 0) {
        if (l->errors > 0) {
            fail("cannot prepare: %s", l->first_error);
        }
        begin_warming(l);
    }
}

void load_client_ended(struct load *l)
{
    must(l->running > 0);
    if (--l->running > 0) {
        return;
    }
    if (l->phase == PHASE_FILLING && l->options.work != WORK_FILL) {
        if (l->errors > 0) {
            fail("cannot fill: %s", l->first_error);
        }
        begin_preparing(l);
        return;
    }
    if (l->phase == PHASE_FILLING) {
        ended = look(&l->options);
    } else {
        end_measuring(l); /* they ended before their time: errors */
    }
    loop_stop(l->loop);
}

static void timer_fired(void *arg)
{
    struct load *l = arg;
    switch (l->phase) {
    case PHASE_CONNECTING:
        fail("no connection to %s", l->options.endpoints[0]);
    case PHASE_WARMING:
        l->phase = PHASE_MEASURING;
        begun = look(&l->options);
        if (l->options.count == 0) {
            loop_timer_at(l->timer,
                          clock_ns() + (int64_t)(l->options.seconds * 1e9));
        }
        break;
    case PHASE_MEASURING:
        end_measuring(l);
        break;
    case PHASE_ENDING:
        l->errors += l->running; /* never answered */
        loop_stop(l->loop);
        break;
    case PHASE_FILLING:
    case PHASE_PREPARING:
        break;
    }
}

static bool needs_keys(const struct load_options *o)
{
    return !o->filled && (o->work == WORK_GET || o->work == WORK_MIXED ||
                          o->work == WORK_GET_SERIALIZABLE);
}

static void conn_up(void *arg)
{
    struct load *l = arg;
    if (++l->conns_up < l->options.conns) {
        return;
    }
    loop_timer_clear(l->timer);
    if (l->options.work == WORK_FILL || needs_keys(&l->options)) {
        l->phase = PHASE_FILLING;
        begun = look(&l->options);
        load_begin_fill(l);
    } else {
        begin_preparing(l);
    }
}

static void conn_down(void *arg, const char *why)
{
    (void)arg;
    fail("connection lost: %s", why);
}

/* --- the run --- */

static void open_conns(struct load *l)
{
    struct fault fault;
    l->conns = xcalloc(l->options.conns, sizeof(struct grpc_conn *));
    for (unsigned i = 0; i < l->options.conns; i++) {
        const struct grpc_conn_options options = {
            .address = l->options.endpoints[i % l->options.endpoints_count],
            .on_up = conn_up,
            .on_down = conn_down,
            .arg = l};
        if (grpc_conn_open(l->dialer, &options, &l->conns[i], &fault) !=
            ST_OK) {
            fail("%s", fault.text);
        }
    }
    loop_timer_at(l->timer, clock_ns() + ENDING_NS);
}

static void run(struct load *l)
{
    const struct load_options *o = &l->options;
    const struct loop_options options = {.spin_us = 0};
    struct fault fault;
    if (loop_new(&options, &l->loop, &fault) != ST_OK) {
        fail("%s", fault.text);
    }
    l->dialer = grpc_dialer_new(l->loop);
    l->timer = loop_timer_new(l->loop, timer_fired, l);
    l->clients = xcalloc(o->clients, sizeof l->clients[0]);
    l->watchers = xcalloc(o->watchers, sizeof l->watchers[0]);
    l->value = xmalloc(o->value_size + 1);
    struct prng chance;
    prng_init(&chance, 1);
    prng_fill(&chance, l->value, o->value_size);
    for (unsigned i = 0; i < o->clients; i++) {
        l->clients[i].load = l;
        prng_init(&l->clients[i].chance, i);
    }
    samples_init(&l->samples);
    open_conns(l);
    loop_run(l->loop);
    for (unsigned i = 0; i < o->conns; i++) {
        grpc_conn_close(l->conns[i]);
    }
    grpc_dialer_free(l->dialer);
    loop_timer_free(l->timer);
    loop_free(l->loop);
    free(l->conns);
    free(l->clients);
    free(l->watchers);
    free(l->value);
}

static void report(struct load *l)
{
    const struct load_options *o = &l->options;
    const double count = l->samples.count > 0 ? (double)l->samples.count : 1;
    const double seconds = (double)(ended.at_ns - begun.at_ns) / 1e9;
    const double own = ended.own_us - begun.own_us;
    (void)printf("{\"work\":\"%s\",\"clients\":%u,\"conns\":%u,"
                 "\"watchers\":%u,\"errors\":%llu,\"first_error\":\"%s\","
                 "\"server_cpu_us\":%.2f,\"load_cpu_us\":%.2f,"
                 "\"load_cpu_share\":%.3f,",
                 work_names[o->work], o->clients, o->conns, o->watchers,
                 (unsigned long long)l->errors, l->first_error,
                 (ended.servers_us - begun.servers_us) / count, own / count,
                 own / 1e6 / seconds);
    samples_print_rest(&l->samples, ended.at_ns - begun.at_ns);
    samples_fini(&l->samples);
}

/* --- arguments --- */

static unsigned long long number(const char *name, const char *text)
{
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != 0) {
        fail("--%s '%s' is no number", name, text);
    }
    return value;
}

static void split(struct load_options *o, bool pids, char *text)
{
    char *rest = text, *one;
    while ((one = strsep(&rest, ",")) != NULL) {
        size_t *count = pids ? &o->pids_count : &o->endpoints_count;
        if (*count == LOAD_SERVERS_MAX) {
            fail("more than %d servers", LOAD_SERVERS_MAX);
        }
        if (pids) {
            o->pids[(*count)++] = (int)number("pids", one);
        } else {
            o->endpoints[(*count)++] = one;
        }
    }
}

static const struct option flags[] = {
    {"endpoints", required_argument, NULL, 'e'},
    {"clients", required_argument, NULL, 'c'},
    {"conns", required_argument, NULL, 'n'},
    {"watchers", required_argument, NULL, 'w'},
    {"seconds", required_argument, NULL, 's'},
    {"warm", required_argument, NULL, 'a'},
    {"count", required_argument, NULL, 'o'},
    {"value-size", required_argument, NULL, 'v'},
    {"keys", required_argument, NULL, 'k'},
    {"filled", no_argument, NULL, 'f'},
    {"pids", required_argument, NULL, 'p'},
    {NULL, 0, NULL, 0}};

static void take_flag(struct load_options *o, int flag, char *value)
{
    switch (flag) {
    case 'e':
    case 'p':
        split(o, flag == 'p', value);
        break;
    case 'c':
        o->clients = (unsigned)number("clients", value);
        break;
    case 'n':
        o->conns = (unsigned)number("conns", value);
        break;
    case 'w':
        o->watchers = (unsigned)number("watchers", value);
        break;
    case 's':
        o->seconds = strtod(value, NULL);
        break;
    case 'a':
        o->warm_seconds = strtod(value, NULL);
        break;
    case 'o':
        o->count = number("count", value);
        break;
    case 'v':
        o->value_size = number("value-size", value);
        break;
    case 'k':
        o->keys = number("keys", value);
        break;
    case 'f':
        o->filled = true;
        break;
    default:
        (void)fputs("bench-load: see the head of bench/load.c\n", stderr);
        exit(2);
    }
}

static void read_arguments(struct load_options *o, int count, char **words)
{
    int flag;
    while ((flag = getopt_long(count, words, "", flags, NULL)) != -1) {
        take_flag(o, flag, optarg);
    }
    size_t work = 0;
    while (optind < count && work < count_of(work_names) &&
           strcmp(words[optind], work_names[work]) != 0) {
        work++;
    }
    if (optind + 1 != count || work == count_of(work_names) ||
        o->endpoints_count == 0 || o->clients == 0 || o->keys == 0 ||
        o->value_size > 1 << 20) {
        take_flag(o, '?', NULL);
    }
    o->work = (enum work)work;
    if (o->conns == 0) {
        const unsigned most = o->work == WORK_WATCH ? o->watchers : o->clients;
        o->conns = most < 100 ? most : 100;
        o->conns += o->work == WORK_WATCH; /* the writer's own */
    }
}

int main(int count, char **words)
{
    struct load l = {.options = {.clients = 1,
                                 .watchers = 1,
                                 .seconds = 1,
                                 .warm_seconds = 0.2,
                                 .value_size = 256,
                                 .keys = 10000}};
    read_arguments(&l.options, count, words);
    must(signal(SIGTERM, tell_to_end) != SIG_ERR);
    run(&l);
    report(&l);
    return 0;
}
