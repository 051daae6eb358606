/* Resolving paths, and refusing those that lie inside one another. */

#include "cmd/paths.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* --- resolving --- */

/* Joins a resolved directory and what follows it. */
static enum status join(const char *directory, const char *rest, char *ret,
                        size_t size, struct fault *reterr)
{
    const bool root = strcmp(directory, "/") == 0;
    const int length = snprintf(ret, size, "%s%s%s", root ? "" : directory,
                                rest[0] != '\0' ? "/" : "", rest);
    if (length == 0) {
        (void)snprintf(ret, size, "/");
    }
    return (size_t)length < size
               ? ST_OK
               : fault_set(reterr, ST_INVALID, "the path '%s/%s' is too long",
                           directory, rest);
}

/* Resolves the longest beginning of the path that can be resolved: parts that
 * do not exist yet stay as they are, and so does a dead mount, which refuses to
 * be looked at. */
enum status paths_resolve(const char *path, char *ret, size_t size,
                          struct fault *reterr)
{
    if (path[0] == '\0') {
        return fault_set(reterr, ST_NOT_FOUND, "a path is empty");
    }
    char *beginning = strdup(path);
    must(beginning != NULL);
    size_t kept = strlen(path);
    while (kept > 1 && path[kept - 1] == '/') {
        kept--;
    }
    const size_t end = kept;
    char *real;
    int error;
    for (;;) {
        beginning[kept] = '\0';
        real = realpath(kept > 0 ? beginning : ".", NULL);
        error = errno;
        if (real != NULL || kept == 0 ||
            (error != ENOENT && error != ENOTCONN)) {
            break;
        }
        while (kept > 0 && path[kept - 1] != '/') {
            kept--;
        }
        while (kept > 1 && path[kept - 1] == '/') {
            kept--;
        }
    }
    enum status st;
    if (real == NULL) {
        st = fault_sys(reterr, error, "cannot look at '%s'", path);
    } else {
        size_t rest = kept;
        while (rest < end && path[rest] == '/') {
            rest++;
        }
        beginning[end] = '\0';
        (void)memcpy(beginning, path, end);
        st = join(real, beginning + rest, ret, size, reterr);
    }
    free(real);
    free(beginning);
    return st;
}

/* Both resolved; a path is inside itself. */
static bool is_below(const char *inner, const char *outer)
{
    const size_t size = strcmp(outer, "/") == 0 ? 0 : strlen(outer);
    return strncmp(inner, outer, size) == 0 &&
           (inner[size] == '/' || inner[size] == '\0');
}

/* Is `directory` (or what it is a bind mount of) the inner path or above it? */
static bool is_above_by_identity(const struct stat *directory,
                                 const char *inner)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", inner);
    for (;;) {
        struct stat here;
        if (stat(path[0] != '\0' ? path : "/", &here) == 0 &&
            here.st_dev == directory->st_dev &&
            here.st_ino == directory->st_ino) {
            return true;
        }
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return false;
        }
        *slash = '\0';
    }
}

/* --- mount points --- */

struct place {
    const char *given;
    char resolved[PATH_MAX];
    struct stat identity;
    bool dead; /* a dead mount: it has no identity */
};

static enum status look_at_mount(const char *given, struct place *ret,
                                 struct fault *reterr)
{
    ret->given = given;
    ret->dead = false;
    if (stat(given, &ret->identity) != 0) {
        if (errno == ENOENT) {
            return fault_set(reterr, ST_NOT_FOUND,
                             "cannot mount at '%s': there is no such "
                             "directory; make it first (mkdir -p '%s')",
                             given, given);
        }
        if (errno != ENOTCONN) {
            return fault_sys(reterr, errno, "cannot mount at '%s'", given);
        }
        ret->dead = true;
    } else if (!S_ISDIR(ret->identity.st_mode)) {
        return fault_set(reterr, ST_INVALID,
                         "cannot mount at '%s': it is not a directory", given);
    }
    return paths_resolve(given, ret->resolved, sizeof ret->resolved, reterr);
}

/* what: "the data directory"; advice: what to do about it. */
static enum status refuse_inside(const struct place *mount, const char *what,
                                 const char *inner, const char *advice,
                                 struct fault *reterr)
{
    if (!is_below(inner, mount->resolved) &&
        (mount->dead || !is_above_by_identity(&mount->identity, inner))) {
        return ST_OK;
    }
    return fault_set(reterr, ST_INVALID,
                     "cannot mount at '%s': %s, '%s', is inside, and the "
                     "server would wait for itself; %s",
                     mount->given, what, inner, advice);
}

