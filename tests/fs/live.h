/* Real mounts of one fake keystore, served by a thread of their own, with a
 * bound on everything: whatever hangs is aborted, and always unmounted. */
#ifndef TESTS_FS_LIVE_H
#define TESTS_FS_LIVE_H

#include <pthread.h>

#include "fs/fs.h"
#include "tests/fs/fake_kv.h"
#include "tests/lib/test.h"

#define LIVE_MOUNTS_MAX 2

struct live {
    struct fake_kv kv;
    struct fs *fs[LIVE_MOUNTS_MAX];
    char path[LIVE_MOUNTS_MAX][300];
    size_t count;
    pthread_t thread;
    pthread_mutex_t lock; /* held by the thread except while it sleeps */
    bool stop, prepared, serving;
};

/* A keystore without mounts, for what is to be there before them. */
void live_prepare(struct live *l);
/* Prepares when that was not done. Skips the test, with a reason, where
 * mounting is impossible. */
void live_begin(struct live *l, size_t mounts, const char *options);
void live_end(struct live *l);
/* One more mount that is to be aborted when the test takes too long. */
void live_may_hang(unsigned long device, const char *path);
/* Around everything that touches l->kv. */
void live_lock(struct live *l);
void live_unlock(struct live *l);

/* "MOUNT/NAME" in a buffer that the next but seven calls reuse. */
const char *live_path(const struct live *l, size_t mount, const char *name);
/* Writes the file in one open and close; 0, or the errno. */
int live_write(const char *path, const char *text);
/* What the file holds, in a buffer that the next call reuses; NULL: errno. */
const char *live_read(const char *path);

#endif
