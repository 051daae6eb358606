/* The directory. */

#include "tests/fuzz/directory.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

static char path[64];

static void empty(const char *at)
{
    DIR *d = opendir(at);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char name[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%s/%s", at, e->d_name);
        if (unlink(name) != 0) {
            empty(name);
            (void)rmdir(name); /* as well as may be */
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

static void remove_all(void)
{
    empty(path);
    (void)rmdir(path);
}

const char *fuzz_directory(void)
{
    if (path[0] == 0) {
        const bool memory = access("/dev/shm", W_OK) == 0;
        (void)snprintf(path, sizeof path, "%s/keelfs-fuzz-XXXXXX",
                       memory ? "/dev/shm" : "/tmp");
        must(mkdtemp(path) != NULL);
        must(atexit(remove_all) == 0);
    }
    empty(path);
    return path;
}
