/* KV.Range.  Most are answered by one slice, straight into the connection's
 * buffer; a long one is gathered here, slice by slice.
 *
 *   asked --all of it--> answered
 *     |                     ^
 *     +--a slice--> gathering --last
 *                    |   ^--compacted meanwhile: once more, all at once
 */

#include <stdlib.h>

#include "api/slices.h"
#include "proto/kv_response.h"

struct long_range {
    struct api_slices slices;
    struct buf items; /* of the response, encoded */
};

static void long_free(void *own)
{
    struct long_range *l = own;
    api_slices_fini(&l->slices);
    buf_fini(&l->items);
    free(l);
}

static void long_answer(struct api_call *c, const struct long_range *l)
{
    const struct kv_range_result rest = {.more = l->slices.more,
                                         .count = l->slices.count};
    struct buf *b = api_begin(c);
    kv_response_header(b, &l->slices.header);
    buf_append(b, buf_bytes(&l->items));
    kv_response_range(b, NULL, &rest);
    api_send_end(c);
}

static void long_done(struct kv_call *call);

static void take_slice(struct api_call *c, struct long_range *l)
{
    const struct kv_range_result items = {.items = c->range.result.items,
                                          .items_count =
                                              c->range.result.items_count};
    kv_response_range(&l->items, NULL, &items);
    if (l->items.size > API_MESSAGE_MAX) {
        api_fail(c, API_MESSAGE_TOO_LARGE);
    } else if (api_slices_take(c, &l->slices)) {
        long_answer(c, l);
    } else {
        api_slices_ask(c, &l->slices, long_done);
    }
}

static void long_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    if (!api_call_returned(c)) {
        return;
    }
    struct long_range *l = c->own;
    if (call->status == ST_COMPACTED && l->slices.asked.revision <= 0) {
        /* Nobody asked for that revision: there is a newer one. */
        l->slices.whole = true;
        api_slices_restart(&l->slices);
        buf_clear(&l->items);
        api_slices_ask(c, &l->slices, long_done);
    } else if (call->status != ST_OK) {
        api_fail_status(c, call->status);
    } else {
        take_slice(c, l);
    }
}

static void range_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    if (!api_call_back(c)) {
        return;
    }
    if (c->range.result.next.size == 0) {
        kv_response_range(api_begin(c), &call->header, &c->range.result);
        api_send_end(c);
        return;
    }
    struct long_range *l = xcalloc(1, sizeof *l);
    c->own = l;
    c->free_own = long_free;
    l->slices.asked = c->range.spec;
    take_slice(c, l);
}

void api_range(struct api_call *c, struct bytes message)
{
    struct fault fault;
    struct api_slices first = {.whole = false};
    const enum status st =
        kv_request_range(api_keep(c, message), &first.asked, &fault);
    if (st != ST_OK) {
        api_refuse(c, st, &fault);
        return;
    }
    if (c->api->is_learner && !first.asked.serializable) {
        api_fail_status(c, ST_LEARNER);
        return;
    }
    const struct api_error e = api_check_range(&first.asked);
    if (e.code != GRPC_OK) {
        api_fail(c, e);
        return;
    }
    api_slices_ask(c, &first, range_done);
}
