/* The member's rig. */

#include "tests/node/host.h"

#include "base/must.h"

#define WAIT_NS (INT64_C(20) * 1000000000)

static void ready(void *arg)
{
    ((struct host *)arg)->ready = true;
}

static void failed(void *arg, enum status why, const struct fault *fault)
{
    struct host *h = arg;
    print_message("# the node failed: %s: %s\n", status_name(why), fault->text);
    h->failed = true;
}

struct waiting {
    struct loop *loop;
    const bool *flag;
    int64_t until_ns;
};

static bool look(void *arg)
{
    const struct waiting *w = arg;
    if (*w->flag || loop_now_ns() > w->until_ns) {
        loop_stop(w->loop);
    }
    return false;
}

static void nothing(void *arg)
{
    (void)arg;
}

void host_until(struct host *h, const bool *flag)
{
    struct waiting w = {
        .loop = h->loop, .flag = flag, .until_ns = loop_now_ns() + WAIT_NS};
    struct loop_hook hook = {.run = look, .arg = &w};
    struct loop_timer *now = loop_timer_new(h->loop, nothing, NULL);
    loop_hook_add(h->loop, &hook);
    loop_timer_at(now,
                  0); /* a turn at once: calls were submitted outside one */
    loop_run(h->loop);
    loop_hook_remove(&hook);
    loop_timer_free(now);
    EXPECT(*flag);
}

void host_start(struct host *h)
{
    struct fault fault = {{0}};
    if (h->options.data_dir == NULL) {
        h->directory = test_directory();
        struct node_options given = h->options;
        node_options_default(&h->options);
        h->options.quota_bytes = given.quota_bytes;
        h->options.auto_compaction = given.auto_compaction;
        h->options.data_dir = h->directory;
    }
    const struct loop_options lo = {0};
    EXPECT_INT(loop_new(&lo, &h->loop, &fault), ST_OK);
    h->ready = false;
    if (node_start(h->loop, &h->options, ready, failed, h, &h->node, &fault) !=
        ST_OK) {
        fail_msg("cannot start: %s", fault.text);
    }
    h->kv = node_kv(h->node);
    h->admin = node_admin(h->node);
    host_until(h, &h->ready);
}

void host_stop(struct host *h)
{
    node_stop(h->node);
    loop_free(h->loop);
    h->node = NULL;
    h->loop = NULL;
}

static bool call_done;

void host_call_done(struct kv_call *call)
{
    (void)call;
    call_done = true;
}

void host_wait(struct host *h, struct kv_call *call)
{
    must(call->done == host_call_done);
    call_done = false;
    host_until(h, &call_done);
}

static struct {
    struct kv_range *range;
    char *to;
    size_t size;
} asked;

static void range_done(struct kv_call *call)
{
    const struct kv_range_result *r = &asked.range->result;
    size_t used =
        (size_t)snprintf(asked.to, asked.size, "%s", status_name(call->status));
    for (size_t i = 0; call->status == ST_OK && i < r->items_count; i++) {
        const struct kv_item *item = &r->items[i];
        used += (size_t)snprintf(
            asked.to + used, asked.size - used, " %.*s=%.*s",
            (int)item->key.size, (const char *)item->key.data,
            (int)item->value.size, (const char *)item->value.data);
        must(used < asked.size);
    }
    if (call->status == ST_OK) {
        (void)snprintf(asked.to + used, asked.size - used, " @%lld",
                       (long long)call->header.revision);
    }
    call_done = true;
}

void host_range(struct host *h, struct kv_range *range, char *to, size_t size)
{
    asked.range = range;
    asked.to = to;
    asked.size = size;
    call_done = false;
    range->call.done = range_done; /* results are borrowed until then */
    kv_range(h->kv, range);
    host_until(h, &call_done);
}

static enum status run(struct host *h, const struct kv_op *op)
{
    struct kv_txn txn = {.call = {.done = host_call_done},
                         .spec = {.success = op, .success_count = 1}};
    kv_txn(h->kv, &txn);
    host_wait(h, &txn.call);
    return txn.call.status;
}

enum status host_put(struct host *h, const char *key, struct bytes value)
{
    const struct kv_op op = {.type = KV_OP_PUT,
                             .put = {.key = bytes_of(key), .value = value}};
    return run(h, &op);
}

enum status host_delete(struct host *h, const char *key)
{
    const struct kv_op op = {.type = KV_OP_DELETE_RANGE,
                             .delete_range.keys.key = bytes_of(key)};
    return run(h, &op);
}

enum status host_compact(struct host *h, int64_t revision, bool physical)
{
    struct kv_compact compact = {.call = {.done = host_call_done},
                                 .revision = revision,
                                 .physical = physical};
    kv_compact(h->kv, &compact);
    host_wait(h, &compact.call);
    return compact.call.status;
}

int64_t host_revision(struct host *h)
{
    struct kv_status s;
    kv_status(h->kv, &s);
    return s.header.revision;
}
