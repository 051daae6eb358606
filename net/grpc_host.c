/* What the sessions of a server share: methods by path, spare calls,
 * deadlines. */

#include <stdlib.h>

#include "base/hmap.h"
#include "base/must.h"
#include "net/grpc_internal.h"

/* Calls kept for the next request, and the buffers they may keep. */
#define CALLS_FREE_MAX 4096
#define BUFFER_KEEP    ((size_t)4 << 10)

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

void grpc_limits_default(struct grpc_limits *ret)
{
    *ret = (struct grpc_limits){
        .message_max = 1536 * KIB + 512 * KIB,
        .connection_send_max = 16 * MIB,
        .call_send_max = 256 * KIB,
        .receiving_max = 256 * MIB,
        .sending_max = 512 * MIB,
        .streams_max = 16384,
        .connections_max = 16384,
        .ping_interval_min_ms = 5000,
        .keepalive_ms = 2 * 3600 * (int64_t)1000,
        .keepalive_timeout_ms = 20000,
        .handshake_ms = 10000,
        .http_idle_ms = 60000,
        .http_head_max = 16 * KIB,
        .http_body_max = 2 * MIB,
    };
}

static uint64_t hash_of(struct bytes path)
{
    return hash_bytes(path, 0x6b65656c);
}

static void fill_table(struct grpc_host *h)
{
    h->table_size = 16;
    while (h->table_size < 2 * h->methods_count) {
        h->table_size *= 2;
    }
    h->table = xcalloc(h->table_size, sizeof(void *));
    for (size_t i = 0; i < h->methods_count; i++) {
        const struct bytes path = bytes_of(h->methods[i].path);
        must(path.size > 0 && path.data[0] == '/');
        must(h->methods[i].begin != NULL);
        size_t at = hash_of(path) & (h->table_size - 1);
        while (h->table[at] != NULL) {
            must(!bytes_equal(path, bytes_of(h->table[at]->path)));
            at = (at + 1) & (h->table_size - 1);
        }
        h->table[at] = &h->methods[i];
    }
}

void grpc_host_init(struct grpc_host *h, const struct grpc_limits *limits,
                    const struct grpc_method *methods, size_t methods_count,
                    const struct grpc_http *http)
{
    *h = (struct grpc_host){
        .limits = *limits, .methods = methods, .methods_count = methods_count};
    if (http != NULL) {
        h->http = *http;
    }
    list_init(&h->sessions);
    list_init(&h->calls_free);
    fill_table(h);
}

void grpc_host_fini(struct grpc_host *h)
{
    must(list_is_empty(&h->sessions));
    must(h->deadlines.count == 0);
    must(h->receiving == 0);
    must(h->counts.calls_now == 0);
    struct list *link;
    while ((link = list_pop(&h->calls_free)) != NULL) {
        struct grpc_call *c = container_of(link, struct grpc_call, spare);
        buf_fini(&c->in);
        buf_fini(&c->metadata);
        buf_fini(&c->path);
        buf_fini(&c->http_method);
        buf_fini(&c->encoding_name);
        buf_fini(&c->content_type);
        buf_fini(&c->stream.body);
        buf_fini(&c->stream.trailer_text);
        free(c);
    }
    heap_fini(&h->deadlines);
    must(h->waiting == 0);
    buf_fini(&h->plain);
    http2_memory_fini(&h->memory);
    free(h->table);
}

const struct grpc_method *grpc_host_find(const struct grpc_host *h,
                                         struct bytes path)
{
    size_t at = hash_of(path) & (h->table_size - 1);
    for (; h->table[at] != NULL; at = (at + 1) & (h->table_size - 1)) {
        if (bytes_equal(path, bytes_of(h->table[at]->path))) {
            return h->table[at];
        }
    }
    return NULL;
}

bool grpc_host_has_service(const struct grpc_host *h, struct bytes service)
{
    for (size_t i = 0; i < h->methods_count; i++) {
        const struct bytes path = bytes_after(bytes_of(h->methods[i].path), 1);
        if (path.size > service.size && path.data[service.size] == '/' &&
            bytes_starts_with(path, service)) {
            return true;
        }
    }
    return false;
}

/* --- calls --- */

struct grpc_call *grpc_host_call(struct grpc_host *h)
{
    struct grpc_call *c;
    struct list *link = list_pop(&h->calls_free);
    if (link != NULL) {
        h->calls_free_count--;
        c = container_of(link, struct grpc_call, spare);
    } else {
        c = xcalloc(1, sizeof *c);
    }
    list_init(&c->parked);
    list_init(&c->throttled);
    list_init(&c->spare);
    c->timeout_ns = -1;
    h->counts.calls_now++;
    return c;
}

static struct buf kept(struct buf *b)
{
    if (b->capacity > BUFFER_KEEP) {
        buf_fini(b);
        *b = (struct buf){0};
    }
    buf_clear(b);
    return *b;
}

void grpc_host_call_free(struct grpc_host *h, struct grpc_call *c)
{
    must(h->counts.calls_now > 0);
    must(c->in_counted == 0);
    must(!heap_has(&c->deadline));
    h->counts.calls_now--;
    /* Everything zero but for the memory of small buffers. */
    const struct grpc_call clean = {
        .stream = {.body = kept(&c->stream.body),
                   .trailer_text = kept(&c->stream.trailer_text)},
        .in = kept(&c->in),
        .metadata = kept(&c->metadata),
        .path = kept(&c->path),
        .http_method = kept(&c->http_method),
        .encoding_name = kept(&c->encoding_name),
        .content_type = kept(&c->content_type),
    };
    *c = clean;
    h->calls_free_count++;
    list_init(&c->spare);
    /* The last one is the warmest. */
    list_insert_before(h->calls_free.next, &c->spare);
    if (h->calls_free_count > CALLS_FREE_MAX) {
        h->calls_free_count--;
        list_remove(&c->spare);
        buf_fini(&c->in);
        buf_fini(&c->metadata);
        buf_fini(&c->path);
        buf_fini(&c->encoding_name);
        buf_fini(&c->content_type);
        buf_fini(&c->stream.body);
        buf_fini(&c->stream.trailer_text);
        free(c);
    }
}

/* --- deadlines --- */

int64_t grpc_host_deadline_ns(const struct grpc_host *h)
{
    const struct heap_node *first = heap_first(&h->deadlines);
    return first == NULL ? INT64_MAX : first->at;
}

void grpc_host_expire(struct grpc_host *h, int64_t now_ns)
{
    struct heap_node *first;
    while ((first = heap_first(&h->deadlines)) != NULL && first->at <= now_ns) {
        grpc_call_abort(container_of(first, struct grpc_call, deadline),
                        GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    }
}
