/* KV.RangeStream: a Range in pieces, none much larger than a slice.  All pieces
 * show one revision; put together they are Range's answer.
 *
 *   slice asked --done--> sent --room--> slice asked ...
 *                          |  \--no room--> resume --> slice asked
 *                          +--last--> answered
 */

#include <stdlib.h>

#include "api/slices.h"
#include "proto/kv_response.h"

static void stream_free(void *own)
{
    api_slices_fini(own);
    free(own);
}

static void slice_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    if (!api_call_back(c)) {
        return;
    }
    struct api_slices *s = c->own;
    struct kv_range_result piece = {.items = c->range.result.items,
                                    .items_count = c->range.result.items_count};
    const bool last = api_slices_take(c, s);
    bool room = true;
    if (last) {
        piece.count = s->count;
        piece.more = s->more;
        kv_response_range_stream(api_begin(c), &s->header, &piece);
        api_send_end(c);
        return;
    }
    if (piece.items_count > 0) { /* else it only counted */
        kv_response_range_stream(api_begin(c), NULL, &piece);
        room = api_send(c);
    }
    if (room) {
        api_slices_ask(c, s, slice_done);
    }
}

static void resume(struct api_call *c)
{
    if (c->waiting == NULL) {
        api_slices_ask(c, c->own, slice_done);
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
    struct api_slices *s = xcalloc(1, sizeof *s);
    c->own = s;
    c->free_own = stream_free;
    const enum status st =
        kv_request_range(api_keep(c, message), &s->asked, &fault);
    if (st != ST_OK) {
        api_refuse(c, st, &fault);
        return;
    }
    const struct api_error e = check(&s->asked);
    if (e.code != GRPC_OK) {
        api_fail(c, e);
        return;
    }
    c->resume = resume;
    api_slices_ask(c, s, slice_done);
}
