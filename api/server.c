/* The API as a whole: its server, what a turn does, its end. */

#include <stdlib.h>

#include "api/internal.h"

#define REQUEST_OVERHEAD                                                       \
    ((size_t)512 << 10) /* etcd's, over --max-request-bytes                    \
                         */

/* As etcd: a stream that asked for a leader ends after so many periods. */
#define LEADERLESS_MAX 3

void api_options_default(struct api_options *ret)
{
    *ret = (struct api_options){.server_version = "3.6.14",
                                .cluster_version = "3.6.0",
                                .txn_ops_max = 128,
                                .request_bytes_max = 1536 * 1024,
                                .progress_interval_ms = 600000,
                                .election_ms = 1000,
                                .streams_max = UINT32_MAX,
                                .ping_interval_min_ms = 5000,
                                .keepalive_ms = 7200000,
                                .keepalive_timeout_ms = 20000};
}

/* --- the local view --- */

const struct kv_status *api_status(struct api *a)
{
    if (!a->status_known) {
        kv_status(a->kv, &a->status);
        a->status_known = true;
        a->is_learner = false;
        for (size_t i = 0; i < a->status.members_count; i++) {
            const struct kv_member *m = &a->status.members[i];
            a->is_learner = a->is_learner || (m->is_self && m->is_learner);
        }
        if (a->status.leader != 0 && a->status.leader != a->leader_seen) {
            a->leader_seen = a->status.leader;
            a->counts.leader_changes++;
        }
    }
    return &a->status;
}

const struct kv_status *api_fresh_status(struct api *a)
{
    a->status_known = false;
    return api_status(a);
}

struct proto_limits api_proto_limits(const struct api *a)
{
    return (struct proto_limits){
        .size_max = (size_t)a->options.request_bytes_max + REQUEST_OVERHEAD,
        .depth_max = 8,
        .fields_max = 65536,
        .repeats_max = 65536,
        .memory_max =
            2 * ((size_t)a->options.request_bytes_max + REQUEST_OVERHEAD) +
            ((size_t)4 << 20)};
}

static bool turn_over(void *arg)
{
    struct api *a = arg;
    a->status_known = false;
    if (!list_is_empty(&a->busy_streams)) {
        api_watch_turn(a);
    }
    return false;
}

/* --- leaders --- */

static bool has_streams(const struct api *a)
{
    return !list_is_empty(&a->watch_streams) ||
           !list_is_empty(&a->lease_streams);
}

static void arm(struct api *a)
{
    loop_timer_at(a->leader_timer,
                  loop_now_ns() + a->options.election_ms * NS_PER_MS);
}

static void leader_period(void *arg)
{
    struct api *a = arg;
    a->leaderless = api_status(a)->leader == 0 ? a->leaderless + 1 : 0;
    if (a->leaderless == LEADERLESS_MAX) {
        a->leaderless = 0;
        api_watch_leader_lost(a);
        api_lease_leader_lost(a);
    }
    if (has_streams(a)) {
        arm(a);
    } else {
        loop_timer_free(a->leader_timer);
        a->leader_timer = NULL;
    }
}

void api_leader_timer_start(struct api *a)
{
    if (a->leader_timer == NULL) {
        a->leaderless = 0;
        a->leader_timer = loop_timer_new(a->loop, leader_period, a);
        arm(a);
    }
}

bool api_wants_leader(const struct grpc_call *c)
{
    return bytes_equal(grpc_call_metadata(c, "hasleader"), bytes_of("true"));
}

/* --- calls --- */

/* Continuation bytes that the first byte of a sequence wants; 4: none may begin
 * so. */
