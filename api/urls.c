/* Peer URLs, as strict as etcd's types.NewURLs. */

#include <ctype.h>

#include "api/internal.h"

static bool is_port(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (!isdigit(b.data[i])) {
            return false;
        }
    }
    return true;
}

/* host:port; the host may be empty, or a number in brackets. */
static bool is_host_and_port(struct bytes b)
{
    size_t colon = b.size;
    for (size_t i = 0; i < b.size; i++) {
        if (b.data[i] == ':') {
            colon = i;
        }
        if (b.data[i] <= ' ' || b.data[i] == 0x7f || b.data[i] == '@' ||
            b.data[i] == '?' || b.data[i] == '#') {
            return false;
        }
    }
    if (colon == b.size || !is_port(bytes_after(b, colon + 1))) {
        return false;
    }
    const struct bytes host = {b.data, colon};
    const bool bracketed =
        host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    return bracketed || host.size == 0 ||
           memchr(host.data, ':', host.size) == NULL;
}

bool api_url_is_peer(struct bytes url)
{
    static const char *const schemes[] = {"http://", "https://", "unix://",
                                          "unixs://"};
    for (size_t i = 0; i < count_of(schemes); i++) {
        const struct bytes scheme = bytes_of(schemes[i]);
        if (!bytes_starts_with(url, scheme)) {
            continue;
        }
        const struct bytes rest = bytes_after(url, scheme.size);
        if (i >= 2) {
            return rest.size > 0;
        }
        return rest.size > 0 && memchr(rest.data, '/', rest.size) == NULL &&
               is_host_and_port(rest);
    }
    return false;
}
