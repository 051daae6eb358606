/* See image.h. */

#include "tests/wal/image.h"

#include <stdlib.h>

struct image_disk {
    struct disk disk;
    const struct image *image;
};

struct image_file {
    struct disk_file file;
    bool is_image; /* or one that was made and is forgotten */
};

static const struct image *image_of(struct disk *d)
{
    return container_of(d, struct image_disk, disk)->image;
}

static enum status image_open(struct disk *d, const char *name, bool create,
                              struct disk_file **ret, struct fault *reterr)
{
    const bool is_image = strcmp(name, image_of(d)->name) == 0;
    if (!create && !is_image) {
        return fault_set(reterr, ST_NOT_FOUND, "no '%s'", name);
    }
    struct image_file *f = xmalloc(sizeof *f);
    *f = (struct image_file){.file = {.disk = d}, .is_image = is_image};
    *ret = &f->file;
    return ST_OK;
}

static void image_close(struct disk_file *f)
{
    free(container_of(f, struct image_file, file));
}

static enum status image_read(struct disk_file *f, uint64_t offset, void *to,
                              size_t size, size_t *ret_size,
                              struct fault *reterr)
{
    const struct image *image = image_of(f->disk);
    (void)reterr;
    must(container_of(f, struct image_file, file)->is_image);
    const size_t left = offset < image->size ? image->size - offset : 0;
    *ret_size = size < left ? size : left;
    memcpy(to, image->bytes + offset, *ret_size);
    return ST_OK;
}

static enum status image_write(struct disk_file *f, uint64_t offset,
                               struct bytes data, struct fault *reterr)
{
    (void)f;
    (void)offset;
    (void)data;
    (void)reterr;
    return ST_OK;
}

static enum status image_sync(struct disk_file *f, struct fault *reterr)
{
    (void)f;
    (void)reterr;
    return ST_OK;
}

static enum status image_size(struct disk_file *f, uint64_t *ret_size,
                              struct fault *reterr)
{
    (void)reterr;
    *ret_size = image_of(f->disk)->size;
    return ST_OK;
}

static enum status image_rename(struct disk *d, const char *from,
                                const char *to, struct fault *reterr)
{
    (void)d;
    (void)from;
    (void)to;
    (void)reterr;
    return ST_OK;
}

static enum status image_remove(struct disk *d, const char *name,
                                struct fault *reterr)
{
    (void)d;
    (void)name;
    (void)reterr;
    return ST_OK;
}

static enum status image_sync_names(struct disk *d, struct fault *reterr)
{
    (void)d;
    (void)reterr;
    return ST_OK;
}

static enum status image_list(struct disk *d,
                              void (*each)(void *arg, const char *name),
                              void *arg, struct fault *reterr)
{
    (void)reterr;
    each(arg, image_of(d)->name);
    return ST_OK;
}

static enum status image_space(struct disk *d, uint64_t *ret_bytes,
                               struct fault *reterr)
{
    (void)d;
    (void)reterr;
    *ret_bytes = UINT64_MAX / 2;
    return ST_OK;
}

static void image_free(struct disk *d)
{
    free(container_of(d, struct image_disk, disk));
}

static const struct disk_ops image_ops = {
    .open = image_open,
    .close = image_close,
    .read = image_read,
    .write = image_write,
    .sync = image_sync,
    .size = image_size,
    .rename = image_rename,
    .remove = image_remove,
    .sync_names = image_sync_names,
    .list = image_list,
    .space = image_space,
    .free = image_free,
};

struct disk *image_disk(const struct image *image)
{
    struct image_disk *d = xmalloc(sizeof *d);
    *d = (struct image_disk){.disk = {&image_ops}, .image = image};
    return &d->disk;
}
