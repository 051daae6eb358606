/* Tests register themselves: TEST(group, rule) { … } in any file of a test
 * binary.  main() is in test.c and runs them through cmocka, which prints TAP
 * under meson.  `binary -f 'group.*'` runs some; see test.c.
 *
 * SKIP(reason) ends a test as skipped and prints why.
 */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"

typedef void test_body(void **state);
void test_register(const char *name, test_body *body);

#define TEST(group, rule)                                                      \
    static void test_##group##_##rule(void **state);                           \
    __attribute__((constructor)) static void register_##group##_##rule(void)   \
    {                                                                          \
        test_register(#group "." #rule, test_##group##_##rule);                \
    }                                                                          \
    static void test_##group##_##rule(void **state __attribute__((unused)))

#define EXPECT(condition) assert_true(condition)
#define EXPECT_INT(actual, wanted)                                             \
    assert_int_equal((int64_t)(actual), (int64_t)(wanted))
#define EXPECT_TEXT(actual, wanted) assert_string_equal(actual, wanted)
#define EXPECT_BYTES(actual, wanted)                                           \
    test_expect_bytes(actual, wanted, __FILE__, __LINE__)
#define SKIP(why)                                                              \
    do {                                                                       \
        print_message("# skip: %s\n", why);                                    \
        skip();                                                                \
    } while (0)

void test_expect_bytes(struct bytes actual, struct bytes wanted,
                       const char *file, int line);
/* A new empty directory under $TMPDIR or /tmp, removed when the test binary
 * ends; lives until then. */
const char *test_directory(void);
/* The seed of this run: $SEED, or one from the clock, printed on failure. */
uint64_t test_seed(void);

#endif
