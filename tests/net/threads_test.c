/* Posts from other threads: each runs once, in its thread's order, on the
 * loop's thread, and wakes a loop that sleeps.  Run under -fsanitize=thread
 * too. */

#include <pthread.h>

#include "tests/net/rig.h"

#define THREADS    4
#define POSTS_EACH 500

struct numbered_post {
    struct loop_post post;
    struct sender *sender;
    int number;
};

struct sender {
    struct loop *loop;
    pthread_t thread, loop_thread;
    int *left; /* loop's thread only */
    int next;  /* the number expected next; loop's thread only */
    struct numbered_post posts[POSTS_EACH];
};

static void receive(struct loop_post *p)
{
    struct numbered_post *n = container_of(p, struct numbered_post, post);
    struct sender *s = n->sender;
    assert_true(pthread_equal(pthread_self(), s->loop_thread));
    assert_int_equal(n->number, s->next);
    s->next++;
    if (--*s->left == 0) {
        loop_stop(s->loop);
    }
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < POSTS_EACH; i++) {
        s->posts[i].post.run = receive;
        s->posts[i].sender = s;
        s->posts[i].number = i;
        loop_post(s->loop, &s->posts[i].post);
    }
    return NULL;
}

static void posts_from_threads(uint32_t spin_us)
{
    static struct sender senders[THREADS];
    struct rig r;
    rig_begin(&r, spin_us);
    int left = THREADS * POSTS_EACH;
    for (int i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){
            .loop = r.loop, .loop_thread = pthread_self(), .left = &left};
        EXPECT_INT(
            pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    loop_run(r.loop);
    EXPECT_INT(left, 0);
    for (int i = 0; i < THREADS; i++) {
        EXPECT_INT(pthread_join(senders[i].thread, NULL), 0);
        EXPECT_INT(senders[i].next, POSTS_EACH);
    }
    rig_end(&r);
}

/* A lost wake-up is a finished disk write that nobody hears of. */
TEST(threads, every_post_runs_once_in_order_on_a_sleeping_loop)
{
    posts_from_threads(0);
}

TEST(threads, every_post_runs_once_in_order_on_a_spinning_loop)
{
    posts_from_threads(200);
}

/* Ping-pong: at most one post is on its way, so that a wake-up lost once
 * leaves nothing else to wake the loop: the test would hang. */
struct pong {
    struct rig *rig;
    struct loop_post post;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int asked, answered; /* rounds; under the mutex */
};

#define PONGS 2000

static void pong_on_loop(struct loop_post *p)
{
    struct pong *g = container_of(p, struct pong, post);
    EXPECT_INT(pthread_mutex_lock(&g->mutex), 0);
    const bool over = ++g->answered == PONGS;
    EXPECT_INT(pthread_cond_signal(&g->changed), 0);
    EXPECT_INT(pthread_mutex_unlock(&g->mutex), 0);
    if (over) {
        loop_stop(g->rig->loop);
    }
}

static void *ping(void *arg)
{
    struct pong *g = arg;
    for (int i = 0; i < PONGS; i++) {
        loop_post(g->rig->loop, &g->post);
        must(pthread_mutex_lock(&g->mutex) == 0);
        while (g->answered <= i) {
            must(pthread_cond_wait(&g->changed, &g->mutex) == 0);
        }
        must(pthread_mutex_unlock(&g->mutex) == 0);
    }
    return NULL;
}

TEST(threads, one_post_alone_always_wakes_the_loop)
{
    static struct pong g;
    struct rig r;
    rig_begin(&r, 0);
    g = (struct pong){.rig = &r, .post = {.run = pong_on_loop}};
    EXPECT_INT(pthread_mutex_init(&g.mutex, NULL), 0);
    EXPECT_INT(pthread_cond_init(&g.changed, NULL), 0);
    pthread_t thread;
    EXPECT_INT(pthread_create(&thread, NULL, ping, &g), 0);
    loop_run(r.loop);
    EXPECT_INT(pthread_join(thread, NULL), 0);
    EXPECT_INT(g.answered, PONGS);
    EXPECT_INT(pthread_cond_destroy(&g.changed), 0);
    EXPECT_INT(pthread_mutex_destroy(&g.mutex), 0);
    rig_end(&r);
}
