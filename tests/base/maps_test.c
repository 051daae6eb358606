/* Heap, hash map and ordered map, each against the plainest model that can be
 * written, under a seed. */

#include "base/codec.h"
#include "base/heap.h"
#include "base/hmap.h"
#include "base/must.h"
#include "base/omap.h"
#include "base/prng.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define NODES 300
#define STEPS 20000

/* --- heap --- */

struct timer {
    struct heap_node node;
    uint64_t pushed; /* the model: when it was pushed; 0: it is outside */
};

static struct timer *model_first(struct timer *timers)
{
    struct timer *first = NULL;
    for (struct timer *t = timers; t < timers + NODES; t++) {
        if (t->pushed == 0) {
            continue;
        }
        if (first == NULL || t->node.at < first->node.at ||
            (t->node.at == first->node.at && t->pushed < first->pushed)) {
            first = t;
        }
    }
    return first;
}

/* Danger: a timer that fires late or never, or in another order on the next
 * run, which breaks the replay of a simulation. */
TEST(heap, agrees_with_a_linear_search_at_every_step)
{
    struct timer timers[NODES] = {0};
    struct heap h = {0};
    struct prng chance;
    uint64_t pushes = 0;
    prng_init(&chance, test_seed());

    for (size_t step = 0; step < STEPS; step++) {
        struct timer *t = &timers[prng_below(&chance, NODES)];
        if (prng_chance(&chance, 1, 4)) {
            t = model_first(timers) != NULL ? model_first(timers) : t;
        }
        EXPECT_INT(heap_has(&t->node), t->pushed != 0);
        if (t->pushed == 0 && prng_chance(&chance, 2, 3)) {
            /* Few times, so that there are many ties; also negative ones. */
            heap_push(&h, &t->node, (int64_t)prng_below(&chance, 40) - 20);
            t->pushed = ++pushes;
        } else {
            heap_remove(&h, &t->node); /* harmless when it is outside */
            t->pushed = 0;
        }
        const struct timer *first = model_first(timers);
        EXPECT(heap_first(&h) == (first != NULL ? &first->node : NULL));
    }
    while (heap_first(&h) != NULL) {
        struct timer *first = model_first(timers);
        EXPECT(heap_first(&h) == &first->node);
        heap_remove(&h, &first->node);
        first->pushed = 0;
    }
    EXPECT_INT(h.count, 0);
    EXPECT(model_first(timers) == NULL);
    heap_fini(&h);
}

TEST(heap, orders_the_extremes_of_time)
{
    struct heap_node last = {0}, first = {0}, middle = {0};
    struct heap h = {0};
    heap_push(&h, &last, INT64_MAX);
    heap_push(&h, &middle, 0);
    heap_push(&h, &first, INT64_MIN);
    EXPECT(heap_first(&h) == &first);
    heap_remove(&h, &first);
    EXPECT(heap_first(&h) == &middle);
    heap_remove(&h, &middle);
    EXPECT(heap_first(&h) == &last);
    heap_fini(&h);
}

/* --- hash map --- */

struct slot {
    struct hmap_node node;
    bool inside; /* the model */
    bool seen;
};

static size_t check_chain(const struct hmap *m, struct slot *slots,
                          uint64_t hash)
{
    size_t found = 0;
    for (struct slot *s = slots; s < slots + NODES; s++) {
        s->seen = false;
    }
    for (struct hmap_node *n = hmap_first(m, hash); n != NULL;
         n = hmap_next(n)) {
        struct slot *s = container_of(n, struct slot, node);
        EXPECT(s->inside && !s->seen && n->hash == hash);
        s->seen = true;
        found++;
    }
    for (struct slot *s = slots; s < slots + NODES; s++) {
        EXPECT(!s->inside || s->node.hash != hash || s->seen);
    }
    return found;
}

