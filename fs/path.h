/* Keys and paths: one key has one path and one path names one key.
 *
 * A directory is known by the beginning that the keys below it share:
 *   "…/a/"   an ordinary directory, and the mount's own prefix
 *   "…/xyz"  a continued name: `xyz` is the first part of a component that is
 *            too long for a file name, shown as the directory `xyz%+`
 *   ""       the directory %root: keys that do not begin with '/'
 *
 * Everything here is pure.
 */
#ifndef FS_PATH_H
#define FS_PATH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/must.h"
#include "base/status.h"

#define FS_NAME_MAX     255
#define FS_CONTROL_NAME ".keelfs" /* the control directory; no key's name */
#define FS_VALUE_NAME   "%value"  /* the value of a key that is a directory */
#define FS_ROOT_NAME    "%root"   /* keys outside the prefix "/" */

enum fs_name_kind {
    FS_NAME_ORDINARY,  /* the key, and with '/' behind it a directory */
    FS_NAME_VALUE,     /* the directory's own key: a file */
    FS_NAME_CONTINUED, /* a directory, whose beginning is the key given */
    FS_NAME_ROOT       /* the directory of keys outside the prefix */
};

/* A file name, not terminated by a NUL. */
struct fs_name {
    char text[FS_NAME_MAX + 1];
    size_t size;
    size_t covered; /* how many bytes of the key the path has come to with it */
    bool more;      /* a directory that continues the component */
};

static inline bool fs_path_is_continued(struct bytes directory)
{
    return directory.size > 0 && directory.data[directory.size - 1] != '/';
}

/* Where the component begins that directory (a continued one) has begun; its
 * size when it has begun none. */
size_t fs_path_component(struct bytes directory);

/* What `name` stands for in `directory`, under a mount of `prefix`.  ret_key is
 * replaced.  ST_INVALID: not a name there, for no key is shown under it. */
enum status fs_path_resolve(struct bytes prefix, struct bytes directory,
                            struct bytes name, enum fs_name_kind *ret_kind,
                            struct buf *ret_key) MUST_USE;

/* The name in `directory` under which a key is found that begins with it; only
 * the key's component there counts, up to the next '/' or the end.  False when
 * the key is not shown below this directory (a continued one). */
bool fs_path_name(struct bytes directory, struct bytes key,
                  struct fs_name *ret_name);

/* Appends the path below the mount, without a slash before it, of a key that is
 * a file, or of the directory that ends in '/'; empty for the mount's root.
 * False when the mount does not show it.  A key that is a directory too has
 * FS_VALUE_NAME behind the directory's path instead. */
bool fs_path_of(struct bytes prefix, struct bytes key, bool file,
                struct buf *to);

/* Where a key that is a file, or a directory that ends in '/', is shown: the
 * last name of its path, and the size of the beginning of the directory that
 * the name is in.  False for the mount's root and what the mount does not show.
 */
bool fs_path_split(struct bytes prefix, struct bytes key, bool file,
                   size_t *ret_directory_size, struct fs_name *ret_name);

/* The end of the range of all keys that begin with `beginning`, in kv's
 * convention; ret is replaced. */
void fs_path_end(struct bytes beginning, struct buf *ret);

#endif
