/* A snapshot from a running member, over the API (Maintenance.Snapshot): of
 * keelfs, or of etcd. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "base/sha256.h"
#include "cmd/snapshot.h"
#include "net/grpc_dial.h"
#include "proto/wire.h"

#define ENDPOINTS_MAX     4096
#define KEEPALIVE_MS      10000
#define FIELD_BLOB        3 /* of SnapshotResponse */
#define FIELD_REMAINING   2
#define SNAPSHOT_SIZE_MIN (512 + SHA256_SIZE)

struct save {
    struct loop *loop;
    struct grpc_dialer *dialer;
    struct grpc_conn *conn;
    struct grpc_client_call call;
    bool up, over;

    int fd;
    const char *path;
    char part[4096];
    uint64_t size;
    /* All but the last SHA256_SIZE bytes, which are kept back: the digest. */
    struct sha256 sha;
    uint8_t last[SHA256_SIZE];
    size_t last_size;

    enum status status;
    struct fault fault;
};

static void end(struct save *s, enum status st)
{
    s->status = st;
    s->over = true;
    loop_stop(s->loop);
}

/* --- the file --- */

static enum status write_all(struct save *s, struct bytes b)
{
    while (b.size > 0) {
        const ssize_t done = write(s->fd, b.data, b.size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return fault_sys(&s->fault, errno, "cannot write '%s'", s->part);
        }
        b = bytes_after(b, (size_t)done);
        s->size += (uint64_t)done;
    }
    return ST_OK;
}

/* What may still turn out to be the digest is not hashed. */
static void hash(struct save *s, struct bytes b)
{
    uint8_t both[2 * SHA256_SIZE];
    if (b.size >= SHA256_SIZE) {
        sha256_add(&s->sha, (struct bytes){s->last, s->last_size});
        sha256_add(&s->sha, (struct bytes){b.data, b.size - SHA256_SIZE});
        memcpy(s->last, b.data + b.size - SHA256_SIZE, SHA256_SIZE);
        s->last_size = SHA256_SIZE;
        return;
    }
    memcpy(both, s->last, s->last_size);
    memcpy(both + s->last_size, b.data, b.size);
    const size_t all = s->last_size + b.size;
    const size_t out = all > SHA256_SIZE ? all - SHA256_SIZE : 0;
    sha256_add(&s->sha, (struct bytes){both, out});
    s->last_size = all - out;
    memcpy(s->last, both + out, s->last_size);
}

static enum status check_name(const struct save *s, struct fault *reterr)
{
    struct stat file;
    return lstat(s->path, &file) == 0
               ? fault_set(reterr, ST_EXISTS,
                           "'%s' exists, and nothing is ever overwritten: give "
                           "another name",
                           s->path)
               : ST_OK;
}

