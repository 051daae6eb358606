/* Files as the log and the snapshots see them, so that a simulator can stand
 * in with a disk that tears, loses, flips and fails.
 *
 * Everything lives in one directory; names have no '/', and "LOCK" is taken.
 * Calls block; they come from one thread at a time.  Files are closed before
 * their disk is freed.  Errors are ST_NO_SPACE, ST_NOT_FOUND, ST_EXISTS,
 * ST_DENIED, ST_BUSY or ST_IO, with the file named in the fault.
 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include "base/bytes.h"
#include "base/fault.h"

struct disk;      /* a directory */
struct disk_file; /* an open file in it */

struct disk_ops {
    /* create: the file must not exist yet. */
    enum status (*open)(struct disk *d, const char *name, bool create,
                        struct disk_file **ret, struct fault *reterr);
    void (*close)(struct disk_file *f);
    /* Short only at the end of the file: *ret_size says how much was read. */
    enum status (*read)(struct disk_file *f, uint64_t offset, void *to,
                        size_t size, size_t *ret_size, struct fault *reterr);
    /* All of it or an error; then any part of it may have been written. Beyond
     * the end the file grows, with zeros in between. */
    enum status (*write)(struct disk_file *f, uint64_t offset,
                         struct bytes data, struct fault *reterr);
    /* fdatasync(2): a failure is final for the file (ATC 2020, Rebello et al.:
     * the kernel may have marked the lost pages clean). The real disk refuses
     * every later write and sync of it; the caller stops in any case. */
    enum status (*sync)(struct disk_file *f, struct fault *reterr);
    enum status (*size)(struct disk_file *f, uint64_t *ret_size,
                        struct fault *reterr);
    /* Atomic: a file that `to` named is replaced. */
    enum status (*rename)(struct disk *d, const char *from, const char *to,
                          struct fault *reterr);
    enum status (*remove)(struct disk *d, const char *name,
                          struct fault *reterr);
    /* fsync(2) of the directory: makes created, renamed and removed names
     * durable. */
    enum status (*sync_names)(struct disk *d, struct fault *reterr);
    /* Calls each(arg, name) for every file, in bytewise order of names. */
    enum status (*list)(struct disk *d,
                        void (*each)(void *arg, const char *name), void *arg,
                        struct fault *reterr);
    /* Bytes that may still be written before the disk is full. */
    enum status (*space)(struct disk *d, uint64_t *ret_bytes,
                         struct fault *reterr);
    void (*free)(struct disk *d);
};

struct disk {
    const struct disk_ops *ops;
};
struct disk_file {
    struct disk *disk;
};

/* The real one.  Makes the directory (mode 0700) when it is missing, and takes
 * an exclusive lock on it for this process's life: ST_BUSY, naming the holder
 * when it is known, when another process has it. */
enum status disk_open(const char *path, struct disk **ret,
                      struct fault *reterr) MUST_USE;

#endif
