/* See grpc_text.h. */

#include "net/grpc_text.h"

#include <stdio.h>

void grpc_text_encode(struct buf *to, struct bytes text, size_t text_max)
{
    static const char digits[] = "0123456789ABCDEF";
    const size_t size = text.size < text_max ? text.size : text_max;
    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = text.data[i];
        if (byte >= ' ' && byte <= '~' && byte != '%') {
            buf_append_byte(to, byte);
            continue;
        }
        buf_append_byte(to, '%');
        buf_append_byte(to, (uint8_t)digits[byte >> 4]);
        buf_append_byte(to, (uint8_t)digits[byte & 15]);
    }
}

static int64_t unit_ns(uint8_t unit)
{
    switch (unit) {
    case 'H':
        return 3600 * (int64_t)1000000000;
    case 'M':
        return 60 * (int64_t)1000000000;
    case 'S':
        return 1000000000;
    case 'm':
        return 1000000;
    case 'u':
        return 1000;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

bool grpc_text_timeout(struct bytes text, int64_t *ret_ns)
{
    if (text.size < 2 || text.size > 9) {
        return false;
    }
    int64_t number = 0;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    const int64_t unit = unit_ns(text.data[text.size - 1]);
    if (unit == 0) {
        return false;
    }
    /* 99,999,999 hours are more than the clock has. */
    *ret_ns = number > INT64_MAX / 2 / unit ? INT64_MAX / 2 : number * unit;
    return true;
}

bool grpc_text_is_content_type(struct bytes text)
{
    const struct bytes base = bytes_of("application/grpc");
    return bytes_starts_with(text, base) &&
           (text.size == base.size || text.data[base.size] == '+' ||
            text.data[base.size] == ';');
}

struct bytes grpc_text_number(int number, char to[GRPC_NUMBER_SIZE])
{
    if (number >= 0 && number < 10) {
        to[0] = (char)('0' + number);
        return (struct bytes){(const uint8_t *)to, 1};
    }
    const int size = snprintf(to, GRPC_NUMBER_SIZE, "%d", number);
    return (struct bytes){(const uint8_t *)to, (size_t)size};
}
