/* The fields of a call, and the refusals that follow from them: in the texts
 * of grpc-go, which is what clients of etcd know. */

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/must.h"
#include "base/status.h"
#include "net/grpc_internal.h"
#include "net/grpc_text.h"

/* What a text repeats of a request. */
#define REPEATED_MAX 256

static bool is(struct bytes b, const char *text, size_t size)
{
    return b.size == size && memcmp(b.data, text, size) == 0;
}
#define IS(bytes, literal) is(bytes, literal, sizeof literal - 1)

static void repeat(struct buf *to, struct bytes value)
{
    buf_clear(to);
    buf_append(to, (struct bytes){value.data, value.size < REPEATED_MAX
                                                  ? value.size
                                                  : REPEATED_MAX});
}

static void path(struct grpc_call *c, struct bytes value)
{
    c->method = grpc_host_find(c->session->host, value);
    if (c->method == NULL) {
        repeat(&c->path, value);
    }
}

static void encoding(struct grpc_call *c, struct bytes value)
{
    if (IS(value, "identity")) {
        c->encoding = GRPC_IDENTITY;
    } else if (IS(value, "gzip")) {
        c->encoding = GRPC_GZIP;
    } else {
        c->encoding = GRPC_ENCODING_UNKNOWN;
        repeat(&c->encoding_name, value);
    }
}

static void metadata(struct grpc_call *c, struct bytes name, struct bytes value)
{
    write_sized(&c->metadata, name);
    write_sized(&c->metadata, value);
}

static void regular(struct grpc_call *c, struct bytes name, struct bytes value)
{
    switch (name.size) {
    case 2:
        if (IS(name, "te")) {
            return;
        }
        break;
    case 10:
        if (IS(name, "user-agent")) {
            return;
        }
        break;
    case 12:
        if (IS(name, "content-type")) {
            c->is_grpc = grpc_text_is_content_type(value);
            if (!c->is_grpc) {
                repeat(&c->content_type, value);
            }
            return;
        }
        if (IS(name, "grpc-timeout")) {
            c->bad_timeout |= !grpc_text_timeout(value, &c->timeout_ns);
            return;
        }
        break;
    case 13:
        if (IS(name, "grpc-encoding")) {
            encoding(c, value);
            return;
        }
        break;
    case 20:
        if (IS(name, "grpc-accept-encoding")) {
            return;
        }
        break;
    default:
        break;
    }
    metadata(c, name, value);
}

void grpc_request_field(struct http2_stream *stream, enum http2_name what,
                        struct bytes name, struct bytes value)
{
    struct grpc_call *c = container_of(stream, struct grpc_call, stream);
    switch (what) {
    case HTTP2_METHOD:
        c->is_post = IS(value, "POST");
        if (!c->is_post) {
            repeat(&c->http_method, value);
        }
        break;
    case HTTP2_PATH:
        path(c, value);
        break;
    case HTTP2_REGULAR:
        regular(c, name, value);
        break;
    case HTTP2_SCHEME:
    case HTTP2_AUTHORITY:
        break;
    }
}

struct bytes grpc_call_metadata(const struct grpc_call *c, const char *name)
{
    const struct bytes wanted = bytes_of(name);
    struct reader r = reader_of(buf_bytes(&c->metadata));
    while (r.left.size > 0) {
        const struct bytes key = read_sized(&r);
        const struct bytes value = read_sized(&r);
        must(reader_ok(&r));
        if (bytes_equal(key, wanted)) {
            return value;
        }
    }
    return BYTES_NONE;
}

static void unknown_method(struct grpc_call *c)
{
    char text[2 * REPEATED_MAX + 64];
    struct bytes whole = buf_bytes(&c->path);
    if (whole.size > 0 && whole.data[0] == '/') {
        whole = bytes_after(whole, 1);
    }
    const uint8_t *slash =
        whole.size > 0 ? memrchr(whole.data, '/', whole.size) : NULL;
    if (slash == NULL) {
        (void)snprintf(text, sizeof text, "malformed method name: \"%.*s\"",
                       (int)c->path.size, (const char *)c->path.data);
    } else {
        const struct bytes service = {whole.data, (size_t)(slash - whole.data)};
        const struct bytes method = bytes_after(whole, service.size + 1);
        if (grpc_host_has_service(c->session->host, service)) {
            (void)snprintf(text, sizeof text,
                           "unknown method %.*s for service %.*s",
                           (int)method.size, (const char *)method.data,
                           (int)service.size, (const char *)service.data);
        } else {
            (void)snprintf(text, sizeof text, "unknown service %.*s",
                           (int)service.size, (const char *)service.data);
        }
    }
    grpc_call_refuse(c, 200, GRPC_UNIMPLEMENTED, text);
}

bool grpc_request_check(struct grpc_call *c)
{
    char text[REPEATED_MAX + 96];
    if (c->too_large) {
        grpc_call_refuse(c, 431, GRPC_RESOURCE_EXHAUSTED,
                         "header list is too large");
    } else if (!c->is_grpc) {
        (void)snprintf(
            text, sizeof text, "invalid gRPC request content-type \"%.*s\"",
            (int)c->content_type.size, (const char *)c->content_type.data);
        grpc_call_refuse(c, 415, GRPC_INTERNAL, text);
    } else if (!c->is_post) {
        grpc_call_refuse(c, 405, GRPC_INTERNAL,
                         "a call's :method field should be POST");
    } else if (c->bad_timeout) {
        grpc_call_refuse(c, 400, GRPC_INTERNAL, "malformed grpc-timeout");
    } else if (c->method == NULL) {
        unknown_method(c);
    } else if (c->encoding == GRPC_ENCODING_UNKNOWN) {
        (void)snprintf(text, sizeof text,
                       "grpc: Decompressor is not installed for grpc-encoding "
                       "\"%.*s\"",
                       (int)c->encoding_name.size,
                       (const char *)c->encoding_name.data);
        grpc_call_refuse(c, 200, GRPC_UNIMPLEMENTED, text);
    } else {
        return true;
    }
    return false;
}
