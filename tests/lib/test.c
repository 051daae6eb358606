/* The runner's main(): every TEST of the binary as one cmocka group. */

#include "tests/lib/test.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"

#define TESTS_MAX 1024

static struct CMUnitTest tests[TESTS_MAX];
static size_t tests_count;
static char directories[64][256];
static size_t directories_count;
static pid_t directories_owner;
static uint64_t seed;

void test_register(const char *name, test_body *body)
{
    must(tests_count < TESTS_MAX);
    tests[tests_count++] = (struct CMUnitTest){.name = name, .test_func = body};
}

void test_expect_bytes(struct bytes actual, struct bytes wanted,
                       const char *file, int line)
{
    if (!bytes_equal(actual, wanted)) {
        print_error("%s:%d: \"%.*s\" (%zu bytes) is not \"%.*s\" (%zu bytes)\n",
                    file, line, (int)actual.size, (const char *)actual.data,
                    actual.size, (int)wanted.size, (const char *)wanted.data,
                    wanted.size);
        fail();
    }
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    (void)remove(path); /* best effort, at exit */
    return 0;
}

static void remove_directories(void)
{
    if (getpid() != directories_owner) {
        return; /* a forked child of a test */
    }
    for (size_t i = 0; i < directories_count; i++) {
        (void)nftw(directories[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

const char *test_directory(void)
{
    must(directories_count < count_of(directories));
    if (directories_count == 0) {
        directories_owner = getpid();
        (void)atexit(remove_directories);
    }
    const char *base = getenv("TMPDIR");
    char *path = directories[directories_count++];
    (void)snprintf(path, sizeof directories[0], "%s/keelfs-test-XXXXXX",
                   base != NULL ? base : "/tmp");
    must(mkdtemp(path) != NULL);
    return path;
}

uint64_t test_seed(void)
{
    return seed;
}

int main(int argc, char **argv)
{
    const char *given = getenv("SEED");
    seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    if (argc == 3 && strcmp(argv[1], "-f") == 0) {
        cmocka_set_test_filter(argv[2]);
    }
    const int failed =
        _cmocka_run_group_tests("tests", tests, tests_count, NULL, NULL);
    if (failed != 0) {
        (void)fprintf(stderr, "seed: SEED=%llu\n", (unsigned long long)seed);
    }
    return failed == 0 ? 0 : 1;
}
