/* The real disk, in a real directory; system calls fail, stop short or are
 * interrupted where a test says so (the linker's --wrap). */

#include "base/buf.h"
#include "base/disk.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the wrapped calls --- */

static struct {
    int write_error;   /* the next pwrite fails so */
    size_t write_most; /* 0, or what one pwrite takes at most */
    int read_error;
    size_t read_most;
    int interrupts; /* so many calls are interrupted first */
    int fdatasync_error;
    int fsync_error;
    int flock_error;
    unsigned fsyncs;
} calls;

ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __real_pread64(int fd, void *to, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

static bool is_interrupted(void)
{
    if (calls.interrupts > 0) {
        calls.interrupts--;
        errno = EINTR;
        return true;
    }
    return false;
}

/* Once: the next call of that kind fails, those after it do not. */
static bool fails(int *error)
{
    if (*error != 0) {
        errno = *error;
        *error = 0;
        return true;
    }
    return false;
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    if (is_interrupted() || fails(&calls.write_error)) {
        return -1;
    }
    const size_t most = calls.write_most;
    return __real_pwrite64(fd, data, most > 0 && most < size ? most : size,
                           offset);
}

ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t offset)
{
    if (is_interrupted() || fails(&calls.read_error)) {
        return -1;
    }
    const size_t most = calls.read_most;
    return __real_pread64(fd, to, most > 0 && most < size ? most : size,
                          offset);
}

int __wrap_fdatasync(int fd)
{
    return fails(&calls.fdatasync_error) ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    calls.fsyncs++;
    return fails(&calls.fsync_error) ? -1 : __real_fsync(fd);
}

int __wrap_flock(int fd, int operation)
{
    return fails(&calls.flock_error) ? -1 : __real_flock(fd, operation);
}

/* --- helpers --- */

static struct disk *open_disk(const char *path)
{
    struct disk *d = NULL;
    struct fault f = {{0}};
    memset(&calls, 0, sizeof calls);
    const enum status st = disk_open(path, &d, &f);
    EXPECT_TEXT(f.text, "");
    EXPECT_INT(st, ST_OK);
    return d;
}

static struct disk_file *create(struct disk *d, const char *name)
{
    struct disk_file *f = NULL;
    EXPECT_INT(d->ops->open(d, name, true, &f, NULL), ST_OK);
    return f;
}

static void expect_contents(struct disk_file *f, const char *wanted)
{
    char got[64];
    size_t size = 0;
    EXPECT_INT(f->disk->ops->read(f, 0, got, sizeof got, &size, NULL), ST_OK);
    EXPECT_BYTES(((struct bytes){(uint8_t *)got, size}), bytes_of(wanted));
}

static bool holds(const struct fault *f, const char *text)
{
    return strstr(f->text, text) != NULL;
}

/* --- files --- */

TEST(disk, files_are_created_once_and_read_back)
{
    struct disk *d = open_disk(test_directory());
    struct disk_file *f = NULL, *again = NULL;
    struct fault why = {{0}};
    EXPECT_INT(d->ops->open(d, "a", false, &f, &why), ST_NOT_FOUND);
    EXPECT(holds(&why, "cannot open '") && holds(&why, "/a'"));
    f = create(d, "a");
    EXPECT_INT(d->ops->open(d, "a", true, &again, &why), ST_EXISTS);
    EXPECT(holds(&why, "cannot create '"));

    EXPECT_INT(d->ops->write(f, 0, bytes_of("hello"), NULL), ST_OK);
    EXPECT_INT(d->ops->write(f, 3, bytes_of("p, world"), NULL), ST_OK);
    EXPECT_INT(d->ops->sync(f, NULL), ST_OK);
    EXPECT_INT(d->ops->sync_names(d, NULL), ST_OK);
    uint64_t size = 0;
    EXPECT_INT(d->ops->size(f, &size, NULL), ST_OK);
    EXPECT_INT(size, 11);
    d->ops->close(f);

    EXPECT_INT(d->ops->open(d, "a", false, &f, NULL), ST_OK);
    expect_contents(f, "help, world");
    d->ops->close(f);
    d->ops->free(d);
}

