/* The keystore that kv/kv.h shows, and the end of a turn. */

#include "client/internal.h"

#define DIAL_MS              3000
#define REQUEST_MS           7000
#define KEEPALIVE_MS         10000
#define KEEPALIVE_TIMEOUT_MS 5000
#define STATUS_MS            5000
/* etcd's default, which no server tells. */
#define REQUEST_BYTES_MAX (3 << 19)

static bool end_of_turn(void *arg)
{
    struct client *c = arg;
    bool any = requests_deliver(c);
    any |= watches_deliver(c);
    channel_sweep(c);
    return any;
}

static void post_came(struct loop_post *p)
{
    container_of(p, struct client, post)->posted = false; /* the hook follows */
}

void client_mark(struct client *c)
{
    if (!c->posted && !c->stopping) {
        c->posted = true;
        loop_post(c->loop, &c->post);
    }
}

void client_saw(struct client *c, const struct kv_header *header)
{
    if (header->revision > c->seen) {
        c->seen = header->revision;
    }
    if (header->cluster_id != 0 && header->revision >= c->header.revision) {
        c->header = *header;
    }
}

static void again(void *arg)
{
    struct client *c = arg;
    c->again_ns = 0;
    requests_resume(c);
    watches_resume(c);
}

void client_again(struct client *c, int64_t ms)
{
    const int64_t at_ns = loop_now_ns() + ms * NS_PER_MS;
    if (c->again_ns == 0 || at_ns < c->again_ns) {
        c->again_ns = at_ns;
        loop_timer_at(c->again_timer, at_ns);
    }
}

static void cancel(struct kv *kv, struct kv_call *call)
{
    requests_cancel(container_of(kv, struct client, kv), call);
}

static void status(struct kv *kv, struct kv_status *ret)
{
    const struct client *c = container_of(kv, struct client, kv);
    *ret = c->facts;
    ret->header = c->header;
    ret->header.revision = c->seen;
    ret->members = c->members;
    ret->members_count = c->members_count;
    ret->writable = channel_is_ready(c) && c->facts.leader != 0;
    ret->request_bytes_max = REQUEST_BYTES_MAX;
}

static const struct kv_ops ops = {.range = client_range,
                                  .txn = client_txn,
                                  .compact = client_compact,
                                  .lease = client_lease,
                                  .cancel = cancel,
                                  .watch = client_watch,
                                  .unwatch = client_unwatch,
                                  .status = status};

/* --- life --- */

static void set_default(int64_t *value, int64_t otherwise)
{
    if (*value == 0) {
        *value = otherwise;
    }
}

static MUST_USE enum status take_endpoint(struct client *c, const char *text,
                                          struct fault *reterr)
{
    static const char http[] = "http://", https[] = "https://";
    if (strncmp(text, https, sizeof https - 1) == 0) {
        return fault_set(reterr, ST_UNSUPPORTED,
                         "endpoint '%s': there is no TLS yet", text);
    }
    if (strncmp(text, http, sizeof http - 1) == 0) {
        text += sizeof http - 1;
    }
    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '/') {
        size--;
    }
    char *copy = xcalloc(1, size + 1);
    memcpy(copy, text, size);
    const enum status st = grpc_address_check(copy, reterr);
    if (st != ST_OK) {
        free(copy);
        return st;
    }
    c->endpoints[c->endpoints_count++] = copy;
    return ST_OK;
}

static MUST_USE enum status take_endpoints(struct client *c,
                                           const struct client_options *options,
                                           struct fault *reterr)
{
    if (options->endpoints_count == 0 ||
        options->endpoints_count > CLIENT_ENDPOINTS_MAX) {
        return fault_set(reterr, ST_INVALID,
                         "one to %d endpoints are needed, not %zu",
                         CLIENT_ENDPOINTS_MAX, options->endpoints_count);
    }
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < options->endpoints_count; i++) {
        st = take_endpoint(c, options->endpoints[i], reterr);
    }
    return st;
}

static void free_endpoints(struct client *c)
{
    for (size_t i = 0; i < c->endpoints_count; i++) {
        free(c->endpoints[i]);
    }
}

enum status client_new(struct loop *l, const struct client_options *options,
                       struct client **ret, struct fault *reterr)
{
    struct client *c = xcalloc(1, sizeof *c);
    c->kv.ops = &ops;
    c->loop = l;
    c->options = *options;
    c->options.endpoints = NULL; /* was borrowed */
    set_default(&c->options.dial_ms, DIAL_MS);
    set_default(&c->options.request_ms, REQUEST_MS);
    set_default(&c->options.keepalive_ms, KEEPALIVE_MS);
    set_default(&c->options.keepalive_timeout_ms, KEEPALIVE_TIMEOUT_MS);
    set_default(&c->options.status_ms, STATUS_MS);
    prng_init(&c->chance, options->seed);
    const enum status st = take_endpoints(c, options, reterr);
    if (st != ST_OK) {
        free_endpoints(c);
        free(c);
        return st;
    }
    struct list *const lists[] = {
        &c->waiting,      &c->sent,          &c->ended,
        &c->writes,       &c->keepalives,    &c->watches_new,
        &c->watches_idle, &c->watches_ended, &c->watches_creating,
        &c->held};
    for (size_t i = 0; i < count_of(lists); i++) {
        list_init(lists[i]);
    }
    c->hook = (struct loop_hook){.run = end_of_turn, .arg = c};
    c->post.run = post_came;
    /* Before the dialer's: what `done` asks leaves in the same round. */
    loop_hook_add(l, &c->hook);
    c->dialer = grpc_dialer_new(l);
    c->deadline_timer = loop_timer_new(l, requests_expire, c);
    c->again_timer = loop_timer_new(l, again, c);
    channel_begin(c);
    *ret = c;
    return ST_OK;
}

void client_free(struct client *c)
{
    if (c == NULL) {
        return;
    }
    c->stopping = true;
    loop_hook_remove(&c->hook);
    loop_post_cancel(c->loop, &c->post);
    requests_stop(c);
    channel_end(c);
    watches_stop(c);
    loop_timer_free(c->deadline_timer);
    loop_timer_free(c->again_timer);
    grpc_dialer_free(c->dialer);
    heap_fini(&c->deadlines);
    arena_fini(&c->members_arena);
    free_endpoints(c);
    free(c);
}

struct kv *client_kv(struct client *c)
{
    return &c->kv;
}
