/* The filesystem as programs meet it: real mounts of a fake keystore. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/fs/live.h"

static struct live l;

/* The first thing anybody tries. */
TEST(mount, cat_echo_ls_mkdir)
{
    live_begin(&l, 1, "");
    EXPECT_INT(live_write(live_path(&l, 0, "greeting"), "hello\n"), 0);
    EXPECT_TEXT(live_read(live_path(&l, 0, "greeting")), "hello\n");
    live_lock(&l);
    EXPECT_BYTES(fake_get(&l.kv, "/greeting")->value, bytes_of("hello\n"));
    (void)fake_put(&l.kv, "/config/app/timeout", "30");
    live_unlock(&l);
    EXPECT_TEXT(live_read(live_path(&l, 0, "config/app/timeout")), "30");
    EXPECT_INT(mkdir(live_path(&l, 0, "new"), 0755), 0);
    EXPECT_INT(mkdir(live_path(&l, 0, "new"), 0755), -1);
    EXPECT_INT(errno, EEXIST);

    char names[1024] = "";
    DIR *d = opendir(l.path[0]);
    EXPECT(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            must(strlen(names) + strlen(e->d_name) + 3 < sizeof names);
            (void)stpcpy(stpcpy(names + strlen(names), e->d_name),
                         e->d_type == DT_DIR ? "/ " : " ");
        }
    }
    (void)closedir(d);
    EXPECT_TEXT(names, "config/ greeting new/ ");

    struct stat st;
    EXPECT_INT(stat(live_path(&l, 0, "greeting"), &st), 0);
    EXPECT_INT(st.st_size, 6);
    EXPECT_INT(unlink(live_path(&l, 0, "greeting")), 0);
    EXPECT_INT(stat(live_path(&l, 0, "greeting"), &st), -1);
    EXPECT_INT(rmdir(live_path(&l, 0, "new")), 0);
    live_end(&l);
}

static int shell(const char *format, const char *path)
{
    char command[4096];
    (void)snprintf(command, sizeof command, format, path);
    return system(command);
}

/* The shell's own ways with descriptors: each is one revision. */
TEST(mount, shell_redirections)
{
    live_begin(&l, 1, "");
    const struct {
        const char *command, *wanted;
        size_t revisions;
    } rows[] = {
        {"cd %s && echo one > f", "one\n", 1},
        {"cd %s && echo two >> f", "one\ntwo\n", 1},
        {"cd %s && (echo a; /bin/echo b; echo c) > f", "a\nb\nc\n", 1},
        {"cd %s && : > f", "", 1},
        {"cd %s && seq 3 | tee f > /dev/null", "1\n2\n3\n", 1},
        /* Created with O_EXCL, written, renamed. */
        {"cd %s && cp f g && mv g f", "1\n2\n3\n", 3},
        {"cd %s && sed -i s/2/two/ f", "1\ntwo\n3\n", 3},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        live_lock(&l);
        const size_t before = l.kv.writes;
        live_unlock(&l);
        EXPECT_INT(shell(rows[i].command, l.path[0]), 0);
        EXPECT_TEXT(live_read(live_path(&l, 0, "f")), rows[i].wanted);
        live_lock(&l);
        const size_t revisions = l.kv.writes - before;
        live_unlock(&l);
        EXPECT_INT(revisions, rows[i].revisions);
    }
    live_end(&l);
}

/* Trees survive the tools that copy them. */
TEST(mount, trees_are_copied_faithfully)
{
    live_begin(&l, 1, "");
    char from[300];
    (void)snprintf(from, sizeof from, "%s", test_directory());
    EXPECT_INT(shell("cd %s && mkdir -p t/sub/deep t/empty && echo 1 > t/a && "
                     "head -c 70000 /dev/zero | tr '\\0' x > t/sub/big && "
                     ": > t/sub/deep/nothing",
                     from),
               0);
    char command[4096];
    (void)snprintf(command, sizeof command,
                   "cd %s && cp -a t %s/ && diff -r t %s/t && "
                   "tar cf - t | tar xf - -C %s/t/empty && "
                   "diff -r t %s/t/empty/t && rm -r %s/t && test ! -e %s/t",
                   from, l.path[0], l.path[0], l.path[0], l.path[0], l.path[0],
                   l.path[0]);
    EXPECT_INT(system(command), 0);
    live_end(&l);
}

