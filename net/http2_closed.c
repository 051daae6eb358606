/* Frames on streams that are no more (RFC 9113, 5.1 and 5.1.1).
 *
 * nghttp2 would keep closed streams, as many as may be open, to know them
 * again; here a few numbers do.  A frame on a stream that the client itself had
 * ended is an error of the connection.  One on a stream that we ended may have
 * been on its way, and is ignored by nghttp2; so is one on a stream closed long
 * ago.  HEADERS on a number that was left out are an error, too. */

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
