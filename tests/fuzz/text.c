/* Short texts that users, peers and the kernel write; the first byte says
 * which. */

#include <stdlib.h>

#include "base/must.h"
#include "cmd/flag_value.h"
#include "fs/internal.h"
#include "fs/lease.h"
#include "net/grpc_text.h"
#include "net/peer_address.h"
#include "node/identity.h"
#include "tests/fuzz/fuzz.h"

static void leases(struct bytes text)
{
    int64_t number;
    int64_t again;
    if (fs_lease_read_ttl(text, &number)) {
        must(number >= 0 && number <= KV_LEASE_TTL_MAX);
    }
    if (fs_lease_read_id(text, &number)) {
        char name[FS_LEASE_NAME_SIZE];
        fs_lease_name(number, name);
        must(fs_lease_read_id(bytes_of(name), &again) && again == number);
    }
}

static void mount_options(const char *text)
{
    struct fs_options o;
    struct fault fault;
    fs_options_default(&o);
    if (fs_options_parse(text, &o, &fault) != ST_OK) {
        must(memchr(fault.text, 0, sizeof fault.text) != NULL);
        return;
    }
    must(o.timeout_ms > 0 && o.publish_idle_ms >= 0);
    must(o.file_mode <= 0777 && o.directory_mode <= 0777);
    must(o.prefix.size > 0 && o.prefix.data[o.prefix.size - 1] == '/');
    fuzz_touch(o.prefix);
}

static void grpc(struct bytes text)
{
    int64_t ns;
    struct buf encoded = {0};
    if (grpc_text_timeout(text, &ns)) {
        must(ns >= 0);
    }
    (void)grpc_text_is_content_type(text);
    grpc_text_encode(&encoded, text, 1024);
    for (size_t i = 0; i < encoded.size; i++) {
        must(encoded.data[i] >= ' ' && encoded.data[i] <= '~');
    }
    buf_fini(&encoded);
}

static void addresses(const char *text)
{
    struct peer_addresses list;
    struct fault fault;
    if (peer_addresses_parse(text, &list, &fault) != ST_OK) {
        return;
    }
    must(list.count > 0 && list.count <= PEER_ADDRESSES_MAX);
    for (size_t i = 0; i < list.count; i++) {
        union peer_socket_address address;
        char shown[PEER_ADDRESS_TEXT_SIZE];
        must(memchr(list.list[i].host, 0, sizeof list.list[i].host) != NULL);
        if (peer_address_is_numeric(&list.list[i], &address)) {
            peer_address_text(&address.any, shown);
        }
    }
}

static void values(const char *text)
{
    bool yes;
    int64_t number;
    struct flag_url_error error;
    (void)!flag_value_bool(text, &yes);
    (void)!flag_value_int(text, &number);
    (void)!flag_value_duration(text, &number);
    if (!flag_value_urls(text, &error)) {
        fuzz_touch(
            (struct bytes){(const uint8_t *)error.url, (size_t)error.size});
        must(error.why[0] != 0);
    }
}

static void urls(const char *text)
{
    char stripped[100];
    struct fault fault;
    if (identity_strip_urls(text, stripped, sizeof stripped, &fault) == ST_OK) {
        must(memchr(stripped, 0, sizeof stripped) != NULL);
    }
    struct identity *id = malloc(sizeof *id);
    must(id != NULL);
    if (identity_derive("a", "token", text, id, &fault) == ST_OK) {
        must(id->voters_count > 0 && id->member_id != 0);
    }
    free(id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % 7;
    char *text = malloc(in.left.size + 1);
    must(text != NULL);
    if (in.left.size > 0) {
        memcpy(text, in.left.data, in.left.size);
    }
    text[in.left.size] = 0;
    if (which == 0) {
        leases(in.left);
    } else if (which == 1) {
        mount_options(text);
    } else if (which == 2) {
        (void)fs_syscall_writes(text);
    } else if (which == 3) {
        grpc(in.left);
    } else if (which == 4) {
        addresses(text);
    } else if (which == 5) {
        values(text);
    } else {
        urls(text);
    }
    free(text);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const struct {
        uint8_t which;
        const char *text;
    } seeds[] = {
        {0, "60\n"},
        {0, "0x32695410dcc0ca06"},
        {1, "prefix=/registry/,timeout=1500ms,fmode=0600,uid=5,events=rename"},
        {1, "ro,allow_other,consistency=serializable,publish_idle=0"},
        {2, "257 0xffffff9c 0x7ffd 0x241 0x1b6 0x0 0x0 0x7ffd 0x7f00"},
        {3, "100m"},
        {3, "application/grpc+proto"},
        {3, "caf\xc3\xa9 100%\n"},
        {4, "127.0.0.1:2380,[::1]:2380,host.name:1"},
        {5, "true"},
        {5, "-0x_ff"},
        {5, "1h30m0.5s"},
        {5, "http://127.0.0.1:2379,unixs://socket:1,https://[::1]:2"},
        {6, "a=http://10.0.0.1:2380,a=http://10.0.0.2:2380,b=http://b:1"},
    };
    if (n >= count_of(seeds)) {
        return false;
    }
    buf_append_byte(to, seeds[n].which);
    buf_append(to, bytes_of(seeds[n].text));
    return true;
}
