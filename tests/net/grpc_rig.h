/* A gRPC server without sockets, a client of nghttp2 beside it, and services
 * that write what happens to them into a trace. */
#ifndef TESTS_NET_GRPC_RIG_H
#define TESTS_NET_GRPC_RIG_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "net/grpc_session.h"
#include "tests/lib/test.h"

#define GRPC_RIG_CALLS 512

/* What a client knows of one call. */
struct rig_answer {
    int32_t id;
    char http_status[8];
    int grpc_status; /* -1: none came */
    char message[256];
    char accept_encoding[32];
    struct buf body; /* with its prefixes */
    bool closed;
    uint32_t reset_code;
    int headers; /* HEADERS frames */
    /* what is to be sent */
    struct buf request;
    size_t request_at;
    bool request_end, deferred;
};

struct grpc_rig {
    struct grpc_host host;
    struct grpc_session *session;
    int64_t now_ns;
    bool woken, server_alive;
    nghttp2_session *client;
    struct rig_answer answers[GRPC_RIG_CALLS];
    size_t answers_count;
    struct buf raw; /* everything the server has sent */
    bool reads;     /* the client takes what the server sends */
    uint32_t goaway_code;
    int goaways;
    char goaway_text[64];
    int pings;
    char trace[1024];
    struct grpc_call *held[GRPC_RIG_CALLS]; /* open ones, else NULL */
    size_t held_count;
    bool pause_next; /* the next message of a stream pauses it */
};

void grpc_rig_begin(struct grpc_rig *r);
void grpc_rig_begin_with(struct grpc_rig *r, const struct grpc_limits *limits);
void grpc_rig_end(struct grpc_rig *r);
/* Carries bytes to and fro until both sides are silent. */
void grpc_rig_pump(struct grpc_rig *r);
/* Raw bytes to the server; false: it reads no more. */
bool grpc_rig_give(struct grpc_rig *r, struct bytes bytes);

struct rig_request {
    const char *path;
    const char *method, *content_type, *timeout, *encoding; /* NULL: usual */
    const char *extra_name, *extra_value;
    struct bytes body; /* as it goes into DATA frames */
    bool open;         /* more follows: no END_STREAM */
};
struct rig_answer *grpc_rig_call(struct grpc_rig *r,
                                 const struct rig_request *request);
/* A call without a body, with fields of the caller's behind the usual ones. */
struct rig_answer *grpc_rig_call_with(struct grpc_rig *r, const char *path,
                                      const nghttp2_nv *more, size_t count);
/* More of an open call's body. */
void grpc_rig_more(struct grpc_rig *r, struct rig_answer *a, struct bytes body,
                   bool end);
void grpc_rig_reset(struct grpc_rig *r, struct rig_answer *a);
/* A request's fields, as literals of HPACK. */
void grpc_rig_fields(struct buf *to, const char *path);
/* Prefix and message behind what is there. */
void grpc_rig_frame(struct buf *to, uint8_t flag, struct bytes message);
/* The nth message of an answer; fails when there is none. */
struct bytes grpc_rig_message(const struct rig_answer *a, size_t n);
size_t grpc_rig_messages(const struct rig_answer *a);
void grpc_rig_say(struct grpc_rig *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
