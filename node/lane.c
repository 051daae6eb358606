/* A worker with a queue before it. */

#include "node/lane.h"

#include "base/must.h"

void lane_init(struct lane *l, struct loop *loop, const char *name)
{
    *l = (struct lane){.loop = loop, .name = name};
    list_init(&l->queue);
}

void lane_fini(struct lane *l)
{
    worker_free(l->worker);
    l->worker = NULL;
    l->running = NULL;
    while (list_pop(&l->queue) != NULL) {
    }
}

static void run(struct worker_job *job)
{
    struct lane_job *j = container_of(job, struct lane_job, job);
    j->run(j);
}

static void done(struct worker_job *job);

static void start_next(struct lane *l)
{
    struct list *link = l->running == NULL ? list_pop(&l->queue) : NULL;
    if (link != NULL) {
        l->running = container_of(link, struct lane_job, link);
        l->running->job = (struct worker_job){.run = run, .done = done};
        worker_run(l->worker, &l->running->job);
    }
}

static void done(struct worker_job *job)
{
    struct lane_job *j = container_of(job, struct lane_job, job);
    struct lane *l = j->lane;
    must(l->running == j);
    l->running = NULL;
    j->lane = NULL;
    start_next(l);
    j->done(j); /* which may free it, or run it again */
}

enum status lane_run(struct lane *l, struct lane_job *job, struct fault *reterr)
{
    must(job->lane == NULL);
    if (l->worker == NULL) {
        const enum status st = worker_new(l->loop, l->name, &l->worker, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    job->lane = l;
    list_push(&l->queue, &job->link);
    start_next(l);
    return ST_OK;
}

bool lane_withdraw(struct lane *l, struct lane_job *job)
{
    if (job->lane != l || l->running == job) {
        return false;
    }
    list_remove(&job->link);
    job->lane = NULL;
    return true;
}