/* --- no torn reads --- */

#define CYCLES 3000

static void rewrite_forever(const char *path)
{
    char text[4096];
    for (unsigned i = 0; i < CYCLES; i++) {
        const char letter = (char)('a' + i % 26);
        const size_t size = 1 + i * 37 % (sizeof text - 1);
        memset(text, letter, size);
        const int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        if (fd < 0 || write(fd, text, size / 2) != (ssize_t)(size / 2) ||
            write(fd, text, size - size / 2) != (ssize_t)(size - size / 2) ||
            close(fd) != 0) {
            _exit(1);
        }
    }
    _exit(0);
}

/* Whole: of one letter, to the end, and not empty. */
static bool is_whole(const char *text)
{
    const size_t size = strlen(text);
    return size > 0 && strspn(text, (char[]){text[0], 0}) == size;
}

/* No reader ever sees an empty or torn value, on the writer's mount or on
 * another. */
TEST(mount, no_torn_reads)
{
    live_prepare(&l);
    (void)fake_put(&l.kv, "/f", "x");
    live_begin(&l, 2, "");
    const pid_t writer = fork();
    if (writer == 0) {
        rewrite_forever(live_path(&l, 0, "f"));
    }
    size_t reads = 0;
    int status = 0;
    while (waitpid(writer, &status, WNOHANG) == 0) {
        for (size_t m = 0; m < 2; m++) {
            const char *text = live_read(live_path(&l, m, "f"));
            EXPECT(text != NULL);
            if (!is_whole(text)) {
                fail_msg("torn: '%.100s' after %zu reads", text, reads);
            }
            reads++;
        }
    }
    EXPECT_INT(status, 0);
    EXPECT(reads > 100);
    print_message("# %zu reads against %d rewrites\n", reads, CYCLES);
    live_end(&l);
}

/* Private mappings go through the page cache: after a change they show the new
 * value, shared ones are refused. */
