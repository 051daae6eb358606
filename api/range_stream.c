/* KV.RangeStream: a Range in pieces, each no larger than a request may be.  All
 * pieces show one revision; put together they are Range's answer.
 *
 *   page asked --done--> sent --room--> page asked ...
 *                         |  \--no room--> resume --> page asked
 *                         +--last--> answered
 */

#include <stdlib.h>

#include "api/internal.h"
#include "proto/kv_response.h"

#define FIRST_KEYS 10
#define KEYS_MAX   ((int64_t)1 << 20)

struct range_stream {
    struct kv_range_spec asked; /* by the client */
    struct kv_header header;    /* of the first page */
    int64_t sent;               /* items */
    int64_t keys;               /* to ask for next */
    struct buf next;            /* key of the next page */
};

static void stream_free(void *own)
{
    struct range_stream *s = own;
    buf_fini(&s->next);
    free(s);
}

static void page_done(struct kv_call *call);

static bool is_single(const struct range_stream *s)
{
    return s->asked.keys.end.size == 0 || s->asked.count_only;
}

static void ask_page(struct api_call *c)
{
    struct range_stream *s = c->own;
    c->range = (struct kv_range){.spec = s->asked};
    struct kv_range_spec *spec = &c->range.spec;
    if (!is_single(s)) {
        const int64_t left = s->asked.limit > 0 ? s->asked.limit - s->sent : 0;
        spec->limit = left > 0 && left < s->keys ? left : s->keys;
        /* Only what may be the last page has to know what lies behind it. */
        spec->count_bounded = spec->limit != left;
    }
    if (s->sent > 0) {
        spec->keys.key = buf_bytes(&s->next);
        spec->serializable = true; /* this replica has that revision */
        spec->revision =
            s->asked.revision > 0 ? s->asked.revision : s->header.revision;
    }
    api_submit_range(c, page_done);
}

static void set_next(struct range_stream *s, const struct kv_range_result *r)
{
    must(r->items_count > 0);
    buf_clear(&s->next);
    buf_append(&s->next, r->items[r->items_count - 1].key);
    buf_append_byte(&s->next, 0);
}

static void adapt(const struct api_call *c, struct range_stream *s, size_t size)
{
    const uint64_t most = c->api->options.request_bytes_max;
    if (size > most && s->keys > 1) {
        s->keys /= 2;
    } else if (size < most / 2 && s->keys < KEYS_MAX) {
        s->keys *= 2;
    }
}

static bool send_page(struct api_call *c, bool last)
{
    struct range_stream *s = c->own;
    struct kv_range_result r = c->range.result;
    s->sent += (int64_t)r.items_count;
    if (last) {
        /* Counted from the page's first key on. */
        r.count += s->sent - (int64_t)r.items_count;
    } else {
        set_next(s, &r);
        r.count = 0;
        r.more = false;
    }
    struct buf *b = api_begin(c);
    const size_t before = b->size;
    kv_response_range_stream(b, last ? &s->header : NULL, &r);
    adapt(c, s, b->size - before);
    return api_send(c);
}

static void page_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    if (!api_call_back(c)) {
        return;
    }
    struct range_stream *s = c->own;
    const struct kv_range_result *r = &c->range.result;
    if (s->sent == 0) {
        s->header = c->range.call.header;
    }
    const int64_t sent = s->sent + (int64_t)r->items_count;
    const bool last = is_single(s) || !r->more || sent == s->asked.limit;
    const bool room = send_page(c, last);
    if (last) {
        api_end(c);
    } else if (room) {
        ask_page(c);
    }
}

static void resume(struct api_call *c)
{
    if (c->waiting == NULL) {
        ask_page(c);
    }
}

static struct api_error check(const struct kv_range_spec *s)
{
    const struct api_error e = api_check_range(s);
    if (e.code != GRPC_OK) {
        return e;
    }
    if (s->sort_order == KV_SORT_DESCEND || s->sort_target != KV_SORT_KEY) {
        return API_STREAM_SORT;
    }
    if (s->min_mod_revision != 0 || s->max_mod_revision != 0 ||
        s->min_create_revision != 0 || s->max_create_revision != 0) {
        return API_STREAM_FILTER;
    }
    return e;
}

void api_range_stream(struct api_call *c, struct bytes message)
{
    struct fault fault;
    struct range_stream *s = xcalloc(1, sizeof *s);
    c->own = s;
    c->free_own = stream_free;
    s->keys = FIRST_KEYS;
    const enum status st =
        kv_request_range(api_keep(c, message), &s->asked, &fault);
    if (st != ST_OK) {
        api_fail(c, (struct api_error){GRPC_INTERNAL, fault.text});
        return;
    }
    const struct api_error e = check(&s->asked);
    if (e.code != GRPC_OK) {
        api_fail(c, e);
        return;
    }
    s->asked.limit = s->asked.limit > 0 ? s->asked.limit : 0;
    c->resume = resume;
    ask_page(c);
}
