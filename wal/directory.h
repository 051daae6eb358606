/* What an opening finds in the log's directory, before it believes any of it.
 *
 * Threads: none; one user.
 */
#ifndef WAL_DIRECTORY_H
#define WAL_DIRECTORY_H

#include "wal/internal.h"

enum found_kind {
    FOUND_LIVE,    /* begun: its head can be read */
    FOUND_SPARE,   /* never begun under this name */
    FOUND_DAMAGED, /* it may have been begun: why says what is wrong */
};
struct found {
    uint32_t id;
    uint32_t sectors;
    enum found_kind kind;
    struct record_head head; /* when live */
    const char *why;         /* when damaged */
    bool unclean;            /* when spare: clean its first sector first */
};

struct directory {
    struct found *found; /* in order of ids */
    size_t count;
    bool making;      /* MAKING_NAME is there */
    char foreign[64]; /* "", or the beginning of a name that is not ours */
};

/*   ST_INVALID  files of something else are there, or of a later format
 *   ST_IO                                                                    */
enum status directory_read(struct disk *disk, struct directory *ret,
                           struct fault *reterr) MUST_USE;
void directory_fini(struct directory *d);
/* NULL when there is no such segment. */
const struct found *directory_find(const struct directory *d, uint32_t id);

#endif