TEST(mount, mappings)
{
    live_prepare(&l);
    (void)fake_put(&l.kv, "/f", "first");
    live_begin(&l, 1, "");
    int fd = open(live_path(&l, 0, "f"), O_RDONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
    EXPECT_INT(errno, ENODEV);
    char *text = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    EXPECT(text != MAP_FAILED);
    EXPECT(memcmp(text, "first", 5) == 0);
    (void)munmap(text, 4096);
    (void)close(fd);
    live_lock(&l);
    (void)fake_put(&l.kv, "/f", "other");
    live_unlock(&l);
    fd = open(live_path(&l, 0, "f"), O_RDONLY | O_CLOEXEC);
    text = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    EXPECT(memcmp(text, "other", 5) == 0);
    (void)munmap(text, 4096);
    (void)close(fd);
    live_end(&l);
}

/* --- mounting --- */

static enum status try_mount(const char *path, struct fault *reterr)
{
    struct fs_options o;
    struct fs *fs = NULL;
    fs_options_default(&o);
    const enum status st = fs_mount(&l.kv.kv, path, &o, &fs, reterr);
    fs_free(fs);
    return st;
}

TEST(mount, bad_mount_points)
{
    live_begin(&l, 1, "");
    struct fault fault = {{0}};
    char path[400];
    (void)snprintf(path, sizeof path, "%s/none", test_directory());
    live_lock(&l);
    EXPECT_INT(try_mount(path, &fault), ST_NOT_FOUND);
    EXPECT(strstr(fault.text, path) != NULL);
    EXPECT_INT(try_mount("/etc/passwd", &fault), ST_INVALID);
    EXPECT(strstr(fault.text, "not a directory") != NULL);
    live_unlock(&l);
    /* Something live: asking it must not need the loop that asks. */
    EXPECT_INT(try_mount(l.path[0], &fault), ST_BUSY);
    EXPECT(strstr(fault.text, "umount") != NULL);
    live_end(&l);
}

/* Unmounted from outside: the owner is told. */
TEST(mount, ends_when_unmounted)
{
    live_begin(&l, 1, "");
    EXPECT_INT(umount2(l.path[0], 0), 0);
    bool ended = false;
    for (int i = 0; i < 200 && !ended; i++) {
        live_lock(&l);
        ended = fs_ended(l.fs[0]);
        live_unlock(&l);
        (void)poll(NULL, 0, 10);
    }
    EXPECT(ended);
    live_end(&l);
}

/* --- kill -9 --- */

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void serve_for(struct fake_kv *kv, struct fs *fs, int ms)
{
    const int64_t until = now_ns() + ms * 1000000LL;
    while (now_ns() < until) {
        int fds[FS_FDS_MAX];
        struct pollfd polled[FS_FDS_MAX];
        const size_t count = fs_fds(fs, fds);
        for (size_t i = 0; i < count; i++) {
            polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        }
        (void)poll(polled, count, 1);
        for (size_t i = 0; i < count; i++) {
            (void)fs_on_readable(fs, fds[i], now_ns());
        }
        while (fake_kv_pump(kv)) {
        }
    }
}

/* A node that serves until the kernel holds /d, then starts a replay and never
 * answers it. */
static void stuck_node(const char *path, int to_parent)
{
    static struct fake_kv kv;
    struct fs_options o;
    struct fs *fs;
    struct fault fault = {{0}};
    fs_options_default(&o);
    fake_kv_init(&kv);
    (void)fake_put(&kv, "/d/x", "1");
    if (fs_mount(&kv.kv, path, &o, &fs, &fault) != ST_OK) {
        _exit(1);
    }
    (void)!write(to_parent, "m", 1);
    serve_for(&kv, fs, 500);
    (void)fake_put(&kv, "/d/new", "1");
    while (fake_kv_pump(&kv)) {
    }
    /* Taken from the device, so that no signal ends it, and dropped. */
    static char request[(1 << 20) + 8192];
    int fds[FS_FDS_MAX];
    (void)fs_fds(fs, fds);
    struct pollfd device = {.fd = fds[0], .events = POLLIN};
    (void)poll(&device, 1, 5000);
    if (read(fds[0], request, sizeof request) <= 0) {
        _exit(1);
    }
    (void)!write(to_parent, "r", 1);
    for (;;) {
        (void)pause();
    }
}

/* A replay in flight must not keep the dead node's device open: whoever is on
 * the mount would hang for good, and the node could never start again. */
TEST(mount, kill_during_a_replay_leaves_nothing_hanging)
{
    live_begin(&l, 0, "");
    char path[300];
    char byte;
    int fds[2];
    (void)snprintf(path, sizeof path, "%s", test_directory());
    EXPECT_INT(pipe2(fds, O_CLOEXEC), 0);
    const pid_t node = fork();
    if (node == 0) {
        stuck_node(path, fds[1]);
    }
    EXPECT_INT(read(fds[0], &byte, 1), 1);
    char inside[400];
    struct stat st;
    (void)snprintf(inside, sizeof inside, "%s/d", path);
    EXPECT_INT(stat(inside, &st), 0);
    live_may_hang(st.st_dev, path);
    const int held = open(inside, O_PATH | O_CLOEXEC);
    EXPECT_INT(read(fds[0], &byte, 1), 1);
    (void)poll(NULL, 0, 100); /* the helper is inside the kernel now */

    const int64_t start = now_ns();
    EXPECT_INT(kill(node, SIGKILL), 0);
    EXPECT_INT(waitpid(node, NULL, 0), node);
    EXPECT_INT(stat(inside, &st), -1);
    EXPECT_INT(errno, ENOTCONN);
    EXPECT((now_ns() - start) / 1000000 < 2000);
    (void)close(held);
    (void)close(fds[0]);
    (void)close(fds[1]);

    /* A restart mounts again over what was left. */
    struct fault fault = {{0}};
    EXPECT_INT(try_mount(path, &fault), ST_OK);
    (void)umount2(path, MNT_DETACH);
    live_end(&l);
}