/* Standard output and error, when they are files. */
static enum status refuse_output_inside(const struct place *mount,
                                        struct fault *reterr)
{
    static const char *const links[] = {"/proc/self/fd/1", "/proc/self/fd/2"};
    for (size_t i = 0; i < count_of(links); i++) {
        char target[PATH_MAX];
        const ssize_t size = readlink(links[i], target, sizeof target - 1);
        if (size <= 0 || target[0] != '/') {
            continue; /* a pipe, a socket, or no /proc */
        }
        target[size] = '\0';
        const enum status st =
            refuse_inside(mount,
                          i == 0 ? "the file of standard output"
                                 : "the file of standard error",
                          target, "write it elsewhere", reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static enum status check_mount(const struct paths *p, const struct place *mount,
                               const char *data_dir, struct fault *reterr)
{
    char path[PATH_MAX];
    enum status st = refuse_inside(mount, "the data directory", data_dir,
                                   "put one of the two elsewhere", reterr);
    if (st == ST_OK && is_below(mount->resolved, data_dir)) {
        st = fault_set(reterr, ST_INVALID,
                       "cannot mount at '%s': it is inside the data directory, "
                       "'%s'; put one of the two elsewhere",
                       mount->given, data_dir);
    }
    if (st == ST_OK && p->log != NULL) {
        st = paths_resolve(p->log, path, sizeof path, reterr);
        if (st == ST_OK) {
            st = refuse_inside(mount, "the log", path,
                               "give another --log-outputs", reterr);
        }
    }
    if (st == ST_OK && getcwd(path, sizeof path) != NULL && path[0] == '/') {
        st = refuse_inside(mount, "the working directory", path,
                           "start the server elsewhere (cd /)", reterr);
    }
    if (st == ST_OK) {
        st = refuse_output_inside(mount, reterr);
    }
    return st;
}

/* One mount inside another, or the same one twice. */
static enum status check_pair(const struct place *a, const struct place *b,
                              struct fault *reterr)
{
    const bool same_identity = !a->dead && !b->dead &&
                               a->identity.st_dev == b->identity.st_dev &&
                               a->identity.st_ino == b->identity.st_ino;
    if (strcmp(a->resolved, b->resolved) == 0 || same_identity) {
        return fault_set(reterr, ST_INVALID,
                         "cannot mount at '%s': '%s' is the same directory; "
                         "give it once",
                         b->given, a->given);
    }
    const bool b_inside = is_below(b->resolved, a->resolved);
    if (b_inside || is_below(a->resolved, b->resolved)) {
        return fault_set(reterr, ST_INVALID,
                         "cannot mount at '%s': it is inside another mount, "
                         "'%s'; put one of the two elsewhere",
                         b_inside ? b->given : a->given,
                         b_inside ? a->given : b->given);
    }
    return ST_OK;
}

/* The lowest directory on the way to the path that exists; false: cannot be
 * looked at. */
static bool look_above(const char *resolved, struct stat *ret)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", resolved);
    while (stat(path[0] != '\0' ? path : "/", ret) != 0) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT || slash == NULL) {
            return false;
        }
        *slash = '\0';
    }
    return true;
}

/* Where a device is mounted by a keelfs, from /proc/self/mountinfo: its fields
 * are "ID PARENT MAJOR:MINOR ROOT POINT … - TYPE …" (proc(5)). */
static bool keelfs_is_mounted(dev_t device, char *ret, size_t size)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    while (f != NULL && !found && getline(&line, &capacity, f) > 0) {
        unsigned int major_number, minor_number;
        int at = 0;
        if (sscanf(line, "%*d %*d %u:%u %*s %n", &major_number, &minor_number,
                   &at) != 2 ||
            at == 0 || makedev(major_number, minor_number) != device ||
            strstr(line, " - fuse.keelfs ") == NULL) {
            continue;
        }
        (void)snprintf(ret, size, "%.*s", (int)strcspn(line + at, " "),
                       line + at);
        found = true;
    }
    free(line);
    if (f != NULL) {
        (void)fclose(f);
    }
    return found;
}

/* A store in a store: it would write through another node, which cannot map
 * files, and perhaps wait for it for good. */
static enum status refuse_in_keystore(const char *data_dir,
                                      struct fault *reterr)
{
    struct stat above;
    char point[PATH_MAX];
    if (!look_above(data_dir, &above) ||
        !keelfs_is_mounted(above.st_dev, point, sizeof point)) {
        return ST_OK; /* opening it says what is wrong, if anything is */
    }
    return fault_set(reterr, ST_INVALID,
                     "the data directory '%s' is inside a mounted keystore, "
                     "'%s', which cannot hold one; put it on a disk",
                     data_dir, point);
}

enum status paths_check(const struct paths *p, struct fault *reterr)
{
    char data_dir[PATH_MAX];
    enum status st =
        paths_resolve(p->data_dir, data_dir, sizeof data_dir, reterr);
    if (st == ST_OK) {
        st = refuse_in_keystore(data_dir, reterr);
    }
    struct place *mounts = xcalloc(p->mounts_count + 1, sizeof mounts[0]);
    for (size_t i = 0; st == ST_OK && i < p->mounts_count; i++) {
        st = look_at_mount(p->mounts[i], &mounts[i], reterr);
        for (size_t j = 0; st == ST_OK && j < i; j++) {
            st = check_pair(&mounts[j], &mounts[i], reterr);
        }
        if (st == ST_OK) {
            st = check_mount(p, &mounts[i], data_dir, reterr);
        }
    }
    free(mounts);
    return st;
}

enum status paths_make_parents(const char *path, struct fault *reterr)
{
    must(path[0] != '\0');
    char *copy = strdup(path);
    must(copy != NULL);
    enum status st = ST_OK;
    char *slash = copy;
    while (st == ST_OK && (slash = strchr(slash + 1, '/')) != NULL) {
        const bool last = slash[strspn(slash, "/")] == '\0';
        *slash = '\0';
        if (!last && mkdir(copy, 0700) != 0 && errno != EEXIST) {
            st = fault_sys(reterr, errno, "cannot make the directory '%s'",
                           copy);
        }
        *slash = '/';
        slash += strspn(slash, "/") - 1;
    }
    free(copy);
    return st;
}

bool paths_is_fresh(const char *data_dir)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/wal", data_dir);
    return access(path, F_OK) != 0;
}

bool paths_hides_files(const char *mount)
{
    DIR *dir = opendir(mount);
    if (dir == NULL) {
        return false; /* fs_mount() finds out why */
    }
    bool any = false;
    const struct dirent *entry;
    while (!any && (entry = readdir(dir)) != NULL) {
        any =
            strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    (void)closedir(dir);
    return any;
}
