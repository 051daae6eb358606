/* The crew that works on a real mount: threads, and the pipes to and from
 * them. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/helper.h"
#include "fs/mount.h"

struct fs_helpers {
    struct fs_crew crew;
    struct fs_replay *replay;
    int results[2];
    struct fs_worker workers[FS_HELPERS];
};

static void perform(struct fs_crew *crew, struct fs_helper *h)
{
    struct fs_helpers *all = container_of(crew, struct fs_helpers, crew);
    const struct fs_order *order = &h->op->order;
    const struct fs_worker *w = &all->workers[h - all->replay->helpers];
    const ssize_t written = write(w->orders[1], &order, sizeof order);
    must(written == sizeof order); /* one at a time fits into a pipe */
}

int fs_helpers_fd(const struct fs *fs)
{
    return fs->helpers == NULL ? -1 : fs->helpers->results[0];
}

size_t fs_helpers_on_readable(struct fs *fs)
{
    struct fs_worker *done[FS_HELPERS];
    const ssize_t size = read(fs->helpers->results[0], done, sizeof done);
    if (size <= 0) {
        return 0;
    }
    const size_t count = (size_t)size / sizeof done[0];
    for (size_t i = 0; i < count; i++) {
        fs_replay_done(fs, done[i]->helper);
    }
    return count;
}

static enum status start_worker(struct fs_helpers *all, struct fs_worker *w,
                                struct fault *reterr)
{
    w->results = all->results[1];
    if (pipe2(w->orders, O_CLOEXEC) != 0) {
        w->orders[0] = w->orders[1] = -1;
        return fault_sys(reterr, errno, "cannot make a pipe for replays");
    }
    const int error = pthread_create(&w->thread, NULL, fs_worker_main, w);
    if (error != 0) {
        return fault_sys(reterr, error, "cannot start a replay helper");
    }
    w->started = true;
    /* It says who it is, once it has let go of all descriptors. */
    struct fs_worker *self = NULL;
    ssize_t size;
    do {
        size = read(all->results[0], &self, sizeof self);
    } while (size < 0 && errno == EINTR);
    must(size == sizeof self);
    if (!w->isolated) {
        return fault_set(reterr, ST_DENIED,
                         "a replay helper cannot get descriptors of its own");
    }
    return ST_OK;
}

enum status fs_helpers_start(struct fs *fs, struct fault *reterr)
{
    if (fs->options.events == FS_EVENTS_OFF) {
        return ST_OK;
    }
    struct fs_helpers *all = xcalloc(1, sizeof *all);
    all->crew.perform = perform;
    all->results[0] = all->results[1] = -1;
    fs_replay_begin(fs, &all->crew);
    all->replay = fs->replay;
    for (size_t i = 0; i < FS_HELPERS; i++) {
        all->workers[i].helper = &fs->replay->helpers[i];
        all->workers[i].orders[0] = all->workers[i].orders[1] = -1;
    }
    fs->helpers = all;
    if (pipe2(all->results, O_CLOEXEC) != 0) {
        return fault_sys(reterr, errno, "cannot make a pipe for replays");
    }
    for (size_t i = 0; i < FS_HELPERS; i++) {
        const enum status st = start_worker(all, &all->workers[i], reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    if (fcntl(all->results[0], F_SETFL, O_NONBLOCK) != 0) {
        return fault_sys(reterr, errno, "cannot set up a pipe for replays");
    }
    return ST_OK;
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

void fs_helpers_stop(struct fs *fs)
{
    struct fs_helpers *all = fs->helpers;
    if (all == NULL) {
        return;
    }
    /* The device is closed: what a helper waits for has been refused. */
    for (size_t i = 0; i < FS_HELPERS; i++) {
        const struct fs_worker *w = &all->workers[i];
        close_if_open(w->orders[1]);
        if (w->started) {
            (void)pthread_join(w->thread, NULL);
        }
        close_if_open(w->orders[0]);
    }
    close_if_open(all->results[0]);
    close_if_open(all->results[1]);
    fs_replay_end(fs);
    fs->helpers = NULL;
    free(all);
}
