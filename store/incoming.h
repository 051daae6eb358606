/* The directory below a store's in which another state is built, and the step
 * with which its file takes the place of the store's.
 *
 *   <store>/data.mdb            the state
 *   <store>/incoming/data.mdb   one that is not the state yet
 *
 * Names decide, so nothing has to be marked or repaired: what is in "incoming"
 * is nobody's state until rename(2) gives it the other name. */
#ifndef STORE_INCOMING_H
#define STORE_INCOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

#define INCOMING_PATH_MAX 4096

struct incoming {
    char store[INCOMING_PATH_MAX]; /* the store's directory */
    char path[INCOMING_PATH_MAX];  /* the one below it */
};

/*   ST_INVALID  the path is too long */
enum status incoming_of(const char *store, const char *name,
                        struct incoming *ret, struct fault *reterr) MUST_USE;
/* Makes it, new, and the store's directory too when that is missing. */
enum status incoming_make(const struct incoming *in,
                          struct fault *reterr) MUST_USE;
/* Whether so many bytes more cannot be had there: LMDB calls a write that the
 * full disk cut short an input/output error. */
bool incoming_is_full(const struct incoming *in, uint64_t bytes);
/* Makes its file durable, under the name it has. */
enum status incoming_sync(const struct incoming *in,
                          struct fault *reterr) MUST_USE;
/* The store's present file, so that its blocks are not given back to the disk
 * before that is closed: it takes a while where there are many.  -1: none. */
int incoming_hold(const struct incoming *in);
/* The file takes the place of the store's, durably; what is left is removed.
 * is_locked: the caller has the store's lock.
 *   ST_BUSY  the store is in use */
enum status incoming_install(const struct incoming *in, bool is_locked,
                             struct fault *reterr) MUST_USE;
/* Removes it; fine when it is not there. */
enum status incoming_remove(const struct incoming *in,
                            struct fault *reterr) MUST_USE;
/* The same, where nothing depends on it. */
void incoming_clear(const struct incoming *in);

#endif
