/* The rig: net/grpc.h and net/loop.h as far as the API uses them. */

#include "tests/api/rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

/* --- loop --- */

struct loop_timer {
    struct list link;
    void (*fire)(void *arg);
    void *arg;
    int64_t at_ns; /* 0: not set */
};

static struct list hooks, timers;
static int64_t now_ns;

int64_t loop_now_ns(void)
{
    return now_ns;
}

void loop_hook_add(struct loop *l, struct loop_hook *h)
{
    (void)l;
    list_push(&hooks, &h->link);
}

void loop_hook_remove(struct loop_hook *h)
{
    list_remove(&h->link);
}

struct loop_timer *loop_timer_new(struct loop *l, void (*fire)(void *arg),
                                  void *arg)
{
    (void)l;
    struct loop_timer *t = xcalloc(1, sizeof *t);
    t->fire = fire;
    t->arg = arg;
    list_push(&timers, &t->link);
    return t;
}

void loop_timer_at(struct loop_timer *t, int64_t at_ns)
{
    t->at_ns = at_ns;
}

void loop_timer_free(struct loop_timer *t)
{
    if (t != NULL) {
        list_remove(&t->link);
        free(t);
    }
}

void rig_turn(void)
{
    list_each_safe (node, &hooks) {
        struct loop_hook *h = container_of(node, struct loop_hook, link);
        (void)h->run(h->arg);
    }
}

static struct loop_timer *due(void)
{
    list_each (node, &timers) {
        struct loop_timer *t = container_of(node, struct loop_timer, link);
        if (t->at_ns != 0 && t->at_ns <= now_ns) {
            return t;
        }
    }
    return NULL;
}

void rig_pass(int64_t milliseconds)
{
    now_ns += milliseconds * 1000000;
    struct loop_timer *t;
    while ((t = due()) != NULL) {
        t->at_ns = 0;
        t->fire(t->arg);
    }
    rig_turn();
}

/* --- the server --- */

struct grpc_server {
    const struct grpc_method *methods;
    size_t count;
};

static struct grpc_server server;

void grpc_limits_default(struct grpc_limits *ret)
{
    *ret = (struct grpc_limits){0};
}

struct grpc_server *grpc_server_new(struct loop *l,
                                    const struct grpc_limits *limits,
                                    const struct grpc_method *methods,
                                    size_t methods_count,
                                    const struct grpc_http *http)
{
    (void)l;
    (void)limits;
    (void)http;
    server = (struct grpc_server){methods, methods_count};
    return &server;
}

enum status grpc_server_listen(struct grpc_server *s, const char *address,
                               uint16_t *ret_port, struct fault *reterr)
{
    (void)s;
    (void)address;
    *ret_port = 1;
    return fault_set(reterr, ST_UNSUPPORTED, "no sockets here");
}

void grpc_server_drain(struct grpc_server *s)
{
    (void)s;
}

void grpc_server_free(struct grpc_server *s)
{
    (void)s;
}

void grpc_server_counts(const struct grpc_server *s, struct grpc_counts *ret)
{
    (void)s;
    *ret = (struct grpc_counts){0};
}

void grpc_http_set_state(struct grpc_http_request *r, void *state)
{
    (void)r;
    (void)state;
}

void *grpc_http_state(const struct grpc_http_request *r)
{
    (void)r;
    return NULL;
}

void grpc_http_answer(struct grpc_http_request *r, int status,
                      const char *content_type, struct bytes body)
{
    (void)r;
    (void)status;
    (void)content_type;
    (void)body;
}

/* --- a call --- */

void grpc_call_set_state(struct grpc_call *c, void *state)
{
    c->state = state;
}

void *grpc_call_state(const struct grpc_call *c)
{
    return c->state;
}

struct bytes grpc_call_metadata(const struct grpc_call *c, const char *name)
{
    return c->has_leader && strcmp(name, "hasleader") == 0 ? bytes_of("true")
                                                           : BYTES_NONE;
}

struct buf *grpc_begin_message(struct grpc_call *c)
{
    must(!c->finished);
    must(c->messages_count < RIG_MESSAGES_MAX);
    return &c->messages[c->messages_count];
}

size_t grpc_message_size(struct grpc_call *c)
{
    return c->messages[c->messages_count].size;
}

void grpc_drop_message(struct grpc_call *c)
{
    buf_clear(&c->messages[c->messages_count]);
}

bool grpc_end_message(struct grpc_call *c)
{
    c->messages_count++;
    return !c->choked;
}

void grpc_finish(struct grpc_call *c, int code, const char *text)
{
    must(!c->finished);
    c->finished = true;
    c->code = code;
    (void)snprintf(c->text, sizeof c->text, "%s", text == NULL ? "" : text);
}

void grpc_pause_reading(struct grpc_call *c)
{
    c->paused = true;
}

void grpc_resume_reading(struct grpc_call *c)
{
    c->paused = false;
}

void call_begin(struct grpc_call *c, const char *path)
{
    const bool has_leader = c->has_leader;
    *c = (struct grpc_call){.has_leader = has_leader};
    for (size_t i = 0; i < server.count; i++) {
        if (strcmp(server.methods[i].path, path) == 0) {
            c->method = &server.methods[i];
        }
    }
    must(c->method != NULL);
    c->handler = c->method->begin(c->method->arg, c);
    must(c->handler != NULL || c->finished);
}

