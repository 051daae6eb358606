/* Edits of a value: gathered by one handle, laid over another value later. */

#include "fs/draft.h"

#include <stdlib.h>

#include "base/must.h"

void fs_draft_fini(struct fs_draft *d)
{
    buf_fini(&d->content);
    free(d->spans);
    *d = (struct fs_draft){.begun = false};
}

void fs_draft_begin(struct fs_draft *d, struct bytes base)
{
    if (d->begun) {
        return;
    }
    must(d->spans_count == 0);
    must(!fs_draft_is_dirty(d));
    buf_clear(&d->content);
    buf_append(&d->content, base);
    d->begun = true;
    d->kept = UINT64_MAX;
}

void fs_draft_begin_fresh(struct fs_draft *d)
{
    fs_draft_begin(d, BYTES_NONE);
    d->fresh = true;
}

/* There is something to publish. */
static void touch(struct fs_draft *d)
{
    d->written = true;
    if (d->fresh) {
        d->fresh = false;
        d->cut = true;
        d->kept = 0;
    }
}

void fs_draft_reset(struct fs_draft *d)
{
    fs_draft_fini(d); /* the content may be large: it is not kept */
}

/* Adds [from, to) to the spans, joining those that it meets. */
static void add_span(struct fs_draft *d, uint64_t from, uint64_t to)
{
    if (from >= to) {
        return;
    }
    size_t first = 0;
    while (first < d->spans_count && d->spans[first].to < from) {
        first++;
    }
    size_t last = first; /* the spans [first, last) are swallowed */
    while (last < d->spans_count && d->spans[last].from <= to) {
        from = d->spans[last].from < from ? d->spans[last].from : from;
        to = d->spans[last].to > to ? d->spans[last].to : to;
        last++;
    }
    if (first == last && d->spans_count == d->spans_capacity) {
        d->spans_capacity = d->spans_capacity > 0 ? d->spans_capacity * 2 : 4;
        d->spans = xrealloc(d->spans, d->spans_capacity * sizeof d->spans[0]);
    }
    memmove(d->spans + first + 1, d->spans + last,
            (d->spans_count - last) * sizeof d->spans[0]);
    d->spans[first] = (struct fs_draft_span){from, to};
    d->spans_count += 1 - (last - first);
}

/* Forgets what was written from `size` on. */
static void cut_spans(struct fs_draft *d, uint64_t size)
{
    while (d->spans_count > 0 && d->spans[d->spans_count - 1].from >= size) {
        d->spans_count--;
    }
    if (d->spans_count > 0 && d->spans[d->spans_count - 1].to > size) {
        d->spans[d->spans_count - 1].to = size;
    }
}

void fs_draft_write(struct fs_draft *d, uint64_t offset, struct bytes more)
{
    must(d->begun);
    const uint64_t end = offset + more.size;
    must(end >= offset);
    if (more.size == 0) {
        return; /* not even a hole */
    }
    if (end > d->content.size) {
        buf_resize(&d->content, end);
    }
    memcpy(d->content.data + offset, more.data, more.size);
    touch(d);
    /* What lies in the tail is kept there: it moves with it. */
    const uint64_t limit = d->appended ? d->tail_from : UINT64_MAX;
    add_span(d, offset, end < limit ? end : limit);
}

void fs_draft_append(struct fs_draft *d, struct bytes more)
{
    must(d->begun);
    if (!d->appended) {
        d->appended = true;
        d->tail_from = d->content.size;
    }
    buf_append(&d->content, more);
    touch(d);
}

void fs_draft_truncate(struct fs_draft *d, uint64_t size)
{
    must(d->begun);
    if (d->appended && size <= d->tail_from) {
        d->appended = false;
    }
    if (!d->appended) {
        d->kept = size < d->kept ? size : d->kept;
        d->cut = true;
        d->size_min = 0;
        cut_spans(d, size);
    }
    buf_resize(&d->content, size);
}

void fs_draft_extend(struct fs_draft *d, uint64_t size)
{
    must(d->begun);
    if (size <= d->content.size) {
        return;
    }
    buf_resize(&d->content, size);
    if (!d->appended) {
        d->size_min = size;
    }
    touch(d);
}

void fs_draft_zero(struct fs_draft *d, uint64_t offset, uint64_t size)
{
    must(d->begun);
    if (offset >= d->content.size || size == 0) {
        return;
    }
    const uint64_t room = d->content.size - offset;
    const uint64_t count = size < room ? size : room;
    memset(d->content.data + offset, 0, count);
    const uint64_t limit = d->appended ? d->tail_from : UINT64_MAX;
    add_span(d, offset, offset + count < limit ? offset + count : limit);
    touch(d);
}

void fs_draft_merge(const struct fs_draft *d, struct bytes current,
                    struct buf *ret)
{
    must(d->begun);
    const uint64_t body_size = d->appended ? d->tail_from : d->content.size;
    buf_clear(ret);
    buf_append(ret,
               (struct bytes){current.data,
                              current.size < d->kept ? current.size : d->kept});
    if (d->cut) {
        buf_resize(ret, body_size);
    } else if (d->size_min > ret->size) {
        buf_resize(ret, d->size_min);
    }
    for (size_t i = 0; i < d->spans_count; i++) {
        const struct fs_draft_span *span = &d->spans[i];
        must(span->to <= body_size);
        if (span->to > ret->size) {
            buf_resize(ret, span->to);
        }
        memcpy(ret->data + span->from, d->content.data + span->from,
               span->to - span->from);
    }
    if (d->appended) {
        buf_append(ret, bytes_after(buf_bytes(&d->content), d->tail_from));
    }
}
