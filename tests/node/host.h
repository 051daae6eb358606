/* A whole member of a cluster of one: loop, threads, disk.  For what the step
 * function alone does not do. */
#ifndef TESTS_NODE_HOST_H
#define TESTS_NODE_HOST_H

#include "node/node.h"
#include "tests/lib/test.h"

struct host {
    const char *directory; /* kept over host_stop() */
    struct node_options options;
    struct loop *loop;
    struct node *node;
    struct kv *kv;
    struct admin *admin;
    bool ready, failed;
    bool done; /* of the call waited for */
};

/* h zeroed, but for options that differ from the default's when `custom`. */
void host_start(struct host *h);
void host_stop(struct host *h);
/* Runs the loop until *flag; fails after a while. */
void host_until(struct host *h, const bool *flag);

/* Done for a call whose header is followed by nothing that matters: sets
 * host_done. */
void host_call_done(struct kv_call *call);
/* Waits for the call that was submitted with host_call_done. */
void host_wait(struct host *h, struct kv_call *call);

enum status host_put(struct host *h, const char *key, struct bytes value);
enum status host_delete(struct host *h, const char *key);
enum status host_compact(struct host *h, int64_t revision, bool physical);
/* Runs it, whose done is host_call_done: "STATUS key=value … @revision". */
void host_range(struct host *h, struct kv_range *range, char *to, size_t size);
int64_t host_revision(struct host *h);

#endif
