/* The session: requests in, time, and the end. */

#include "fs/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/control.h"
#include "fs/events.h"
#include "fs/handle.h"
#include "fs/inode.h"
#include "fs/lease_dir.h"
#include "fs/listing.h"
#include "fs/mount.h"
#include "fs/replay.h"

bool fs_is_writable(struct fs *fs)
{
    if (fs->options.read_only) {
        return false;
    }
    struct kv_status status;
    kv_status(fs->kv, &status);
    return status.writable;
}

uint64_t fs_value_size_max(struct fs *fs, struct bytes key)
{
    struct kv_status status;
    kv_status(fs->kv, &status);
    /* A publication names the key a few times beside the value. */
    const uint64_t rest = FS_REQUEST_OVERHEAD + 4 * key.size;
    return status.request_bytes_max > rest ? status.request_bytes_max - rest
                                           : 0;
}

/* --- time --- */

void fs_timer_set(struct fs *fs, struct fs_timer *timer, int64_t at_ns)
{
    must(timer->fire != NULL);
    heap_remove(&fs->timers, &timer->node);
    heap_push(&fs->timers, &timer->node, at_ns);
}

void fs_timer_stop(struct fs *fs, struct fs_timer *timer)
{
    heap_remove(&fs->timers, &timer->node);
}

int64_t fs_deadline_ns(struct fs *fs)
{
    const struct heap_node *first = heap_first(&fs->timers);
    return first == NULL ? INT64_MAX : first->at;
}

void fs_on_time(struct fs *fs, int64_t now_ns)
{
    fs->now_ns = now_ns > fs->now_ns ? now_ns : fs->now_ns;
    struct heap_node *first;
    while ((first = heap_first(&fs->timers)) != NULL && first->at <= now_ns) {
        heap_remove(&fs->timers, first);
        struct fs_timer *timer = container_of(first, struct fs_timer, node);
        timer->fire(fs, timer);
    }
}

/* --- life --- */

struct fs *fs_new(struct kv *kv, const struct fs_options *options)
{
    must(options->prefix.size > 0);
    must(options->prefix.data[options->prefix.size - 1] == '/');
    struct fs *fs = xcalloc(1, sizeof *fs);
    fs->kv = kv;
    fs->options = *options;
    buf_append(&fs->prefix, options->prefix);
    fs->options.prefix = buf_bytes(&fs->prefix);
    fs->system = fs_system_real;
    fs->calls_max = FS_CALLS_MAX;
    fs->write_max = FS_WRITE_MAX;
    list_init(&fs->pending);
    list_init(&fs->displaced);
    list_init(&fs->joined);
    list_init(&fs->untold);
    list_init(&fs->calls);
    list_init(&fs->calls_idle);
    list_init(&fs->handles);
    list_init(&fs->listings);
    list_init(&fs->controls);
    fs->leases = fs_leases_new();
    fs_nodes_init(fs);
    return fs;
}

/* What is left when no call and no publication needs it any more. */
static void destroy(struct fs *fs)
{
    struct list *at;
    while ((at = list_pop(&fs->handles)) != NULL) {
        fs_handle_free(container_of(at, struct fs_handle, link));
    }
    while ((at = list_pop(&fs->listings)) != NULL) {
        fs_listing_free(fs, container_of(at, struct fs_listing, link));
    }
    fs_control_fini(fs);
    fs_leases_free(fs->leases);
    fs_calls_fini(fs);
    fs_nodes_fini(fs);
    must(heap_first(&fs->timers) == NULL);
    heap_fini(&fs->timers);
    free(fs->input.mem);
    free(fs->mount_point);
    buf_fini(&fs->prefix);
    free(fs);
}

void fs_maybe_destroy(struct fs *fs)
{
    if (!fs->stopping || !list_is_empty(&fs->calls) ||
        fs->batches_abandoned > 0) {
        return;
    }
    list_each (at, &fs->handles) {
        if (container_of(at, struct fs_handle, link)->publication.running) {
            return;
        }
    }
    destroy(fs);
}

