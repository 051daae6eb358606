/* Looking at a data directory before anything in it is touched. */

#include "node/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"

/* A new file system's own directory is nobody's data. */
static const char *const ours[] = {".", "..", "wal", "store", "lost+found"};

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < count_of(ours); i++) {
        if (strcmp(ours[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum status refuse_strangers(const char *path, struct fault *reterr)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return fault_sys(reterr, errno, "cannot read the data directory '%s'",
                         path);
    }
    enum status st = ST_OK;
    const struct dirent *entry;
    while (st == ST_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, "member") == 0) {
            st = fault_set(reterr, ST_INVALID,
                           "'%s' is a data directory of etcd: give an empty or "
                           "new one with --data-dir",
                           path);
        } else if (!is_ours(entry->d_name)) {
            st = fault_set(reterr, ST_INVALID,
                           "'%s' is not a data directory of keelfs: it holds "
                           "'%s'; give an empty or new one with --data-dir",
                           path, entry->d_name);
        }
    }
    (void)closedir(dir);
    return st;
}

enum status data_dir_open(const char *path, struct data_dir *ret,
                          struct fault *reterr)
{
    if (path[0] == '\0' || strlen(path) + sizeof "/store" > DATA_DIR_PATH_MAX) {
        return fault_set(reterr, ST_INVALID,
                         "cannot use the data directory '%s': its path is %s",
                         path, path[0] == '\0' ? "empty" : "too long");
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fault_sys(reterr, errno, "cannot make the data directory '%s'",
                         path);
    }
    const enum status st = refuse_strangers(path, reterr);
    if (st != ST_OK) {
        return st;
    }
    (void)snprintf(ret->wal, sizeof ret->wal, "%s/wal", path);
    (void)snprintf(ret->store, sizeof ret->store, "%s/store", path);
    return ST_OK;
}
