/* Polling the mounts, waking them in time, noticing when one is unmounted. */

#include "cmd/mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

struct mount {
    struct mounts *all;
    const char *path;
    struct fs *fs;       /* NULL: not mounted (any more) */
    const char *trouble; /* with its watch, as was said last */
    struct loop_poll *polls[FS_FDS_MAX];
};

struct mounts {
    struct loop *loop;
    struct loop_timer *timer;
    int64_t timer_ns; /* what it is set to; INT64_MAX: off */
    struct loop_hook hook;
    size_t count, alive;
    struct mount mounts[];
};

static void readable(void *arg, int fd)
{
    struct mount *m = arg;
    (void)fs_on_readable(m->fs, fd, loop_now_ns()); /* the rest next turn */
}

static void mount_close(struct mount *m)
{
    for (size_t i = 0; i < FS_FDS_MAX; i++) {
        loop_poll_stop(m->polls[i]);
        m->polls[i] = NULL;
    }
    if (m->fs != NULL) {
        fs_free(m->fs);
        m->fs = NULL;
        m->all->alive--;
    }
}

static void time_passed(void *arg)
{
    struct mounts *all = arg;
    all->timer_ns = INT64_MAX;
    const int64_t now_ns = loop_now_ns();
    for (size_t i = 0; i < all->count; i++) {
        if (all->mounts[i].fs != NULL) {
            fs_on_time(all->mounts[i].fs, now_ns);
        }
    }
}

static void set_timer(struct mounts *all, int64_t at_ns)
{
    if (at_ns == all->timer_ns) {
        return;
    }
    all->timer_ns = at_ns;
    if (at_ns == INT64_MAX) {
        loop_timer_clear(all->timer);
    } else {
        loop_timer_at(all->timer, at_ns);
    }
}

static void say_trouble(struct mount *m)
{
    const char *trouble = fs_watch_trouble(m->fs);
    if (trouble != NULL && m->trouble == NULL) {
        log_warn("'%s' hears of no changes: %s; it asks again and again",
                 m->path, trouble);
    } else if (trouble == NULL && m->trouble != NULL) {
        log_info("'%s' hears of changes again", m->path);
    }
    m->trouble = trouble;
}

/* After everything else in a turn: what the turn changed decides when the
 * filesystems must be called again. */
static bool turn_over(void *arg)
{
    struct mounts *all = arg;
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < all->count; i++) {
        struct mount *m = &all->mounts[i];
        if (m->fs != NULL && fs_ended(m->fs)) {
            mount_close(m);
            log_warn("'%s' was unmounted by somebody else; %s", m->path,
                     all->alive > 0 ? "the other mounts go on"
                                    : "no mount is left: restart the server "
                                      "to mount again");
        }
        if (m->fs != NULL) {
            say_trouble(m);
            const int64_t deadline_ns = fs_deadline_ns(m->fs);
            next_ns = deadline_ns < next_ns ? deadline_ns : next_ns;
        }
    }
    set_timer(all, next_ns);
    return false;
}

/* Why a mount may have failed that has nothing to do with its path. */
static const char *advice(enum status st)
{
    if (access("/dev/fuse", F_OK) != 0) {
        return "; /dev/fuse is missing: load the module (modprobe fuse), or "
               "give the container the device (--device /dev/fuse)";
    }
    if (st == ST_BUSY) {
        return "; unmount it first (fusermount3 -u), or mount elsewhere";
    }
    if (st == ST_DENIED) {
        return geteuid() == 0
                   ? "; the container needs the right to mount (SYS_ADMIN)"
                   : "; install fuse3, and mount at a directory of your own";
    }
    return "";
}

static enum status mount_open(struct mount *m, struct kv *kv,
                              const struct fs_options *options,
                              struct fault *reterr)
{
    struct fault why = {{0}};
    const enum status st = fs_mount(kv, m->path, options, &m->fs, &why);
    if (st != ST_OK) {
        m->fs = NULL;
        return fault_set(reterr, st, "%s%s", why.text, advice(st));
    }
    m->all->alive++;
    int fds[FS_FDS_MAX];
    const size_t count = fs_fds(m->fs, fds);
    must(count <= FS_FDS_MAX);
    for (size_t i = 0; i < count; i++) {
        m->polls[i] = loop_poll_start(m->all->loop, fds[i], readable, m);
    }
    return ST_OK;
}

enum status mounts_open(struct loop *loop, struct kv *kv,
                        const char *const *paths, size_t count,
                        const struct fs_options *options, struct mounts **ret,
                        struct fault *reterr)
{
    struct mounts *all =
        xcalloc(1, sizeof *all + count * sizeof all->mounts[0]);
    all->loop = loop;
    all->timer = loop_timer_new(loop, time_passed, all);
    all->timer_ns = INT64_MAX;
    all->count = count;
    all->hook = (struct loop_hook){.run = turn_over, .arg = all};
    loop_hook_add(loop, &all->hook);
    for (size_t i = 0; i < count; i++) {
        all->mounts[i] = (struct mount){.all = all, .path = paths[i]};
        const enum status st = mount_open(&all->mounts[i], kv, options, reterr);
        if (st != ST_OK) {
            mounts_free(all);
            return st;
        }
    }
    *ret = all;
    return ST_OK;
}

void mounts_free(struct mounts *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = m->count; i > 0; i--) {
        mount_close(&m->mounts[i - 1]);
    }
    must(m->alive == 0);
    loop_hook_remove(&m->hook);
    loop_timer_free(m->timer);
    free(m);
}
