/* The context of a failure: a status says why, a fault says where and what to
 * do, written at the place that knows ("cannot sync segment '…'"). */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/must.h"
#include "base/status.h"

struct fault {
    char text[512]; /* one sentence, no newline; cut when longer */
};

/* Writes the text and returns st, so that a caller can return it at once.
 * reterr_fault may be NULL: then only the status travels. */
enum status fault_set(struct fault *reterr_fault, enum status st,
                      const char *format, ...) MUST_USE
    __attribute__((format(printf, 3, 4)));

/* As above for a failed system call: ": <strerror>" is added and the status is
 * status_of_errno(error). */
enum status fault_sys(struct fault *reterr_fault, int error, const char *format,
                      ...) MUST_USE __attribute__((format(printf, 3, 4)));

#endif
