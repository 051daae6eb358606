/* A disk that holds one file in memory and forgets every write: for opening one
 * damaged image after the other, fast. */
#ifndef TESTS_WAL_IMAGE_H
#define TESTS_WAL_IMAGE_H

#include "base/disk.h"

struct image {
    const char *name;
    uint8_t *bytes;
    size_t size;
};

/* Borrows the image until it is freed. */
struct disk *image_disk(const struct image *image);

#endif
