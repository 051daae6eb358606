/* RFC 9113 and RFC 7541, case by case: what h2spec 2.6 asks of a server (its
 * 146 cases, by its sections), as scripts against a session without sockets.
 *
 * A script is lines of frames, after the client's preface and empty SETTINGS:
 *
 *   TYPE STREAM FLAGS PAYLOAD     what the client sends
 *   --                            the server's output is taken
 *
 * FLAGS: '.' none, S end of stream or ack, H end of headers, P padded, R
 * priority, U one that is undefined.  PAYLOAD is '.', or parts joined by '+':
 * post, get, head (fields of a request; post is a gRPC call that echoes), n:v
 * (a field, literal), xHEX, zN (N zeros), mTEXT (a gRPC message).
 *
 * An expectation: several joined by ' & ':
 *   goaway CODES     a connection error (GOAWAY with one of them)
 *   stream N CODES   RST_STREAM with one of them, or a connection error
 *   answer N         HEADERS on stream N
 *   data N SIZE…     the sizes of the DATA frames on stream N
 *   alive            a PING is answered, nothing was refused
 *   frame TYPE FLAGS such a frame came
 *   first TYPE       what came first
 */

#include <stdlib.h>

#include "base/must.h"
#include "tests/net/grpc_rig.h"

#define STREAMS_MAX 100

struct row {
    const char *section, *rule, *script, *expected;
};

/* RFC 9113, 6: type by name. */
static const char *const types[] = {
    "DATA", "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
    "PUSH", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};
static const char *const codes[] = {
    "NO_ERROR",         "PROTOCOL",      "INTERNAL",   "FLOW_CONTROL",
    "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE", "REFUSED",
    "CANCEL",           "COMPRESSION"};

static const struct row rows[] = {
#include "tests/net/http2_conformance_rows.inc"
};

/* --- writing frames --- */

static void put_field(struct buf *to, struct bytes name, struct bytes value)
{
    must(name.size < 127 && value.size < 127);
    buf_append_byte(to, 0x00); /* literal, not indexed, new name */
    buf_append_byte(to, (uint8_t)name.size);
    buf_append(to, name);
    buf_append_byte(to, (uint8_t)value.size);
    buf_append(to, value);
}

static void put_text_field(struct buf *to, const char *name, const char *value)
{
    put_field(to, bytes_of(name), bytes_of(value));
}

static void put_request(struct buf *to, const char *method)
{
    put_text_field(to, ":method", method);
    put_text_field(to, ":scheme", "http");
    put_text_field(to, ":path", "/test.Echo/Stream");
    put_text_field(to, ":authority", "127.0.0.1");
    put_text_field(to, "content-type", "application/grpc");
}

static void put_hex(struct buf *to, const char *hex)
{
    for (; hex[0] != 0 && hex[1] != 0; hex += 2) {
        const char two[3] = {hex[0], hex[1], 0};
        buf_append_byte(to, (uint8_t)strtoul(two, NULL, 16));
    }
}

static void put_part(struct buf *to, char *part)
{
    char *colon = strchr(part + 1, ':'); /* not that of a pseudo-header */
    if (strcmp(part, "post") == 0) {
        put_request(to, "POST");
    } else if (strcmp(part, "get") == 0) {
        put_request(to, "GET");
    } else if (strcmp(part, "head") == 0) {
        put_request(to, "HEAD");
    } else if (colon != NULL) {
        put_field(to, (struct bytes){(uint8_t *)part, (size_t)(colon - part)},
                  bytes_of(colon + 1));
    } else if (part[0] == 'x') {
        put_hex(to, part + 1);
    } else if (part[0] == 'z') {
        const size_t count = strtoul(part + 1, NULL, 10);
        memset(buf_extend(to, count), 0, count);
    } else if (part[0] == 'm') {
        grpc_rig_frame(to, 0, bytes_of(part + 1));
    } else {
        must(strcmp(part, ".") == 0);
    }
}

static uint8_t type_of(const char *name)
{
    for (size_t i = 0; i < count_of(types); i++) {
        if (strcmp(name, types[i]) == 0) {
            return (uint8_t)i;
        }
    }
    return (uint8_t)strtoul(name, NULL, 16); /* an unknown one */
}