/* Danger: a short read that is taken for data. */
TEST(disk, reads_are_short_only_at_the_end)
{
    struct disk *d = open_disk(test_directory());
    struct disk_file *f = create(d, "a");
    EXPECT_INT(d->ops->write(f, 0, bytes_of("0123456789"), NULL), ST_OK);
    static const struct {
        uint64_t offset;
        size_t asked, got;
    } rows[] = {{0, 10, 10}, {0, 11, 10}, {9, 5, 1},
                {10, 5, 0},  {99, 5, 0},  {3, 0, 0}};
    for (size_t most = 0; most < 4; most++) { /* the kernel may give less */
        calls.read_most = most;
        for (size_t i = 0; i < count_of(rows); i++) {
            char to[16];
            size_t got = 99;
            EXPECT_INT(
                d->ops->read(f, rows[i].offset, to, rows[i].asked, &got, NULL),
                ST_OK);
            EXPECT_BYTES(
                ((struct bytes){(uint8_t *)to, got}),
                ((struct bytes){(const uint8_t *)"0123456789" +
                                    (rows[i].got > 0 ? rows[i].offset : 0),
                                rows[i].got}));
        }
    }
    d->ops->close(f);
    d->ops->free(d);
}

/* write(2) may take less than it was given, and a signal may come. */
TEST(disk, short_and_interrupted_writes_are_finished)
{
    struct disk *d = open_disk(test_directory());
    struct disk_file *f = create(d, "a");
    calls.write_most = 3;
    calls.interrupts = 2;
    EXPECT_INT(d->ops->write(f, 0, bytes_of("0123456789"), NULL), ST_OK);
    calls.interrupts = 2;
    expect_contents(f, "0123456789");
    d->ops->close(f);
    d->ops->free(d);
}

/* --- errors --- */

TEST(disk, errors_have_their_status_and_name_the_file)
{
    static const struct {
        int error;
        enum status st;
    } rows[] = {{ENOSPC, ST_NO_SPACE},
                {EDQUOT, ST_NO_SPACE},
                {EIO, ST_IO},
                {EFBIG, ST_IO}};
    struct disk *d = open_disk(test_directory());
    struct disk_file *f = create(d, "some.wal");
    char byte;
    size_t size = 0;
    for (size_t i = 0; i < count_of(rows); i++) {
        struct fault why = {{0}};
        calls.write_error = rows[i].error;
        EXPECT_INT(d->ops->write(f, 77, bytes_of("x"), &why), rows[i].st);
        EXPECT(holds(&why, "cannot write") && holds(&why, "/some.wal'"));
        EXPECT(holds(&why, "offset 77"));
        EXPECT(holds(&why, strerror(rows[i].error)));
    }
    struct fault why = {{0}};
    calls.read_error = EIO;
    EXPECT_INT(d->ops->read(f, 5, &byte, 1, &size, &why), ST_IO);
    EXPECT(holds(&why, "cannot read") && holds(&why, "/some.wal'"));
    EXPECT_INT(size, 0);
    calls.fsync_error = EIO;
    EXPECT_INT(d->ops->sync_names(d, &why), ST_IO);
    EXPECT(holds(&why, "cannot sync directory"));
    EXPECT_INT(d->ops->rename(d, "none", "b", &why), ST_NOT_FOUND);
    EXPECT(holds(&why, "cannot rename") && holds(&why, "/none'"));
    EXPECT_INT(d->ops->remove(d, "none", &why), ST_NOT_FOUND);
    EXPECT(holds(&why, "cannot remove") && holds(&why, "/none'"));
    d->ops->close(f);
    d->ops->free(d);
}

/* Rebello et al., ATC 2020: the second fsync after a failed one succeeds and
 * the data is gone.  It must not be believed, so it must not be made. */
