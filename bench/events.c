/* From a change made here to the inotify event there.
 *
 *   events delay FROM TO COUNT PAUSE_US   one file is rewritten COUNT times in
 *                                         FROM; the time from before the open
 *                                         to CLOSE_WRITE in TO, and from the
 *                                         end of the close (second line; an
 *                                         event that came before it counts 0)
 *   events burst FROM TO WRITERS SECONDS  WRITERS threads rewrite a file each
 * in FROM; changes made and events seen in TO a second, of at most three (OPEN,
 *                                         MODIFY, CLOSE_WRITE) for each change
 */

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "bench/samples.h"

enum { LOST_AFTER_MS = 5000, WRITERS_MAX = 256 };

static int watch(const char *path)
{
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 ||
        inotify_add_watch(
            fd, path, IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY) < 0) {
        fail("inotify on %s", path);
    }
    return fd;
}

static void change(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "v", 1) != 1 || close(fd) != 0) {
        fail("change of %s", path);
    }
}

/* Reads what there is; how many events of a kind in mask. */
static unsigned long take(int fd, uint32_t mask, unsigned long *ret_lost)
{
    char data[65536] __attribute__((aligned(8)));
    unsigned long found = 0;
    ssize_t size;
    while ((size = read(fd, data, sizeof data)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *e = (const void *)(data + at);
            found += (e->mask & mask) != 0;
            *ret_lost += (e->mask & IN_Q_OVERFLOW) != 0;
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
    return found;
}

static int64_t wait_for(int fd, uint32_t mask)
{
    unsigned long lost = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (take(fd, mask, &lost) == 0) {
        if (poll(&p, 1, LOST_AFTER_MS) == 0) {
            (void)fputs("an event did not come\n", stderr);
            exit(1);
        }
    }
    return clock_ns();
}

/* The change is made by another thread, so that the event is waited for while
 * the change is still under way. */
struct change_thread {
    const char *path;
    int begin, end; /* pipes */
};

static void *change_when_told(void *arg)
{
    struct change_thread *t = arg;
    char byte;
    while (read(t->begin, &byte, 1) == 1) {
        const int64_t started_ns = clock_ns();
        change(t->path);
        const int64_t times[2] = {started_ns, clock_ns()};
        if (write(t->end, times, sizeof times) != (ssize_t)sizeof times) {
            fail("pipe");
        }
    }
    return NULL;
}

static int delay(const char *from, const char *to, long count, long pause_us)
{
    char path[4096];
    int begin[2], end[2];
    unsigned long lost = 0;
    struct samples whole, behind;
    (void)snprintf(path, sizeof path, "%s/changed", from);
    change(path);
    if (pipe(begin) != 0 || pipe(end) != 0) {
        fail("pipe");
    }
    struct change_thread t = {.path = path, .begin = begin[0], .end = end[1]};
    pthread_t thread;
    samples_init(&whole);
    samples_init(&behind);
    (void)usleep(100000); /* the first change's event is nobody's */
    const int fd = watch(to);
    if (pthread_create(&thread, NULL, change_when_told, &t) != 0) {
        fail("thread");
    }
    const int64_t start_ns = clock_ns();
    for (long i = 0; i < count; i++) {
        int64_t times[2];
        (void)usleep((useconds_t)pause_us);
        (void)take(fd, IN_CLOSE_WRITE, &lost); /* of the change before */
        if (write(begin[1], "x", 1) != 1) {
            fail("pipe");
        }
        const int64_t seen_ns = wait_for(fd, IN_CLOSE_WRITE);
        if (read(end[0], times, sizeof times) != (ssize_t)sizeof times) {
            fail("pipe");
        }
        samples_add(&whole, seen_ns - times[0]);
        samples_add(&behind, seen_ns > times[1] ? seen_ns - times[1] : 0);
    }
    (void)close(begin[1]);
    (void)pthread_join(thread, NULL);
    samples_print(&whole, clock_ns() - start_ns);
    samples_print(&behind, clock_ns() - start_ns);
    samples_fini(&whole);
    samples_fini(&behind);
    (void)unlink(path);
    return 0;
}

struct burst_writer {
    pthread_t thread;
    const char *directory;
    int which;
    int64_t end_ns;
    unsigned long changes;
};

static void *rewrite(void *arg)
{
    struct burst_writer *w = arg;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/w%d", w->directory, w->which);
    while (clock_ns() < w->end_ns) {
        change(path);
        w->changes++;
    }
    return NULL;
}

static int burst(const char *from, const char *to, int writers, double seconds)
{
    static struct burst_writer all[WRITERS_MAX];
    const uint32_t kinds = IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE;
    unsigned long made = 0, lost = 0, seen = 0;
    if (writers < 1 || writers > WRITERS_MAX) {
        return 2;
    }
    const int fd = watch(to);
    const int64_t start_ns = clock_ns();
    for (int i = 0; i < writers; i++) {
        all[i] = (struct burst_writer){.directory = from,
                                       .which = i,
                                       .end_ns =
                                           start_ns + (int64_t)(seconds * 1e9)};
        if (pthread_create(&all[i].thread, NULL, rewrite, &all[i]) != 0) {
            fail("thread");
        }
    }
    while (clock_ns() < all[0].end_ns) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)poll(&p, 1, 10);
        seen += take(fd, kinds, &lost);
    }
    for (int i = 0; i < writers; i++) {
        (void)pthread_join(all[i].thread, NULL);
        made += all[i].changes;
    }
    const int64_t written_ns = clock_ns();
    int64_t last_ns = written_ns;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 1000) == 0) {
            break;
        }
        seen += take(fd, kinds, &lost);
        last_ns = clock_ns();
    }
    (void)printf("{\"changes_per_second\":%.1f,\"events_per_second\":%.1f,"
                 "\"events\":%lu,\"events_without_collapsing\":%lu,"
                 "\"overflows\":%lu,\"lag_ms\":%.1f}\n",
                 (double)made / ((double)(written_ns - start_ns) / 1e9),
                 (double)seen / ((double)(last_ns - start_ns) / 1e9), seen,
                 made * 3, lost, (double)(last_ns - written_ns) / 1e6);
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 6 && strcmp(arguments[1], "delay") == 0) {
        return delay(arguments[2], arguments[3], strtol(arguments[4], NULL, 10),
                     strtol(arguments[5], NULL, 10));
    }
    if (count == 6 && strcmp(arguments[1], "burst") == 0) {
        return burst(arguments[2], arguments[3],
                     (int)strtol(arguments[4], NULL, 10),
                     strtod(arguments[5], NULL));
    }
    (void)fputs("usage: events delay FROM TO COUNT PAUSE_US\n"
                "       events burst FROM TO WRITERS SECONDS\n",
                stderr);
    return 2;
}
