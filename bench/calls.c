/* Loops of file system calls, measured one operation at a time.
 *
 *   calls read FILE SECONDS            open, read all, close
 *   calls stat FILE SECONDS            stat
 *   calls list DIR SECONDS             opendir, all entries, closedir
 *   calls rewrite FILE SECONDS         open O_TRUNC, write 256 bytes, close
 *   calls writers DIR N SECONDS        N threads, each rewriting its own file
 *   calls fill DIR N FIRST COUNT SIZE  N threads make files FIRST… in d000…
 *   calls sync FILE SECONDS            4 KiB over a zero-filled file, fdatasync
 *   calls spawn SECONDS PROGRAM …      run a program to its end
 *
 * Each prints one line of JSON (samples.h).
 */

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "bench/samples.h"

enum { VALUE_SIZE = 256, THREADS_MAX = 1024, FILES_PER_DIRECTORY = 1000 };

extern char **environ;

static void read_once(const char *path)
{
    static char data[2 << 20];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail("open %s", path);
    }
    for (;;) {
        const ssize_t size = read(fd, data, sizeof data);
        if (size < 0) {
            fail("read %s", path);
        }
        if ((size_t)size < sizeof data) {
            break;
        }
    }
    (void)close(fd);
}

static void stat_once(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fail("stat %s", path);
    }
}

static void list_once(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        fail("opendir %s", path);
    }
    while (readdir(d) != NULL) {
    }
    (void)closedir(d);
}

static void rewrite_once(const char *path)
{
    char value[VALUE_SIZE];
    memset(value, 'v', sizeof value);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        fail("open %s", path);
    }
    if (write(fd, value, sizeof value) != (ssize_t)sizeof value) {
        fail("write %s", path);
    }
    if (close(fd) != 0) {
        fail("close %s", path);
    }
}

static int repeat(void (*once)(const char *path), const char *path,
                  double seconds)
{
    struct samples s;
    samples_init(&s);
    once(path); /* warm */
    const int64_t start_ns = clock_ns();
    const int64_t end_ns = start_ns + (int64_t)(seconds * 1e9);
    int64_t now_ns = start_ns;
    while (now_ns < end_ns) {
        once(path);
        const int64_t after_ns = clock_ns();
        samples_add(&s, after_ns - now_ns);
        now_ns = after_ns;
    }
    samples_print(&s, now_ns - start_ns);
    samples_fini(&s);
    return 0;
}

/* --- many writers --- */

struct writer {
    pthread_t thread;
    const char *directory;
    unsigned which, step;
    unsigned long first, end; /* of fill */
    size_t size;
    int64_t end_ns;
    struct samples samples;
};

static void *rewrite_until_end(void *arg)
{
    struct writer *w = arg;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/writer-%u", w->directory, w->which);
    int64_t now_ns = clock_ns();
    while (now_ns < w->end_ns) {
        rewrite_once(path);
        const int64_t after_ns = clock_ns();
        samples_add(&w->samples, after_ns - now_ns);
        now_ns = after_ns;
    }
    return NULL;
}

static void *fill_share(void *arg)
{
    struct writer *w = arg;
    char path[4096];
    char *value = xmalloc(w->size);
    for (unsigned long i = w->first + w->which; i < w->end; i += w->step) {
        (void)snprintf(path, sizeof path, "%s/d%03lu/key-%07lu", w->directory,
                       i / FILES_PER_DIRECTORY, i);
        (void)memset(value, (int)('a' + i % 26), w->size);
        const int64_t begin_ns = clock_ns();
        const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, value, w->size) != (ssize_t)w->size ||
            close(fd) != 0) {
            fail("fill %s", path);
        }
        samples_add(&w->samples, clock_ns() - begin_ns);
    }
    free(value);
    return NULL;
}

