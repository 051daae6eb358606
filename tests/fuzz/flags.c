/* A command line and an environment: words with a zero byte behind each; the
 * first byte says how many of them are the command line. */

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "cmd/server_flags.h"
#include "cmd/server_options.h"
#include "node/identity.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 64

static void warn(void *arg, const char *line)
{
    *(size_t *)arg += strlen(line);
}

static void unknown(void *arg, const char *name)
{
    *(size_t *)arg += strlen(name);
}

static void use(const struct flags *f)
{
    struct server_options o;
    struct node_options n;
    struct fault fault;
    if (server_options_check_rest(f, &fault) != ST_OK ||
        server_options_from(f, &o, &fault) != ST_OK) {
        must(memchr(fault.text, 0, sizeof fault.text) != NULL);
        return;
    }
    must(o.heartbeat_ms > 0 && o.election_ms >= 5 * o.heartbeat_ms);
    node_options_default(&n);
    server_options_to_node(&o, &n);
    struct identity *id = malloc(sizeof *id);
    must(id != NULL);
    if (identity_derive(o.name, o.cluster_token, o.initial_cluster, id,
                        &fault) == ST_OK) {
        must(id->cluster_id != 0 && id->member_id != 0);
        must(id->voters_count > 0 && id->voters_count <= IDENTITY_MEMBERS_MAX);
    }
    free(id);
    server_options_fini(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    char *words[WORDS_MAX + 1] = {NULL};
    const int line = fuzz_byte(&in) % WORDS_MAX;
    int count = 0;
    char *text = malloc(in.left.size + 1);
    must(text != NULL);
    if (in.left.size > 0) {
        memcpy(text, in.left.data, in.left.size);
    }
    text[in.left.size] = 0;
    for (size_t at = 0; at < in.left.size && count < WORDS_MAX;) {
        words[count++] = text + at;
        at += strlen(text + at) + 1;
    }
    const int argc = line < count ? line : count;
    struct flags f;
    struct fault fault;
    size_t said = 0;
    flags_init(&f, server_flags, server_flags_count);
    if (flags_read_line(&f, argc, words, &fault) == ST_OK &&
        flags_read_environment(&f, words + argc, &fault) == ST_OK) {
        flags_each_unknown_variable(&f, words + argc, unknown, &said);
        if (flags_review(&f, warn, &said, &fault) == ST_OK) {
            use(&f);
        }
    } else {
        must(memchr(fault.text, 0, sizeof fault.text) != NULL);
        must(fault.text[0] != 0);
    }
    flags_fini(&f);
    free(text);
    return 0;
}

static void add_word(struct buf *to, const char *word)
{
    buf_append(to, bytes_of(word));
    buf_append_byte(to, 0);
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const char *const line[] = {
        "--name=a",
        "--data-dir",
        "x",
        "--initial-cluster",
        "a=http://127.0.0.1:2380,b=http://[::1]:2380,c=http://c.d:1",
        "--listen-peer-urls=http://0.0.0.0:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--heartbeat-interval=100",
        "--election-timeout=1000",
        "--quota-backend-bytes=-1",
        "--auto-compaction-retention=1h30m",
        "--auto-compaction-mode=periodic",
        "--mount",
        "m",
        "--log-level=debug"};
    static const char *const environment[] = {
        "ETCD_NAME=a",        "ETCD_MAX_TXN_OPS=0x_10",
        "KEELFS_MOUNT=a:b:c", "ETCD_LISTEN_CLIENT_URLS=unix://localhost:1",
        "ETCD_WHAT=1",        "PATH=/"};
    if (n == 0) {
        buf_append_byte(to, count_of(line));
        for (size_t i = 0; i < count_of(line); i++) {
            add_word(to, line[i]);
        }
        for (size_t i = 0; i < count_of(environment); i++) {
            add_word(to, environment[i]);
        }
        return true;
    }
    if (n > server_flags_count) {
        return false;
    }
    /* Each flag at its default, and something else. */
    const struct flag *row = &server_flags[n - 1];
    char word[512];
    buf_append_byte(to, 1);
    (void)snprintf(word, sizeof word, "--%s=%s", row->name, row->normal);
    add_word(to, word);
    size_t size = flag_variable(row, word, sizeof word - 2);
    size = size < sizeof word - 2 ? size : sizeof word - 3;
    word[size] = '=';
    word[size + 1] = '1';
    word[size + 2] = 0;
    add_word(to, word);
    return true;
}