static enum status begin_file(struct save *s, struct fault *reterr)
{
    const int size = snprintf(s->part, sizeof s->part, "%s.part", s->path);
    if (size < 0 || (size_t)size >= sizeof s->part) {
        return fault_set(reterr, ST_INVALID, "the file's name is too long");
    }
    const enum status st = check_name(s, reterr);
    if (st != ST_OK) {
        return st;
    }
    s->fd = open(s->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return s->fd >= 0 ? ST_OK
                      : fault_sys(reterr, errno, "cannot make '%s'", s->part);
}

static enum status verify(struct save *s, struct fault *reterr)
{
    uint8_t digest[SHA256_SIZE];
    if (s->size < SNAPSHOT_SIZE_MIN || s->size % 512 != SHA256_SIZE) {
        return fault_set(reterr, ST_CORRUPT,
                         "what came is no whole snapshot (%llu bytes)",
                         (unsigned long long)s->size);
    }
    sha256_end(&s->sha, digest);
    return memcmp(digest, s->last, sizeof digest) == 0
               ? ST_OK
               : fault_set(
                     reterr, ST_CORRUPT,
                     "what came is damaged: its SHA-256 is not the one at "
                     "its end; try again");
}

static enum status sync_parent(const char *path, struct fault *reterr)
{
    char parent[4096];
    (void)snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    const int fd =
        open(slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int error = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    return error == 0 ? ST_OK
                      : fault_sys(reterr, error, "cannot sync '%s'", parent);
}

static enum status give_name(struct save *s, struct fault *reterr)
{
    if (fsync(s->fd) != 0) {
        return fault_sys(reterr, errno, "cannot sync '%s'", s->part);
    }
    if (renameat2(AT_FDCWD, s->part, AT_FDCWD, s->path, RENAME_NOREPLACE) !=
        0) {
        /* Not every file system can: then what check_name() saw has to do. */
        if (errno != EINVAL && errno != ENOSYS) {
            return fault_sys(reterr, errno, "cannot name the file '%s'",
                             s->path);
        }
        const enum status st = check_name(s, reterr);
        if (st != ST_OK) {
            return st;
        }
        if (rename(s->part, s->path) != 0) {
            return fault_sys(reterr, errno, "cannot name the file '%s'",
                             s->path);
        }
    }
    return sync_parent(s->path, reterr);
}

/* --- the stream --- */

static void message(struct grpc_client_call *call, struct bytes m)
{
    static char what[] = "saving";
    struct save *s = container_of(call, struct save, call);
    struct wire_reader r = wire_reader_of(m);
    struct wire_field f;
    uint64_t remaining = 0;
    enum status st = ST_OK;
    while (st == ST_OK && wire_next(&r, &f)) {
        if (f.number == FIELD_REMAINING && f.type == WIRE_VARINT) {
            remaining = f.value;
        } else if (f.number == FIELD_BLOB && f.type == WIRE_BYTES) {
            hash(s, f.bytes);
            st = write_all(s, f.bytes);
        }
    }
    if (st == ST_OK && r.failed) {
        st = fault_set(&s->fault, ST_CORRUPT, "what came cannot be read");
    }
    snapshot_show_progress(what, s->size, s->size + remaining);
    if (st != ST_OK) {
        end(s, st);
    }
}

static void ended(struct grpc_client_call *call, const struct grpc_outcome *how)
{
    struct save *s = container_of(call, struct save, call);
    if (s->over) {
        return;
    }
    end(s, how->code == GRPC_OK
               ? ST_OK
               : fault_set(&s->fault, ST_IO,
                           "the member ended it (code %d): %.*s", how->code,
                           (int)how->text.size, (const char *)how->text.data));
}

static void came_up(void *arg)
{
    struct save *s = arg;
    s->up = true;
    s->call = (struct grpc_client_call){.on_message = message, .on_end = ended};
    grpc_client_start(grpc_conn_client(s->conn), &s->call,
                      "/etcdserverpb.Maintenance/Snapshot", 0, NULL, 0);
    (void)grpc_client_begin_message(&s->call);
    grpc_client_end_message(&s->call);
    grpc_client_half_close(&s->call);
}

static void went_down(void *arg, const char *why)
{
    struct save *s = arg;
    if (!s->over) {
        end(s, fault_set(&s->fault, s->up ? ST_IO : ST_NO_LEADER, "%s", why));
    }
}

static enum status ask(struct save *s, const char *address)
{
    const struct grpc_conn_options options = {.address = address,
                                              .keepalive_ms = KEEPALIVE_MS,
                                              .on_up = came_up,
                                              .on_down = went_down,
                                              .arg = s};
    s->over = s->up = false;
    const enum status st =
        grpc_conn_open(s->dialer, &options, &s->conn, &s->fault);
    if (st != ST_OK) {
        return st;
    }
    loop_run(s->loop);
    grpc_conn_close(s->conn);
    s->conn = NULL;
    return s->status;
}

/* The first that can be reached. */
static enum status ask_one(struct save *s, const char *endpoints)
{
    char list[ENDPOINTS_MAX];
    const int size = snprintf(list, sizeof list, "%s", endpoints);
    enum status st = ST_NO_LEADER;
    if (size <= 0 || (size_t)size >= sizeof list) {
        return fault_set(&s->fault, ST_INVALID,
                         "--endpoints is empty or too long");
    }
    char *rest = list;
    char *one;
    while (st == ST_NO_LEADER && (one = strsep(&rest, ",")) != NULL) {
        struct fault why;
        if (strncmp(one, "http://", 7) == 0) {
            one += 7;
        }
        st = ask(s, one);
        why = s->fault;
        if (st != ST_OK) {
            (void)!fault_set(&s->fault, st, "%s: %s", one, why.text);
        }
    }
    return st;
}

enum status snapshot_save(const char *path, const char *endpoints,
                          struct fault *reterr)
{
    struct save *s = xcalloc(1, sizeof *s);
    const struct loop_options lo = {0};
    s->fd = -1;
    s->path = path;
    sha256_init(&s->sha);
    enum status st = begin_file(s, reterr);
    if (st == ST_OK) {
        st = loop_new(&lo, &s->loop, reterr);
    }
    if (st == ST_OK) {
        s->dialer = grpc_dialer_new(s->loop);
        st = ask_one(s, endpoints);
        *reterr = s->fault;
    }
    if (st == ST_OK) {
        st = verify(s, reterr);
    }
    if (st == ST_OK) {
        st = give_name(s, reterr);
    }
    if (s->fd >= 0) {
        (void)close(s->fd); /* it was synced, or is of no use */
        if (st != ST_OK) {
            (void)unlink(s->part);
        }
    }
    grpc_dialer_free(s->dialer);
    loop_free(s->loop);
    free(s);
    return st;
}
