/* Names of the log's files, and the changes to them, each counted. */

#include <stdio.h>

#include "base/must.h"
#include "wal/internal.h"

void segment_name(uint32_t id, char ret[SEGMENT_NAME_SIZE])
{
    must(id > 0);
    (void)snprintf(ret, SEGMENT_NAME_SIZE, "%08x.wal", id);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint32_t segment_id(const char *name)
{
    uint32_t id = 0;
    for (size_t i = 0; i < 8; i++) {
        const int digit = digit_of(name[i]);
        if (digit < 0) {
            return 0;
        }
        id = id << 4 | (uint32_t)digit;
    }
    return strcmp(name + 8, ".wal") == 0 && id <= SEGMENT_ID_MAX ? id : 0;
}

enum status wal_fail(struct wal *w, enum status st, const struct fault *why,
                     struct fault *reterr)
{
    must(st != ST_OK);
    if (!w->failed) {
        w->failed = true;
        w->fault = *why;
    }
    if (reterr != NULL) {
        *reterr = *why;
    }
    return st;
}

enum status wal_refuse(const struct wal *w, struct fault *reterr)
{
    must(w->failed);
    return fault_set(reterr, ST_IO, "the log stopped at an earlier failure: %s",
                     w->fault.text);
}

enum status wal_file_write(struct wal *w, struct disk_file *f, uint64_t offset,
                           struct bytes data, struct fault *reterr)
{
    struct fault why = {{0}};
    w->writes++;
    w->bytes_written += data.size;
    const enum status st = w->disk->ops->write(f, offset, data, &why);
    return st == ST_OK ? ST_OK : wal_fail(w, st, &why, reterr);
}

enum status wal_file_sync(struct wal *w, struct disk_file *f,
                          struct fault *reterr)
{
    struct fault why = {{0}};
    w->syncs++;
    const enum status st = w->disk->ops->sync(f, &why);
    return st == ST_OK ? ST_OK : wal_fail(w, st, &why, reterr);
}
