/* Several changes of the members at once, through a joint configuration: all of
 * them or none (keelfspb.Cluster/MemberChange).  For one at a time there is
 * etcdctl, which has no word for this. */

#include "cmd/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "cmd/flags.h"
#include "kv/admin.h"
#include "net/grpc_dial.h"
#include "proto/wire.h"

#define ROW(kind, name, normal, help)                                          \
    {                                                                          \
        name, FLAG_##kind, normal, "", FLAG_USED, "", "", help                 \
    }
#define LIST_MAX     16384
#define TIMEOUT_MS   30000
#define KEEPALIVE_MS 10000

/* The numbers of the request. */
enum { ADD = 1, REMOVE = 2, PROMOTE = 3 };

static const struct flag table[] = {
    ROW(TEXT, "endpoints", "127.0.0.1:2379",
        "addresses of members, the first that can be reached is asked"),
    ROW(LIST, "add", "", "NAME=URL[,URL] of a voter that is to join"),
    ROW(LIST, "add-learner", "", "NAME=URL[,URL] of a learner that is to join"),
    ROW(LIST, "promote", "", "ID of a learner that is to vote"),
    ROW(LIST, "remove", "", "ID of a member that is to go"),
};

struct asking {
    struct loop *loop;
    struct grpc_conn *conn;
    struct grpc_client_call call;
    struct buf request;
    const struct flags *flags;
    bool up, over;
    enum status status;
    struct fault fault;
};

/* --- the request --- */

static enum status add_urls(struct buf *to, const char *word,
                            struct fault *reterr)
{
    const char *equals = strchr(word, '=');
    if (equals == NULL || equals == word || equals[1] == '\0') {
        return fault_set(reterr, ST_INVALID, "'%s' is not NAME=URL", word);
    }
    for (const char *at = equals + 1; *at != '\0';) {
        const size_t size = strcspn(at, ",");
        wire_add_element(to, 3, (struct bytes){(const uint8_t *)at, size});
        at += size + (at[size] == ',');
    }
    return ST_OK;
}

static enum status add_id(struct buf *to, const char *word,
                          struct fault *reterr)
{
    char *end;
    const uint64_t id = strtoull(word, &end, 16);
    if (id == 0 || *end != '\0') {
        return fault_set(reterr, ST_INVALID,
                         "'%s' is not a member's id, in hex", word);
    }
    wire_add_number(to, 2, id);
    return ST_OK;
}

static enum status add_changes(struct asking *a, const char *flag, uint64_t op,
                               struct fault *reterr)
{
    const struct flag_setting *words = flags_setting(a->flags, flag);
    enum status st = ST_OK;
    for (size_t i = 0; i < words->count && st == ST_OK; i++) {
        const size_t mark = wire_begin(&a->request, 1);
        wire_add_number(&a->request, 1, op);
        st = op == ADD ? add_urls(&a->request, words->values[i], reterr)
                       : add_id(&a->request, words->values[i], reterr);
        wire_add_number(&a->request, 4, strcmp(flag, "add-learner") == 0);
        wire_end(&a->request, mark);
    }
    return st;
}

static enum status write_request(struct asking *a, struct fault *reterr)
{
    enum status st = add_changes(a, "add", ADD, reterr);
    if (st == ST_OK) {
        st = add_changes(a, "add-learner", ADD, reterr);
    }
    if (st == ST_OK) {
        st = add_changes(a, "promote", PROMOTE, reterr);
    }
    if (st == ST_OK) {
        st = add_changes(a, "remove", REMOVE, reterr);
    }
    if (st == ST_OK && a->request.size == 0) {
        st = fault_set(reterr, ST_INVALID, "say what is to change");
    }
    return st;
}

/* --- the answer --- */

struct told {
    uint64_t id;
    struct bytes name, url; /* the first */
    bool is_learner;
};

static bool read_member(struct bytes message, struct told *ret)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    *ret = (struct told){0};
    while (wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            ret->id = f.value;
        } else if (f.number == 2 && f.type == WIRE_BYTES) {
            ret->name = f.bytes;
        } else if (f.number == 3 && f.type == WIRE_BYTES &&
                   ret->url.size == 0) {
            ret->url = f.bytes;
        } else if (f.number == 5 && f.type == WIRE_VARINT) {
            ret->is_learner = f.value != 0;
        }
    }
    return !r.failed;
}

/* The name that a newcomer was given on the command line. */
static struct bytes name_of(const struct asking *a, struct bytes url)
{
    static const char *const lists[] = {"add", "add-learner"};
    for (size_t l = 0; l < count_of(lists); l++) {
        const struct flag_setting *words = flags_setting(a->flags, lists[l]);
        for (size_t i = 0; i < words->count; i++) {
            const char *word = words->values[i];
            const char *equals = strchr(word, '=');
            const struct bytes urls = bytes_of(equals + 1);
            if (urls.size >= url.size &&
                memcmp(urls.data, url.data, url.size) == 0) {
                return (struct bytes){(const uint8_t *)word,
                                      (size_t)(equals - word)};
            }
        }
    }
    return BYTES_NONE;
}

