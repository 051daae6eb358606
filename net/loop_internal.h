/* What the files of the loop share; nobody outside net/ includes it. */
#ifndef NET_LOOP_INTERNAL_H
#define NET_LOOP_INTERNAL_H

#include <pthread.h>
#include <uv.h>

#include "net/loop.h"
#include "net/loop_spin.h"

struct loop {
    uv_loop_t uv;
    uv_async_t wake;     /* ends the sleep; carries nothing itself */
    uv_prepare_t before; /* between the timers and the sleep */
    struct list hooks;   /* of loop_hook.link */
    struct list round;   /* hooks still to run in the present round */
    int64_t spin_ns;
    int64_t last_event_ns;
    struct loop_spin spin;
    uint64_t events;      /* callbacks since the turn began */
    size_t polls, timers; /* alive; 0 when the loop is freed */
    struct list overdue;  /* timers set to a time that had passed */
    bool running, stopping;
    bool posted_inside; /* by a callback of this call of uv_run() */
    pthread_t thread;   /* that runs it */

    struct {
        uv_signal_t handles[2]; /* SIGINT, SIGTERM */
        bool used;              /* initialised, to be closed */
        void (*fire)(void *arg, int signal);
        void *arg;
    } signals;

    pthread_mutex_t mutex; /* of what follows */
    struct list posts;     /* handed over, waiting */
    struct list due;       /* taken for this turn */
    bool asleep;           /* a post must wake the loop */
};

/* Something happened in this turn. */
static inline void loop_count_event(struct loop *l)
{
    l->events++;
}

/* Fires the timers of l->overdue; those set again meanwhile wait. */
void loop_run_overdue(struct loop *l);
void loop_signals_close(struct loop *l);

#endif
