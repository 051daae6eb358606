/* Reading bools, integers, durations and URLs. */

#include "cmd/flag_value.h"

#include <stddef.h>
#include <string.h>

bool flag_value_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"1", "t", "T", "true", "True", "TRUE"};
    static const char *const no[] = {"0", "f", "F", "false", "False", "FALSE"};
    for (size_t i = 0; i < count_of(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* --- integers --- */

/* The base that a prefix names, and where the digits begin. */
static unsigned base_of(const char *text, const char **ret_digits)
{
    static const struct {
        char letters[3];
        unsigned base;
    } prefixes[] = {{"xX", 16}, {"oO", 8}, {"bB", 2}};

    *ret_digits = text;
    if (text[0] != '0' || text[1] == '\0') {
        return 10;
    }
    for (size_t i = 0; i < count_of(prefixes); i++) {
        if (strchr(prefixes[i].letters, text[1]) != NULL) {
            *ret_digits = text + 2;
            return prefixes[i].base;
        }
    }
    *ret_digits = text + 1;
    return 8;
}

/* 255 for what is no digit. */
static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 255;
}

bool flag_value_int(const char *text, int64_t *ret)
{
    const bool negative = *text == '-';
    text += *text == '-' || *text == '+';
    const char *digits;
    const unsigned base = base_of(text, &digits);
    const uint64_t max = (uint64_t)INT64_MAX + negative;
    uint64_t value = 0;
    bool underscore_allowed = digits != text;
    bool any = false;
    for (const char *p = digits; *p != '\0'; p++) {
        if (*p == '_' && underscore_allowed && p[1] != '\0') {
            underscore_allowed = false;
            continue;
        }
        const unsigned digit = digit_of(*p);
        if (digit >= base || value > (max - digit) / base) {
            return false;
        }
        value = value * base + digit;
        underscore_allowed = digits != text;
        any = true;
    }
    if (!any) {
        return false;
    }
    *ret = negative ? (int64_t)-value : (int64_t)value;
    return true;
}

/* --- durations --- */

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    /* longer names before those they begin with */
    {"ns", 1},
    {"us", 1000},
    {"\u00b5s", 1000},
    {"\u03bcs", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60LL * 1000000000},
    {"h", 3600LL * 1000000000},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One "<number><unit>"; advances *text and adds to *ns. */
static bool add_part(const char **text, int64_t *ns)
{
    const char *p = *text;
    int64_t whole = 0;
    int64_t fraction = 0;
    int64_t scale = 1; /* fraction / scale */
    bool any = false;
    for (; is_digit(*p); p++, any = true) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, *p - '0', &whole)) {
            return false;
        }
    }
    if (*p == '.') {
        for (p++; is_digit(*p); p++, any = true) {
            if (scale <= 100000000000000) { /* more digits say nothing */
                fraction = fraction * 10 + (*p - '0');
                scale *= 10;
            }
        }
    }
    if (!any) {
        return false;
    }
    for (size_t i = 0; i < count_of(units); i++) {
        const size_t size = strlen(units[i].name);
        if (strncmp(p, units[i].name, size) != 0) {
            continue;
        }
        *text = p + size;
        /* Less than one unit, so exact to the nanosecond in a double. */
        const double rest =
            (double)fraction * (double)units[i].ns / (double)scale;
        return !__builtin_mul_overflow(whole, units[i].ns, &whole) &&
               !__builtin_add_overflow(*ns, whole, ns) &&
               !__builtin_add_overflow(*ns, (int64_t)rest, ns);
    }
    return false;
}

bool flag_value_duration(const char *text, int64_t *ret_ns)
{
    const bool negative = *text == '-';
    text += *text == '-' || *text == '+';
    int64_t ns = 0;
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return true;
    }
    do {
        if (!add_part(&text, &ns)) {
            return false;
        }
    } while (*text != '\0');
    *ret_ns = negative ? -ns : ns;
    return true;
}

/* --- URLs --- */

/* Why "HOST:PORT" with nothing behind it is not what this is; NULL: it is. */
static const char *check_host_port(const char *text, size_t size)
{
    const char *slash = memchr(text, '/', size);
    if (slash != NULL) {
        return "must not have a path";
    }
    const char *colon = memrchr(text, ':', size);
    if (colon == NULL) {
        return "has no port (write scheme://host:port)";
    }
    const size_t host = (size_t)(colon - text);
    const bool bracketed = host > 2 && text[0] == '[' && text[host - 1] == ']';
    if (!bracketed && memchr(text, ':', host) != NULL) {
        return "has too many colons (write IPv6 addresses in [brackets])";
    }
    unsigned port = 0;
    for (const char *p = colon + 1; p < text + size; p++) {
        if (!is_digit(*p) || port > 65535) {
            return "has a port that is no number";
        }
        port = port * 10 + (unsigned)(*p - '0');
    }
    if (colon + 1 == text + size || port > 65535) {
        return "has no port between 0 and 65535";
    }
    return NULL;
}

static const char *check_url(const char *text, size_t size)
{
    static const struct {
        const char *scheme;
        bool is_path;
    } schemes[] = {{"http://", false},
                   {"https://", false},
                   {"unix://", true},
                   {"unixs://", true}};
    for (size_t i = 0; i < count_of(schemes); i++) {
        const size_t skip = strlen(schemes[i].scheme);
        if (size < skip || memcmp(text, schemes[i].scheme, skip) != 0) {
            continue;
        }
        if (schemes[i].is_path) {
            return size > skip ? NULL : "names no socket";
        }
        return check_host_port(text + skip, size - skip);
    }
    return "must begin with http://, https://, unix:// or unixs://";
}

bool flag_value_urls(const char *text, struct flag_url_error *reterr)
{
    for (;;) {
        const size_t size = strcspn(text, ",");
        const char *why = check_url(text, size);
        if (why != NULL) {
            *reterr = (struct flag_url_error){
                .url = text, .size = (int)size, .why = why};
            return false;
        }
        if (text[size] == '\0') {
            return true;
        }
        text += size + 1;
    }
}