TEST(disk, a_failed_sync_is_final_for_the_file)
{
    struct disk *d = open_disk(test_directory());
    struct disk_file *f = create(d, "a"), *other = create(d, "b");
    struct fault why = {{0}};
    EXPECT_INT(d->ops->write(f, 0, bytes_of("x"), NULL), ST_OK);
    calls.fdatasync_error = EIO;
    EXPECT_INT(d->ops->sync(f, &why), ST_IO);
    EXPECT(holds(&why, "cannot sync") && holds(&why, "/a'"));
    EXPECT_INT(d->ops->sync(f, &why), ST_IO);
    EXPECT(holds(&why, "earlier sync") && holds(&why, "/a'"));
    EXPECT_INT(d->ops->write(f, 0, bytes_of("y"), NULL), ST_IO);
    EXPECT_INT(d->ops->sync(other, NULL), ST_OK);
    d->ops->close(f);
    d->ops->close(other);
    d->ops->free(d);
}

/* A directory that may not be written: root may, so it is checked with a
 * file in the way instead. */
TEST(disk, opening_says_what_is_wrong_with_the_path)
{
    char path[300];
    struct disk *d = NULL;
    struct fault why = {{0}};
    memset(&calls, 0, sizeof calls);
    (void)snprintf(path, sizeof path, "%s/none/data", test_directory());
    EXPECT_INT(disk_open(path, &d, &why), ST_NOT_FOUND);
    EXPECT(holds(&why, "cannot make directory") && holds(&why, path));

    (void)snprintf(path, sizeof path, "%s/file", test_directory());
    const int fd = open(path, O_CREAT | O_WRONLY, 0600);
    EXPECT(fd >= 0 && close(fd) == 0);
    EXPECT_INT(disk_open(path, &d, &why), ST_IO);
    EXPECT(holds(&why, "cannot open directory") && holds(&why, path));
    EXPECT(d == NULL);
}

/* --- names --- */

static void add_name(void *arg, const char *name)
{
    struct buf *b = arg;
    buf_append(b, bytes_of(name));
    buf_append_byte(b, ' ');
}

static void expect_names(struct disk *d, const char *wanted)
{
    struct buf names = {0};
    EXPECT_INT(d->ops->list(d, add_name, &names, NULL), ST_OK);
    EXPECT_BYTES(buf_bytes(&names), bytes_of(wanted));
    buf_fini(&names);
}

/* Segments are found by name and read in order: of bytes, not of a language. */
TEST(disk, lists_files_in_bytewise_order_and_nothing_else)
{
    const char *path = test_directory();
    struct disk *d = open_disk(path);
    expect_names(d, ""); /* the lock is no file of ours */
    static const char *const names[] = {"b",       "a10",      "a2", "B",
                                        ".hidden", "\xC3\xA9", "a"};
    for (size_t i = 0; i < count_of(names); i++) {
        d->ops->close(create(d, names[i]));
    }
    char sub[300];
    (void)snprintf(sub, sizeof sub, "%s/directory", path);
    EXPECT_INT(mkdir(sub, 0700), 0);
    expect_names(d, ".hidden B a a10 a2 b \xC3\xA9 ");
    EXPECT_INT(d->ops->rename(d, "a10", "a2", NULL), ST_OK); /* over it */
    EXPECT_INT(d->ops->remove(d, "B", NULL), ST_OK);
    expect_names(d, ".hidden a a2 b \xC3\xA9 ");
    d->ops->free(d);
}

static void remove_it(void *arg, const char *name)
{
    struct disk *d = arg;
    EXPECT_INT(d->ops->remove(d, name, NULL), ST_OK);
}

TEST(disk, a_listing_may_remove_what_it_hears_of)
{
    struct disk *d = open_disk(test_directory());
    for (char name[] = "a"; name[0] <= 'z'; name[0]++) {
        d->ops->close(create(d, name));
    }
    EXPECT_INT(d->ops->list(d, remove_it, d, NULL), ST_OK);
    expect_names(d, "");
    d->ops->free(d);
}

TEST(disk, knows_its_free_space)
{
    struct disk *d = open_disk(test_directory());
    uint64_t bytes = 0;
    EXPECT_INT(d->ops->space(d, &bytes, NULL), ST_OK);
    EXPECT(bytes > 0);
    d->ops->free(d);
}

/* A new data directory that a power cut takes away again has lost a member's
 * identity: its parent is synced.  Its contents are nobody else's business. */