/* Few hashes, all of them in few buckets: the chains are where the bugs are. */
TEST(hmap, finds_exactly_what_is_inside_under_each_hash)
{
    struct slot slots[NODES] = {0};
    struct hmap m = {0};
    struct prng chance;
    size_t count = 0;
    prng_init(&chance, test_seed());

    EXPECT(hmap_first(&m, 7) == NULL);
    EXPECT(hmap_any(&m) == NULL);
    for (size_t step = 0; step < STEPS; step++) {
        struct slot *s = &slots[prng_below(&chance, NODES)];
        if (s->inside) {
            hmap_remove(&m, &s->node);
            count--;
        } else {
            hmap_insert(&m, &s->node, prng_below(&chance, 40) * 64);
            count++;
        }
        s->inside = !s->inside;
        EXPECT_INT(m.count, count);
        if (step % 16 == 0) {
            (void)check_chain(&m, slots, prng_below(&chance, 40) * 64);
        }
        struct hmap_node *any = hmap_any(&m);
        EXPECT_INT(any != NULL, count > 0);
        EXPECT(any == NULL || container_of(any, struct slot, node)->inside);
    }
    size_t total = 0;
    for (uint64_t h = 0; h < 40; h++) {
        total += check_chain(&m, slots, h * 64);
    }
    EXPECT_INT(total, count);
    for (struct hmap_node *n; (n = hmap_any(&m)) != NULL;) {
        hmap_remove(&m, n);
        count--;
    }
    EXPECT_INT(count, 0);
    hmap_fini(&m);
}

/* The hint that makes emptying linear must never hide a node: few nodes in many
 * buckets, so that the front of the table is mostly empty. */
TEST(hmap, any_finds_the_last_nodes_of_a_large_table)
{
    struct slot slots[NODES] = {0};
    struct hmap m = {0};
    struct prng chance;
    prng_init(&chance, test_seed());
    for (size_t i = 0; i < NODES; i++) {
        hmap_insert(&m, &slots[i].node, prng_next(&chance));
    }
    for (size_t i = 4; i < NODES; i++) {
        hmap_remove(&m, &slots[i].node);
    }
    for (size_t step = 0; step < STEPS; step++) {
        struct hmap_node *any = hmap_any(&m);
        EXPECT(any != NULL && container_of(any, struct slot, node) < slots + 4);
        hmap_remove(&m, any);
        if (step % 3 == 0) {
            EXPECT(hmap_any(&m) != NULL);
        }
        hmap_insert(&m, any, prng_next(&chance));
    }
    hmap_fini(&m);
}

TEST(hmap, hash_of_bytes_sees_every_bit)
{
    uint8_t data[40];
    struct prng chance;
    prng_init(&chance, test_seed());
    prng_fill(&chance, data, sizeof data);
    for (size_t size = 1; size <= sizeof data; size++) {
        const uint64_t before = hash_bytes((struct bytes){data, size}, 0);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            data[bit / 8] ^= (uint8_t)(1U << bit % 8);
            EXPECT(hash_bytes((struct bytes){data, size}, 0) != before);
            data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
    }
}

/* A hash with a weak bit fills one bucket of two.  Each output bit should turn
 * for about half of all inputs whatever input bit turned. */
TEST(hmap, hashes_are_well_mixed)
{
    struct prng chance;
    prng_init(&chance, test_seed());
    for (unsigned in = 0; in < 64; in++) {
        unsigned turned_u64[64] = {0}, turned_bytes[64] = {0};
        for (unsigned i = 0; i < 1000; i++) {
            const uint64_t a = prng_next(&chance), b = a ^ (uint64_t)1 << in;
            uint8_t x[8], y[8];
            put_u64(x, a);
            put_u64(y, b);
            const uint64_t d = hash_u64(a) ^ hash_u64(b);
            const uint64_t e = hash_bytes((struct bytes){x, 8}, 1) ^
                               hash_bytes((struct bytes){y, 8}, 1);
            for (unsigned out = 0; out < 64; out++) {
                turned_u64[out] += d >> out & 1;
                turned_bytes[out] += e >> out & 1;
            }
        }
        for (unsigned out = 0; out < 64; out++) { /* 500 +- 8 sigma */
            EXPECT(turned_u64[out] > 370 && turned_u64[out] < 630);
            EXPECT(turned_bytes[out] > 370 && turned_bytes[out] < 630);
        }
    }
}

/* Keys that differ only in length, in trailing zeros, or in the seed. */
TEST(hmap, hash_of_bytes_sees_size_zeros_and_seed)
{
    const uint8_t zeros[32] = {0};
    uint64_t seen[66];
    size_t count = 0;
    for (size_t size = 0; size <= 32; size++) {
        for (uint64_t seed = 0; seed < 2; seed++) {
            const uint64_t h = hash_bytes((struct bytes){zeros, size}, seed);
            EXPECT(h == hash_bytes((struct bytes){zeros, size}, seed));
            for (size_t i = 0; i < count; i++) {
                EXPECT(seen[i] != h);
            }
            seen[count++] = h;
        }
    }
}

