/* What inotify tells about a directory or a file, as text. */
#ifndef TESTS_FS_WATCHER_H
#define TESTS_FS_WATCHER_H

#include <stddef.h>

struct watcher {
    int fd;
    char text[8192];
};

void watcher_begin(struct watcher *w, const char *path);
/* One more path; events of all come in one order. */
void watcher_add(struct watcher *w, const char *path);
void watcher_end(struct watcher *w);
/* Reads until the text is the wanted one, then a moment longer to see whether
 * anything more comes; fails the test with a comparison when it is not. The
 * text is then empty again. */
void watcher_expect(struct watcher *w, const char *wanted, const char *file,
                    int line);
#define EXPECT_EVENTS(watcher, wanted)                                         \
    watcher_expect(watcher, wanted, __FILE__, __LINE__)

#endif
