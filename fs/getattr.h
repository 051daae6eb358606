/* Attributes, asked of the store. */
#ifndef FS_GETATTR_H
#define FS_GETATTR_H

#include "fs/call.h"

/* Ends the call with the attributes of c->node. */
void fs_getattr_ask(struct fs_call *c);
/* What a thread group that has the file open sees; false: it has not. */
bool fs_getattr_of_handle(struct fs *fs, const struct fs_node *n,
                          uint32_t thread, struct stat *ret);
/* Ends an extended attribute's call with c->data, as c->size asks for it. */
void fs_xattr_reply(struct fs_call *c);
/* %root, and the directories of continued names: there without any key. */
bool fs_directory_is_virtual(const struct fs *fs, const struct fs_node *n);

#endif
