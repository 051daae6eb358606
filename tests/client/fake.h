/* A server that says what a test wants, on the test's own loop. */
#ifndef TESTS_CLIENT_FAKE_H
#define TESTS_CLIENT_FAKE_H

#include "base/buf.h"
#include "net/grpc.h"

struct fake;
/* Answers, holds (fake_hold) or finishes the call. */
typedef void fake_answer(struct fake *f, struct grpc_call *c,
                         struct bytes message);

struct fake {
    struct loop *loop;
    struct grpc_server *server;
    struct loop_timer *timer;
    uint16_t port;
    char address[32];
    unsigned ranges, txns, revokes;             /* requests that came */
    fake_answer *on_range, *on_txn, *on_revoke; /* NULL: an empty answer */
    struct grpc_call *held;                     /* the last that was held */
    struct grpc_call *watch;                    /* the stream */
    int64_t watch_ids;                          /* created on it so far */
    int64_t starts[16]; /* start revisions that were asked for */
    unsigned starts_count;
    int64_t revision; /* of headers */
};

void fake_begin(struct fake *f, struct loop *l);
void fake_end(struct fake *f);
/* All connections break; nobody listens. In the next turn. */
void fake_break(struct fake *f);
void fake_restart(struct fake *f);

void fake_hold(struct fake *f, struct grpc_call *c, struct bytes message);
/* A header, and what is given. */
void fake_reply(struct fake *f, struct grpc_call *c, struct bytes more);
/* "put key" at that revision, to a watch. */
void fake_event(struct fake *f, int64_t id, const char *key, int64_t revision);
void fake_watch_canceled(struct fake *f, int64_t id, int64_t compact_revision,
                         const char *reason);

#endif
