/* Reading snapshot files. */

#include "node/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/must.h"

#define PIECE_BYTES ((size_t)1 << 20)

/* Where etcd's files (bbolt) have their magic number. */
#define BBOLT_MAGIC_AT 16
#define BBOLT_MAGIC    0xED0CDAEDu

static enum status read_at(const struct snapshot_file *f, uint64_t at,
                           uint8_t *to, size_t size, struct fault *reterr)
{
    while (size > 0) {
        const ssize_t got = pread(f->fd, to, size, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0
                       ? fault_sys(reterr, errno, "cannot read '%s'", f->path)
                       : fault_set(reterr, ST_CORRUPT,
                                   "'%s' became shorter while it was read",
                                   f->path);
        }
        to += got;
        at += (uint64_t)got;
        size -= (size_t)got;
    }
    return ST_OK;
}

static enum status read_ends(struct snapshot_file *f, struct fault *reterr)
{
    uint8_t head[BACKUP_HEAD_SIZE];
    uint8_t end[BACKUP_END_SIZE];
    struct fault why;
    const uint64_t size = f->info.size;
    if (size < sizeof head + sizeof end) {
        return fault_set(reterr, ST_INVALID,
                         "'%s' is too small to be a snapshot (%llu bytes)",
                         f->path, (unsigned long long)size);
    }
    enum status st = read_at(f, 0, head, sizeof head, reterr);
    if (st == ST_OK) {
        st = read_at(f, size - sizeof end, end, sizeof end, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    if (get_u32(head + BBOLT_MAGIC_AT) == BBOLT_MAGIC) {
        return fault_set(
            reterr, ST_INVALID,
            "'%s' is a snapshot of etcd's own, which keelfs cannot "
            "read: restore it with etcd, and copy the keys with "
            "'etcdctl make-mirror'",
            f->path);
    }
    st = store_backup_read_head((struct bytes){head, sizeof head},
                                &f->info.head, &why);
    if (st == ST_OK) {
        st = store_backup_read_end((struct bytes){end, sizeof end}, size,
                                   &f->stream_size, &why);
    }
    memcpy(f->info.digest, end + 8, SHA256_SIZE);
    return st == ST_OK ? ST_OK
                       : fault_set(reterr, st, "'%s' cannot be used: %s",
                                   f->path, why.text);
}

enum status snapshot_file_open(struct snapshot_file *f, const char *path,
                               struct fault *reterr)
{
    struct stat file;
    *f = (struct snapshot_file){.path = path};
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) {
        return fault_sys(reterr, errno, "cannot open '%s'", path);
    }
    enum status st = ST_OK;
    if (fstat(f->fd, &file) != 0) {
        st = fault_sys(reterr, errno, "cannot look at '%s'", path);
    } else if (!S_ISREG(file.st_mode)) {
        st = fault_set(reterr, ST_INVALID, "'%s' is not a file", path);
    } else {
        f->info.size = (uint64_t)file.st_size;
        st = read_ends(f, reterr);
    }
    if (st != ST_OK) {
        snapshot_file_close(f);
    }
    return st;
}

void snapshot_file_close(struct snapshot_file *f)
{
    if (f->fd >= 0) {
        (void)close(f->fd); /* it was only read */
    }
    f->fd = -1;
}

enum status snapshot_file_each(
    const struct snapshot_file *f, uint64_t at, uint64_t size,
    enum status (*take)(void *arg, struct bytes piece, struct fault *reterr),
    void *arg, struct fault *reterr)
{
    uint8_t *piece = xmalloc(PIECE_BYTES);
    enum status st = ST_OK;
    while (size > 0 && st == ST_OK) {
        const size_t part = size < PIECE_BYTES ? (size_t)size : PIECE_BYTES;
        st = read_at(f, at, piece, part, reterr);
        if (st == ST_OK) {
            st = take(arg, (struct bytes){piece, part}, reterr);
        }
        at += part;
        size -= part;
    }
    free(piece);
    return st;
}

struct verifying {
    struct sha256 sha;
    const struct restore_progress *progress;
    uint64_t done, all;
};

static enum status add(void *arg, struct bytes piece, struct fault *reterr)
{
    struct verifying *v = arg;
    (void)reterr;
    sha256_add(&v->sha, piece);
    v->done += piece.size;
    if (v->progress != NULL && v->progress->moved != NULL) {
        v->progress->moved(v->progress->arg, v->done, v->all);
    }
    return ST_OK;
}

enum status snapshot_file_verify(const struct snapshot_file *f,
                                 const struct restore_progress *progress,
                                 struct fault *reterr)
{
    uint8_t digest[SHA256_SIZE];
    struct verifying v = {.progress = progress,
                          .all = f->info.size - SHA256_SIZE};
    sha256_init(&v.sha);
    const enum status st = snapshot_file_each(f, 0, v.all, add, &v, reterr);
    if (st != ST_OK) {
        return st;
    }
    sha256_end(&v.sha, digest);
    return memcmp(digest, f->info.digest, sizeof digest) == 0
               ? ST_OK
               : fault_set(reterr, ST_CORRUPT,
                           "'%s' is damaged: its SHA-256 is not the one at its "
                           "end; take another snapshot",
                           f->path);
}

enum status snapshot_file_check(const char *path,
                                const struct restore_progress *progress,
                                struct snapshot_file_info *ret,
                                struct fault *reterr)
{
    struct snapshot_file f;
    enum status st = snapshot_file_open(&f, path, reterr);
    if (st != ST_OK) {
        return st;
    }
    st = snapshot_file_verify(&f, progress, reterr);
    if (st == ST_OK) {
        *ret = f.info;
    }
    snapshot_file_close(&f);
    return st;
}
