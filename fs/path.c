/* The mapping between keys and paths.
 *
 * A component is escaped as a whole into units of one byte, or three for an
 * escape.  When all units fit into a file name, that is the name.  Otherwise
 * names of as many units as fit before "%+" are cut off until the rest fits.
 * Decoding is checked by encoding again: what does not come back unchanged is
 * not a name.
 */

#include "fs/path.h"

#include "base/must.h"

#define PIECE_MAX (FS_NAME_MAX - 2) /* before "%+" */

static bool is(struct bytes b, const char *text)
{
    return bytes_equal(b, bytes_of(text));
}

static bool is_escaped(struct bytes component, size_t at)
{
    const uint8_t byte = component.data[at];
    if (byte == 0 || byte == '%') {
        return true;
    }
    if (byte != '.') {
        return false;
    }
    return is(component, ".") || is(component, "..") ||
           (at == 0 && is(component, FS_CONTROL_NAME));
}

static size_t unit_size(struct bytes component, size_t at)
{
    return is_escaped(component, at) ? 3 : 1;
}

/* Whether the units from `at` on are too many for one name. */
static bool is_too_long(struct bytes component, size_t at)
{
    size_t size = 0;
    for (size_t i = at; i < component.size; i++) {
        size += unit_size(component, i);
        if (size > FS_NAME_MAX) {
            return true;
        }
    }
    return false;
}

/* Where the continued name that begins at `at` ends; *ret_size is its escaped
 * size. */
static size_t piece_end(struct bytes component, size_t at, size_t *ret_size)
{
    size_t size = 0;
    while (at < component.size) {
        const size_t unit = unit_size(component, at);
        if (size + unit > PIECE_MAX) {
            break;
        }
        size += unit;
        at++;
    }
    *ret_size = size;
    return at;
}

/* Whether names cut off this component end exactly at `at`. */
static bool is_boundary(struct bytes component, size_t at)
{
    size_t end = 0;
    size_t size;
    while (end < at) {
        end = piece_end(component, end, &size);
    }
    return end == at;
}

static void name_add(struct fs_name *name, struct bytes component, size_t from,
                     size_t to)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = from; i < to; i++) {
        const uint8_t byte = component.data[i];
        must(name->size + unit_size(component, i) <= FS_NAME_MAX);
        if (is_escaped(component, i)) {
            name->text[name->size++] = '%';
            name->text[name->size++] = digits[byte >> 4];
            name->text[name->size++] = digits[byte & 15];
        } else {
            name->text[name->size++] = (char)byte;
        }
    }
}

static struct bytes component_at(struct bytes key, size_t at)
{
    size_t end = at;
    while (end < key.size && key.data[end] != '/') {
        end++;
    }
    return (struct bytes){key.data + at, end - at};
}

size_t fs_path_component(struct bytes directory)
{
    size_t at = directory.size;
    while (at > 0 && directory.data[at - 1] != '/') {
        at--;
    }
    return at;
}

/* The name of the part of a component that begins at `at`. */
static bool piece_name(struct bytes component, size_t at, struct fs_name *ret)
{
    ret->size = 0;
    ret->covered = component.size;
    ret->more = false;
    if (component.size == 0) {
        ret->text[ret->size++] = '%';
        return true;
    }
    if (at >= component.size || (at > 0 && (!is_too_long(component, 0) ||
                                            !is_boundary(component, at)))) {
        return false;
    }
    if (!is_too_long(component, at)) {
        name_add(ret, component, at, component.size);
        return true;
    }
    size_t size;
    ret->covered = piece_end(component, at, &size);
    name_add(ret, component, at, ret->covered);
    ret->text[ret->size++] = '%';
    ret->text[ret->size++] = '+';
    ret->more = true;
    return true;
}

bool fs_path_name(struct bytes directory, struct bytes key,
                  struct fs_name *ret_name)
{
    must(bytes_starts_with(key, directory));
    const size_t start = fs_path_component(directory);
    if (!piece_name(component_at(key, start), directory.size - start,
                    ret_name)) {
        return false;
    }
    ret_name->covered += start;
    return true;
}

static int digit_of(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* Appends what the escapes stand for; whether they are the right ones is for
 * the caller to see. */
static enum status unescape(struct bytes name, struct buf *to)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '/' || name.data[i] == 0) {
            return ST_INVALID;
        }
        if (name.data[i] != '%') {
            buf_append_byte(to, name.data[i]);
            continue;
        }
        if (name.size - i < 3) {
            return ST_INVALID;
        }
        const int high = digit_of(name.data[i + 1]);
        const int low = digit_of(name.data[i + 2]);
        if (high < 0 || low < 0) {
            return ST_INVALID;
        }
        buf_append_byte(to, (uint8_t)(high * 16 + low));
        i += 2;
    }
    return ST_OK;
}

static enum status resolve_value(struct bytes prefix, struct bytes directory,
                                 struct buf *ret_key)
{
    if (directory.size < 2 || fs_path_is_continued(directory) ||
        bytes_equal(directory, prefix)) {
        return ST_INVALID;
    }
    buf_append(ret_key, (struct bytes){directory.data, directory.size - 1});
    return ST_OK;
}