/* --- ordered map --- */

struct pair {
    struct omap_node node;
    uint8_t key[3];
    bool inside; /* the model */
};

static struct pair *model_from(struct pair *pairs, struct bytes key)
{
    struct pair *best = NULL;
    for (struct pair *p = pairs; p < pairs + NODES; p++) {
        if (p->inside && bytes_compare(p->node.key, key) >= 0 &&
            (best == NULL || bytes_compare(p->node.key, best->node.key) < 0)) {
            best = p;
        }
    }
    return best;
}

static void check_order(const struct omap *m, const struct pair *pairs)
{
    size_t inside = 0, walked = 0;
    for (const struct pair *p = pairs; p < pairs + NODES; p++) {
        inside += p->inside;
    }
    const struct omap_node *before = NULL;
    for (struct omap_node *n = omap_first(m); n != NULL; n = omap_next(n)) {
        EXPECT(container_of(n, struct pair, node)->inside);
        EXPECT(before == NULL || bytes_compare(before->key, n->key) < 0);
        /* The heap's half of a treap: without it the depth is no promise. */
        EXPECT(n->parent == NULL || n->parent->priority >= n->priority);
        before = n;
        walked++;
    }
    EXPECT_INT(walked, inside);
    EXPECT_INT(m->count, inside);
}

/* Danger: a memtable that loses a key or shows it twice in a range. */
TEST(omap, agrees_with_a_linear_search_at_every_step)
{
    struct pair pairs[NODES] = {0};
    struct omap m = {0};
    struct prng chance;
    prng_init(&chance, test_seed());

    EXPECT(omap_first(&m) == NULL);
    for (size_t step = 0; step < STEPS; step++) {
        struct pair *p = &pairs[prng_below(&chance, NODES)];
        if (p->inside) {
            omap_remove(&m, &p->node);
            p->inside = false;
        } else {
            /* Keys of 0 to 3 letters out of six: many meet. */
            const size_t size = prng_below(&chance, 4);
            for (size_t i = 0; i < size; i++) {
                p->key[i] = (uint8_t)('a' + prng_below(&chance, 6));
            }
            p->node.key = (struct bytes){p->key, size};
            struct omap_node *taken = omap_find(&m, p->node.key);
            EXPECT(omap_insert(&m, &p->node) == taken);
            p->inside = taken == NULL;
        }
        uint8_t asked[3];
        prng_fill(&chance, asked, sizeof asked);
        for (size_t i = 0; i < sizeof asked; i++) {
            asked[i] = (uint8_t)('a' + asked[i] % 7);
        }
        const struct bytes key = {asked, prng_below(&chance, 4)};
        struct pair *from = model_from(pairs, key);
        EXPECT(omap_from(&m, key) == (from != NULL ? &from->node : NULL));
        const bool exact = from != NULL && bytes_equal(from->node.key, key);
        EXPECT(omap_find(&m, key) == (exact ? &from->node : NULL));
        if (step % 64 == 0) {
            check_order(&m, pairs);
        }
    }
    check_order(&m, pairs);
}

static size_t depth_of(const struct omap_node *n)
{
    size_t depth = 0;
    for (; n != NULL; n = n->parent) {
        depth++;
    }
    return depth;
}

/* Danger: keys that come in order (they do) make a list of a plain tree, and
 * an apply of 100,000 keys quadratic.  The expected depth of a treap of 2^14
 * nodes is about 28, and 2 ln n; 80 has no chance. */
TEST(omap, stays_shallow_for_keys_in_order)
{
    enum { COUNT = 1 << 14 };
    struct pair16 {
        struct omap_node node;
        uint8_t key[8];
    } *all = xcalloc(COUNT, sizeof *all);
    struct omap m = {0};
    size_t deepest = 0;
    for (size_t i = 0; i < COUNT; i++) {
        put_u64_be(all[i].key, i);
        all[i].node.key = (struct bytes){all[i].key, 8};
        EXPECT(omap_insert(&m, &all[i].node) == NULL);
    }
    for (size_t i = 0; i < COUNT; i++) {
        const size_t depth = depth_of(&all[i].node);
        deepest = depth > deepest ? depth : deepest;
    }
    EXPECT(deepest < 80);
    free(all);
}
