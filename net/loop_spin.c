#include "net/loop_spin.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/loop.h"

#define LOOK_NS 50000000 /* between two looks */

/* Of the time in which the thread could have run, the part in which it had to
 * wait, from which on others need the core more than it does: one in so many.
 */
#define WAIT_PART 16

void loop_spin_look(struct loop_spin *s, const char *text)
{
    char *end;
    const uint64_t ran_ns = strtoull(text, &end, 10);
    const uint64_t waited_ns = strtoull(end, NULL, 10);
    const uint64_t ran = ran_ns - s->ran_ns;
    const uint64_t waited = waited_ns - s->waited_ns;
    s->crowded = waited > (ran + waited) / WAIT_PART;
    s->ran_ns = ran_ns;
    s->waited_ns = waited_ns;
}

bool loop_spin_pays(struct loop_spin *s, int64_t now_ns)
{
    if (s->open && now_ns - s->looked_ns < LOOK_NS) {
        return !s->crowded;
    }
    if (!s->open) {
        s->fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
        s->open = true;
    }
    char text[128];
    const ssize_t size =
        s->fd < 0 ? -1 : pread(s->fd, text, sizeof text - 1, 0);
    if (size > 0) {
        text[size] = '\0';
        loop_spin_look(s, text);
    }
    s->looked_ns = now_ns;
    return !s->crowded;
}

void loop_spin_close(struct loop_spin *s)
{
    if (s->open && s->fd >= 0) {
        (void)close(s->fd);
    }
    *s = (struct loop_spin){.open = false};
}

/* A thread that works for 50 us and sleeps for 100 is put behind whoever has
 * used less, and then waits for the end of another's turn of milliseconds, or
 * for the next tick.  Whoever asks for short turns is let in between (Linux
 * 6.12 and later; earlier ones ignore it). */
#define TURN_NS 100000 /* the least there is */

/* struct sched_attr of sched_setattr(2), as it was first; some C libraries have
 * it, some kernels' headers have it, and some systems have both. */
struct turns {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

void loop_ask_for_short_turns(void)
{
    struct turns t = {.size = sizeof t};
    if (syscall(SYS_sched_getattr, 0, &t, sizeof t, 0) != 0 ||
        t.policy != SCHED_OTHER) {
        return; /* somebody has given it a place of its own */
    }
    t.size = sizeof t;
    t.runtime_ns = TURN_NS;
    /* A wish: without it everything works, later. */
    (void)syscall(SYS_sched_setattr, 0, &t, 0);
}
