/* Log lines, as they come out of standard error. */

#include "base/log.h"
#include "tests/lib/test.h"

#include <string.h>
#include <unistd.h>

/* Standard error goes into a file while `say` runs; its bytes are returned. */
static size_t caught(void (*say)(void), char *to, size_t size)
{
    FILE *file = tmpfile();
    EXPECT(file != NULL);
    const int saved = dup(STDERR_FILENO);
    EXPECT(dup2(fileno(file), STDERR_FILENO) >= 0);
    say();
    EXPECT(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    rewind(file);
    const size_t got = fread(to, 1, size - 1, file);
    to[got] = '\0';
    (void)fclose(file);
    return got;
}

static void say_levels(void)
{
    log_debug("not yet");
    log_info("id %d", 7);
    log_set_level(LOG_DEBUG);
    log_debug("now");
    log_set_level(LOG_ERROR);
    log_warn("no longer");
    log_error("still");
    log_set_level(LOG_INFO);
}

/* "2026-01-31T23:59:59.123Z level text": what log collectors parse. */
TEST(log, lines_have_time_level_and_text_from_the_level_on)
{
    char text[1000];
    (void)caught(say_levels, text, sizeof text);
    static const char *const wanted[] = {"info  id 7", "debug now",
                                         "error still"};
    char *rest = text;
    for (size_t i = 0; i < 3; i++) {
        char *line = strsep(&rest, "\n");
        int year, month, day, hour, minute, second, ms, used = 0;
        EXPECT_INT(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year,
                          &month, &day, &hour, &minute, &second, &ms, &used),
                   7);
        EXPECT_INT(used, 25);
        EXPECT_TEXT(line + used, wanted[i]);
    }
    EXPECT_TEXT(rest, "");
}

static void say_hostile(void)
{
    log_info("key '%s'", "a\nerror forged line\x1B[2J");
}

/* Danger: a key with a newline forges a log line, one with an escape sequence
 * owns the administrator's terminal. */
TEST(log, one_event_is_one_line_whatever_it_holds)
{
    char text[1000];
    (void)caught(say_hostile, text, sizeof text);
    EXPECT(strchr(text, '\n') == text + strlen(text) - 1);
    EXPECT(strchr(text, '\x1B') == NULL);
    EXPECT(strstr(text, "key 'a?error forged line?[2J'") != NULL);
}

static void say_long(void)
{
    char long_text[5000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    log_info("%s", long_text);
    log_info("next");
}

TEST(log, long_lines_are_cut_and_end)
{
    char text[6000];
    const size_t size = caught(say_long, text, sizeof text);
    EXPECT(size < 3000);
    char *end = strchr(text, '\n');
    EXPECT(end != NULL && strstr(end, "info  next\n") != NULL);
}
