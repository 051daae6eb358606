/* Calls about a file that is not where it was: renamed elsewhere, or removed.
 * The watch tells which, a moment after the answer.
 *
 * A path may not be followed at once: a look-up is answered from applied state,
 * and the file may have left that name before the system call began.  The first
 * time the answer is ESTALE, on which the kernel walks again, once; then each
 * look-up of that thread is confirmed, so that the name was the file's while
 * the system call ran, and the file is followed wherever it goes.
 */

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/call.h"
#include "fs/events.h"

#define WALKS_NS    1000000000LL
#define LOOK_NS     1000000LL
#define FOLLOWS_MAX 16 /* then the program may as well walk again */

static void on_look(struct fs *fs, struct fs_timer *timer)
{
    struct list now;
    (void)timer;
    const int64_t told = fs_events_told(fs);
    list_init(&now);
    list_splice(&now, &fs->untold);
    struct list *at;
    while ((at = list_pop(&now)) != NULL) {
        struct fs_call *c = container_of(at, struct fs_call, waiting);
        list_push(&fs->untold, at);
        if (c->tells <= told) {
            fs_call_wake_one(c);
        }
    }
    if (!list_is_empty(&fs->untold)) {
        fs_timer_set(fs, &fs->tells, fs->now_ns + LOOK_NS);
    }
}

bool fs_call_walks_again(const struct fs_call *c)
{
    const uint32_t thread = fs_asker_of(c->req).thread;
    const size_t at = thread % FS_WALKS_MAX;
    return thread != 0 && c->fs->walks_again[at].thread == thread &&
           c->fs->now_ns < c->fs->walks_again[at].until_ns;
}

static void walk_again(struct fs_call *c)
{
    const uint32_t thread = fs_asker_of(c->req).thread;
    const size_t at = thread % FS_WALKS_MAX;
    c->fs->walks_again[at].thread = thread;
    c->fs->walks_again[at].until_ns = c->fs->now_ns + WALKS_NS;
}

bool fs_call_doubts_path(struct fs_call *c)
{
    const struct fs *fs = c->fs;
    const struct fs_node *n = c->node;
    struct kv_status status;
    if (n->moved_ns == 0 || fs->now_ns - n->moved_ns > WALKS_NS ||
        fs->options.consistency == FS_SERIALIZABLE || fs_call_walks_again(c)) {
        return false;
    }
    kv_status(fs->kv, &status);
    if (status.role == KV_LEADER) {
        return false; /* what is applied here is all that was acknowledged */
    }
    walk_again(c);
    fs_reply_errno(c, ESTALE);
    return true;
}

bool fs_call_follows(struct fs_call *c, void (*again)(struct fs_call *c))
{
    struct fs *fs = c->fs;
    struct fs_node *n = c->node;
    if (c->follows == 0 && !fs_call_walks_again(c)) {
        walk_again(c);
        return false;
    }
    if (n->directory || n->gone || n->pending || ++c->follows > FOLLOWS_MAX) {
        return false;
    }
    if (!n->displaced &&
        (n->revision > fs_call_revision(c) ||
         !bytes_equal(fs_node_key(n), buf_bytes(&c->target.key)))) {
        again(c);
        return true;
    }
    c->tells = fs_call_revision(c);
    if (fs_events_told(fs) >= c->tells) {
        return false;
    }
    if (list_is_empty(&fs->untold)) {
        fs->tells.fire = on_look;
        fs_timer_set(fs, &fs->tells, fs->now_ns);
    }
    fs_call_wait(c, &fs->untold, again);
    return true;
}
