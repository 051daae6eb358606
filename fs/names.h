/* What the calls that change names begin with. */
#ifndef FS_NAMES_H
#define FS_NAMES_H

#include "fs/call.h"

struct fs_names {
    fuse_ino_t parent;
    const char *name;
    fuse_ino_t other_parent;
    const char *other_name; /* NULL: there is one name only */
};

/* Resolves the names into c->target (and c->other), checks that the asker may
 * write to the directories and that the store can be written to, and keeps the
 * directories' locks. NULL: answered. */
struct fs_call *fs_names_begin(fuse_req_t req, const struct fs_names *names);

/* True when a publication of the file is under way: `next` goes on after it. */
bool fs_waits_for_file(struct fs_call *c, const struct fs_target *t,
                       void (*next)(struct fs_call *c));

/* Whether files that were created here and not yet published are below. */
bool fs_has_pending_below(const struct fs *fs, struct bytes below);

#endif