static uint8_t flags_of(const char *text)
{
    uint8_t flags = 0;
    for (; *text != 0; text++) {
        flags |= *text == 'S'   ? 0x01
                 : *text == 'H' ? 0x04
                 : *text == 'P' ? 0x08
                 : *text == 'R' ? 0x20
                 : *text == 'U' ? 0x16 & ~0x04
                                : 0;
    }
    return flags;
}

static void put_frame(struct buf *to, char *line)
{
    char *rest = line;
    const char *type = strsep(&rest, " ");
    const char *stream = strsep(&rest, " ");
    const char *flags = strsep(&rest, " ");
    struct buf payload = {0};
    for (char *part; (part = strsep(&rest, "+")) != NULL;) {
        put_part(&payload, part);
    }
    const uint32_t id = (uint32_t)strtoul(stream, NULL, 0);
    const uint8_t head[9] = {(uint8_t)(payload.size >> 16),
                             (uint8_t)(payload.size >> 8),
                             (uint8_t)payload.size,
                             type_of(type),
                             flags_of(flags),
                             (uint8_t)(id >> 24),
                             (uint8_t)(id >> 16),
                             (uint8_t)(id >> 8),
                             (uint8_t)id};
    buf_append(to, (struct bytes){head, sizeof head});
    buf_append(to, buf_bytes(&payload));
    buf_fini(&payload);
}

/* One stream more than are allowed. */
static void put_many(struct buf *to)
{
    for (unsigned i = 0; i <= STREAMS_MAX; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "HEADERS %u H post", 2 * i + 1);
        put_frame(to, line);
    }
}

/* --- reading frames --- */

struct frame {
    uint8_t type, flags;
    uint32_t stream;
    struct bytes payload;
};

static bool next_frame(struct bytes *left, struct frame *ret)
{
    if (left->size < 9) {
        return false;
    }
    const uint8_t *p = left->data;
    const size_t size = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
    must(left->size >= 9 + size);
    *ret =
        (struct frame){.type = p[3],
                       .flags = p[4],
                       .stream = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 |
                                 (uint32_t)p[7] << 8 | p[8],
                       .payload = {p + 9, size}};
    *left = bytes_after(*left, 9 + size);
    return true;
}

static const char *code_at(struct bytes payload, size_t at)
{
    must(payload.size >= at + 4);
    const uint32_t code = payload.data[at + 3];
    return code < count_of(codes) ? codes[code] : "?";
}

static bool is_one_of(const char *code, const char *list)
{
    const size_t size = strlen(code);
    for (const char *at = strstr(list, code); at != NULL;
         at = strstr(at + 1, code)) {
        if ((at == list || at[-1] == '|' || at[-1] == ' ') &&
            (at[size] == 0 || at[size] == '|')) {
            return true;
        }
    }
    return false;
}

static bool went_away(const struct grpc_rig *r, const char *list)
{
    struct bytes left = buf_bytes(&r->raw);
    struct frame f;
    while (next_frame(&left, &f)) {
        if (f.type == 7) {
            return is_one_of(code_at(f.payload, 4), list);
        }
    }
    return false;
}

static bool was_reset(const struct grpc_rig *r, uint32_t id, const char *list)
{
    struct bytes left = buf_bytes(&r->raw);
    struct frame f;
    while (next_frame(&left, &f)) {
        if (f.type == 3 && f.stream == id) {
            return is_one_of(code_at(f.payload, 0), list);
        }
    }
    return went_away(r, list);
}

static bool has_frame(const struct grpc_rig *r, uint8_t type, uint8_t flags,
                      uint32_t id)
{
    struct bytes left = buf_bytes(&r->raw);
    struct frame f;
    while (next_frame(&left, &f)) {
        if (f.type == type && (f.flags & flags) == flags && f.stream == id) {
            return true;
        }
    }
    return false;
}

static bool is_alive(struct grpc_rig *r)
{
    struct buf ping = {0};
    char line[] = "PING 0 . x7171717171717171";
    put_frame(&ping, line);
    (void)grpc_rig_give(r, buf_bytes(&ping));
    grpc_rig_pump(r);
    buf_fini(&ping);
    struct bytes left = buf_bytes(&r->raw);
    struct frame f;
    while (next_frame(&left, &f)) {
        if (f.type == 7) {
            return false;
        }
        if (f.type == 6 && f.flags == 1 && f.payload.data[0] == 0x71) {
            return true;
        }
    }
    return false;
}

