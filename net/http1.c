/* Requests and answers of HTTP/1.1; see http1.h. */

#include "net/http1.h"

#include <stdio.h>
#include <strings.h>

#define FIELDS_MAX 100

/* What of a head matters. */
struct head {
    struct bytes method, target;
    bool v1_0, keep_alive, close, has_host, has_length, chunked, expects;
    uint64_t length;
};

static bool is_token_byte(uint8_t byte)
{
    return byte > ' ' && byte < 0x7f &&
           strchr("\"(),/:;<=>?@[\\]{}", byte) == NULL;
}

static bool is_token(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (!is_token_byte(b.data[i])) {
            return false;
        }
    }
    return b.size > 0;
}

static bool is_same(struct bytes b, const char *text)
{
    return b.size == strlen(text) &&
           strncasecmp((const char *)b.data, text, b.size) == 0;
}

static struct bytes until(struct bytes b, uint8_t byte)
{
    const uint8_t *at = b.size > 0 ? memchr(b.data, byte, b.size) : NULL;
    return at == NULL ? b : (struct bytes){b.data, (size_t)(at - b.data)};
}

static struct bytes trimmed(struct bytes b)
{
    while (b.size > 0 && (b.data[0] == ' ' || b.data[0] == '\t')) {
        b = bytes_after(b, 1);
    }
    while (b.size > 0 &&
           (b.data[b.size - 1] == ' ' || b.data[b.size - 1] == '\t')) {
        b.size--;
    }
    return b;
}

/* A line without its CRLF (a bare LF is taken, as RFC 9112, 2.2 allows); what
 * is left follows. False: there is no whole line. */
static bool take_line(struct bytes *left, struct bytes *ret_line)
{
    const struct bytes line = until(*left, '\n');
    if (line.size == left->size) {
        return false;
    }
    *left = bytes_after(*left, line.size + 1);
    *ret_line = line;
    if (line.size > 0 && line.data[line.size - 1] == '\r') {
        ret_line->size--;
    }
    return true;
}

/* Beside statuses: not even the shape of a request line. */
#define NOT_HTTP 1

static int request_line(struct bytes line, struct head *h)
{
    h->method = until(line, ' ');
    if (!is_token(h->method) || h->method.size == line.size) {
        return 400;
    }
    line = bytes_after(line, h->method.size + 1);
    h->target = until(line, ' ');
    if (h->target.size == 0 || h->target.size == line.size) {
        return 400;
    }
    for (size_t i = 0; i < h->target.size; i++) {
        if (h->target.data[i] <= ' ' || h->target.data[i] >= 0x7f) {
            return 400;
        }
    }
    const struct bytes version = bytes_after(line, h->target.size + 1);
    h->v1_0 = bytes_equal(version, bytes_of("HTTP/1.0"));
    if (h->v1_0 || bytes_equal(version, bytes_of("HTTP/1.1"))) {
        return 0;
    }
    if (!bytes_starts_with(version, bytes_of("HTTP/"))) {
        return NOT_HTTP;
    }
    return version.size == 8 ? 505 : 400;
}

static int content_length(struct bytes value, struct head *h)
{
    uint64_t length = 0;
    if (value.size == 0 || value.size > 18) {
        return 400;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return 400;
        }
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    /* Two that differ are an attempt to smuggle. */
    if (h->has_length && h->length != length) {
        return 400;
    }
    h->has_length = true;
    h->length = length;
    return 0;
}

static void connection(struct bytes value, struct head *h)
{
    while (value.size > 0) {
        const struct bytes item = until(value, ',');
        h->close |= is_same(trimmed(item), "close");
        h->keep_alive |= is_same(trimmed(item), "keep-alive");
        value = bytes_after(value, item.size == value.size ? item.size
                                                           : item.size + 1);
    }
}

