/* Names of files and keys: what a name stands for has that name, and what is
 * shown can be found. */

#include "fs/path.h"
#include "base/must.h"
#include "tests/fuzz/fuzz.h"

static void name(struct bytes prefix, struct bytes directory, struct bytes text)
{
    struct buf key = {0};
    enum fs_name_kind kind;
    if (fs_path_resolve(prefix, directory, text, &kind, &key) == ST_OK &&
        kind == FS_NAME_ORDINARY) {
        struct fs_name back;
        must(fs_path_name(directory, buf_bytes(&key), &back));
        must(
            bytes_equal(text, (struct bytes){(uint8_t *)back.text, back.size}));
    }
    buf_fini(&key);
}

static void key(struct bytes prefix, struct bytes key)
{
    struct buf path = {0};
    size_t directory_size;
    struct fs_name last;
    const bool shown = fs_path_of(prefix, key, true, &path);
    must(fs_path_split(prefix, key, true, &directory_size, &last) == shown);
    if (shown) {
        must(directory_size <= key.size);
        must(last.size <= FS_NAME_MAX);
        must(path.size >= last.size);
    }
    buf_fini(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in);
    const struct bytes prefix = bytes_of(which & 1 ? "/registry/" : "/");
    if ((which & 2) == 0) {
        key(prefix, in.left);
        return 0;
    }
    struct buf directory = {0};
    buf_append(&directory, prefix);
    buf_append(&directory, fuzz_bytes(&in, fuzz_byte(&in)));
    buf_append_byte(&directory, '/');
    name(prefix, buf_bytes(&directory), in.left);
    buf_fini(&directory);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const char *const seeds[] = {
        "\x01/registry/pods/a",
        "\x02\x01"
        "ab%2Fc",
        "\x02\x01"
        "a%value",
        "\x00"
        "/a//b/",
        "\x02\x01"
        "a%25+",
        "\x03\x02xy%root",
    };
    static const size_t sizes[] = {17, 8, 9, 7, 7, 9};
    if (n >= count_of(seeds)) {
        return false;
    }
    buf_append(to, (struct bytes){(const uint8_t *)seeds[n], sizes[n]});
    return true;
}
