/* Contradictions among flags that this version accepts but does not use. */

#include <string.h>

#include "cmd/server_options.h"

static bool is_set(const struct flags *f, const char *name)
{
    return flags_text(f, name)[0] != '\0';
}

/* A certificate is of no use without its key, nor a key without it. */
static enum status check_pairs(const struct flags *f, struct fault *reterr)
{
    static const char *const pairs[][2] = {
        {"cert-file", "key-file"},
        {"client-cert-file", "client-key-file"},
        {"peer-cert-file", "peer-key-file"},
        {"peer-client-cert-file", "peer-client-key-file"},
    };
    for (size_t i = 0; i < count_of(pairs); i++) {
        const bool first = is_set(f, pairs[i][0]);
        if (first != is_set(f, pairs[i][1])) {
            return fault_set(reterr, ST_INVALID,
                             "--%s is given without --%s: give both or neither",
                             pairs[i][!first], pairs[i][first]);
        }
    }
    return ST_OK;
}

static enum status check_tls(const struct flags *f, struct fault *reterr)
{
    if (strcmp(flags_text(f, "tls-min-version"), "TLS1.3") == 0 &&
        strcmp(flags_text(f, "tls-max-version"), "TLS1.2") == 0) {
        return fault_set(reterr, ST_INVALID,
                         "--tls-min-version is above --tls-max-version");
    }
    if (flags_bool(f, "client-cert-auth") && !is_set(f, "trusted-ca-file")) {
        return fault_set(reterr, ST_INVALID,
                         "--client-cert-auth is given without "
                         "--trusted-ca-file: no certificate could be verified");
    }
    return ST_OK;
}

static enum status check_auth(const struct flags *f, struct fault *reterr)
{
    const int64_t cost = flags_int(f, "bcrypt-cost");
    if (cost < 4 || cost > 31) {
        return fault_set(reterr, ST_INVALID,
                         "--bcrypt-cost is %lld: it must be from 4 to 31",
                         (long long)cost);
    }
    const char *token = flags_text(f, "auth-token");
    if (strcmp(token, "simple") != 0 && strcmp(token, "jwt") != 0 &&
        strncmp(token, "jwt,", 4) != 0) {
        return fault_set(reterr, ST_INVALID,
                         "--auth-token is '%s': it must be simple, or jwt and "
                         "its options",
                         token);
    }
    return ST_OK;
}

enum status server_options_check_rest(const struct flags *f,
                                      struct fault *reterr)
{
    enum status st = check_pairs(f, reterr);
    if (st == ST_OK) {
        st = check_tls(f, reterr);
    }
    if (st == ST_OK) {
        st = check_auth(f, reterr);
    }
    return st;
}
