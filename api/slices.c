/* See slices.h. */

#include "api/slices.h"

#define SLICE_KEYS  2048        /* some half a millisecond of the loop */
#define SLICE_BYTES (512 << 10) /* of keys and values */

void api_slices_fini(struct api_slices *s)
{
    buf_fini(&s->next);
}

static bool has_begun(const struct api_slices *s)
{
    return s->next.size > 0;
}

void api_slices_ask(struct api_call *c, struct api_slices *s,
                    void (*done)(struct kv_call *))
{
    c->range = (struct kv_range){.spec = s->asked};
    struct kv_range_spec *spec = &c->range.spec;
    spec->slice_keys = s->whole ? 0 : SLICE_KEYS;
    spec->slice_bytes = s->whole ? 0 : SLICE_BYTES;
    if (has_begun(s)) {
        spec->keys.key = buf_bytes(&s->next);
        spec->serializable = true; /* this replica has that revision */
        spec->revision =
            s->asked.revision > 0 ? s->asked.revision : s->header.revision;
        if (s->asked.limit > 0) {
            spec->limit = s->asked.limit - s->items;
            spec->count_only = spec->count_only || spec->limit == 0;
        }
    }
    api_submit_range(c, done);
}

bool api_slices_take(const struct api_call *c, struct api_slices *s)
{
    const struct kv_range_result *r = &c->range.result;
    const bool beyond_limit = c->range.spec.count_only && !s->asked.count_only;
    if (!has_begun(s)) {
        s->header = c->range.call.header;
    }
    s->items += (int64_t)r->items_count;
    s->count += r->count;
    s->more = s->more || r->more || (beyond_limit && r->count > 0);
    buf_clear(&s->next);
    buf_append(&s->next, r->next);
    return !has_begun(s);
}

void api_slices_restart(struct api_slices *s)
{
    s->items = s->count = 0;
    s->more = false;
    buf_clear(&s->next);
}
