/* The simulated disk and the real one under the same random calls: what storage
 * code learns on the one must be true on the other. */

#include "base/buf.h"
#include "base/disk.h"
#include "base/prng.h"
#include "tests/lib/disk_sim.h"
#include "tests/lib/test.h"

#define NAMES   5
#define HANDLES 6
#define STEPS   1500

static const char *const names[NAMES] = {"a", "b", "c", "wal.0001", "~tmp"};

/* One of the two; handles[i] are open on the same file in both. */
struct side {
    struct disk *disk;
    struct disk_file *handles[HANDLES];
};

struct pair {
    struct side real, sim;
    struct prng chance;
};

static size_t draw(struct pair *p, size_t bound)
{
    return (size_t)prng_below(&p->chance, bound);
}

static void step_open(struct pair *p)
{
    const size_t h = draw(p, HANDLES);
    const char *name = names[draw(p, NAMES)];
    const bool create = prng_chance(&p->chance, 1, 2);
    if (p->real.handles[h] != NULL) {
        p->real.disk->ops->close(p->real.handles[h]);
        p->sim.disk->ops->close(p->sim.handles[h]);
        p->real.handles[h] = p->sim.handles[h] = NULL;
    }
    const enum status st = p->real.disk->ops->open(p->real.disk, name, create,
                                                   &p->real.handles[h], NULL);
    EXPECT_INT(p->sim.disk->ops->open(p->sim.disk, name, create,
                                      &p->sim.handles[h], NULL),
               st);
    EXPECT_INT(p->sim.handles[h] != NULL, st == ST_OK);
}

/* A handle that is open, also one of a file that lost its name; or none. */
static bool draw_handle(struct pair *p, size_t *ret_h)
{
    *ret_h = draw(p, HANDLES);
    return p->real.handles[*ret_h] != NULL;
}

static void step_write(struct pair *p)
{
    size_t h;
    if (!draw_handle(p, &h)) {
        return;
    }
    uint8_t data[900];
    const struct bytes some = {data, draw(p, sizeof data)};
    const uint64_t offset = draw(p, 3000);
    prng_fill(&p->chance, data, some.size);
    EXPECT_INT(p->real.disk->ops->write(p->real.handles[h], offset, some, NULL),
               ST_OK);
    EXPECT_INT(p->sim.disk->ops->write(p->sim.handles[h], offset, some, NULL),
               ST_OK);
}

static void step_read(struct pair *p)
{
    size_t h;
    if (!draw_handle(p, &h)) {
        return;
    }
    uint8_t real[2000], sim[2000];
    size_t real_size = 0, sim_size = 0;
    const uint64_t offset = draw(p, 4000);
    const size_t size = draw(p, sizeof real);
    EXPECT_INT(p->real.disk->ops->read(p->real.handles[h], offset, real, size,
                                       &real_size, NULL),
               ST_OK);
    EXPECT_INT(p->sim.disk->ops->read(p->sim.handles[h], offset, sim, size,
                                      &sim_size, NULL),
               ST_OK);
    EXPECT(bytes_equal((struct bytes){real, real_size},
                       (struct bytes){sim, sim_size}));
}

static void step_size_and_sync(struct pair *p)
{
    size_t h;
    uint64_t real = 0, sim = 0;
    if (!draw_handle(p, &h)) {
        return;
    }
    EXPECT_INT(p->real.disk->ops->size(p->real.handles[h], &real, NULL), ST_OK);
    EXPECT_INT(p->sim.disk->ops->size(p->sim.handles[h], &sim, NULL), ST_OK);
    EXPECT_INT(real, sim);
    EXPECT_INT(p->sim.disk->ops->sync(p->sim.handles[h], NULL), ST_OK);
}

static void step_names(struct pair *p)
{
    const char *from = names[draw(p, NAMES)], *to = names[draw(p, NAMES)];
    struct disk *real = p->real.disk, *sim = p->sim.disk;
    if (prng_chance(&p->chance, 2, 3)) {
        EXPECT_INT(sim->ops->rename(sim, from, to, NULL),
                   real->ops->rename(real, from, to, NULL));
    } else {
        EXPECT_INT(sim->ops->remove(sim, from, NULL),
                   real->ops->remove(real, from, NULL));
    }
    if (prng_chance(&p->chance, 1, 4)) {
        EXPECT_INT(sim->ops->sync_names(sim, NULL), ST_OK);
    }
}

static void add_name(void *arg, const char *name)
{
    struct buf *b = arg;
    buf_append(b, bytes_of(name));
    buf_append_byte(b, '\n');
}

static void step_list(struct pair *p)
{
    struct buf real = {0}, sim = {0};
    EXPECT_INT(p->real.disk->ops->list(p->real.disk, add_name, &real, NULL),
               ST_OK);
    EXPECT_INT(p->sim.disk->ops->list(p->sim.disk, add_name, &sim, NULL),
               ST_OK);
    EXPECT_BYTES(buf_bytes(&sim), buf_bytes(&real));
    buf_fini(&real);
    buf_fini(&sim);
}

/* Danger: a simulator that is kinder than the kernel proves nothing, one that
 * is merely different wastes the nights. */
TEST(disk_both, give_the_same_answers_to_random_calls)
{
    static void (*const steps[])(struct pair *) = {
        step_open, step_write,         step_write, step_read,
        step_read, step_size_and_sync, step_names, step_list};
    struct pair p = {0};
    struct disk_sim *medium = disk_sim_new(test_seed());
    prng_init(&p.chance, test_seed());
    EXPECT_INT(disk_open(test_directory(), &p.real.disk, NULL), ST_OK);
    EXPECT_INT(disk_sim_open(medium, &p.sim.disk, NULL), ST_OK);

    for (size_t i = 0; i < STEPS; i++) {
        steps[draw(&p, count_of(steps))](&p);
    }
    for (size_t h = 0; h < HANDLES; h++) {
        if (p.real.handles[h] != NULL) {
            p.real.disk->ops->close(p.real.handles[h]);
            p.sim.disk->ops->close(p.sim.handles[h]);
        }
    }
    p.real.disk->ops->free(p.real.disk);
    p.sim.disk->ops->free(p.sim.disk);
    disk_sim_free(medium);
}
