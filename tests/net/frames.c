#include "tests/net/frames.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

/* RFC 9113, 6: type by name. */
static const char *const types[] = {
    "DATA", "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
    "PUSH", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};

static void put_message(struct buf *to, struct bytes message)
{
    const uint8_t prefix[5] = {0, 0, 0, (uint8_t)(message.size >> 8),
                               (uint8_t)message.size};
    buf_append(to, (struct bytes){prefix, sizeof prefix});
    buf_append(to, message);
}

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
        put_message(to, bytes_of(part + 1));
    } else {
        must(strcmp(part, ".") == 0);
    }
}

uint8_t frames_type(const char *name)
{
    for (size_t i = 0; i < count_of(types); i++) {
        if (strcmp(name, types[i]) == 0) {
            return (uint8_t)i;
        }
    }
    return (uint8_t)strtoul(name, NULL, 16); /* an unknown one */
}

uint8_t frames_flags(const char *text)
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
                             frames_type(type),
                             frames_flags(flags),
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
    for (unsigned i = 0; i <= FRAMES_MANY; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "HEADERS %u H post", 2 * i + 1);
        put_frame(to, line);
    }
}

void frames_preface(struct buf *to)
{
    static const uint8_t settings[9] = {0, 0, 0, 4};
    buf_append(to, bytes_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    buf_append(to, (struct bytes){settings, sizeof settings});
}

const char *frames_put(struct buf *to, const char *script)
{
    while (*script != 0) {
        const size_t size = strcspn(script, "\n");
        char *line = strndup(script, size);
        script += size + (script[size] == '\n');
        const bool stop = strcmp(line, "--") == 0;
        if (strcmp(line, "MANY") == 0) {
            put_many(to);
        } else if (!stop && line[0] != 0) {
            put_frame(to, line);
        }
        free(line);
        if (stop) {
            return script;
        }
    }
    return NULL;
}
