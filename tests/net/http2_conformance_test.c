/* RFC 9113 and RFC 7541, case by case: what h2spec 2.6 asks of a server (its
 * 146 cases, by its sections), as scripts against a session without sockets.
 *
 * Scripts are those of frames.h, behind the client's preface and empty
 * SETTINGS; their parts are separated by --, where the server's output is
 * taken.
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
#include "tests/net/frames.h"
#include "tests/net/grpc_rig.h"

struct row {
    const char *section, *rule, *script, *expected;
};

static const char *const codes[] = {
    "NO_ERROR",         "PROTOCOL",      "INTERNAL",   "FLOW_CONTROL",
    "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE", "REFUSED",
    "CANCEL",           "COMPRESSION"};

static const struct row rows[] = {
#include "tests/net/http2_conformance_rows.inc"
};

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
    (void)frames_put(&ping, "PING 0 . x7171717171717171");
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
        return r->raw.size > 9 && r->raw.data[3] == frames_type(rest);
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
    return has_frame(r, frames_type(number), frames_flags(rest), 0);
}

/* --- running --- */

static void play(struct grpc_rig *r, const char *script)
{
    struct buf bytes = {0};
    if (strncmp(script, "RAW ", 4) == 0) {
        (void)grpc_rig_give(r, bytes_of(script + 4));
        grpc_rig_pump(r);
        return;
    }
    frames_preface(&bytes);
    do {
        script = frames_put(&bytes, script);
        (void)grpc_rig_give(r, buf_bytes(&bytes));
        grpc_rig_pump(r);
        buf_clear(&bytes);
    } while (script != NULL);
    buf_fini(&bytes);
}

static bool passes(const struct row *row)
{
    struct grpc_limits limits;
    grpc_limits_default(&limits);
    limits.streams_max = FRAMES_MANY;
    struct grpc_rig r;
    grpc_rig_begin_with(&r, &limits);
    nghttp2_session_del(r.client);
    r.client = NULL;
    play(&r, row->script);
    bool ok = true;
    char *copy = strdup(row->expected), *at = copy;
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
    size_t passed = 0;
    for (size_t i = 0; i < count_of(rows); i++) {
        if (passes(&rows[i])) {
            passed++;
        } else {
            print_message("# not as wanted: %s %s (wanted: %s)\n",
                          rows[i].section, rows[i].rule, rows[i].expected);
        }
    }
    print_message("# %zu of %zu cases\n", passed, count_of(rows));
    EXPECT_INT(passed, count_of(rows));
}
