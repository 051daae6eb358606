/* Peers with names, when looking names up goes wrong: libuv's lookup is
 * replaced by one that fails or never answers, as told. */

#include <uv.h>

#include "tests/net/peer_rig.h"

static enum { ANSWERS, REFUSES, FAILS, HOLDS } names;

static struct held {
    uv_getaddrinfo_t *request;
    uv_getaddrinfo_cb done;
} held[64];
static size_t held_count;

int __real_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request,
                          uv_getaddrinfo_cb done, const char *node,
                          const char *service, const struct addrinfo *hints);
int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request,
                          uv_getaddrinfo_cb done, const char *node,
                          const char *service, const struct addrinfo *hints);
int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request,
                          uv_getaddrinfo_cb done, const char *node,
                          const char *service, const struct addrinfo *hints)
{
    switch (names) {
    case ANSWERS:
        break;
    case REFUSES:
        return UV_ENOMEM;
    case FAILS:
        /* No name: fails on the pool, without asking anybody. */
        node = "a..b";
        break;
    case HOLDS:
        must(held_count < count_of(held));
        held[held_count++] = (struct held){request, done};
        return 0;
    }
    return __real_uv_getaddrinfo(loop, request, done, node, service, hints);
}

static void release(int error)
{
    while (held_count > 0) {
        const struct held h = held[--held_count];
        h.done(h.request, error, NULL);
    }
}

static void set_by_name(struct member *m, uint64_t id, uint16_t port)
{
    char address[64];
    (void)snprintf(address, sizeof address, "localhost:%u", port);
    EXPECT_INT(peer_hub_set(m->hub, id, address, NULL), ST_OK);
}

/* Names go away with the network's name server; the members are still where
 * they were, and must find each other. */
TEST(names, a_member_is_found_where_it_was_when_its_name_cannot_be_looked_up)
{
    struct peer_rig r;
    rig_begin(&r);
    const struct peer_hub_options one = member_options(1);
    const struct peer_hub_options two = member_options(2);
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    set_by_name(&a, 2, b.port);
    member_until_connected(&a, 2);
    const uint16_t port = b.port;
    member_end(&b);
    names = FAILS;
    member_until(&a, "lost 2 messages");
    member_until(&a, "lost 2 bulk");
    member_until(&a, "failed 2");
    a.trace[0] = 0;
    member_begin(&b, &r, &two, port);
    member_until_connected(&a, 2);
    names = REFUSES;
    member_end(&b);
    member_until(&a, "lost 2 messages");
    member_until(&a, "lost 2 bulk");
    a.trace[0] = 0;
    member_begin(&b, &r, &two, port);
    member_until_connected(&a, 2);
    names = ANSWERS;
    member_end(&a);
    member_end(&b);
    rig_end(&r);
}

TEST(names, what_was_never_known_fails_with_a_reason)
{
    struct peer_rig r;
    rig_begin(&r);
    const struct peer_hub_options one = member_options(1);
    struct member a;
    member_begin(&a, &r, &one, 0);
    names = FAILS;
    set_by_name(&a, 2, 1);
    member_until(&a, "failed 2: cannot look up 'localhost': ");
    names = ANSWERS;
    member_end(&a);
    rig_end(&r);
}

static bool all_have_tried_often(void *arg)
{
    const struct member *m = arg;
    for (uint64_t id = 2; id < 10; id++) {
        if (member_stats(m, id, PEER_MESSAGES).attempts < 5 ||
            member_stats(m, id, PEER_BULK).attempts < 5) {
            return false;
        }
    }
    return true;
}

static bool two_are_held(void *arg)
{
    (void)arg;
    return held_count == 2;
}

static bool two_more_are_held(void *arg)
{
    (void)arg;
    return held_count == 4;
}

/* A lookup that hangs holds a thread of the pool, which password checks and
 * snapshots need as well: not one for each peer, and not one more for each
 * attempt. */
TEST(names, lookups_that_hang_are_few_and_waited_for)
{
    struct peer_rig r;
    rig_begin(&r);
    struct peer_hub_options one = member_options(1), two = member_options(2);
    one.handshake_ms = 1; /* a lookup takes too long after 5 */
    struct member a, b;
    member_begin(&a, &r, &one, 0);
    member_begin(&b, &r, &two, 0);
    a.no_failures = true;
    names = HOLDS;
    for (uint64_t id = 2; id < 10; id++) {
        set_by_name(&a, id, b.port);
    }
    EXPECT(rig_run(&r, all_have_tried_often, &a));
    EXPECT_INT(held_count, 2);
    names = ANSWERS;
    a.hub->options.handshake_ms = 2000;
    release(UV_EAI_AGAIN);
    member_until(&a, "connected 2 messages\n");
    member_until(&a, "connected 2 bulk\n");

    /* Whoever goes away, or ends, leaves none behind. */
    names = HOLDS;
    EXPECT(rig_run(&r, two_are_held, NULL));
    for (uint64_t id = 3; id < 10; id++) {
        peer_hub_remove(a.hub, id); /* two of them wait for an answer */
    }
    set_by_name(&a, 3, b.port);
    EXPECT(rig_run(&r, two_more_are_held, NULL));
    member_knows_port(&a, 3, b.port); /* it does not wait any more */
    member_end(&a);
    names = ANSWERS;
    release(UV_ECANCELED);
    member_end(&b);
    rig_end(&r);
}
