/* inotify as text: "CREATE a\nOPEN a\n…", "/" behind a directory, "=N" behind
 * the halves of a move, numbered as their cookies come. */

#include "tests/fs/watcher.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/lib/test.h"

#define PATIENCE_MS 3000
#define QUIET_MS    60

static const struct {
    uint32_t mask;
    const char *name;
} kinds[] = {
    {IN_ATTRIB, "ATTRIB"},
    {IN_CREATE, "CREATE"},
    {IN_OPEN, "OPEN"},
    {IN_MODIFY, "MODIFY"},
    {IN_CLOSE_WRITE, "CLOSE_WRITE"},
    {IN_DELETE, "DELETE"},
    {IN_DELETE_SELF, "DELETE_SELF"},
    {IN_MOVED_FROM, "MOVED_FROM"},
    {IN_MOVED_TO, "MOVED_TO"},
    {IN_MOVE_SELF, "MOVE_SELF"},
    {IN_IGNORED, "IGNORED"},
    {IN_Q_OVERFLOW, "OVERFLOW"},
};

void watcher_begin(struct watcher *w, const char *path)
{
    *w = (struct watcher){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    must(w->fd >= 0);
    watcher_add(w, path);
}

void watcher_add(struct watcher *w, const char *path)
{
    const uint32_t mask = IN_ATTRIB | IN_CREATE | IN_OPEN | IN_MODIFY |
                          IN_CLOSE_WRITE | IN_DELETE | IN_DELETE_SELF |
                          IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF;
    if (inotify_add_watch(w->fd, path, mask) < 0) {
        fail_msg("cannot watch %s", path);
    }
}

void watcher_end(struct watcher *w)
{
    (void)close(w->fd);
}

static void add_event(struct watcher *w, const struct inotify_event *e)
{
    static uint32_t cookies[64];
    static size_t cookies_count;
    if (w->text[0] == 0) {
        cookies_count = 0;
    }
    for (size_t i = 0; i < count_of(kinds); i++) {
        if ((e->mask & kinds[i].mask) == 0) {
            continue;
        }
        char cookie[16] = "";
        if (e->cookie != 0) {
            size_t at = 0;
            while (at < cookies_count && cookies[at] != e->cookie) {
                at++;
            }
            if (at == cookies_count && at < count_of(cookies)) {
                cookies[cookies_count++] = e->cookie;
            }
            (void)snprintf(cookie, sizeof cookie, "=%zu", at + 1);
        }
        const size_t used = strlen(w->text);
        (void)snprintf(w->text + used, sizeof w->text - used, "%s%s%s%s%s\n",
                       kinds[i].name, e->len > 0 ? " " : "",
                       e->len > 0 ? e->name : "",
                       (e->mask & IN_ISDIR) != 0 ? "/" : "", cookie);
    }
}

static bool read_more(struct watcher *w, int timeout_ms)
{
    _Alignas(struct inotify_event) char data[4096];
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) <= 0) {
        return false;
    }
    const ssize_t size = read(w->fd, data, sizeof data);
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *e =
            (const struct inotify_event *)(const void *)(data + at);
        add_event(w, e);
        at += (ssize_t)(sizeof *e + e->len);
    }
    return true;
}

void watcher_expect(struct watcher *w, const char *wanted, const char *file,
                    int line)
{
    while (strcmp(w->text, wanted) != 0 && read_more(w, PATIENCE_MS)) {
    }
    while (read_more(w, QUIET_MS)) {
    }
    if (strcmp(w->text, wanted) != 0) {
        print_error("%s:%d: wanted\n%sgot\n%s", file, line, wanted, w->text);
        fail();
    }
    w->text[0] = 0;
}
