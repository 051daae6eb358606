/* From a snapshot file to a data directory. */

#include "node/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/must.h"
#include "node/data_dir.h"
#include "node/identity.h"
#include "node/join.h"
#include "node/snapshot_file.h"
#include "wal/wal.h"

#define SUFFIX ".restoring"

struct restore {
    const struct restore_options *options;
    struct snapshot_file file;
    struct identity identity;
    char path[DATA_DIR_PATH_MAX]; /* what is being built */
    int lock_fd;                  /* -1: none */
    struct data_dir dir;
    struct store_import *import;
    uint64_t done; /* bytes of the stream */
};

/* --- names --- */

/* ST_OK when nothing is there, or an empty directory. */
static enum status check_free(const char *path, struct fault *reterr)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        if (errno == ENOENT) {
            return ST_OK;
        }
        const int error = errno;
        return error == ENOTDIR
                   ? fault_set(reterr, ST_EXISTS,
                               "'%s' exists and is not a directory: give "
                               "another one with --data-dir",
                               path)
                   : fault_sys(reterr, error, "cannot look into '%s'", path);
    }
    size_t count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count <= 2 ? ST_OK /* "." and ".." */
                      : fault_set(reterr, ST_EXISTS,
                                  "the data directory '%s' is not empty, and "
                                  "nothing is ever overwritten: give a new one "
                                  "with --data-dir",
                                  path);
}

static int remove_one(const char *path, const struct stat *stat, int type,
                      struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The directory to build in, for this process alone.  What an interrupted
 * restoration left there goes: nobody else gives anything that name. */
static enum status make_path(struct restore *r, struct fault *reterr)
{
    const char *to = r->options->data_dir;
    size_t size = strlen(to);
    while (size > 1 && to[size - 1] == '/') {
        size--;
    }
    if (size == 0 || size + sizeof SUFFIX > sizeof r->path) {
        return fault_set(reterr, ST_INVALID,
                         "cannot use the data directory '%s': its path is %s",
                         to, size == 0 ? "empty" : "too long");
    }
    (void)snprintf(r->path, sizeof r->path, "%.*s" SUFFIX, (int)size, to);
    for (int tries = 0; tries < 2; tries++) {
        if (mkdir(r->path, 0700) != 0 && errno != EEXIST) {
            return fault_sys(reterr, errno, "cannot make '%s'", r->path);
        }
        r->lock_fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r->lock_fd < 0) {
            return fault_sys(reterr, errno, "cannot open '%s'", r->path);
        }
        if (flock(r->lock_fd, LOCK_EX | LOCK_NB) != 0) {
            return fault_set(reterr, ST_BUSY,
                             "another process is restoring into '%s'", to);
        }
        if (check_free(r->path, reterr) == ST_OK) {
            return ST_OK;
        }
        remove_tree(r->path);
        (void)close(r->lock_fd);
        r->lock_fd = -1;
    }
    return fault_set(reterr, ST_IO, "cannot remove what is in '%s'", r->path);
}

static enum status sync_directory(const char *path, struct fault *reterr)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fault_sys(reterr, errno, "cannot open '%s'", path);
    }
    const int error = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    return error == 0 ? ST_OK
                      : fault_sys(reterr, error, "cannot sync '%s'", path);
}

static enum status sync_parent(const char *path, struct fault *reterr)
{
    char parent[DATA_DIR_PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        return sync_directory(".", reterr);
    }
    slash[slash == parent ? 1 : 0] = '\0';
    return sync_directory(parent, reterr);
}

