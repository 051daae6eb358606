/* A FUSE server that answers from an array: the floor that a filesystem on the
 * same library and the same threading stands on.
 *
 *   bare_fuse MOUNTPOINT ENTRIES VALUE_SIZE SPIN_US
 *
 * One directory `many` with files key-0000000…, each VALUE_SIZE bytes.  As
 * keelfs does it: one thread, which polls the device without sleeping for
 * SPIN_US after the last request; attributes and entries are not cached, files
 * are opened with direct_io, and handles for reading without a flush.  SIGTERM
 * ends it.
 */

#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "bench/samples.h"

static struct {
    unsigned long entries;
    size_t value_size;
    char *value;
} array;

enum { INO_MANY = FUSE_ROOT_ID + 1, INO_FIRST };

static bool attributes_of(fuse_ino_t ino, struct stat *ret)
{
    *ret = (struct stat){.st_ino = ino, .st_nlink = 1};
    if (ino == FUSE_ROOT_ID || ino == INO_MANY) {
        ret->st_mode = S_IFDIR | 0755;
        return true;
    }
    if (ino - INO_FIRST >= array.entries) {
        return false;
    }
    ret->st_mode = S_IFREG | 0644;
    ret->st_size = (off_t)array.value_size;
    return true;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param e = {.generation = 1};
    char *end = NULL;
    if (parent == FUSE_ROOT_ID && strcmp(name, "many") == 0) {
        e.ino = INO_MANY;
    } else if (parent == INO_MANY && strncmp(name, "key-", 4) == 0) {
        const unsigned long i = strtoul(name + 4, &end, 10);
        e.ino = *end == '\0' ? INO_FIRST + i : 0;
    }
    if (e.ino == 0 || !attributes_of(e.ino, &e.attr)) {
        (void)fuse_reply_err(req, ENOENT);
        return;
    }
    (void)fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *f)
{
    struct stat st;
    (void)f;
    if (!attributes_of(ino, &st)) {
        (void)fuse_reply_err(req, ENOENT);
        return;
    }
    (void)fuse_reply_attr(req, &st, 0);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *f)
{
    (void)ino;
    f->direct_io = 1;
    f->noflush = (f->flags & O_ACCMODE) == O_RDONLY;
    (void)fuse_reply_open(req, f);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *f)
{
    (void)ino;
    (void)f;
    const size_t at =
        (size_t)offset < array.value_size ? (size_t)offset : array.value_size;
    const size_t left = array.value_size - at;
    (void)fuse_reply_buf(req, array.value + at, left < size ? left : size);
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *f)
{
    (void)ino;
    (void)fuse_reply_open(req, f);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size,
                       off_t offset, struct fuse_file_info *f)
{
    static char page[1 << 20];
    size_t used = 0;
    (void)f;
    (void)ino; /* the root lists like its only directory */
    if (size > sizeof page) {
        size = sizeof page;
    }
    for (unsigned long i = (unsigned long)offset; i < array.entries; i++) {
        char name[32];
        const struct stat st = {.st_ino = INO_FIRST + i, .st_mode = S_IFREG};
        (void)snprintf(name, sizeof name, "key-%07lu", i);
        const size_t entry = fuse_add_direntry(req, page + used, size - used,
                                               name, &st, (off_t)i + 1);
        if (entry > size - used) {
            break;
        }
        used += entry;
    }
    (void)fuse_reply_buf(req, page, used);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = on_lookup,
    .getattr = on_getattr,
    .open = on_open,
    .read = on_read,
    .opendir = on_opendir,
    .readdir = on_readdir,
};

/* Polls without sleeping for a while after each request. */
static void serve(struct fuse_session *session, int64_t spin_ns)
{
    struct fuse_buf buffer = {.mem = NULL};
    struct pollfd device = {.fd = fuse_session_fd(session), .events = POLLIN};
    int64_t last_ns = clock_ns();
    while (!fuse_session_exited(session)) {
        const bool awake = clock_ns() - last_ns < spin_ns;
        if (poll(&device, 1, awake ? 0 : -1) <= 0) {
            continue;
        }
        const int size = fuse_session_receive_buf(session, &buffer);
        if (size == -EINTR || size == -EAGAIN) {
            continue;
        }
        if (size <= 0) {
            break;
        }
        fuse_session_process_buf(session, &buffer);
        last_ns = clock_ns();
    }
    free(buffer.mem);
}

int main(int count, char **arguments)
{
    if (count != 5) {
        (void)fputs("usage: bare_fuse MOUNTPOINT ENTRIES SIZE SPIN_US\n",
                    stderr);
        return 2;
    }
    array.entries = strtoul(arguments[2], NULL, 10);
    array.value_size = strtoul(arguments[3], NULL, 10);
    array.value = xcalloc(1, array.value_size + 1);
    char *names[] = {arguments[0], NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, names);
    struct fuse_session *session =
        fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (session == NULL || fuse_set_signal_handlers(session) != 0 ||
        fuse_session_mount(session, arguments[1]) != 0) {
        return 1;
    }
    (void)fcntl(fuse_session_fd(session), F_SETFL, O_NONBLOCK);
    serve(session, strtol(arguments[4], NULL, 10) * 1000);
    fuse_session_unmount(session);
    fuse_remove_signal_handlers(session);
    fuse_session_destroy(session);
    fuse_opt_free_args(&args);
    free(array.value);
    return 0;
}
