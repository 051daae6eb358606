/* TTLs and ids of leases as text. */

#include <inttypes.h>
#include <stdio.h>

#include "fs/lease.h"

/* Without the blanks around it. */
static struct bytes trimmed(struct bytes text)
{
    static const struct bytes blanks = {(const uint8_t *)" \t\n", 3};
    while (text.size > 0 &&
           memchr(blanks.data, text.data[text.size - 1], blanks.size) != NULL) {
        text.size--;
    }
    while (text.size > 0 &&
           memchr(blanks.data, text.data[0], blanks.size) != NULL) {
        text = bytes_after(text, 1);
    }
    return text;
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

static bool read_number(struct bytes text, unsigned base, uint64_t max,
                        uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        const unsigned digit = (unsigned)digit_of(text.data[i]);
        if (digit >= base || value > (max - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *ret = value;
    return text.size > 0;
}

bool fs_lease_read_ttl(struct bytes text, int64_t *ret)
{
    uint64_t value;
    if (!read_number(trimmed(text), 10, KV_LEASE_TTL_MAX, &value)) {
        return false;
    }
    *ret = (int64_t)value;
    return true;
}

bool fs_lease_read_id(struct bytes text, int64_t *ret)
{
    uint64_t value;
    text = trimmed(text);
    if (bytes_starts_with(text, bytes_of("0x"))) {
        text = bytes_after(text, 2);
    }
    if (!read_number(text, 16, UINT64_MAX, &value)) {
        return false;
    }
    *ret = (int64_t)value;
    return true;
}

void fs_lease_name(int64_t id, char ret[FS_LEASE_NAME_SIZE])
{
    (void)snprintf(ret, FS_LEASE_NAME_SIZE, "%" PRIx64, id);
}
