/* The status table and its look-ups. */

#include "base/status.h"

#include <stddef.h>

#include "base/must.h"

static const struct {
    const char *name;
    const char *text;
    int error;
    int grpc;
} table[] = {
#define STATUS_ROW(name, text, error, grpc) {#name, text, error, grpc},
    STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

const char *status_name(enum status st)
{
    must((size_t)st < count_of(table));
    return table[st].name;
}

const char *status_text(enum status st)
{
    must((size_t)st < count_of(table));
    return table[st].text;
}

int status_errno(enum status st)
{
    must((size_t)st < count_of(table));
    return table[st].error;
}

int status_grpc(enum status st)
{
    must((size_t)st < count_of(table));
    return table[st].grpc;
}

enum status status_of_errno(int error)
{
    must(error > 0);
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return ST_NO_SPACE;
    case ENOENT:
        return ST_NOT_FOUND;
    case EEXIST:
        return ST_EXISTS;
    case EBUSY:
        return ST_BUSY;
    case EACCES:
    case EPERM:
        return ST_DENIED;
    default:
        return ST_IO;
    }
}
