/* The fields of a request (RFC 9113, 8.2 and 8.3).
 *
 * nghttp2's own checks are off: they refuse values of :authority that real
 * clients send.  A request that breaks a rule is malformed: its stream is reset
 * with PROTOCOL_ERROR, the connection lives on. */

#include "net/http2_internal.h"

/* RFC 9113, 6.5.2: what a field counts beside its bytes. */
#define FIELD_OVERHEAD 32
/* Beyond that many times the limit a client is hostile. */
#define HOSTILE_FACTOR 4

/* Bytes of a token (RFC 9110, 5.6.2), without upper case (RFC 9113, 8.2.1). */
static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || byte == '-' ||
           (byte >= '0' && byte <= '9') ||
           (byte != 0 && strchr("!#$%&'*+.^_`|~", byte) != NULL);
}

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (!is_name_byte(name.data[i])) {
            return false;
        }
    }
    return name.size > 0;
}

/* Eight bytes at a time: none below ' ' but tab, and no DEL. */
static bool is_value(struct bytes value)
{
    const uint64_t ones = UINT64_MAX / 255, tops = ones << 7;
    while (value.size >= 8) {
        uint64_t eight;
        memcpy(&eight, value.data, 8);
        const uint64_t low = eight & ~tops;
        const uint64_t from_space = (low + ones * 0x60) | eight;
        const uint64_t no_del = ((low ^ ones * 0x7f) + ones * 0x7f) | eight;
        if ((from_space & no_del & tops) != tops) {
            break; /* look at them one by one */
        }
        value = bytes_after(value, 8);
    }
    for (size_t i = 0; i < value.size; i++) {
        const uint8_t byte = value.data[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is(struct bytes b, const char *text, size_t size)
{
    return b.size == size && memcmp(b.data, text, size) == 0;
}
#define IS(bytes, literal) is(bytes, literal, sizeof literal - 1)

static enum http2_name pseudo_of(struct bytes name)
{
    if (IS(name, ":method")) {
        return HTTP2_METHOD;
    }
    if (IS(name, ":scheme")) {
        return HTTP2_SCHEME;
    }
    if (IS(name, ":authority")) {
        return HTTP2_AUTHORITY;
    }
    return IS(name, ":path") ? HTTP2_PATH : HTTP2_REGULAR;
}

static bool pseudo(struct http2_stream *s, struct bytes name,
                   struct bytes value)
{
    const enum http2_name which = pseudo_of(name);
    if (which == HTTP2_REGULAR || s->regular_seen || s->in_trailers ||
        (s->pseudo & 1u << which) != 0 || !is_value(value)) {
        return false;
    }
    if (which != HTTP2_AUTHORITY && value.size == 0) {
        return false;
    }
    s->pseudo |= (uint8_t)(1u << which);
    s->h->ops->field(s, which, name, value);
    return true;
}

/* Those that belong to one hop of HTTP/1 (8.2.2). */
static bool is_connection_specific(struct bytes name, struct bytes value)
{
    switch (name.size) {
    case 2:
        return IS(name, "te") && !IS(value, "trailers");
    case 7:
        return IS(name, "upgrade");
    case 10:
        return IS(name, "connection") || IS(name, "keep-alive");
    case 16:
        return IS(name, "proxy-connection");
    case 17:
        return IS(name, "transfer-encoding");
    default:
        return false;
    }
}

static bool content_length(struct http2_stream *s, struct bytes value)
{
    int64_t length = 0;
    if (value.size == 0 || value.size > 18 || s->content_length >= 0) {
        return false;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        length = length * 10 + (value.data[i] - '0');
    }
    s->content_length = length;
    return true;
}

static bool regular(struct http2_stream *s, struct bytes name,
                    struct bytes value)
{
    s->regular_seen = true;
    if (!is_name(name) || !is_value(value) ||
        is_connection_specific(name, value)) {
        return false;
    }
    if (s->in_trailers) {
        return true; /* a gRPC request has none that mean anything */
    }
    if (IS(name, "content-length") && !content_length(s, value)) {
        return false;
    }
    s->h->ops->field(s, HTTP2_REGULAR, name, value);
    return true;
}

bool http2_request_field(struct http2_stream *s, struct bytes name,
                         struct bytes value)
{
    const struct http2_options *o = &s->h->options;
    s->fields_count++;
    s->fields_size += name.size + value.size + FIELD_OVERHEAD;
    if (s->fields_size > HOSTILE_FACTOR * o->fields_size_max ||
        s->fields_count > HOSTILE_FACTOR * o->fields_count_max) {
        http2_fail(s->h, HTTP2_ENHANCE_YOUR_CALM, "too many header fields");
        return false;
    }
    if (s->fields_size > o->fields_size_max ||
        s->fields_count > o->fields_count_max) {
        s->too_large = true;
        return true;
    }
    if (s->malformed) {
        return true;
    }
    s->malformed = name.size > 0 && name.data[0] == ':'
                       ? !pseudo(s, name, value)
                       : !regular(s, name, value);
    return true;
}

bool http2_request_is_whole(const struct http2_stream *s)
{
    const uint8_t needed =
        1u << HTTP2_METHOD | 1u << HTTP2_SCHEME | 1u << HTTP2_PATH;
    return !s->malformed && (s->too_large || (s->pseudo & needed) == needed);
}
