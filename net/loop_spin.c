#include "net/loop_spin.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

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