void fs_close(struct fs *fs)
{
    fs->stopping = true;
    fs_events_fini(fs);
    fs_calls_abandon(fs);
    fs_timer_stop(fs, &fs->tells);
    if (fs->session != NULL) {
        fuse_session_destroy(fs->session);
        fs->session = NULL;
    }
    fs_helpers_stop(fs);
    fs_replay_end(fs);
    list_each (at, &fs->handles) {
        fs_publish_abandon(container_of(at, struct fs_handle, link));
    }
    fs_maybe_destroy(fs);
}

/* --- requests --- */

enum status fs_session_open(struct fs *fs, struct fault *reterr)
{
    /* What is handed over is set-user-id of nobody and no device. */
    char options[] = "nosuid,nodev,fsname=keelfs,subtype=keelfs,allow_other";
    char program[] = "keelfs";
    char flag[] = "-o";
    if (!fs->options.allow_other) {
        *strstr(options, ",allow_other") = 0;
    }
    char *argv[] = {program, flag, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse_lowlevel_ops operations = fs_operations;
    fs_control_wrap(&operations);
    fs->session = fuse_session_new(&args, &operations, sizeof operations, fs);
    fuse_opt_free_args(&args);
    if (fs->session == NULL) {
        return fault_set(reterr, ST_IO, "libfuse cannot begin a session");
    }
    return ST_OK;
}

size_t fs_fds(struct fs *fs, int ret[FS_FDS_MAX])
{
    size_t count = 0;
    ret[count++] = fuse_session_fd(fs->session);
    const int results = fs_helpers_fd(fs);
    if (results >= 0) {
        ret[count++] = results;
    }
    return count;
}

size_t fs_on_readable(struct fs *fs, int fd, int64_t now_ns)
{
    fs->now_ns = now_ns > fs->now_ns ? now_ns : fs->now_ns;
    if (fs->helpers != NULL && fd == fs_helpers_fd(fs)) {
        return fs_helpers_on_readable(fs);
    }
    size_t count = 0;
    while (count < FS_READ_BATCH && !fuse_session_exited(fs->session)) {
        const int size = fuse_session_receive_buf(fs->session, &fs->input);
        if (size == -EINTR) {
            continue;
        }
        if (size <= 0) {
            if (size != -EAGAIN) {
                fuse_session_exit(fs->session);
            }
            break;
        }
        fuse_session_process_buf(fs->session, &fs->input);
        count++;
    }
    return count;
}

bool fs_ended(struct fs *fs)
{
    return fuse_session_exited(fs->session) != 0;
}

/* --- without a mount --- */

static ssize_t write_packet(int fd, struct iovec *iov, int count,
                            void *userdata)
{
    const struct fs_system *s = &((struct fs *)userdata)->system;
    return s->write != NULL ? s->write(s->device, iov, count)
                            : writev(fd, iov, count);
}

static ssize_t read_packet(int fd, void *to, size_t size, void *userdata)
{
    const struct fs_system *s = &((struct fs *)userdata)->system;
    return s->read != NULL ? s->read(s->device, to, size) : read(fd, to, size);
}

enum status fs_attach(struct kv *kv, int fd, const struct fs_options *options,
                      struct fs **ret, struct fault *reterr)
{
    static const struct fuse_custom_io io = {.writev = write_packet,
                                             .read = read_packet};
    struct fs *fs = fs_new(kv, options);
    enum status st = fs_session_open(fs, reterr);
    if (st == ST_OK && fuse_session_custom_io(fs->session, &io, fd) != 0) {
        st = fault_set(reterr, ST_IO, "libfuse refuses descriptor %d", fd);
    }
    if (st != ST_OK) {
        (void)close(fd);
        fs_close(fs);
        return st;
    }
    fs_events_init(fs);
    *ret = fs;
    return ST_OK;
}
