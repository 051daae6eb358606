/* Frames and the bodies of the handshake, to bytes and back. */

#include "net/peer_frame.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

#define CRC_OFFSET 8

static const uint8_t magic[8] = {'k', 'e', 'e', 'l', 'p', 'e', 'e', 'r'};

static uint32_t checksum(const uint8_t header[PEER_HEADER_SIZE],
                         struct bytes body)
{
    return crc32c(crc32c(0, (struct bytes){header, CRC_OFFSET}), body);
}

void peer_header_put(uint8_t header[PEER_HEADER_SIZE],
                     enum peer_frame_type type, struct bytes body)
{
    must(body.size <= PEER_FRAME_SIZE_LIMIT);
    memset(header, 0, PEER_HEADER_SIZE);
    put_u32(header, (uint32_t)body.size);
    header[4] = (uint8_t)type;
    put_u32(header + CRC_OFFSET, checksum(header, body));
}

enum status peer_header_read(const uint8_t header[PEER_HEADER_SIZE],
                             size_t size_max, struct peer_header *ret,
                             struct fault *reterr)
{
    const size_t size = get_u32(header);
    const unsigned type = header[4];
    if (type < PEER_FRAME_HELLO || type > PEER_FRAME_INFO || header[5] != 0 ||
        header[6] != 0 || header[7] != 0) {
        return fault_set(reterr, ST_INVALID, "a frame of no known type");
    }
    if (type != PEER_FRAME_MESSAGE && type != PEER_FRAME_INFO &&
        size_max > PEER_CONTROL_SIZE_MAX) {
        size_max = PEER_CONTROL_SIZE_MAX;
    }
    if (size > size_max) {
        return fault_set(reterr, ST_INVALID,
                         "a frame of %zu bytes, more than %zu", size, size_max);
    }
    *ret = (struct peer_header){.type = (enum peer_frame_type)type,
                                .size = size,
                                .crc = get_u32(header + CRC_OFFSET)};
    return ST_OK;
}

bool peer_header_matches(const uint8_t header[PEER_HEADER_SIZE],
                         struct bytes body)
{
    return get_u32(header + CRC_OFFSET) == checksum(header, body);
}

static void write_magic(struct buf *to)
{
    buf_append(to, (struct bytes){magic, sizeof magic});
}

static bool read_magic(struct reader *r)
{
    return bytes_equal(read_bytes(r, sizeof magic),
                       (struct bytes){magic, sizeof magic});
}

/* Text from outside ends up in logs and on terminals: what is not printable
 * ASCII becomes '?'.  `to` has room for size_max and the end. */
static bool read_text(struct reader *r, size_t size_max, char *to)
{
    const struct bytes text = read_sized(r);
    if (!reader_ok(r) || text.size > size_max) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        to[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    to[text.size] = 0;
    return true;
}

void peer_hello_put(struct buf *to, const struct peer_hello *hello)
{
    write_magic(to);
    write_u16(to, hello->version_min);
    write_u16(to, hello->version_max);
    write_u64(to, hello->cluster_id);
    write_u64(to, hello->from);
    write_u64(to, hello->to);
    write_u8(to, (uint8_t)hello->stream);
    write_sized(to, bytes_of(hello->addresses));
}

enum status peer_hello_read(struct bytes body, struct peer_hello *ret,
                            struct fault *reterr)
{
    struct reader r = reader_of(body);
    if (!read_magic(&r)) {
        return fault_set(reterr, ST_INVALID, "a greeting in another protocol");
    }
    ret->version_min = read_u16(&r);
    ret->version_max = read_u16(&r);
    if (!reader_ok(&r) || ret->version_min > ret->version_max) {
        return fault_set(reterr, ST_INVALID, "a greeting without a version");
    }
    if (ret->version_min > PEER_VERSION_MAX ||
        ret->version_max < PEER_VERSION_MIN) {
        return fault_set(reterr, ST_UNSUPPORTED,
                         "peer protocol versions %u to %u are spoken there, "
                         "%u to %u here",
                         ret->version_min, ret->version_max, PEER_VERSION_MIN,
                         PEER_VERSION_MAX);
    }
    ret->cluster_id = read_u64(&r);
    ret->from = read_u64(&r);
    ret->to = read_u64(&r);
    const uint8_t stream = read_u8(&r);
    /* A later version may say more behind the addresses. */
    if (!read_text(&r, PEER_ADDRESSES_SIZE_MAX, ret->addresses) ||
        stream >= PEER_STREAMS) {
        return fault_set(reterr, ST_INVALID, "a greeting not well formed");
    }
    ret->stream = (enum peer_stream)stream;
    return ST_OK;
}

void peer_welcome_put(struct buf *to, const struct peer_welcome *welcome)
{
    write_magic(to);
    write_u16(to, welcome->version);
    write_u64(to, welcome->cluster_id);
    write_u64(to, welcome->from);
    write_u64(to, welcome->to);
}

enum status peer_welcome_read(struct bytes body, struct peer_welcome *ret,
                              struct fault *reterr)
{
    struct reader r = reader_of(body);
    if (!read_magic(&r)) {
        return fault_set(reterr, ST_INVALID, "a welcome in another protocol");
    }
    ret->version = read_u16(&r);
    ret->cluster_id = read_u64(&r);
    ret->from = read_u64(&r);
    ret->to = read_u64(&r);
    if (!reader_ok(&r)) {
        return fault_set(reterr, ST_INVALID, "a welcome not well formed");
    }
    return ST_OK;
}

void peer_reject_put(struct buf *to, const struct peer_reject *reject)
{
    write_u16(to, reject->reason);
    write_sized(to, bytes_of(reject->text));
}

enum status peer_reject_read(struct bytes body, struct peer_reject *ret,
                             struct fault *reterr)
{
    struct reader r = reader_of(body);
    ret->reason = read_u16(&r);
    if (!read_text(&r, sizeof ret->text - 1, ret->text)) {
        return fault_set(reterr, ST_INVALID, "a refusal not well formed");
    }
    return ST_OK;
}

void peer_ping_put(struct buf *to, uint64_t number)
{
    write_u64(to, number);
}

enum status peer_ping_read(struct bytes body, uint64_t *ret_number,
                           struct fault *reterr)
{
    struct reader r = reader_of(body);
    const uint64_t number = read_u64(&r);
    if (!reader_done(&r)) {
        return fault_set(reterr, ST_INVALID, "a heartbeat not well formed");
    }
    *ret_number = number;
    return ST_OK;
}
