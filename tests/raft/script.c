/* The reader of data-driven test files, and the comparison.
 *
 * Lines of the published library's own log (DEBUG, INFO, WARN, ERROR) are its
 * prose and are left out of the comparison; where nothing but them was
 * expected, "ok" is right. */

#include "tests/raft/script.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "tests/lib/test.h"

struct lines {
    struct bytes left;
    int number; /* of the line taken last */
};

/* The next line without its end; false at the end of the file. */
static bool next_line(struct lines *l, struct bytes *ret)
{
    if (l->left.size == 0) {
        return false;
    }
    const uint8_t *end = memchr(l->left.data, '\n', l->left.size);
    const size_t size =
        end == NULL ? l->left.size : (size_t)(end - l->left.data);
    *ret = (struct bytes){l->left.data, size};
    l->left = bytes_after(l->left, end == NULL ? size : size + 1);
    l->number++;
    return true;
}

static bool is_separator(struct bytes line)
{
    return bytes_equal(line, bytes_of("----"));
}

static struct bytes trim(struct bytes b)
{
    while (b.size > 0 && (b.data[0] == ' ' || b.data[0] == '\t')) {
        b = bytes_after(b, 1);
    }
    while (b.size > 0 &&
           (b.data[b.size - 1] == ' ' || b.data[b.size - 1] == '\t' ||
            b.data[b.size - 1] == '\r')) {
        b.size--;
    }
    return b;
}

static void add_line(struct buf *to, struct bytes line)
{
    buf_append(to, line);
    buf_append_byte(to, '\n');
}

static void copy_text(char *to, size_t size, struct bytes from)
{
    from = trim(from);
    must(from.size < size);
    memcpy(to, from.data, from.size);
    to[from.size] = 0;
}

static void add_values(struct script_arg *arg, struct bytes list)
{
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        const size_t size =
            comma == NULL ? list.size : (size_t)(comma - list.data);
        must(arg->values_count < SCRIPT_VALUES_MAX);
        copy_text(arg->values[arg->values_count++], sizeof arg->values[0],
                  (struct bytes){list.data, size});
        list = bytes_after(list, comma == NULL ? size : size + 1);
    }
}

/* Where a word ends: at a space that is not in parentheses. */
static size_t word_size(struct bytes text)
{
    int depth = 0;
    size_t at = 0;
    while (at < text.size && (depth > 0 || text.data[at] != ' ')) {
        depth += text.data[at] == '(' ? 1 : 0;
        depth -= text.data[at] == ')' ? 1 : 0;
        at++;
    }
    return at;
}

static void read_arg(struct script_arg *arg, struct bytes word)
{
    const uint8_t *equals = memchr(word.data, '=', word.size);
    arg->values_count = 0;
    if (equals == NULL) {
        copy_text(arg->key, sizeof arg->key, word);
        return;
    }
    const size_t size = (size_t)(equals - word.data);
    copy_text(arg->key, sizeof arg->key, (struct bytes){word.data, size});
    struct bytes value = bytes_after(word, size + 1);
    if (value.size >= 2 && value.data[0] == '(' &&
        value.data[value.size - 1] == ')') {
        add_values(arg, (struct bytes){value.data + 1, value.size - 2});
    } else if (value.size > 0) {
        copy_text(arg->values[arg->values_count++], sizeof arg->values[0],
                  value);
    }
}

static void read_command(struct script_block *b, struct bytes line)
{
    line = trim(line);
    size_t size = word_size(line);
    copy_text(b->name, sizeof b->name, (struct bytes){line.data, size});
    b->args_count = 0;
    line = trim(bytes_after(line, size));
    while (line.size > 0) {
        size = word_size(line);
        must(b->args_count < SCRIPT_ARGS_MAX);
        read_arg(&b->args[b->args_count++], (struct bytes){line.data, size});
        line = trim(bytes_after(line, size));
    }
}

/* "subtest NAME" and "subtest end" only group blocks, and have no output. */
static bool is_subtest(struct bytes line)
{
    return bytes_starts_with(line, bytes_of("subtest ")) ||
           bytes_equal(line, bytes_of("subtest"));
}

/* The command's line; a backslash at its end continues it on the next. */
static bool read_head(struct lines *l, struct script_block *b)
{
    struct bytes line;
    do {
        if (!next_line(l, &line)) {
            return false;
        }
        line = trim(line);
    } while (line.size == 0 || line.data[0] == '#' || is_subtest(line));
    b->line = l->number;
    struct buf head = {NULL, 0, 0};
    while (line.size > 0 && line.data[line.size - 1] == '\\') {
        buf_append(&head, (struct bytes){line.data, line.size - 1});
        buf_append_byte(&head, ' ');
        if (!next_line(l, &line)) {
            break;
        }
        line = trim(line);
    }
    buf_append(&head, line);
    read_command(b, buf_bytes(&head));
    buf_fini(&head);
    return true;
}

static void read_wanted(struct lines *l, struct script_block *b)
{
    struct bytes line;
    if (!next_line(l, &line)) {
        return;
    }
    if (!is_separator(line)) {
        while (trim(line).size > 0) {
            add_line(&b->wanted, line);
            if (!next_line(l, &line)) {
                return;
            }
        }
        return;
    }
    /* Blank lines allowed: up to two separators in a row. */
    bool was_separator = false;
    while (next_line(l, &line)) {
        if (is_separator(line) && was_separator) {
            return;
        }
        if (was_separator) {
            add_line(&b->wanted, bytes_of("----"));
        }
        was_separator = is_separator(line);
        if (!was_separator) {
            add_line(&b->wanted, line);
        }
    }
}

