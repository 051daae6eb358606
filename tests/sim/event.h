/* Something that will happen, in virtual time. */
#ifndef TESTS_SIM_EVENT_H
#define TESTS_SIM_EVENT_H

#include "base/heap.h"

struct sim;

struct event {
    struct heap_node at;
    void (*run)(struct sim *s, struct event *e);
};

#endif
