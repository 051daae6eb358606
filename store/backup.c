/* A stream in its frame. */

#include "store/backup.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

#define FORMAT 1u
#define ALIGN  512u

static const uint8_t magic[16] = "keelfs snapshot\n";

enum step { HEAD, STREAM, END, DONE };

struct store_backup {
    struct store_export *export;
    struct store_backup_head head;
    struct sha256 sha;
    enum step step;
    uint64_t estimate; /* of the stream's size */
    uint64_t given;
};

enum status store_backup_begin(struct store *s, int64_t made_ns,
                               struct store_backup **ret, struct fault *reterr)
{
    struct store_backup *b = xcalloc(1, sizeof *b);
    const enum status st =
        store_export_begin(s, STORE_EXPORT_BLOCK_BYTES, &b->export, reterr);
    if (st != ST_OK) {
        free(b);
        return st;
    }
    struct store_transfer_info info;
    store_export_info(b->export, &info);
    b->head =
        (struct store_backup_head){.index = info.index,
                                   .term = info.term,
                                   .revision = info.revision,
                                   .compact_revision = info.compact_revision,
                                   .made_ns = made_ns,
                                   .keys_count = info.keys_count};
    store_identity(s, &b->head.identity);
    b->estimate = info.bytes_count;
    sha256_init(&b->sha);
    *ret = b;
    return ST_OK;
}

void store_backup_free(struct store_backup *b)
{
    if (b != NULL) {
        store_export_free(b->export);
        free(b);
    }
}

uint64_t store_backup_remaining(const struct store_backup *b)
{
    const uint64_t all = b->estimate + BACKUP_HEAD_SIZE + ALIGN + SHA256_SIZE;
    if (b->step == DONE) {
        return 0;
    }
    return all > b->given ? all - b->given : 1;
}

static void write_head(const struct store_backup_head *h, struct buf *to)
{
    const size_t begin = to->size;
    buf_append(to, (struct bytes){magic, sizeof magic});
    write_u32(to, FORMAT);
    write_u32(to, 0); /* the checksum's place */
    write_u64(to, h->identity.cluster_id);
    write_u64(to, h->identity.member_id);
    write_u64(to, h->index);
    write_u64(to, h->term);
    write_u64(to, (uint64_t)h->revision);
    write_u64(to, (uint64_t)h->compact_revision);
    write_u64(to, (uint64_t)h->made_ns);
    write_u64(to, h->keys_count);
    must(to->size - begin <= BACKUP_HEAD_SIZE);
    buf_resize(to, begin + BACKUP_HEAD_SIZE);
    uint8_t *head = to->data + begin;
    put_u32(head + 20,
            crc32c(0, (struct bytes){head + 24, BACKUP_HEAD_SIZE - 24}));
}

/* Zeros up to the stream's size, which ends a sector, and the digest. */
static void write_end(struct store_backup *b, struct buf *to)
{
    const uint64_t stream = store_export_position(b->export);
    const uint64_t size = BACKUP_HEAD_SIZE + stream + 8;
    const size_t begin = to->size;
    buf_resize(to, begin + (size_t)((ALIGN - size % ALIGN) % ALIGN));
    write_u64(to, stream);
    sha256_add(&b->sha, bytes_after(buf_bytes(to), begin));
    uint8_t digest[SHA256_SIZE];
    sha256_end(&b->sha, digest);
    buf_append(to, (struct bytes){digest, sizeof digest});
}

enum status store_backup_next(struct store_backup *b, struct buf *to,
                              bool *ret_done, struct fault *reterr)
{
    const size_t begin = to->size;
    bool over = false;
    enum status st = ST_OK;
    switch (b->step) {
    case HEAD:
        write_head(&b->head, to);
        b->step = STREAM;
        break;
    case STREAM:
        st = store_export_next(b->export, to, &over, reterr);
        b->step = over ? END : STREAM;
        break;
    case END:
        write_end(b, to);
        b->given += to->size - begin;
        b->step = DONE;
        *ret_done = true;
        return ST_OK;
    case DONE:
        must(b->step != DONE);
    }
    if (st == ST_OK) {
        sha256_add(&b->sha, bytes_after(buf_bytes(to), begin));
        b->given += to->size - begin;
        *ret_done = false;
    }
    return st;
}

/* --- taking one apart --- */

enum status store_backup_read_head(struct bytes head,
                                   struct store_backup_head *ret,
                                   struct fault *reterr)
{
    must(head.size == BACKUP_HEAD_SIZE);
    struct reader r = reader_of(head);
    if (!bytes_equal(read_bytes(&r, sizeof magic),
                     (struct bytes){magic, sizeof magic})) {
        return fault_set(reterr, ST_INVALID, "it is no snapshot of keelfs");
    }
    const uint32_t format = read_u32(&r);
    const uint32_t crc = read_u32(&r);
    if (format != FORMAT) {
        return fault_set(reterr, ST_INVALID,
                         "it has format %u, this program reads format %u",
                         format, FORMAT);
    }
    if (crc32c(0, r.left) != crc) {
        return fault_set(reterr, ST_CORRUPT,
                         "it is damaged: the checksum of its head is wrong");
    }
    ret->identity.cluster_id = read_u64(&r);
    ret->identity.member_id = read_u64(&r);
    ret->index = read_u64(&r);
    ret->term = read_u64(&r);
    ret->revision = (int64_t)read_u64(&r);
    ret->compact_revision = (int64_t)read_u64(&r);
    ret->made_ns = (int64_t)read_u64(&r);
    ret->keys_count = read_u64(&r);
    must(reader_ok(&r));
    return ST_OK;
}

enum status store_backup_read_end(struct bytes end, uint64_t file_size,
                                  uint64_t *ret_stream_size,
                                  struct fault *reterr)
{
    must(end.size == BACKUP_END_SIZE);
    const uint64_t stream = get_u64(end.data);
    const uint64_t body = file_size - SHA256_SIZE;
    const uint64_t around = BACKUP_HEAD_SIZE + 8;
    if (file_size < around + SHA256_SIZE || body % ALIGN != 0 ||
        stream > body - around || body - around - stream >= ALIGN) {
        return fault_set(reterr, ST_CORRUPT,
                         "it is cut or damaged: its size, %llu bytes, is not "
                         "that of a snapshot",
                         (unsigned long long)file_size);
    }
    *ret_stream_size = stream;
    return ST_OK;
}
