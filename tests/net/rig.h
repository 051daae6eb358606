/* A loop whose actors write their names into a trace. */
#ifndef TESTS_NET_RIG_H
#define TESTS_NET_RIG_H

#include <string.h>

#include "net/loop.h"
#include "tests/lib/test.h"

struct rig {
    struct loop *loop;
    char trace[512];
};

static inline void rig_begin(struct rig *r, uint32_t spin_us)
{
    *r = (struct rig){0};
    const struct loop_options options = {.spin_us = spin_us};
    struct fault fault;
    assert_int_equal(loop_new(&options, &r->loop, &fault), ST_OK);
}

static inline void rig_end(struct rig *r)
{
    loop_free(r->loop);
}

static inline void say(struct rig *r, const char *word)
{
    const size_t size = strlen(r->trace);
    (void)snprintf(r->trace + size, sizeof r->trace - size, "%s ", word);
}

/* A hook that asks for more rounds `rounds` times, and stops the loop when it
 * has been content `turns` times. */
struct rig_hook {
    struct loop_hook hook;
    struct rig *rig;
    const char *name;
    int rounds, turns;
    struct rig_hook *removes; /* when it runs; may be itself */
};

static inline bool rig_hook_run(void *arg)
{
    struct rig_hook *h = arg;
    say(h->rig, h->name);
    if (h->removes != NULL) {
        loop_hook_remove(&h->removes->hook);
    }
    if (h->rounds > 0) {
        h->rounds--;
        return true;
    }
    if (h->turns > 0 && --h->turns == 0) {
        loop_stop(h->rig->loop);
    }
    return false;
}

static inline void rig_hook_add(struct rig *r, struct rig_hook *h,
                                const char *name)
{
    h->rig = r;
    h->name = name;
    h->hook.run = rig_hook_run;
    h->hook.arg = h;
    loop_hook_add(r->loop, &h->hook);
}

/* A post that posts itself `again` times more. */
struct rig_post {
    struct loop_post post;
    struct rig *rig;
    const char *name;
    int again;
};

static inline void rig_post_run(struct loop_post *p)
{
    struct rig_post *own = container_of(p, struct rig_post, post);
    say(own->rig, own->name);
    if (own->again > 0) {
        own->again--;
        loop_post(own->rig->loop, p);
    }
}

static inline void rig_post(struct rig *r, struct rig_post *p, const char *name)
{
    p->rig = r;
    p->name = name;
    p->post.run = rig_post_run;
    loop_post(r->loop, &p->post);
}

#endif