/* rename(2) takes the place of an empty directory, and of nothing else. */
static enum status give_name(struct restore *r, struct fault *reterr)
{
    char to[DATA_DIR_PATH_MAX];
    (void)snprintf(to, sizeof to, "%.*s",
                   (int)(strlen(r->path) - (sizeof SUFFIX - 1)), r->path);
    const enum status st = sync_directory(r->path, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (rename(r->path, to) != 0) {
        return errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
                   ? fault_set(reterr, ST_EXISTS,
                               "'%s' came to be while its state was restored; "
                               "nothing was changed",
                               to)
                   : fault_sys(reterr, errno, "cannot give '%s' its name", to);
    }
    return sync_parent(to, reterr);
}

/* --- the state --- */

static enum status take(void *arg, struct bytes piece, struct fault *reterr)
{
    struct restore *r = arg;
    const struct restore_progress *p = &r->options->progress;
    const enum status st = store_import_write(r->import, piece, reterr);
    r->done += piece.size;
    if (p->moved != NULL) {
        p->moved(p->arg, r->done, r->file.stream_size);
    }
    return st;
}

static enum status import_state(struct restore *r, struct restore_result *ret,
                                struct fault *reterr)
{
    struct store_options so;
    const struct restore_options *o = r->options;
    store_options_default(&so);
    enum status st =
        store_import_begin(r->dir.store, &so, 0, &r->import, reterr);
    if (st == ST_OK) {
        st = snapshot_file_each(&r->file, BACKUP_HEAD_SIZE, r->file.stream_size,
                                take, r, reterr);
    }
    const struct store_restart restart = {.bump_revision = o->bump_revision,
                                          .mark_compacted = o->mark_compacted};
    struct store_transfer_info info;
    if (st == ST_OK) {
        st = store_import_restart(r->import, &restart, reterr);
    }
    const struct store_identity identity = {.cluster_id =
                                                r->identity.cluster_id,
                                            .member_id = r->identity.member_id};
    if (st == ST_OK) {
        st = store_import_finish(r->import, &identity, reterr);
    }
    if (st == ST_OK) {
        const bool known = store_import_info(r->import, &info);
        must(known);
        ret->revision = info.revision;
        ret->head.index = info.index;
        ret->head.term = info.term;
        st = store_import_install(r->import, reterr);
    }
    store_import_free(r->import);
    r->import = NULL;
    return st;
}

static void no_entry(void *arg, const struct raft_entry *e)
{
    (void)arg;
    (void)e;
    must_fail(__FILE__, __LINE__, "a new log has no entries");
}

/* The state's own members were another cluster's. */
static enum status set_members(struct restore *r, struct fault *reterr)
{
    struct store_options so;
    struct store *store;
    struct buf record = {0};
    struct membership *members =
        join_first_members(&r->identity, r->options->initial_cluster);
    store_options_default(&so);
    membership_write(members, &record);
    free(members);
    enum status st = store_open(r->dir.store, &so, &store, reterr);
    if (st == ST_OK) {
        st = store_keep_record(store, MEMBERSHIP_RECORD, buf_bytes(&record),
                               reterr);
        store_close(store);
    }
    buf_fini(&record);
    return st;
}

/* A log that begins behind the state. */
static enum status make_log(struct restore *r, uint64_t index, uint64_t term,
                            struct fault *reterr)
{
    struct disk *disk;
    struct wal *wal = NULL;
    struct wal_options wo;
    struct wal_recovery recovery;
    enum status st = disk_open(r->dir.wal, &disk, reterr);
    if (st != ST_OK) {
        return st;
    }
    wal_options_default(&wo);
    wo.cluster_id = r->identity.cluster_id;
    wo.member_id = r->identity.member_id;
    st = wal_open(disk, &wo, no_entry, NULL, &recovery, &wal, reterr);
    if (st == ST_OK) {
        st = wal_restart_at(wal, index, term, reterr);
    }
    const struct raft_hard_state hard = {.term = term, .commit = index};
    const struct wal_batch batch = {.hard_state = &hard};
    if (st == ST_OK) {
        st = wal_append(wal, &batch, reterr);
    }
    if (st == ST_OK) {
        st = wal_sync(wal, reterr);
    }
    wal_close(wal);
    return st;
}

/* --- all of it --- */

static enum status build(struct restore *r, struct restore_result *ret,
                         struct fault *reterr)
{
    enum status st = make_path(r, reterr);
    if (st == ST_OK) {
        st = data_dir_open(r->path, &r->dir, reterr);
    }
    if (st == ST_OK) {
        st = import_state(r, ret, reterr);
    }
    if (st == ST_OK) {
        st = set_members(r, reterr);
    }
    if (st == ST_OK) {
        st = make_log(r, ret->head.index, ret->head.term, reterr);
    }
    return st == ST_OK ? give_name(r, reterr) : st;
}

static enum status restore(struct restore *r, struct restore_result *ret,
                           struct fault *reterr)
{
    const struct restore_options *o = r->options;
    enum status st = identity_derive(o->name, o->cluster_token,
                                     o->initial_cluster, &r->identity, reterr);
    if (st == ST_OK) {
        st = check_free(o->data_dir, reterr);
    }
    if (st == ST_OK) {
        st = snapshot_file_open(&r->file, o->file, reterr);
    }
    if (st == ST_OK && !o->skip_hash_check) {
        st = snapshot_file_verify(&r->file, NULL, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    ret->head = r->file.info.head;
    ret->cluster_id = r->identity.cluster_id;
    ret->member_id = r->identity.member_id;
    st = build(r, ret, reterr);
    if (st != ST_OK && r->lock_fd >= 0) {
        remove_tree(r->path);
    }
    return st;
}

enum status restore_snapshot(const struct restore_options *o,
                             struct restore_result *ret, struct fault *reterr)
{
    struct restore *r = xcalloc(1, sizeof *r);
    r->options = o;
    r->lock_fd = -1;
    r->file.fd = -1;
    const enum status st = restore(r, ret, reterr);
    snapshot_file_close(&r->file);
    if (r->lock_fd >= 0) {
        (void)close(r->lock_fd); /* the lock goes with it */
    }
    free(r);
    return st;
}
