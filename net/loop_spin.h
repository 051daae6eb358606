/* Whether polling without sleep pays.
 *
 * It spares a wake-up when the next event is near, but takes a core from
 * whoever else has work: then what we wait for comes later, not sooner.  The
 * kernel says how long this thread has run and how long it has waited for a
 * core (proc(5), schedstat); where it waits, so do others. */
#ifndef NET_LOOP_SPIN_H
#define NET_LOOP_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct loop_spin {
    int fd; /* of schedstat; -1: nothing is known, so as if alone */
    bool open, crowded;
    int64_t looked_ns;
    uint64_t ran_ns, waited_ns; /* when it was looked at */
};

/* On the thread that is to spin, about every time before it does. */
bool loop_spin_pays(struct loop_spin *s, int64_t now_ns);
void loop_spin_close(struct loop_spin *s);

/* Pure: takes in what schedstat says, "RAN WAITED …" in nanoseconds. */
void loop_spin_look(struct loop_spin *s, const char *text);

#endif
