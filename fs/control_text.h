/* What the files of the control directory say. */
#ifndef FS_CONTROL_TEXT_H
#define FS_CONTROL_TEXT_H

#include "fs/internal.h"

enum fs_control_file {
    FS_CONTROL_STATUS,   /* "name: value", a line each */
    FS_CONTROL_LEADER,   /* its name; its id in hex; or "none" */
    FS_CONTROL_MEMBERS,  /* "id name [leader] [self] [learner]", a line each */
    FS_CONTROL_REVISION, /* of the state on this member */
    FS_CONTROL_HEALTH,   /* "ok", or what is wrong, a line each */
    FS_CONTROL_FILES_COUNT
};

extern const char *const fs_control_names[FS_CONTROL_FILES_COUNT];

/* Appends the text.  Asks nothing but kv_status(). */
void fs_control_text(struct fs *fs, enum fs_control_file file, struct buf *to);

#endif
