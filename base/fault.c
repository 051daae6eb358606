/* Formatting of faults. */

#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum status fault_set(struct fault *reterr_fault, enum status st,
                      const char *format, ...)
{
    must(st != ST_OK);
    if (reterr_fault != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(reterr_fault->text, sizeof reterr_fault->text, format,
                        args);
        va_end(args);
    }
    return st;
}

enum status fault_sys(struct fault *reterr_fault, int error, const char *format,
                      ...)
{
    must(error > 0);
    if (reterr_fault != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(reterr_fault->text, sizeof reterr_fault->text, format,
                        args);
        va_end(args);
        const size_t size = strlen(reterr_fault->text);
        (void)snprintf(reterr_fault->text + size,
                       sizeof reterr_fault->text - size, ": %s",
                       strerror(error));
    }
    return status_of_errno(error);
}
