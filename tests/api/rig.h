/* The API between a network and a keystore that are both the test's: calls
 * arrive when the test says so, requests wait until it answers them, and time
 * stands still.  Nothing here opens a socket.
 *
 * What a call was sent is kept as text of its state and as the messages. */
#ifndef TESTS_API_RIG_H
#define TESTS_API_RIG_H

#include <protobuf-c/protobuf-c.h>

#include "api/api.h"
#include "base/list.h"
#include "tests/lib/test.h"

#define RIG_MESSAGES_MAX 64

struct grpc_call {
    const struct grpc_method *method;
    const struct grpc_handler *handler;
    void *state;
    bool has_leader; /* metadata */
    bool choked;     /* it says to pause after each message */
    bool paused;     /* its reading */
    bool finished;
    int code;
    char text[256];
    struct buf messages[RIG_MESSAGES_MAX];
    size_t messages_count, messages_read;
};

struct rig {
    struct api *api;
    struct kv kv;
    struct admin admin;
    struct kv_status status;
    struct kv_member members[1];
    struct list waiting; /* kv_call.link, in order */
    struct list watches; /* kv_watch.link */
    int64_t watched;     /* what kv_watched() says; 0: the revision */
    size_t cancelled;
};

void rig_begin(struct rig *r);
/* All calls must be over. */
void rig_end(struct rig *r);

/* --- the client's side --- */
void call_begin(struct grpc_call *c, const char *path);
void call_message(struct grpc_call *c, const void *message);
void call_bytes(struct grpc_call *c, struct bytes message);
void call_half_close(struct grpc_call *c);
void call_unchoke(struct grpc_call *c); /* and on_writable */
void call_reset(struct grpc_call *c);
void call_fini(struct grpc_call *c);
/* The next message as that type; NULL: none. Freed with rig_free(). */
void *call_next(struct grpc_call *c, const ProtobufCMessageDescriptor *type);
void rig_free(void *message);
/* A unary call from its request to where it waits or ends. */
void call_ask(struct grpc_call *c, const char *path, const void *message);

/* --- the keystore's side --- */
/* The oldest request that waits, taken; NULL: none. */
struct kv_call *rig_take(struct rig *r);
void rig_done(struct rig *r, struct kv_call *call, enum status st);
struct kv_watch *rig_watch(struct rig *r, size_t index);
size_t rig_watches(const struct rig *r);
/* One event of that watch. */
void rig_put(struct rig *r, struct kv_watch *w, const char *key,
             int64_t revision);

/* --- the loop's side --- */
void rig_turn(void);                 /* hooks */
void rig_pass(int64_t milliseconds); /* timers that are due */

#endif