static bool read_block(struct lines *l, struct script_block *b)
{
    buf_clear(&b->input);
    buf_clear(&b->wanted);
    if (!read_head(l, b)) {
        return false;
    }
    struct bytes line;
    while (next_line(l, &line)) {
        if (is_separator(line)) {
            read_wanted(l, b);
            return true;
        }
        add_line(&b->input, line);
    }
    return true;
}

static bool is_log(struct bytes line)
{
    static const char *const levels[] = {"DEBUG ", "INFO ", "WARN ", "ERROR "};
    line = trim(line);
    for (size_t i = 0; i < count_of(levels); i++) {
        if (bytes_starts_with(line, bytes_of(levels[i]))) {
            return true;
        }
    }
    return false;
}

/* Only what is compared: no log, no spaces at the end of lines. */
static void reduce(struct buf *text)
{
    struct buf kept = {NULL, 0, 0};
    struct lines l = {buf_bytes(text), 0};
    struct bytes line;
    while (next_line(&l, &line)) {
        if (!is_log(line)) {
            while (line.size > 0 && line.data[line.size - 1] == ' ') {
                line.size--;
            }
            add_line(&kept, line);
        }
    }
    /* Blank lines at the end cannot be written in a file. */
    while (kept.size > 1 && kept.data[kept.size - 1] == '\n' &&
           kept.data[kept.size - 2] == '\n') {
        kept.size--;
    }
    if (kept.size == 1) {
        kept.size = 0;
    }
    buf_clear(text);
    buf_append(text, buf_bytes(&kept));
    buf_fini(&kept);
}

/* Lines that are the same, from the beginning on. */
static size_t count_same(struct bytes wanted, struct bytes actual,
                         size_t *ret_wanted_count)
{
    struct lines w = {wanted, 0};
    struct lines a = {actual, 0};
    struct bytes line;
    struct bytes other;
    size_t same = 0;
    bool differs = false;
    *ret_wanted_count = 0;
    while (next_line(&w, &line)) {
        ++*ret_wanted_count;
        differs =
            differs || !next_line(&a, &other) || !bytes_equal(line, other);
        same += differs ? 0 : 1;
    }
    return same;
}

static bool compare(struct script_block *b, struct buf *actual,
                    struct script_score *score)
{
    reduce(&b->wanted);
    reduce(actual);
    if (actual->size == 0) {
        buf_append(actual, bytes_of("ok\n"));
    }
    const bool only_log = b->wanted.size == 0;
    const bool same =
        bytes_equal(buf_bytes(&b->wanted), buf_bytes(actual)) ||
        (only_log && bytes_equal(buf_bytes(actual), bytes_of("ok\n")));
    size_t lines = 0;
    score->lines_passed +=
        count_same(buf_bytes(&b->wanted), buf_bytes(actual), &lines);
    score->lines += lines;
    score->blocks++;
    score->blocks_passed += same ? 1 : 0;
    return same;
}

static bool read_file(const char *path, struct buf *to)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }
    size_t got = 0;
    do {
        uint8_t *at = buf_reserve(to, 65536);
        got = fread(at, 1, 65536, f);
        (void)buf_extend(to, got);
    } while (got > 0);
    (void)fclose(f);
    return true;
}

/* Past cmocka, which cuts messages off after a thousand bytes. */
static void print_block(const char *path, const struct script_block *b,
                        struct bytes actual)
{
    size_t lines = 0;
    const size_t same = count_same(buf_bytes(&b->wanted), actual, &lines);
    (void)fprintf(stderr,
                  "%s:%d: %s: differs after %zu compared lines\n--- wanted\n"
                  "%.*s--- got\n%.*s---\n",
                  path, b->line, b->name, same, (int)b->wanted.size,
                  (const char *)b->wanted.data, (int)actual.size,
                  (const char *)actual.data);
}

bool script_file(const char *path, script_run *run, void *context,
                 struct script_score *score)
{
    struct buf text = {NULL, 0, 0};
    bool passed = read_file(path, &text);
    if (!passed) {
        print_error("cannot read %s\n", path);
    }
    struct script_block *b = xcalloc(1, sizeof *b);
    struct lines l = {buf_bytes(&text), 0};
    struct buf output = {NULL, 0, 0};
    while (read_block(&l, b)) {
        buf_clear(&output);
        run(context, b, &output);
        const bool same = compare(b, &output, score);
        if (!same && passed) {
            print_block(path, b, buf_bytes(&output));
        }
        passed = passed && same;
    }
    score->files++;
    score->files_passed += passed ? 1 : 0;
    buf_fini(&output);
    buf_fini(&b->input);
    buf_fini(&b->wanted);
    free(b);
    buf_fini(&text);
    return passed;
}

uint64_t script_number(const char *text)
{
    char *end = NULL;
    const unsigned long long number = strtoull(text, &end, 10);
    must(end != text && *end == 0);
    return number;
}

bool script_read_bool(const char *text, bool *ret_value)
{
    static const char *const words[] = {"1",    "t",     "T",     "true",
                                        "TRUE", "True",  "0",     "f",
                                        "F",    "false", "FALSE", "False"};
    for (size_t i = 0; i < count_of(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_value = i < count_of(words) / 2;
            return true;
        }
    }
    return false;
}

bool script_bool(const char *text)
{
    bool value = false;
    const bool ok = script_read_bool(text, &value);
    must(ok);
    return value;
}
