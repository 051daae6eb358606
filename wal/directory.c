/* Listing the directory and looking at the first sector of each segment. */

#include "wal/directory.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "wal/scan.h"

static void take_name(void *arg, const char *name)
{
    struct directory *d = arg;
    const uint32_t id = segment_id(name);
    if (id > 0) {
        d->found = xrealloc(d->found, (d->count + 1) * sizeof d->found[0]);
        d->found[d->count++] = (struct found){.id = id};
    } else if (strcmp(name, MAKING_NAME) == 0) {
        d->making = true;
    } else if (d->foreign[0] == '\0') {
        (void)snprintf(d->foreign, sizeof d->foreign, "%s", name);
    }
}

/* A file whose first sector was never written under its name is a spare.  That
 * sector is synced before the second is written: when that one is there, the
 * first was too. */
static enum status look_at_spare(struct scan *s, struct found *f,
                                 struct fault *reterr)
{
    uint8_t *sector;
    struct sector_verdict v;
    f->kind = FOUND_SPARE;
    enum status st = scan_sector(s, 0, &sector, &v, reterr);
    if (st != ST_OK || f->sectors == 1) {
        return st;
    }
    f->unclean = v.unclean;
    st = scan_sector(s, 1, &sector, &v, reterr);
    if (st == ST_OK && v.state == SECTOR_GOOD) {
        f->kind = FOUND_DAMAGED;
        f->why = "its first sector is gone";
    }
    return st;
}

static enum status look_at_file(struct disk_file *file, struct found *f,
                                struct fault *reterr)
{
    uint64_t size = 0;
    enum status st = file->disk->ops->size(file, &size, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (size == 0 || size % SECTOR_SIZE != 0 ||
        size / SECTOR_SIZE > SECTOR_NUMBER_MAX) {
        f->kind = FOUND_DAMAGED;
        f->why = "its size is not that of a segment";
        return ST_OK;
    }
    struct scan s;
    enum scan_found found = SCAN_NOTHING;
    struct scan_bad bad;
    f->sectors = (uint32_t)(size / SECTOR_SIZE);
    scan_init(&s, file, f->id, f->sectors);
    st = scan_record(&s, &found, &bad, reterr);
    if (st == ST_OK && found == SCAN_RECORD) {
        f->kind = FOUND_LIVE;
        f->head = s.head;
        if (s.head.file_sectors != f->sectors) {
            f->kind = FOUND_DAMAGED;
            f->why = "the file has not the size that it was made with";
        }
    } else if (st == ST_OK && found == SCAN_NOTHING) {
        st = look_at_spare(&s, f, reterr);
    } else if (st == ST_OK && found == SCAN_TOO_NEW) {
        st = fault_set(reterr, ST_INVALID,
                       "the log's segment %08x was written by a later version "
                       "of this program",
                       f->id);
    } else if (st == ST_OK) {
        f->kind = FOUND_DAMAGED;
        f->why = "its first sector is damaged";
    }
    scan_fini(&s);
    return st;
}

static enum status look_at(struct disk *disk, struct found *f,
                           struct fault *reterr)
{
    char name[SEGMENT_NAME_SIZE];
    struct disk_file *file = NULL;
    segment_name(f->id, name);
    enum status st = disk->ops->open(disk, name, false, &file, reterr);
    if (st == ST_OK) {
        st = look_at_file(file, f, reterr);
        disk->ops->close(file);
    }
    return st;
}

enum status directory_read(struct disk *disk, struct directory *ret,
                           struct fault *reterr)
{
    struct directory d = {0};
    enum status st = disk->ops->list(disk, take_name, &d, reterr);
    if (st == ST_OK && d.foreign[0] != '\0') {
        st = fault_set(reterr, ST_INVALID,
                       "the log's directory holds '%s', which is no file of a "
                       "log: give the log a directory of its own",
                       d.foreign);
    }
    for (size_t i = 0; i < d.count && st == ST_OK; i++) {
        must(i == 0 || d.found[i - 1].id < d.found[i].id);
        st = look_at(disk, &d.found[i], reterr);
    }
    if (st != ST_OK) {
        directory_fini(&d);
        return st;
    }
    *ret = d;
    return ST_OK;
}

void directory_fini(struct directory *d)
{
    free(d->found);
    *d = (struct directory){0};
}

const struct found *directory_find(const struct directory *d, uint32_t id)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->found[i].id == id) {
            return &d->found[i];
        }
    }
    return NULL;
}
