/* Log lines: time, level, text; each is one write, so that lines of different
 * threads do not mix. */

#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_SIZE_MAX 2048

static _Atomic int level_min = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&level_min, (int)level);
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level];
}

/* Writes "2026-01-31T23:59:59.123Z " and returns its length. */
static size_t format_time(char *to, size_t size)
{
    struct timespec now;
    struct tm parts;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    (void)gmtime_r(&now.tv_sec, &parts);
    const size_t used = strftime(to, size, "%Y-%m-%dT%H:%M:%S", &parts);
    return used + (size_t)snprintf(to + used, size - used, ".%03ldZ ",
                                   now.tv_nsec / 1000000);
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level < atomic_load(&level_min)) {
        return;
    }
    char line[LOG_LINE_SIZE_MAX];
    size_t used = format_time(line, sizeof line);
    used += (size_t)snprintf(line + used, sizeof line - used, "%-5s ",
                             level_name(level));
    const size_t text_begin = used;

    va_list args;
    va_start(args, format);
    const int wanted = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    if (wanted > 0) {
        const size_t room = sizeof line - used - 1;
        used += (size_t)wanted < room ? (size_t)wanted : room;
    }
    /* What is logged may hold a user's bytes: one event stays one line. */
    for (size_t i = text_begin; i < used; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) {
            line[i] = '?';
        }
    }
    line[used++] = '\n'; /* over the terminating NUL */
    if (write(STDERR_FILENO, line, used) < 0) {
        return; /* nowhere is left to report it */
    }
}