TEST(disk, a_new_directory_is_private_and_synced)
{
    char path[300];
    struct stat st;
    struct disk *d = NULL;
    struct fault why = {{0}};
    (void)snprintf(path, sizeof path, "%s/data", test_directory());
    memset(&calls, 0, sizeof calls);
    calls.fsync_error = EIO;
    EXPECT_INT(disk_open(path, &d, &why), ST_IO);
    EXPECT(holds(&why, "cannot sync the parent") && holds(&why, path));
    EXPECT_INT(rmdir(path), 0);

    d = open_disk(path);
    EXPECT_INT(calls.fsyncs, 1);
    EXPECT_INT(stat(path, &st), 0);
    EXPECT_INT(st.st_mode & 07777, 0700);
    struct disk_file *f = create(d, "a");
    char file[320];
    (void)snprintf(file, sizeof file, "%s/a", path);
    EXPECT_INT(stat(file, &st), 0);
    EXPECT_INT(st.st_mode & 07777, 0600);
    d->ops->close(f);
    d->ops->free(d);
}

/* --- the lock --- */

/* Holds the directory until it is killed; its pid is returned. */
static pid_t start_holder(const char *path)
{
    int ready[2];
    EXPECT_INT(pipe(ready), 0);
    const pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        struct disk *d;
        const char ok = disk_open(path, &d, NULL) == ST_OK;
        (void)!write(ready[1], &ok, 1);
        for (;;) {
            (void)pause();
        }
    }
    char ok = 0;
    EXPECT_INT(read(ready[0], &ok, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    EXPECT_INT(ok, 1);
    return pid;
}

/* Danger: two processes that write one log destroy it. */
TEST(disk, a_second_process_is_refused_and_told_who_is_there)
{
    const char *path = test_directory();
    memset(&calls, 0, sizeof calls);
    const pid_t pid = start_holder(path);

    struct disk *d = NULL;
    struct fault why = {{0}};
    EXPECT_INT(disk_open(path, &d, &why), ST_BUSY);
    EXPECT(d == NULL);
    char wanted[400];
    (void)snprintf(wanted, sizeof wanted,
                   "'%s' is in use by process %ld: stop it, or choose another "
                   "directory",
                   path, (long)pid);
    EXPECT_TEXT(why.text, wanted);

    /* However it ends, the lock ends with it. */
    EXPECT_INT(kill(pid, SIGKILL), 0);
    EXPECT_INT(waitpid(pid, NULL, 0), pid);
    d = open_disk(path);
    d->ops->free(d);
}

TEST(disk, the_same_process_is_refused_too_until_it_lets_go)
{
    const char *path = test_directory();
    struct disk *d = open_disk(path), *second = NULL;
    EXPECT_INT(disk_open(path, &second, NULL), ST_BUSY);
    EXPECT_INT(disk_open(path, &second, NULL), ST_BUSY);
    d->ops->free(d);
    d = open_disk(path);
    d->ops->free(d);
}

/* On a disk that is full the pid cannot be written: the lock holds all the
 * same, and who is refused is told what is known. */
TEST(disk, the_lock_holds_without_a_name_in_it)
{
    const char *path = test_directory();
    struct disk *d = NULL, *second = NULL;
    struct fault why = {{0}};
    memset(&calls, 0, sizeof calls);
    calls.write_error = ENOSPC;
    EXPECT_INT(disk_open(path, &d, NULL), ST_OK);
    EXPECT_INT(disk_open(path, &second, &why), ST_BUSY);
    EXPECT(holds(&why, "in use by another process"));
    d->ops->free(d);
}

/* A filesystem without locks is refused, not trusted. */
TEST(disk, a_lock_that_cannot_be_had_is_an_error)
{
    struct disk *d = NULL;
    struct fault why = {{0}};
    memset(&calls, 0, sizeof calls);
    calls.flock_error = ENOLCK;
    EXPECT_INT(disk_open(test_directory(), &d, &why), ST_IO);
    EXPECT(holds(&why, "cannot lock"));
    EXPECT(d == NULL);
}