static int field(struct bytes line, struct head *h)
{
    const struct bytes name = until(line, ':');
    if (name.size == line.size || !is_token(name)) {
        return 400; /* also folded lines, and blanks before the colon */
    }
    const struct bytes value = trimmed(bytes_after(line, name.size + 1));
    for (size_t i = 0; i < value.size; i++) {
        if ((value.data[i] < ' ' && value.data[i] != '\t') ||
            value.data[i] == 0x7f) {
            return 400;
        }
    }
    if (is_same(name, "content-length")) {
        return content_length(value, h);
    }
    if (is_same(name, "host")) {
        if (h->has_host) {
            return 400;
        }
        h->has_host = true;
    } else if (is_same(name, "transfer-encoding")) {
        h->chunked = true;
    } else if (is_same(name, "connection")) {
        connection(value, h);
    } else if (is_same(name, "expect")) {
        h->expects = is_same(value, "100-continue");
    }
    return 0;
}

/* 0: the head is there, and *left begins behind it; -1: not yet. */
static int parse_head(struct bytes *left, struct head *h)
{
    struct bytes line;
    do {
        if (!take_line(left, &line)) {
            return -1;
        }
    } while (line.size == 0); /* RFC 9112, 2.2: empty lines before it */
    int status = request_line(line, h);
    for (size_t count = 0; status == 0; count++) {
        if (!take_line(left, &line)) {
            return -1;
        }
        if (line.size == 0) {
            return 0;
        }
        status = count < FIELDS_MAX ? field(line, h) : 431;
    }
    return status;
}

static int judge(const struct head *h, const struct http1_limits *l)
{
    if (!h->v1_0 && !h->has_host) {
        return 400;
    }
    if (h->chunked) {
        return h->has_length ? 400 : 411; /* a length is required here */
    }
    return h->length > l->body_max ? 413 : 0;
}

static enum http1_outcome bad(int status, int *ret_status)
{
    *ret_status = status;
    return HTTP1_BAD;
}

enum http1_outcome http1_parse(struct bytes in, const struct http1_limits *l,
                               struct http1_request *ret_request,
                               size_t *ret_used, int *ret_status)
{
    struct head h = {0};
    struct bytes left = in;
    *ret_request = (struct http1_request){0};
    int status = parse_head(&left, &h);
    if (status < 0) {
        if (in.size > l->head_max) {
            return bad(h.target.size > l->head_max / 2 ? 414 : 431, ret_status);
        }
        return HTTP1_INCOMPLETE;
    }
    if (status == 0) {
        status = in.size - left.size > l->head_max ? 431 : judge(&h, l);
    }
    if (status == NOT_HTTP) {
        return HTTP1_FOREIGN;
    }
    if (status != 0) {
        return bad(status, ret_status);
    }
    ret_request->expects_continue = h.expects && !h.v1_0;
    if (left.size < h.length) {
        return HTTP1_INCOMPLETE;
    }
    *ret_request = (struct http1_request){
        .method = h.method,
        .target = h.target,
        .body = {left.data, (size_t)h.length},
        .keep_alive = !h.close && (!h.v1_0 || h.keep_alive),
        .is_head = bytes_equal(h.method, bytes_of("HEAD")),
    };
    *ret_used = in.size - left.size + (size_t)h.length;
    return HTTP1_REQUEST;
}

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 421:
        return "Misdirected Request";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Status";
    }
}

void http1_answer(struct buf *to, int status, const char *content_type,
                  struct bytes body, bool head_only, bool keep_alive)
{
    char head[256];
    int size =
        snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n",
                 status, reason_of(status), body.size);
    buf_append(to, (struct bytes){(const uint8_t *)head, (size_t)size});
    if (content_type != NULL) {
        buf_append(to, bytes_of("Content-Type: "));
        buf_append(to, bytes_of(content_type));
        buf_append(to, bytes_of("\r\n"));
    }
    buf_append(to, bytes_of(keep_alive ? "\r\n" : "Connection: close\r\n\r\n"));
    if (!head_only) {
        buf_append(to, body);
    }
}
