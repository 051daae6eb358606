/* From /proc (proc(5)) and getrlimit(2). */

#include "api/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The file's first bytes as a text; false: it cannot be read. */
static bool read_text(const char *path, char *ret, size_t size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    const size_t got = fread(ret, 1, size - 1, f);
    ret[got] = '\0';
    (void)fclose(f); /* nothing was written */
    return got > 0;
}

static double boot_time_s(void)
{
    char text[16384];
    if (!read_text("/proc/stat", text, sizeof text)) {
        return 0;
    }
    const char *line = strstr(text, "\nbtime ");
    uint64_t seconds = 0;
    if (line == NULL || sscanf(line, " btime %" SCNu64, &seconds) != 1) {
        return 0;
    }
    return (double)seconds;
}

/* Fields 14, 15, 22, 23 and 24 of /proc/self/stat. */
static void read_stat(struct process_facts *ret)
{
    char text[1024];
    if (!read_text("/proc/self/stat", text, sizeof text)) {
        return;
    }
    /* The name, field 2, may hold anything; the last ')' ends it. */
    const char *after = strrchr(text, ')');
    uint64_t user, system, start, bytes, pages;
    if (after == NULL ||
        sscanf(after + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64
               " %" SCNu64 " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64
               " %" SCNu64,
               &user, &system, &start, &bytes, &pages) != 5) {
        return;
    }
    const double ticks = (double)sysconf(_SC_CLK_TCK);
    ret->cpu_s = (double)(user + system) / ticks;
    ret->start_s = boot_time_s() + (double)start / ticks;
    ret->virtual_bytes = bytes;
    ret->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (d == NULL) {
        return 0;
    }
    while (readdir(d) != NULL) {
        count++;
    }
    (void)closedir(d);                /* nothing can be done about it */
    return count > 3 ? count - 3 : 0; /* ".", "..", and this very one */
}

void process_facts(struct process_facts *ret)
{
    struct rlimit files = {0};
    *ret = (struct process_facts){0};
    read_stat(ret);
    ret->open_fds = count_fds();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        ret->max_fds = files.rlim_cur;
    }
}
