/* Jobs one after the other on a thread of their own, which is made when the
 * first one comes.  As with a worker (worker.h), a job belongs to the thread
 * from lane_run() until its done(). */
#ifndef NODE_LANE_H
#define NODE_LANE_H

#include "base/list.h"
#include "node/worker.h"

struct lane_job {
    void (*run)(struct lane_job *job);  /* on the lane's thread */
    void (*done)(struct lane_job *job); /* on the loop, afterwards */

    /* Private. */
    struct worker_job job;
    struct lane *lane;
    struct list link;
};

struct lane {
    struct loop *loop;
    const char *name; /* of the thread; at most 15 bytes */
    struct worker *worker;
    struct list queue;
    struct lane_job *running;
};

void lane_init(struct lane *l, struct loop *loop, const char *name);
/* Waits for the job under way; forgets those that wait, without their done().
 */
void lane_fini(struct lane *l);

/*   ST_IO and the like: there is no thread; the job was not taken */
enum status lane_run(struct lane *l, struct lane_job *job,
                     struct fault *reterr) MUST_USE;
/* Takes a job back that has not begun: its done() will not come.  False: it
 * runs, or is none of the lane's. */
bool lane_withdraw(struct lane *l, struct lane_job *job);

#endif
