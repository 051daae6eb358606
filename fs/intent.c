/* Look-ups on behalf of calls that write.
 *
 * Without a quorum a writing call is to fail at once, and nothing may be called
 * missing unless that is confirmed, for which a look-up waits.  But the kernel
 * looks up a name before it creates it, and does not say what for.  The thread
 * that waits in the look-up says: /proc shows its system call.  Where that
 * cannot be seen the look-up waits as any other.
 *
 *   parked -> store takes no writes, and the thread is in a writing call: EROFS
 *          -> else looked at again: soon, as it may not be asleep yet; then at
 *             leisure, as a leader may be lost meanwhile
 */

#include "base/must.h"
#include "fs/attr.h"
#include "fs/call.h"
#include "fs/handlers.h"

#define SOON_NS    2000000
#define SOON_TIMES 5
#define LATER_NS   100000000

static bool is_refused(struct fs_call *c)
{
    struct fs *fs = c->fs;
    const uint32_t thread = fs_asker_of(c->req).thread;
    return thread != 0 && !fs_is_writable(fs) && fs->system.is_writing(thread);
}

static void on_look(struct fs *fs, struct fs_timer *timer)
{
    struct fs_call *c = container_of(timer, struct fs_call, look);
    if (is_refused(c)) {
        fs_call_refuse(c);
        return;
    }
    c->looks++;
    fs_timer_set(fs, &c->look,
                 fs->now_ns + (c->looks < SOON_TIMES ? SOON_NS : LATER_NS));
}

void fs_intent_begin(struct fs_call *c)
{
    c->look.fire = on_look;
    c->looks = 0;
    fs_timer_set(c->fs, &c->look,
                 c->fs->now_ns + (fs_is_writable(c->fs) ? LATER_NS : 0));
}