void call_bytes(struct grpc_call *c, struct bytes message)
{
    /* Gone when the handler returns, as in the network. */
    uint8_t *copy = malloc(message.size + 1);
    if (message.size > 0) {
        memcpy(copy, message.data, message.size);
    }
    if (!c->finished) {
        c->handler->on_message(c, (struct bytes){copy, message.size});
    }
    free(copy);
}

void call_message(struct grpc_call *c, const void *message)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(size + 1);
    (void)protobuf_c_message_pack(message, data);
    call_bytes(c, (struct bytes){data, size});
    free(data);
}

void call_half_close(struct grpc_call *c)
{
    if (c->handler->on_half_close != NULL) {
        c->handler->on_half_close(c);
    }
}

void call_unchoke(struct grpc_call *c)
{
    c->choked = false;
    c->handler->on_writable(c);
}

void call_reset(struct grpc_call *c)
{
    must(!c->finished);
    c->finished = true;
    c->handler->on_cancel(c);
}

void call_fini(struct grpc_call *c)
{
    EXPECT(c->finished);
    for (size_t i = 0; i < RIG_MESSAGES_MAX; i++) {
        buf_fini(&c->messages[i]);
    }
}

void *call_next(struct grpc_call *c, const ProtobufCMessageDescriptor *type)
{
    if (c->messages_read == c->messages_count) {
        return NULL;
    }
    const struct buf *b = &c->messages[c->messages_read++];
    static const uint8_t nothing[1];
    void *m = protobuf_c_message_unpack(type, NULL, b->size,
                                        b->size > 0 ? b->data : nothing);
    must(m != NULL);
    return m;
}

void rig_free(void *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

void call_ask(struct grpc_call *c, const char *path, const void *message)
{
    call_begin(c, path);
    if (!c->finished) {
        call_message(c, message);
    }
}

/* --- the keystore --- */

static struct rig *rig_of(struct kv *kv)
{
    return container_of(kv, struct rig, kv);
}

static void submit(struct kv *kv, struct kv_call *call)
{
    list_push(&rig_of(kv)->waiting, &call->link);
}

static void ask_range(struct kv *kv, struct kv_range *q)
{
    submit(kv, &q->call);
}

static void ask_txn(struct kv *kv, struct kv_txn *q)
{
    submit(kv, &q->call);
}

static void ask_compact(struct kv *kv, struct kv_compact *q)
{
    submit(kv, &q->call);
}

static void ask_lease(struct kv *kv, struct kv_lease *q)
{
    submit(kv, &q->call);
}

static void cancel(struct kv *kv, struct kv_call *call)
{
    (void)call;
    rig_of(kv)->cancelled++;
}

static void watch(struct kv *kv, struct kv_watch *w)
{
    list_push(&rig_of(kv)->watches, &w->link);
}

static void unwatch(struct kv *kv, struct kv_watch *w)
{
    (void)kv;
    list_remove(&w->link);
}

static int64_t watched(struct kv *kv, const struct kv_watch *w)
{
    const struct rig *r = rig_of(kv);
    (void)w;
    return r->watched != 0 ? r->watched : r->status.header.revision;
}

static void status(struct kv *kv, struct kv_status *ret)
{
    *ret = rig_of(kv)->status;
}

struct kv_call *rig_take(struct rig *r)
{
    struct list *node = list_pop(&r->waiting);
    return node == NULL ? NULL : container_of(node, struct kv_call, link);
}

void rig_done(struct rig *r, struct kv_call *call, enum status st)
{
    call->status = st;
    call->header = r->status.header;
    call->done(call);
}

size_t rig_watches(const struct rig *r)
{
    size_t count = 0;
    list_each (node, &r->watches) {
        count++;
    }
    return count;
}

struct kv_watch *rig_watch(struct rig *r, size_t index)
{
    list_each (node, &r->watches) {
        if (index-- == 0) {
            return container_of(node, struct kv_watch, link);
        }
    }
    return NULL;
}

void rig_put(struct rig *r, struct kv_watch *w, const char *key,
             int64_t revision)
{
    struct kv_header header = r->status.header;
    header.revision = revision;
    const struct kv_event e = {.type = KV_EVENT_PUT,
                               .item = {.key = bytes_of(key),
                                        .create_revision = revision,
                                        .mod_revision = revision,
                                        .version = 1}};
    w->on_events(w, &e, 1, header);
}

/* --- all of it --- */

void rig_begin(struct rig *r)
{
    static const struct kv_ops ops = {.range = ask_range,
                                      .txn = ask_txn,
                                      .compact = ask_compact,
                                      .lease = ask_lease,
                                      .cancel = cancel,
                                      .watch = watch,
                                      .unwatch = unwatch,
                                      .watched = watched,
                                      .status = status};
    list_init(&hooks);
    list_init(&timers);
    now_ns = 1;
    *r = (struct rig){.kv.ops = &ops};
    list_init(&r->waiting);
    list_init(&r->watches);
    r->members[0] = (struct kv_member){.id = 7, .name = "a", .is_self = true};
    r->status = (struct kv_status){.header = {.cluster_id = 1,
                                              .member_id = 7,
                                              .revision = 10,
                                              .raft_term = 2},
                                   .leader = 7,
                                   .role = KV_LEADER,
                                   .members = r->members,
                                   .members_count = 1,
                                   .writable = true};
    struct api_options options;
    api_options_default(&options);
    r->api = api_new(NULL, &r->kv, NULL, &options);
}

void rig_end(struct rig *r)
{
    EXPECT(rig_take(r) == NULL);
    EXPECT_INT(rig_watches(r), 0);
    api_free(r->api);
    EXPECT(list_is_empty(&timers)); /* none outlives the API */
}
