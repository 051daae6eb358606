/* The filesystem: a keystore mounted as a directory tree, on libfuse3's
 * low-level API.  It knows the keystore only as kv/kv.h.
 *
 * The filesystem does not own a loop.  Its owner polls fs_fds() for reading and
 * calls fs_on_readable(); asks fs_deadline_ns() how long it may sleep and calls
 * fs_on_time().  All calls come on one thread, that of the kv implementation.
 * A request that must wait is parked; no call here blocks.
 *
 * Threads: besides the loop's, each mounted filesystem has a few replay helpers
 * (fs/replay.h), which perform operations on its own mount so that inotify
 * reports changes made elsewhere.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "kv/kv.h"

struct fs;

enum fs_consistency { FS_LINEARIZABLE, FS_SERIALIZABLE };
enum fs_events {
    FS_EVENTS_AUTO,
    FS_EVENTS_WRITE,
    FS_EVENTS_RENAME,
    FS_EVENTS_OFF
};

struct fs_options {
    struct bytes prefix; /* keys shown; "/" by default; ends in '/' */
    enum fs_consistency consistency;
    enum fs_events events;
    uint32_t file_mode, directory_mode; /* permission bits: 0644, 0755 */
    uint32_t uid, gid;
    int64_t timeout_ms;      /* 5000 */
    int64_t publish_idle_ms; /* 1000; 0: never */
    bool xattrs_hidden;
    bool control_visible; /* .keelfs is listed */
    bool read_only;
    bool allow_other;
};

void fs_options_default(struct fs_options *ret);
/* Parses mount options "a=b,c,…" over *ret.  ST_INVALID names the bad one and
 * lists the good ones. */
enum status fs_options_parse(const char *text, struct fs_options *ret,
                             struct fault *reterr) MUST_USE;

/* What fs_mount() would find wrong with the place, before there is anything to
 * mount; a dead mount is taken away already. */
enum status fs_mount_check(const char *path, struct fault *reterr) MUST_USE;

/* Mounts kv at `path` (an existing directory; a dead mount left by a killed
 * process is replaced).  kv must outlive it.  The clock is CLOCK_MONOTONIC in
 * nanoseconds, passed in by the owner.
 *   ST_NOT_FOUND, ST_INVALID (not a directory), ST_BUSY (something live is
 *   mounted there already), ST_DENIED, ST_IO                                 */
enum status fs_mount(struct kv *kv, const char *path,
                     const struct fs_options *options, struct fs **ret,
                     struct fault *reterr) MUST_USE;

/* Without a mount: FUSE bytes come and go through one end of a SOCK_SEQPACKET
 * socket pair (fuse_session_custom_io).  Takes the descriptor. No replay, unless
 * somebody begins it (fs/replay.h). */
enum status fs_attach(struct kv *kv, int fd, const struct fs_options *options,
                      struct fs **ret, struct fault *reterr) MUST_USE;

/* The descriptors to poll for reading: requests, and the helpers' results. */
#define FS_FDS_MAX 2
size_t fs_fds(struct fs *fs, int ret[FS_FDS_MAX]);
/* Handles what is there, a bounded number of requests. Returns how many. */
size_t fs_on_readable(struct fs *fs, int fd, int64_t now_ns);
/* When fs_on_time() next has something to do; INT64_MAX: never. */
int64_t fs_deadline_ns(struct fs *fs);
void fs_on_time(struct fs *fs, int64_t now_ns);

/* True once the kernel has ended the session (umount from outside). */
bool fs_ended(struct fs *fs);

/* Why the store's watch, which events and caches live on, has ended; NULL: it
 * is there.  It is asked for again and again; what was missed comes then, or is
 * gone with a compaction. */
const char *fs_watch_trouble(const struct fs *fs);

/* Unmounts (lazily when busy), answers what is parked, publishes nothing more,
 * stops the helpers and frees.  Unpublished data of open handles is lost, and
 * their owners get errors. NULL is fine. */
void fs_free(struct fs *fs);

#endif
