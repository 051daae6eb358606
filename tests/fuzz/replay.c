/* Replays a fuzz target without libFuzzer.
 *
 *   fuzz-NAME                  its seeds, and mutations of them
 *   fuzz-NAME --rounds N       more of them; the seed of chance is $SEED or 1
 *   fuzz-NAME --write DIR      writes the seeds, for libFuzzer to begin with
 *   fuzz-NAME FILE...          these inputs
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/prng.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)64 << 10)

static void try(struct bytes input)
{
    /* Memory of exactly that size, so that sanitizers see each byte beyond. */
    uint8_t *copy = xmalloc(input.size + (input.size == 0));
    if (input.size > 0) {
        memcpy(copy, input.data, input.size);
    }
    must(LLVMFuzzerTestOneInput(copy, input.size) == 0);
    free(copy);
}

static void mutate_once(struct buf *b, struct prng *chance)
{
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 4, 5, 9, 16};
    const size_t at = b->size > 0 ? (size_t)prng_below(chance, b->size) : 0;
    switch (prng_below(chance, b->size > 0 ? 6 : 1)) {
    case 0: { /* some new bytes at the end */
        const size_t size = 1 + (size_t)prng_below(chance, 16);
        prng_fill(chance, buf_extend(b, size), size);
        break;
    }
    case 1:
        b->data[at] ^= (uint8_t)(1u << prng_below(chance, 8));
        break;
    case 2:
        b->data[at] = edges[prng_below(chance, sizeof edges)];
        break;
    case 3: /* the end is cut off */
        buf_resize(b, at);
        break;
    case 4: { /* a part goes */
        const size_t size = (size_t)prng_below(chance, b->size - at + 1);
        memmove(b->data + at, b->data + at + size, b->size - at - size);
        buf_resize(b, b->size - size);
        break;
    }
    case 5: { /* a part comes twice */
        const size_t size = (size_t)prng_below(chance, b->size - at + 1);
        if (b->size + size <= INPUT_MAX) {
            (void)buf_extend(b, size);
            memmove(b->data + at + size, b->data + at, b->size - size - at);
        }
        break;
    }
    default:
        unreachable("a kind of mutation");
    }
}

static size_t seeds_count(void)
{
    struct buf b = {0};
    size_t count = 0;
    while (fuzz_seed(count, &b)) {
        count++;
    }
    buf_fini(&b);
    return count;
}

static void mutate(uint64_t seed, unsigned long rounds)
{
    struct prng chance;
    prng_init(&chance, seed);
    const size_t seeds = seeds_count();
    struct buf b = {0};
    for (size_t i = 0; i < seeds; i++) {
        buf_clear(&b);
        must(fuzz_seed(i, &b));
        try(buf_bytes(&b));
    }
    for (unsigned long round = 0; round < rounds; round++) {
        buf_clear(&b);
        if (seeds > 0) {
            must(fuzz_seed((size_t)prng_below(&chance, seeds), &b));
        }
        for (uint64_t n = 1 + prng_below(&chance, 8); n > 0; n--) {
            mutate_once(&b, &chance);
        }
        try(buf_bytes(&b));
    }
    buf_fini(&b);
    (void)printf("# %zu seeds, %lu mutations, SEED=%llu\n", seeds, rounds,
                 (unsigned long long)seed);
}

static void write_seeds(const char *directory)
{
    struct buf b = {0};
    for (size_t i = 0; fuzz_seed(i, &b); i++, buf_clear(&b)) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/seed-%zu", directory, i);
        FILE *f = fopen(path, "wb");
        if (f == NULL || fwrite(b.data, 1, b.size, f) != b.size ||
            fclose(f) != 0) {
            (void)fprintf(stderr, "cannot write %s\n", path);
            exit(1);
        }
    }
    buf_fini(&b);
}

static void try_file(const char *path)
{
    struct buf b = {0};
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    size_t size;
    do {
        size = fread(buf_reserve(&b, 4096), 1, 4096, f);
        (void)buf_extend(&b, size);
    } while (size > 0);
    (void)fclose(f);
    try(buf_bytes(&b));
    buf_fini(&b);
}

int main(int argc, char **argv)
{
    unsigned long rounds = 2000;
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        write_seeds(argv[2]);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0) {
        rounds = strtoul(argv[2], NULL, 10);
    } else if (argc > 1) {
        for (int i = 1; i < argc; i++) {
            try_file(argv[i]);
        }
        return 0;
    }
    const char *seed = getenv("SEED");
    (void)printf("1..1\n");
    mutate(seed != NULL ? strtoull(seed, NULL, 10) : 1, rounds);
    (void)printf("ok 1 - no input breaks anything\n");
    return 0;
}
