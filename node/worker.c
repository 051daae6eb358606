/* One thread, one job at a time: a mailbox of size one. */

#include "node/worker.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/must.h"

struct worker {
    struct loop *loop;
    pthread_t thread;
    struct worker_job *out; /* the loop's: handed over, not back yet */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct worker_job *job; /* under the mutex: NULL when idle */
    bool stop;              /* under the mutex */
};

static void job_done(struct loop_post *post)
{
    struct worker_job *job = container_of(post, struct worker_job, post);
    job->worker->out = NULL;
    job->done(job);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    (void)pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (w->job == NULL && !w->stop) {
            (void)pthread_cond_wait(&w->changed, &w->mutex);
        }
        if (w->job == NULL) {
            break;
        }
        struct worker_job *job = w->job;
        (void)pthread_mutex_unlock(&w->mutex);
        job->run(job);
        (void)pthread_mutex_lock(&w->mutex);
        w->job = NULL;
        if (w->stop) {
            break; /* nobody is left to hear of it */
        }
        /* The loop wants it for its next job. */
        (void)pthread_mutex_unlock(&w->mutex);
        loop_post(w->loop, &job->post);
        (void)pthread_mutex_lock(&w->mutex);
    }
    (void)pthread_mutex_unlock(&w->mutex);
    return NULL;
}

enum status worker_new(struct loop *loop, const char *name, struct worker **ret,
                       struct fault *reterr)
{
    struct worker *w = xcalloc(1, sizeof *w);
    w->loop = loop;
    must(pthread_mutex_init(&w->mutex, NULL) == 0);
    must(pthread_cond_init(&w->changed, NULL) == 0);
    const int error = pthread_create(&w->thread, NULL, worker_main, w);
    if (error != 0) {
        (void)pthread_cond_destroy(&w->changed);
        (void)pthread_mutex_destroy(&w->mutex);
        free(w);
        return fault_sys(reterr, error, "cannot start the %s thread", name);
    }
    (void)pthread_setname_np(w->thread, name); /* only for people */
    *ret = w;
    return ST_OK;
}

void worker_free(struct worker *w)
{
    if (w == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&w->mutex);
    w->stop = true;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
    (void)pthread_join(w->thread, NULL);
    if (w->out != NULL) {
        loop_post_cancel(w->loop, &w->out->post);
    }
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->mutex);
    free(w);
}

void worker_run(struct worker *w, struct worker_job *job)
{
    must(w->out == NULL);
    must(job->run != NULL && job->done != NULL);
    w->out = job;
    job->worker = w;
    job->post = (struct loop_post){.run = job_done};
    (void)pthread_mutex_lock(&w->mutex);
    must(w->job == NULL);
    w->job = job;
    (void)pthread_mutex_unlock(&w->mutex);
    /* Behind the unlock: who is woken wants the mutex at once. */
    (void)pthread_cond_signal(&w->changed);
}

bool worker_is_busy(const struct worker *w)
{
    return w->out != NULL;
}