static unsigned utf8_tail(uint8_t first)
{
    if (first < 0x80) {
        return 0;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 4;
    }
    return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

static bool is_utf8(struct bytes b)
{
    for (size_t i = 0; i < b.size;) {
        const unsigned tail = utf8_tail(b.data[i]);
        if (tail == 4 || b.size - i <= tail) {
            return false;
        }
        for (unsigned j = 1; j <= tail; j++) {
            if ((b.data[i + j] & 0xc0) != 0x80) {
                return false;
            }
        }
        i += tail + 1;
    }
    return true;
}

void api_finish(struct api_method *m, struct grpc_call *c, struct api_error why)
{
    must(why.code >= 0);
    must(why.code < GRPC_CODES_COUNT);
    m->handled[why.code]++;
    grpc_finish(c, why.code, why.text);
}

bool api_admit(struct api_method *m, struct grpc_call *c)
{
    struct api *a = m->api;
    const struct kv_status *now = api_status(a);
    const bool is_stream = m->rpc->client_streams || m->rpc->server_streams;
    if (is_stream && a->is_learner && !m->rpc->for_learners) {
        api_finish(m, c, api_error_of(ST_LEARNER));
        return false;
    }
    if (!is_utf8(grpc_call_metadata(c, "client-api-version"))) {
        api_finish(m, c, API_INVALID_VERSION);
        return false;
    }
    if (now->leader == 0 && api_wants_leader(c)) {
        api_finish(m, c, api_error_of(ST_NO_LEADER));
        return false;
    }
    return true;
}

static const struct grpc_handler *begin(void *arg, struct grpc_call *c)
{
    struct api_method *m = arg;
    m->started++;
    if (!api_admit(m, c)) {
        return NULL;
    }
    return m->rpc->begin != NULL ? m->rpc->begin(m, c) : api_call_begin(m, c);
}

/* --- start and end --- */

static void make_methods(struct api *a)
{
    a->methods = xcalloc(api_rpcs_count, sizeof *a->methods);
    a->grpc_methods = xcalloc(api_rpcs_count, sizeof *a->grpc_methods);
    for (size_t i = 0; i < api_rpcs_count; i++) {
        const struct api_rpc *r = &api_rpcs[i];
        a->methods[i] = (struct api_method){.api = a, .rpc = r};
        a->grpc_methods[i] =
            (struct grpc_method){.path = r->path,
                                 .client_streams = r->client_streams,
                                 .server_streams = r->server_streams,
                                 .begin = begin,
                                 .arg = &a->methods[i]};
    }
}

static struct grpc_limits limits_of(const struct api_options *o)
{
    struct grpc_limits l;
    grpc_limits_default(&l);
    l.message_max = (size_t)o->request_bytes_max + REQUEST_OVERHEAD;
    if (o->streams_max < l.streams_max) {
        l.streams_max = o->streams_max;
    }
    l.ping_interval_min_ms = o->ping_interval_min_ms;
    l.keepalive_ms = o->keepalive_ms;
    l.keepalive_timeout_ms = o->keepalive_timeout_ms;
    return l;
}

struct api *api_new(struct loop *loop, struct kv *kv, struct admin *admin,
                    const struct api_options *options)
{
    struct api *a = xcalloc(1, sizeof *a);
    a->loop = loop;
    a->kv = kv;
    a->admin = admin;
    a->options = *options;
    list_init(&a->calls);
    list_init(&a->pool);
    list_init(&a->leaderless_calls);
    list_init(&a->watch_streams);
    list_init(&a->lease_streams);
    list_init(&a->busy_streams);
    make_methods(a);
    api_http_init(a, &a->http);
    /* Before the server's own, which sends what this one says. */
    a->hook = (struct loop_hook){.run = turn_over, .arg = a};
    loop_hook_add(loop, &a->hook);
    struct grpc_limits limits = limits_of(options);
    a->server = grpc_server_new(loop, &limits, a->grpc_methods, api_rpcs_count,
                                &a->http);
    return a;
}

/* The address in http://HOST:PORT. */
static enum status address_of(const char *url, const char **ret,
                              struct fault *reterr)
{
    static const char http[] = "http://";
    if (strncmp(url, http, sizeof http - 1) == 0) {
        *ret = url + sizeof http - 1;
        return ST_OK;
    }
    if (strncmp(url, "https://", 8) == 0 || strncmp(url, "unix", 4) == 0) {
        return fault_set(reterr, ST_UNSUPPORTED,
                         "cannot listen at '%s': this version listens at "
                         "http://HOST:PORT only",
                         url);
    }
    return fault_set(reterr, ST_INVALID,
                     "cannot listen at '%s': it must be http://HOST:PORT", url);
}

enum status api_listen(struct api *a, const char *url, bool metrics_only,
                       uint16_t *ret_port, struct fault *reterr)
{
    const char *address = NULL;
    const enum status st = address_of(url, &address, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (metrics_only && a->metrics == NULL) {
        struct grpc_limits limits;
        grpc_limits_default(&limits);
        a->metrics = grpc_server_new(a->loop, &limits, NULL, 0, &a->http);
    }
    return grpc_server_listen(metrics_only ? a->metrics : a->server, address,
                              ret_port, reterr);
}

void api_drain(struct api *a)
{
    if (a->server != NULL) {
        grpc_server_drain(a->server);
    }
    if (a->metrics != NULL) {
        grpc_server_drain(a->metrics);
    }
}

size_t api_calls(const struct api *a)
{
    size_t count = 0;
    list_each (node, &a->calls) {
        const struct api_call *c = container_of(node, struct api_call, link);
        count += !c->method->rpc->server_streams;
    }
    return count;
}

void api_close(struct api *a)
{
    grpc_server_free(a->server);
    grpc_server_free(a->metrics);
    a->server = a->metrics = NULL;
}

void api_free(struct api *a)
{
    if (a == NULL) {
        return;
    }
    api_close(a);
    must(a->held == 0); /* kv and admin have answered */
    must(list_is_empty(&a->calls));
    must(!has_streams(a));
    struct list *node;
    while ((node = list_pop(&a->pool)) != NULL) {
        free(container_of(node, struct api_call, link));
    }
    loop_timer_free(a->leader_timer);
    loop_timer_free(a->retry_timer);
    loop_hook_remove(&a->hook);
    free(a->methods);
    free(a->grpc_methods);
    free(a);
}
