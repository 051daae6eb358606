/* Invariants that hold in every build.
 *
 * must() states what this code itself guarantees; when it does not hold, the
 * state can no longer be trusted and the process stops at once.  It is never
 * used on what came from disk, network or a user: that is ST_CORRUPT or
 * ST_INVALID.  must() stays on in release builds: a stopped replica costs
 * availability, a wrong one costs data.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#include <stddef.h>

/* The result must be looked at; dropping one is a (void) cast and a comment. */
#define MUST_USE __attribute__((warn_unused_result))

/* Prints the broken invariant to standard error and aborts. */
__attribute__((noreturn, cold)) void must_fail(const char *file, int line,
                                               const char *condition);

#define must(condition)                                                        \
    (__builtin_expect(!!(condition), 1)                                        \
         ? (void)0                                                             \
         : must_fail(__FILE__, __LINE__, #condition))

/* A branch that no input can reach. */
#define unreachable(why) must_fail(__FILE__, __LINE__, "unreachable: " why)

/* The structure of which *pointer is the named member. */
#define container_of(pointer, type, member)                                    \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define count_of(array) (sizeof(array) / sizeof((array)[0]))

/* Memory that the process cannot go on without: stops it when there is none.
 * Sizes from outside are bounded before they get here (style guide, rule 9). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);

#endif
