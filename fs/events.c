/* Changes. */

#include "fs/events.h"

#include "fs/mount.h"

void fs_events_init(struct fs *fs)
{
    (void)fs;
}

void fs_events_fini(struct fs *fs)
{
    (void)fs;
}

void fs_events_own(struct fs *fs, int64_t revision, struct bytes made,
                   struct bytes moved)
{
    (void)fs;
    (void)revision;
    (void)made;
    (void)moved;
}

void fs_events_published(struct fs *fs, struct fs_node *n,
                         enum fs_publish_cause cause)
{
    (void)fs;
    (void)n;
    (void)cause;
}

void fs_events_refresh(struct fs *fs, struct fs_node *n)
{
    (void)fs;
    (void)n;
}

enum status fs_replay_start(struct fs *fs, struct fault *reterr)
{
    (void)fs;
    (void)reterr;
    return ST_OK;
}

void fs_replay_stop(struct fs *fs)
{
    (void)fs;
}

int fs_replay_fd(const struct fs *fs)
{
    (void)fs;
    return -1;
}

size_t fs_replay_on_readable(struct fs *fs)
{
    (void)fs;
    return 0;
}
