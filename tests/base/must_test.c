/* Where an invariant breaks the process ends, in every build. */

#include "base/must.h"
#include "tests/lib/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `body` in a child whose standard error goes to `to`; its wait status. */
static int run_in_child(void (*body)(void), char *to, size_t size)
{
    int ends[2];
    EXPECT_INT(pipe(ends), 0);
    const pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL); /* not the test runner's */
        (void)dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    (void)close(ends[1]);
    size_t used = 0;
    ssize_t n;
    while ((n = read(ends[0], to + used, size - 1 - used)) > 0) {
        used += (size_t)n;
    }
    to[used] = '\0';
    (void)close(ends[0]);
    int status;
    EXPECT_INT(waitpid(pid, &status, 0), pid);
    return status;
}

static void break_it(void)
{
    const int applied = 2, committed = 1;
    must(applied <= committed);
}

static void keep_it(void)
{
    must(1 + 1 == 2);
}

static void reach_it(void)
{
    unreachable("no such day");
}

static void want_too_much(void)
{
    /* More than any allocator gives, by way of a size it cannot see through. */
    volatile size_t size = SIZE_MAX / 4;
    free(xmalloc(size));
}

/* Danger: a replica that goes on with a state it knows to be wrong. */
TEST(must, a_broken_invariant_is_named_and_ends_the_process)
{
    char text[2000];
    int status = run_in_child(break_it, text, sizeof text);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT(strstr(text, "must_test.c:") != NULL);
    EXPECT(strstr(text, "broken invariant: applied <= committed\n") != NULL);

    status = run_in_child(reach_it, text, sizeof text);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT(strstr(text, "unreachable: no such day") != NULL);

    status = run_in_child(keep_it, text, sizeof text);
    EXPECT_INT(status, 0);
    EXPECT_TEXT(text, "");
}

/* Memory failure has one outcome (style guide, rule 9). */
TEST(must, memory_that_cannot_be_had_ends_the_process)
{
    char text[8000];
    const int status = run_in_child(want_too_much, text, sizeof text);
    EXPECT(status != 0); /* by signal, or by the sanitizer's own exit */
    free(xmalloc(0));
    free(xcalloc(0, 8));
    free(xrealloc(NULL, 0));
}