static int run_writers(const struct writer *shape, unsigned count,
                       void *(*body)(void *))
{
    static struct writer writers[THREADS_MAX];
    struct samples all;
    if (count == 0 || count > THREADS_MAX) {
        (void)fprintf(stderr, "1 to %d writers\n", THREADS_MAX);
        return 2;
    }
    samples_init(&all);
    const int64_t start_ns = clock_ns();
    for (unsigned i = 0; i < count; i++) {
        writers[i] = *shape;
        writers[i].which = i;
        writers[i].step = count;
        samples_init(&writers[i].samples);
        if (pthread_create(&writers[i].thread, NULL, body, &writers[i]) != 0) {
            fail("thread %u", i);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(writers[i].thread, NULL);
    }
    const int64_t elapsed_ns = clock_ns() - start_ns;
    for (unsigned i = 0; i < count; i++) {
        samples_merge(&all, &writers[i].samples);
        samples_fini(&writers[i].samples);
    }
    samples_print(&all, elapsed_ns);
    samples_fini(&all);
    return 0;
}

static int fill(char **arguments)
{
    struct writer shape = {
        .directory = arguments[0],
        .first = strtoul(arguments[2], NULL, 10),
        .end =
            strtoul(arguments[2], NULL, 10) + strtoul(arguments[3], NULL, 10),
        .size = strtoul(arguments[4], NULL, 10),
    };
    char path[4096];
    for (unsigned long d = shape.first / FILES_PER_DIRECTORY;
         d <= (shape.end - 1) / FILES_PER_DIRECTORY; d++) {
        (void)snprintf(path, sizeof path, "%s/d%03lu", shape.directory, d);
        (void)mkdir(path, 0755); /* it may be there; the open below says */
    }
    return run_writers(&shape, (unsigned)strtoul(arguments[1], NULL, 10),
                       fill_share);
}

/* --- the disk alone --- */

static int sync_rate(const char *path, double seconds)
{
    enum { PIECE = 4096, PIECES = 1024 };
    static char piece[PIECE];
    struct samples s;
    samples_init(&s);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        fail("open %s", path);
    }
    for (int i = 0; i < PIECES; i++) {
        if (write(fd, piece, PIECE) != PIECE) {
            fail("write %s", path);
        }
    }
    if (fsync(fd) != 0) {
        fail("fsync %s", path);
    }
    const int64_t start_ns = clock_ns();
    const int64_t end_ns = start_ns + (int64_t)(seconds * 1e9);
    int64_t now_ns = start_ns;
    for (int i = 0; now_ns < end_ns; i++) {
        memset(piece, i, sizeof piece);
        if (pwrite(fd, piece, PIECE, (off_t)(i % PIECES) * PIECE) != PIECE ||
            fdatasync(fd) != 0) {
            fail("sync %s", path);
        }
        const int64_t after_ns = clock_ns();
        samples_add(&s, after_ns - now_ns);
        now_ns = after_ns;
    }
    samples_print(&s, now_ns - start_ns);
    (void)close(fd);
    (void)unlink(path);
    samples_fini(&s);
    return 0;
}

/* --- programs --- */

static void spawn_once(char **program)
{
    pid_t pid;
    int status;
    posix_spawn_file_actions_t quiet;
    (void)posix_spawn_file_actions_init(&quiet);
    (void)posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, program[0], &quiet, NULL, program, environ) != 0) {
        fail("spawn %s", program[0]);
    }
    (void)posix_spawn_file_actions_destroy(&quiet);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        (void)fprintf(stderr, "%s ended with status %d\n", program[0], status);
        exit(1);
    }
}

static int spawn_rate(double seconds, char **program)
{
    struct samples s;
    samples_init(&s);
    spawn_once(program);
    const int64_t start_ns = clock_ns();
    const int64_t end_ns = start_ns + (int64_t)(seconds * 1e9);
    int64_t now_ns = start_ns;
    while (now_ns < end_ns || s.count < 5) {
        spawn_once(program);
        const int64_t after_ns = clock_ns();
        samples_add(&s, after_ns - now_ns);
        now_ns = after_ns;
    }
    samples_print(&s, now_ns - start_ns);
    samples_fini(&s);
    return 0;
}

static int usage(void)
{
    (void)fputs("usage: calls read|stat|list|rewrite|sync PATH SECONDS\n"
                "       calls writers DIR N SECONDS\n"
                "       calls fill DIR N FIRST COUNT SIZE\n"
                "       calls spawn SECONDS PROGRAM [ARGUMENT...]\n",
                stderr);
    return 2;
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*once)(const char *path);
    } simple[] = {{"read", read_once},
                  {"stat", stat_once},
                  {"list", list_once},
                  {"rewrite", rewrite_once}};
    if (count < 4) {
        return usage();
    }
    const char *what = arguments[1];
    for (size_t i = 0; i < count_of(simple); i++) {
        if (strcmp(what, simple[i].name) == 0) {
            return repeat(simple[i].once, arguments[2],
                          strtod(arguments[3], NULL));
        }
    }
    if (strcmp(what, "sync") == 0) {
        return sync_rate(arguments[2], strtod(arguments[3], NULL));
    }
    if (strcmp(what, "writers") == 0 && count == 5) {
        const struct writer shape = {
            .directory = arguments[2],
            .end_ns = clock_ns() + (int64_t)(strtod(arguments[4], NULL) * 1e9)};
        return run_writers(&shape, (unsigned)strtoul(arguments[3], NULL, 10),
                           rewrite_until_end);
    }
    if (strcmp(what, "fill") == 0 && count == 7) {
        return fill(arguments + 2);
    }
    if (strcmp(what, "spawn") == 0) {
        return spawn_rate(strtod(arguments[2], NULL), arguments + 3);
    }
    return usage();
}
