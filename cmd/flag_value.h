/* Reading the values of flags, as etcd's own flag library reads them: the
 * forms that Go's strconv and time packages accept. */
#ifndef CMD_FLAG_VALUE_H
#define CMD_FLAG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"

/* 1 t T true True TRUE, 0 f F false False FALSE. */
bool flag_value_bool(const char *text, bool *ret) MUST_USE;

/* Decimal, 0x, 0o, 0b or a leading 0, with single underscores between digits
 * when the base is written (0x_ff); a sign.  The whole text. */
bool flag_value_int(const char *text, int64_t *ret) MUST_USE;

/* "300ms", "1h30m", "1.5s", "-2h", "0": numbers with units ns us µs ms s m h.
 */
bool flag_value_duration(const char *text, int64_t *ret_ns) MUST_USE;

/* A list of URLs, comma separated: http, https with HOST:PORT, unix, unixs with
 * a path; nothing behind the port.  On failure *reterr_why is a constant text
 * that fits behind "'<url>' ", and *reterr_url, *reterr_size the part. */
struct flag_url_error {
    const char *url;
    int size; /* bytes of url */
    const char *why;
};
bool flag_value_urls(const char *text, struct flag_url_error *reterr) MUST_USE;

#endif
