/* A thread that does one job at a time for the loop.
 *
 * The loop fills in a job, hands it over, and gets it back through loop_post()
 * when it is done; in between the job belongs to the thread.  Nothing else is
 * shared.
 */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include "net/loop.h"

struct worker;

struct worker_job {
    void (*run)(struct worker_job *job);  /* on the worker's thread */
    void (*done)(struct worker_job *job); /* on the loop, afterwards */

    /* Private. */
    struct loop_post post;
    struct worker *worker;
};

/* The name is shown by ps -L and the like; at most 15 bytes. */
enum status worker_new(struct loop *loop, const char *name, struct worker **ret,
                       struct fault *reterr) MUST_USE;
/* Waits for the job under way, without calling its done(), and joins the
 * thread. NULL is fine. */
void worker_free(struct worker *w);

/* No job may be under way. */
void worker_run(struct worker *w, struct worker_job *job);
/* True from worker_run() until the job's done() is called. */
bool worker_is_busy(const struct worker *w);

#endif
