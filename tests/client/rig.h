/* A loop, a client, and requests that are waited for; results as text.
 *
 *   item    key=value@create,mod,version   group/ stands alone; " L7": lease 7
 */
#ifndef TESTS_CLIENT_RIG_H
#define TESTS_CLIENT_RIG_H

#include "client/client.h"
#include "tests/lib/test.h"

struct rig {
    struct loop *loop;
    struct loop_timer *limit;
    struct client *client;
    struct kv *kv;
    unsigned ups, downs; /* connections */
    char endpoint[64];   /* of the last that came up */
};

#define RIG_LIMIT_S 20 /* no wait is longer */

void rig_begin(struct rig *r);
/* Ends the client, when there is one. */
void rig_end(struct rig *r);
/* With what is not said in *more (NULL: nothing) as in real life. */
void rig_connect(struct rig *r, const char *const *endpoints, size_t count,
                 const struct client_options *more);
void rig_disconnect(struct rig *r);

/* Runs the loop until *done; fails the test when that takes too long. */
void rig_until(struct rig *r, const bool *done);
void rig_for_ms(struct rig *r, int64_t ms);

/* --- requests that are waited for --- */
struct kv_keys keys_of(const char *key, const char *end);
/* Status and text of the result: "more 7" at its end for more and count. */
enum status rig_range(struct rig *r, const struct kv_range_spec *spec,
                      char *text, size_t size);
enum status rig_txn(struct rig *r, const struct kv_txn_spec *spec, char *text,
                    size_t size);
/* The new revision. */
int64_t rig_put(struct rig *r, const char *key, const char *value);
enum status rig_put_status(struct rig *r, const char *key, const char *value);
int64_t rig_delete(struct rig *r, const char *key, const char *end);
enum status rig_compact(struct rig *r, int64_t revision);
enum status rig_lease(struct rig *r, struct kv_lease *lease);

void say_range(const struct kv_range_result *result, char *text, size_t size);

/* --- a watch that writes down what it sees --- */
struct rig_watch {
    struct kv_watch watch;
    char text[65536]; /* "put a=1@2 delete b@3 " */
    size_t events;
    bool ended;
    enum status why;
    int64_t compact_revision, last_revision;
    bool out_of_order; /* a revision below the one before */
};
void rig_watch(struct rig *r, struct rig_watch *w, struct kv_keys keys,
               int64_t start_revision);
void rig_until_events(struct rig *r, const struct rig_watch *w, size_t events);

#endif
