/* A helper that is a thread: it performs orders with system calls. */
#ifndef FS_HELPER_H
#define FS_HELPER_H

#include <pthread.h>

#include "fs/replay.h"

struct fs_worker {
    struct fs_helper *helper;
    pthread_t thread;
    int orders[2]; /* pipe: the loop writes an order's address, this reads it */
    int results;   /* pipe: this writes its own address, at first and when an
                      order is done; the loop reads it */
    bool started;
    bool isolated; /* it holds no other descriptors */
};

/* The thread's function; the argument is its worker. */
void *fs_worker_main(void *worker);

#endif