/* A line for each member, as etcdctl's, and what newcomers are started with. */
static void message(struct grpc_client_call *call, struct bytes m)
{
    const struct asking *a = container_of(call, struct asking, call);
    struct wire_reader r = wire_reader_of(m);
    struct wire_field f;
    struct buf cluster = {0};
    while (wire_next(&r, &f)) {
        struct told t;
        if (f.number != 2 || f.type != WIRE_BYTES ||
            !read_member(f.bytes, &t)) {
            continue;
        }
        const bool is_new = t.name.size == 0;
        const struct bytes name = is_new ? name_of(a, t.url) : t.name;
        (void)printf("%" PRIx64 ", %s, %.*s, %.*s, %s\n", t.id,
                     is_new ? "unstarted" : "started", (int)name.size,
                     (const char *)name.data, (int)t.url.size,
                     (const char *)t.url.data,
                     t.is_learner ? "learner" : "voter");
        if (name.size > 0) {
            buf_append(&cluster, cluster.size > 0 ? bytes_of(",") : BYTES_NONE);
            buf_append(&cluster, name);
            buf_append(&cluster, bytes_of("="));
            buf_append(&cluster, t.url);
        }
    }
    (void)printf("\nETCD_INITIAL_CLUSTER=\"%.*s\"\n"
                 "ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
                 (int)cluster.size, (const char *)cluster.data);
    buf_fini(&cluster);
}

/* --- the call --- */

static void end(struct asking *a, enum status st)
{
    a->status = st;
    a->over = true;
    loop_stop(a->loop);
}

static void ended(struct grpc_client_call *call, const struct grpc_outcome *how)
{
    struct asking *a = container_of(call, struct asking, call);
    if (!a->over) {
        end(a, how->code == GRPC_OK
                   ? ST_OK
                   : fault_set(&a->fault, ST_IO, "%.*s (code %d)",
                               (int)how->text.size,
                               (const char *)how->text.data, how->code));
    }
}

static void came_up(void *arg)
{
    struct asking *a = arg;
    a->up = true;
    a->call = (struct grpc_client_call){.on_message = message, .on_end = ended};
    grpc_client_start(grpc_conn_client(a->conn), &a->call,
                      "/keelfspb.Cluster/MemberChange", TIMEOUT_MS, NULL, 0);
    buf_append(grpc_client_begin_message(&a->call), buf_bytes(&a->request));
    grpc_client_end_message(&a->call);
    grpc_client_half_close(&a->call);
}

static void went_down(void *arg, const char *why)
{
    struct asking *a = arg;
    if (!a->over) {
        end(a, fault_set(&a->fault, a->up ? ST_IO : ST_NO_LEADER, "%s", why));
    }
}

static enum status ask(struct asking *a, struct grpc_dialer *dialer,
                       const char *address)
{
    const struct grpc_conn_options options = {.address = address,
                                              .keepalive_ms = KEEPALIVE_MS,
                                              .on_up = came_up,
                                              .on_down = went_down,
                                              .arg = a};
    a->over = a->up = false;
    const enum status st =
        grpc_conn_open(dialer, &options, &a->conn, &a->fault);
    if (st != ST_OK) {
        return st;
    }
    loop_run(a->loop);
    grpc_conn_close(a->conn);
    a->conn = NULL;
    return a->status;
}

/* The first that can be reached: what one began is not asked of another. */
static enum status ask_one(struct asking *a, const char *endpoints)
{
    char list[LIST_MAX];
    const int size = snprintf(list, sizeof list, "%s", endpoints);
    enum status st = ST_NO_LEADER;
    if (size <= 0 || (size_t)size >= sizeof list) {
        return fault_set(&a->fault, ST_INVALID,
                         "--endpoints is empty or too long");
    }
    struct grpc_dialer *dialer = grpc_dialer_new(a->loop);
    char *rest = list;
    char *one;
    while (st == ST_NO_LEADER && (one = strsep(&rest, ",")) != NULL) {
        st = ask(a, dialer, strncmp(one, "http://", 7) == 0 ? one + 7 : one);
    }
    grpc_dialer_free(dialer);
    return st;
}

static const char *endpoints_of(const struct flags *f)
{
    const struct flag_setting *given = flags_setting(f, "endpoints");
    const char *variable = getenv("ETCDCTL_ENDPOINTS");
    return given->source == FLAG_FROM_DEFAULT && variable != NULL &&
                   variable[0] != '\0'
               ? variable
               : given->value;
}

static int change(const struct flags *f)
{
    struct asking a = {.flags = f};
    const struct loop_options lo = {0};
    enum status st = write_request(&a, &a.fault);
    const int wrong = st == ST_INVALID ? 2 : 1;
    if (st == ST_OK) {
        st = loop_new(&lo, &a.loop, &a.fault);
    }
    if (st == ST_OK) {
        st = ask_one(&a, endpoints_of(f));
    }
    if (st != ST_OK) {
        (void)fprintf(stderr, "keelfs member change: %s\n", a.fault.text);
    }
    buf_fini(&a.request);
    loop_free(a.loop);
    return st == ST_OK ? 0 : wrong;
}

/* --- the command line --- */

static int usage(FILE *to, int exit_status)
{
    (void)fputs("Usage: keelfs member change [flags]\n"
                "  makes several changes at once, all of them or none\n",
                to);
    for (size_t i = 0; i < count_of(table); i++) {
        (void)fprintf(
            to, "  --%s\n      %s%s%s\n", table[i].name, table[i].help,
            table[i].normal[0] != '\0' ? "; default " : "", table[i].normal);
    }
    return exit_status;
}

int member_main(int argc, char *const *argv)
{
    struct flags f;
    struct fault fault;
    if (argc > 0 &&
        (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        return usage(stdout, 0);
    }
    if (argc == 0 || strcmp(argv[0], "change") != 0) {
        return usage(stderr, 2);
    }
    flags_init(&f, table, count_of(table));
    const enum status st = flags_read_line(&f, argc - 1, argv + 1, &fault);
    int exit_status;
    if (st != ST_OK) {
        (void)fprintf(stderr, "keelfs member change: %s\n", fault.text);
        exit_status = 2;
    } else {
        exit_status = f.help ? usage(stdout, 0) : change(&f);
    }
    flags_fini(&f);
    return exit_status;
}
