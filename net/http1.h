/* The few parts of HTTP/1.1 that health checks, metrics and gateways need
 * (RFC 9112), sans-I/O: requests with bodies of known length, one after the
 * other, also pipelined; answers of known length.
 *
 * What is malformed is answered with 4xx and the connection is closed: where
 * the next request would begin cannot be known.
 */
#ifndef NET_HTTP1_H
#define NET_HTTP1_H

#include "base/buf.h"
#include "base/bytes.h"

struct http1_request {
    struct bytes method, target, body; /* borrowed from the input */
    bool keep_alive;
    bool is_head;          /* the answer has no body */
    bool expects_continue; /* "100 Continue" before the body */
};

enum http1_outcome {
    HTTP1_INCOMPLETE, /* more bytes are needed */
    HTTP1_REQUEST,    /* ret_request, of *ret_used bytes */
    HTTP1_BAD,        /* to be answered with *ret_status, then closed */
    HTTP1_FOREIGN,    /* another protocol: to be closed */
};

struct http1_limits {
    size_t head_max; /* request line and fields */
    size_t body_max;
};

/* Looks at the beginning of what has arrived. HTTP1_INCOMPLETE sets
 * ret_request->expects_continue when the head is there and asks for it. */
enum http1_outcome http1_parse(struct bytes in, const struct http1_limits *l,
                               struct http1_request *ret_request,
                               size_t *ret_used, int *ret_status);

/* Appends an answer. content_type: NULL for none. */
void http1_answer(struct buf *to, int status, const char *content_type,
                  struct bytes body, bool head_only, bool keep_alive);

#endif
