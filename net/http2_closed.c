/* Frames on streams that are no more (RFC 9113, 5.1 and 5.1.1).
 *
 * nghttp2 would keep closed streams, as many as may be open, to know them
 * again; here a few numbers do.  DATA on such a stream it drops without telling
 * anybody, so the heads of frames are looked at before it sees them.  A frame
 * on a stream that the client itself had ended is an error of the connection.
 * One on a stream that we ended may have been on its way, and is ignored by
 * nghttp2; so is one on a stream closed long ago.  HEADERS on a number that was
 * left out are an error, too. */

#include "net/http2_internal.h"

void http2_closed_note(struct http2 *h, int32_t id, bool by_client)
{
    h->closed[h->closed_count++ % HTTP2_CLOSED_KEPT] =
        (struct http2_closed){id, by_client};
}

void http2_closed_opened(struct http2 *h, int32_t id)
{
    if (id > h->last_id + 2) {
        h->gap_first = h->last_id + 2;
        h->gap_last = id - 2;
    }
    h->last_id = id;
}

static bool was_ended_by_client(const struct http2 *h, int32_t id)
{
    for (size_t i = 0; i < HTTP2_CLOSED_KEPT; i++) {
        if (h->closed[i].id == id) {
            return h->closed[i].by_client;
        }
    }
    return false;
}

bool http2_closed_check(struct http2 *h, int32_t id, bool headers)
{
    if (id > h->last_id) {
        return true; /* new, or idle: nghttp2's affair */
    }
    if (headers && h->gap_last != 0 && id >= h->gap_first &&
        id <= h->gap_last) {
        http2_fail(h, NGHTTP2_PROTOCOL_ERROR, "a stream below the last one");
        return false;
    }
    if (was_ended_by_client(h, id)) {
        http2_fail(h, NGHTTP2_STREAM_CLOSED, "the stream is closed");
        return false;
    }
    return true;
}

/* --- frames, before nghttp2 sees them --- */

#define HEAD_SIZE    9
#define PREFACE_SIZE 24

void http2_closed_init(struct http2 *h)
{
    h->scan.skip = PREFACE_SIZE;
}

/* Is it DATA on a stream that the client had ended?  nghttp2 may not have seen
 * the RST_STREAM yet. */
static bool is_late(struct http2 *h, const uint8_t head[HEAD_SIZE])
{
    const int32_t id =
        (int32_t)((uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
                  (uint32_t)head[7] << 8 | head[8]);
    if (head[3] == NGHTTP2_RST_STREAM) {
        h->scan.reset_id = id;
    }
    return head[3] == NGHTTP2_DATA && id > 0 &&
           (id == h->scan.reset_id ||
            (id <= h->last_id &&
             nghttp2_session_get_stream_user_data(h->session, id) == NULL &&
             was_ended_by_client(h, id)));
}

size_t http2_closed_scan(struct http2 *h, struct bytes bytes)
{
    size_t at = 0;
    while (at < bytes.size) {
        size_t size = bytes.size - at;
        if (h->scan.skip > 0) {
            size = size < h->scan.skip ? size : h->scan.skip;
            h->scan.skip -= size;
            at += size;
            continue;
        }
        const size_t missing = HEAD_SIZE - h->scan.head_size;
        size = size < missing ? size : missing;
        memcpy(h->scan.head + h->scan.head_size, bytes.data + at, size);
        h->scan.head_size += size;
        if (h->scan.head_size < HEAD_SIZE) {
            break;
        }
        if (is_late(h, h->scan.head)) {
            return at;
        }
        const uint8_t *head = h->scan.head;
        h->scan.skip = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        h->scan.head_size = 0;
        at += size;
    }
    return bytes.size;
}
