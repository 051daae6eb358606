/* Real files, which the stores of the members are.  In this process: a shell
 * for each copy costs more than the seed. */

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/sim/internal.h"

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

void files_remove(const char *directory)
{
    (void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

bool files_copy(const char *from, const char *to)
{
    static uint8_t page[64 * 1024];
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = in >= 0 && out >= 0;
    for (ssize_t size = 1; ok && size > 0;) {
        size = read(in, page, sizeof page);
        ok = size >= 0 && write(out, page, (size_t)size) == size;
    }
    if (in >= 0) {
        (void)close(in);
    }
    if (out >= 0) {
        (void)close(out);
    }
    return ok;
}
