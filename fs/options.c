/* Mount options: a comma-separated list of name=value. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/internal.h"

static const char good[] =
    "prefix=, consistency=linearizable|serializable, "
    "events=auto|write|rename|off, fmode=, dmode=, uid=, gid=, timeout=, "
    "publish_idle=, xattrs=shown|hidden, control=hidden|visible, ro, rw, "
    "allow_other";

void fs_options_default(struct fs_options *ret)
{
    *ret = (struct fs_options){
        .prefix = bytes_of("/"),
        .consistency = FS_LINEARIZABLE,
        .events = FS_EVENTS_AUTO,
        .file_mode = 0644,
        .directory_mode = 0755,
        .uid = (uint32_t)getuid(),
        .gid = (uint32_t)getgid(),
        .timeout_ms = 5000,
        .publish_idle_ms = 1000,
        .allow_other = geteuid() == 0,
    };
}

/* A number up to max, nothing behind it. */
static bool parse_number(const char *text, int base, uint64_t max,
                         uint64_t *ret)
{
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    const unsigned long long number = strtoull(text, &end, base);
    if (*end != 0 || number > max) {
        return false;
    }
    *ret = number;
    return true;
}

/* "5s", "250ms", or seconds without a unit. */
static bool parse_duration(const char *text, int64_t *ret_ms)
{
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    const double number = strtod(text, &end);
    double scale;
    if (strcmp(end, "ms") == 0) {
        scale = 1;
    } else if (strcmp(end, "m") == 0) {
        scale = 60000;
    } else if (strcmp(end, "s") == 0 || *end == 0) {
        scale = 1000;
    } else {
        return false;
    }
    if (number * scale > 86400000.0) {
        return false;
    }
    *ret_ms = (int64_t)(number * scale);
    return true;
}

/* The index of the word in the list that a NULL ends; -1: not in it. */
static int word_of(const char *text, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static bool set_word(struct fs_options *o, const char *name, const char *value)
{
    static const char *const consistencies[] = {"linearizable", "serializable",
                                                NULL};
    static const char *const events[] = {"auto", "write", "rename", "off",
                                         NULL};
    static const char *const shown[] = {"shown", "hidden", NULL};
    static const char *const control[] = {"hidden", "visible", NULL};
    int word = -1;
    if (strcmp(name, "consistency") == 0) {
        word = word_of(value, consistencies);
        o->consistency = word > 0 ? FS_SERIALIZABLE : FS_LINEARIZABLE;
    } else if (strcmp(name, "events") == 0) {
        static const enum fs_events kinds[] = {FS_EVENTS_AUTO, FS_EVENTS_WRITE,
                                               FS_EVENTS_RENAME, FS_EVENTS_OFF};
        word = word_of(value, events);
        o->events = kinds[word > 0 ? word : 0];
    } else if (strcmp(name, "xattrs") == 0) {
        word = word_of(value, shown);
        o->xattrs_hidden = word == 1;
    } else if (strcmp(name, "control") == 0) {
        word = word_of(value, control);
        o->control_visible = word == 1;
    }
    return word >= 0;
}

static bool set_number(struct fs_options *o, const char *name,
                       const char *value)
{
    uint64_t number = 0;
    if (strcmp(name, "fmode") == 0 && parse_number(value, 8, 0777, &number)) {
        o->file_mode = (uint32_t)number;
    } else if (strcmp(name, "dmode") == 0 &&
               parse_number(value, 8, 0777, &number)) {
        o->directory_mode = (uint32_t)number;
    } else if (strcmp(name, "uid") == 0 &&
               parse_number(value, 10, UINT32_MAX - 1, &number)) {
        o->uid = (uint32_t)number;
    } else if (strcmp(name, "gid") == 0 &&
               parse_number(value, 10, UINT32_MAX - 1, &number)) {
        o->gid = (uint32_t)number;
    } else if (strcmp(name, "timeout") == 0) {
        return parse_duration(value, &o->timeout_ms) && o->timeout_ms > 0;
    } else if (strcmp(name, "publish_idle") == 0) {
        return parse_duration(value, &o->publish_idle_ms);
    } else {
        return false;
    }
    return true;
}

static bool set_flag(struct fs_options *o, const char *name)
{
    if (strcmp(name, "ro") == 0) {
        o->read_only = true;
    } else if (strcmp(name, "rw") == 0) {
        o->read_only = false;
    } else if (strcmp(name, "allow_other") == 0) {
        o->allow_other = true;
    } else {
        return false;
    }
    return true;
}

enum status fs_options_parse(const char *text, struct fs_options *ret,
                             struct fault *reterr)
{
    struct fs_options parsed = *ret;
    while (*text != 0) {
        char option[512];
        const size_t size = strcspn(text, ",");
        if (size >= sizeof option) {
            return fault_set(reterr, ST_INVALID,
                             "mount option '%.40s…' is too long", text);
        }
        memcpy(option, text, size);
        option[size] = 0;
        char *value = strchr(option, '=');
        bool known = size == 0;
        if (value == NULL) {
            known = known || set_flag(&parsed, option);
        } else {
            *value++ = 0;
            if (strcmp(option, "prefix") == 0) {
                /* The bytes are the caller's, as all of `text`. */
                const size_t skip = (size_t)(value - option);
                parsed.prefix =
                    (struct bytes){(const uint8_t *)text + skip, size - skip};
                known = parsed.prefix.size > 0 && text[size - 1] == '/';
            } else {
                known = set_word(&parsed, option, value) ||
                        set_number(&parsed, option, value);
            }
        }
        if (!known) {
            return fault_set(reterr, ST_INVALID,
                             "bad mount option '%.*s'; known are: %s",
                             (int)size, text, good);
        }
        text += size;
        text += *text == ',' ? 1 : 0;
    }
    *ret = parsed;
    return ST_OK;
}
