/* Real mounts for tests. */

#include "tests/fs/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"

#define TEST_SECONDS_MAX 60

static struct live *running;
/* Connections are found before anything can hang on them. */
static unsigned connections[LIVE_MOUNTS_MAX];
static char path_aside[300];

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Ends whatever waits for a mount that nobody serves, and lets it go. */
static void abort_mounts(void)
{
    struct live *l = running;
    for (size_t i = 0; l != NULL && i < l->count; i++) {
        (void)umount2(l->path[i], MNT_DETACH);
    }
    if (path_aside[0] != 0) {
        (void)umount2(path_aside, MNT_DETACH);
    }
}

static void on_alarm(int signal)
{
    (void)signal;
    static const char text[] = "a mount test takes too long: aborted\n";
    (void)!write(2, text, sizeof text - 1);
    for (size_t i = 0; i < LIVE_MOUNTS_MAX; i++) {
        char path[64] = "/sys/fs/fuse/connections/";
        char digits[12];
        size_t count = 0;
        unsigned number = connections[i];
        if (number == 0) {
            continue;
        }
        for (; number > 0; number /= 10) {
            digits[count++] = (char)('0' + number % 10);
        }
        size_t size = strlen(path);
        while (count > 0) {
            path[size++] = digits[--count];
        }
        memcpy(path + size, "/abort", sizeof "/abort");
        const int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0) {
            (void)!write(fd, "1", 1);
            (void)close(fd);
        }
    }
    abort_mounts();
    _exit(99);
}

static void serve_once(struct live *l, int timeout_ms)
{
    struct pollfd polled[LIVE_MOUNTS_MAX * FS_FDS_MAX];
    struct fs *owner[LIVE_MOUNTS_MAX * FS_FDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++) {
        int fds[FS_FDS_MAX];
        const size_t mine = l->fs[i] == NULL ? 0 : fs_fds(l->fs[i], fds);
        for (size_t j = 0; j < mine; j++) {
            owner[count] = l->fs[i];
            polled[count++] = (struct pollfd){.fd = fds[j], .events = POLLIN};
        }
    }
    (void)pthread_mutex_unlock(&l->lock);
    (void)poll(polled, count, timeout_ms);
    (void)pthread_mutex_lock(&l->lock);
    const int64_t now = now_ns();
    for (size_t i = 0; i < count; i++) {
        if (polled[i].revents != 0) {
            (void)fs_on_readable(owner[i], polled[i].fd, now);
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        if (l->fs[i] != NULL) {
            fs_on_time(l->fs[i], now);
        }
    }
    while (fake_kv_pump(&l->kv)) {
    }
}

static void *serve(void *arg)
{
    struct live *l = arg;
    (void)pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        serve_once(l, 1);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

void live_may_hang(unsigned long device, const char *path)
{
    connections[0] = minor(device);
    (void)snprintf(path_aside, sizeof path_aside, "%s", path);
}

void live_lock(struct live *l)
{
    (void)pthread_mutex_lock(&l->lock);
}

void live_unlock(struct live *l)
{
    (void)pthread_mutex_unlock(&l->lock);
}

/* A test that failed has left its mounts behind. */
static void clean_up(void)
{
    if (running != NULL && running->serving) {
        live_end(running);
    }
}

void live_prepare(struct live *l)
{
    static bool registered;
    clean_up();
    if (!registered) {
        registered = true;
        (void)test_directory(); /* whose own cleaning comes after ours */
        (void)atexit(clean_up);
    }
    *l = (struct live){.prepared = true};
    fake_kv_init(&l->kv);
}

void live_begin(struct live *l, size_t mounts, const char *options)
{
    must(mounts <= LIVE_MOUNTS_MAX);
    if (!l->prepared) {
        live_prepare(l);
    }
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        SKIP("/dev/fuse cannot be opened");
    }
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(TEST_SECONDS_MAX);
    pthread_mutexattr_t kind;
    (void)pthread_mutexattr_init(&kind);
    (void)pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&l->lock, &kind);
    (void)pthread_mutexattr_destroy(&kind);
    running = l;
    for (size_t i = 0; i < mounts; i++) {
        (void)snprintf(l->path[i], sizeof l->path[i], "%s", test_directory());
        struct fs_options o;
        fs_options_default(&o);
        struct fault fault = {{0}};
        must(fs_options_parse(options, &o, &fault) == ST_OK);
        const enum status st =
            fs_mount(&l->kv.kv, l->path[i], &o, &l->fs[i], &fault);
        if (st == ST_DENIED) {
            print_message("# %s\n", fault.text);
            SKIP("mounting is refused");
        }
        if (st != ST_OK) {
            fail_msg("%s", fault.text);
        }
        l->count++;
    }
    (void)pthread_create(&l->thread, NULL, serve, l);
    l->serving = true;
    for (size_t i = 0; i < mounts; i++) {
        struct stat st;
        EXPECT_INT(stat(l->path[i], &st), 0);
        connections[i] = minor(st.st_dev);
    }
}

void live_end(struct live *l)
{
    live_lock(l);
    l->stop = true;
    while (pthread_mutex_unlock(&l->lock) == 0) {
        /* a test that failed may have held it */
    }
    (void)pthread_join(l->thread, NULL);
    for (size_t i = 0; i < l->count; i++) {
        fs_free(l->fs[i]);
        (void)umount2(l->path[i], MNT_DETACH); /* when it was not */
        connections[i] = 0;
    }
    while (fake_kv_pump(&l->kv)) {
    }
    fake_kv_fini(&l->kv);
    (void)pthread_mutex_destroy(&l->lock);
    running = NULL;
    path_aside[0] = 0;
    connections[0] = 0;
    l->prepared = l->serving = false;
    (void)alarm(0);
}

const char *live_path(const struct live *l, size_t mount, const char *name)
{
    static char paths[8][1024];
    static size_t next;
    char *path = paths[next++ % count_of(paths)];
    (void)snprintf(path, sizeof paths[0], "%s/%s", l->path[mount], name);
    return path;
}

int live_write(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return errno;
    }
    const ssize_t written = write(fd, text, strlen(text));
    const int error = written < 0 ? errno : 0;
    if (close(fd) != 0) {
        return errno;
    }
    return error;
}

const char *live_read(const char *path)
{
    static char text[65536];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    const ssize_t size = read(fd, text, sizeof text - 1);
    const int error = errno;
    (void)close(fd);
    errno = error;
    if (size < 0) {
        return NULL;
    }
    text[size] = 0;
    return text;
}