static enum status resolve_continued(struct bytes directory, struct bytes name,
                                     struct buf *ret_key)
{
    const size_t start = fs_path_component(directory);
    buf_append(ret_key, directory);
    const enum status st =
        unescape((struct bytes){name.data, name.size - 2}, ret_key);
    if (st != ST_OK) {
        return st;
    }
    const struct bytes component = bytes_after(buf_bytes(ret_key), start);
    const size_t at = directory.size - start;
    if (component.size <= at || !is_boundary(component, at)) {
        return ST_INVALID;
    }
    size_t size;
    const size_t end = piece_end(component, at, &size);
    struct fs_name again = {.size = 0};
    name_add(&again, component, at, end);
    again.text[again.size++] = '%';
    again.text[again.size++] = '+';
    const bool same =
        bytes_equal(name, (struct bytes){(uint8_t *)again.text, again.size});
    /* Shorter ones would have taken the next unit in, whatever it is. */
    return same && end == component.size && size + 3 > PIECE_MAX ? ST_OK
                                                                 : ST_INVALID;
}

static enum status resolve_ordinary(struct bytes directory, struct bytes name,
                                    struct buf *ret_key)
{
    buf_append(ret_key, directory);
    if (is(name, "%")) {
        const bool can = directory.size > 0 && !fs_path_is_continued(directory);
        return can ? ST_OK : ST_INVALID;
    }
    const enum status st = unescape(name, ret_key);
    if (st != ST_OK) {
        return st;
    }
    struct fs_name again;
    if (ret_key->size == directory.size ||
        memchr(ret_key->data + directory.size, '/',
               ret_key->size - directory.size) != NULL ||
        !fs_path_name(directory, buf_bytes(ret_key), &again) || again.more) {
        return ST_INVALID;
    }
    return bytes_equal(name, (struct bytes){(uint8_t *)again.text, again.size})
               ? ST_OK
               : ST_INVALID;
}

enum status fs_path_resolve(struct bytes prefix, struct bytes directory,
                            struct bytes name, enum fs_name_kind *ret_kind,
                            struct buf *ret_key)
{
    buf_clear(ret_key);
    if (name.size == 0 || name.size > FS_NAME_MAX) {
        return ST_INVALID;
    }
    if (is(name, FS_VALUE_NAME)) {
        *ret_kind = FS_NAME_VALUE;
        return resolve_value(prefix, directory, ret_key);
    }
    if (is(name, FS_ROOT_NAME)) {
        *ret_kind = FS_NAME_ROOT;
        const bool can = is(prefix, "/") && is(directory, "/");
        return can ? ST_OK : ST_INVALID;
    }
    if (name.size > 2 && name.data[name.size - 2] == '%' &&
        name.data[name.size - 1] == '+') {
        *ret_kind = FS_NAME_CONTINUED;
        return resolve_continued(directory, name, ret_key);
    }
    *ret_kind = FS_NAME_ORDINARY;
    return resolve_ordinary(directory, name, ret_key);
}

static void append_name(struct buf *to, const struct fs_name *name, bool first)
{
    if (!first) {
        buf_append_byte(to, '/');
    }
    buf_append(to, (struct bytes){(const uint8_t *)name->text, name->size});
}

bool fs_path_of(struct bytes prefix, struct bytes key, bool file,
                struct buf *to)
{
    size_t at = prefix.size;
    bool first = true;
    if (!bytes_starts_with(key, prefix)) {
        if (!is(prefix, "/")) {
            return false;
        }
        buf_append(to, bytes_of(FS_ROOT_NAME));
        first = false;
        at = 0;
    }
    while (at < key.size) {
        const struct bytes component = component_at(key, at);
        size_t done = 0;
        struct fs_name name;
        do {
            if (!piece_name(component, done, &name)) {
                return false;
            }
            append_name(to, &name, first);
            first = false;
            done = name.covered;
        } while (name.more);
        at += component.size + 1; /* and the '/' */
    }
    if (!file || (key.size > 0 && key.data[key.size - 1] != '/')) {
        return true;
    }
    append_name(to, &(struct fs_name){.text = "%", .size = 1}, first);
    return key.size > 0;
}

bool fs_path_split(struct bytes prefix, struct bytes key, bool file,
                   size_t *ret_directory_size, struct fs_name *ret_name)
{
    const bool outside = !bytes_starts_with(key, prefix);
    if (key.size == 0 || (outside && !is(prefix, "/"))) {
        return false;
    }
    const size_t first = outside ? 0 : prefix.size;
    const struct bytes whole = {key.data, file ? key.size : key.size - 1};
    if (!file && (key.data[key.size - 1] != '/' || whole.size < first)) {
        return false; /* the root, or none */
    }
    const size_t start = fs_path_component(whole);
    const struct bytes component = component_at(whole, start);
    size_t done = 0;
    for (;;) {
        if (!piece_name(component, done, ret_name)) {
            return false;
        }
        if (!ret_name->more) {
            break;
        }
        done = ret_name->covered;
    }
    ret_name->covered += start;
    *ret_directory_size = start + done;
    return true;
}

void fs_path_end(struct bytes beginning, struct buf *ret)
{
    buf_clear(ret);
    size_t size = beginning.size;
    while (size > 0 && beginning.data[size - 1] == 0xff) {
        size--;
    }
    if (size == 0) {
        buf_append_byte(ret, 0); /* nothing is greater: to the very end */
        return;
    }
    buf_append(ret, (struct bytes){beginning.data, size});
    ret->data[size - 1]++;
}