static bool data_sizes(const struct grpc_rig *r, uint32_t id, const char *sizes)
{
    char text[128] = "";
    struct bytes left = buf_bytes(&r->raw);
    struct frame f;
    while (next_frame(&left, &f)) {
        if (f.type == 0 && f.stream == id) {
            const size_t at = strlen(text);
            (void)snprintf(text + at, sizeof text - at, "%s%zu",
                           at == 0 ? "" : " ", f.payload.size);
        }
    }
    return strcmp(text, sizes) == 0;
}

static bool is_closed(const struct grpc_rig *r)
{
    return !r->server_alive || grpc_session_is_over(r->session);
}

static bool holds(struct grpc_rig *r, char *expected)
{
    char *rest = expected;
    const char *what = strsep(&rest, " ");
    if (strcmp(what, "alive") == 0) {
        return is_alive(r);
    }
    if (strcmp(what, "goaway") == 0) {
        return went_away(r, rest) && is_closed(r);
    }
    if (strcmp(what, "closed") == 0) {
        return is_closed(r);
    }
    if (strcmp(what, "first") == 0) {
        return r->raw.size > 9 && r->raw.data[3] == type_of(rest);
    }
    const char *number = strsep(&rest, " ");
    const uint32_t id = (uint32_t)strtoul(number, NULL, 10);
    if (strcmp(what, "stream") == 0) {
        return was_reset(r, id, rest);
    }
    if (strcmp(what, "answer") == 0) {
        return has_frame(r, 1, 0, id);
    }
    if (strcmp(what, "data") == 0) {
        return data_sizes(r, id, rest);
    }
    must(strcmp(what, "frame") == 0);
    return has_frame(r, type_of(number), flags_of(rest), 0);
}

/* --- running --- */

static void play(struct grpc_rig *r, const char *script)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t settings[9] = {0, 0, 0, 4};
    char *copy = strdup(script), *rest = copy;
    struct buf bytes = {0};
    if (strncmp(script, "RAW ", 4) == 0) {
        buf_append(&bytes, bytes_of(script + 4));
        rest = NULL;
    } else {
        buf_append(&bytes, bytes_of(preface));
        buf_append(&bytes, (struct bytes){settings, sizeof settings});
    }
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (strcmp(line, "MANY") == 0) {
            put_many(&bytes);
        } else if (strcmp(line, "--") == 0) {
            (void)grpc_rig_give(r, buf_bytes(&bytes));
            grpc_rig_pump(r);
            buf_clear(&bytes);
        } else if (line[0] != 0) {
            put_frame(&bytes, line);
        }
    }
    (void)grpc_rig_give(r, buf_bytes(&bytes));
    grpc_rig_pump(r);
    buf_fini(&bytes);
    free(copy);
}

/* The first byte of such an expectation is no part of it. */
static bool is_known(const struct row *row)
{
    return row->expected[0] == '!';
}

static bool passes(const struct row *row)
{
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    limits.streams_max = STREAMS_MAX;
    struct grpc_rig r;
    grpc_rig_begin_with(&r, &limits);
    nghttp2_session_del(r.client);
    r.client = NULL;
    play(&r, row->script);
    bool ok = true;
    char *copy = strdup(row->expected), *at = copy + is_known(row);
    while (at != NULL) {
        char *next = strstr(at, " & ");
        if (next != NULL) {
            *next = 0;
            next += 3;
        }
        ok &= holds(&r, at);
        at = next;
    }
    free(copy);
    grpc_rig_end(&r);
    return ok;
}

/* Clients in every language rely on different corners of the protocol. */
TEST(http2, every_case_of_the_protocol_is_as_the_rfc_has_it)
{
    size_t passed = 0, known = 0;
    for (size_t i = 0; i < count_of(rows); i++) {
        if (passes(&rows[i])) {
            passed++;
            EXPECT(!is_known(&rows[i]));
        } else {
            known += is_known(&rows[i]);
            print_message("# not as wanted: %s %s (wanted: %s)\n",
                          rows[i].section, rows[i].rule, rows[i].expected);
        }
    }
    print_message("# %zu of %zu cases\n", passed, count_of(rows));
    EXPECT_INT(passed + known, count_of(rows));
}
