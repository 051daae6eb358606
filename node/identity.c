/* Deriving ids from --name, --initial-cluster and --initial-cluster-token. */

#include "node/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hmap.h"
#include "base/must.h"

struct member {
    struct bytes name;
    uint64_t id;
    uint64_t urls_hash; /* the order of a member's URLs does not matter */
    char addresses[IDENTITY_ADDRESSES_MAX];
};

struct members {
    struct member list[IDENTITY_MEMBERS_MAX];
    size_t count;
};

static uint64_t never_zero(uint64_t id)
{
    return id != 0 ? id : 1;
}

static struct member *member_named(struct members *m, struct bytes name)
{
    for (size_t i = 0; i < m->count; i++) {
        if (bytes_equal(m->list[i].name, name)) {
            return &m->list[i];
        }
    }
    return NULL;
}

/* Adds the address in `url` to the comma-separated list. */
static enum status add_address(struct bytes url, char *to, size_t size,
                               struct fault *reterr)
{
    static const char http[] = "http://";
    static const char https[] = "https://";
    if (bytes_starts_with(url, bytes_of(https))) {
        return fault_set(reterr, ST_UNSUPPORTED,
                         "'%.*s': this version speaks to its peers without "
                         "TLS: give http://HOST:PORT",
                         (int)url.size, (const char *)url.data);
    }
    if (!bytes_starts_with(url, bytes_of(http)) ||
        url.size == sizeof http - 1) {
        return fault_set(reterr, ST_INVALID,
                         "'%.*s' is not a URL of the form http://HOST:PORT",
                         (int)url.size, (const char *)url.data);
    }
    const struct bytes address = bytes_after(url, sizeof http - 1);
    const size_t used = strlen(to);
    const int added =
        snprintf(to + used, size - used, "%s%.*s", used > 0 ? "," : "",
                 (int)address.size, (const char *)address.data);
    if (added < 0 || (size_t)added >= size - used) {
        return fault_set(reterr, ST_INVALID, "too many addresses in one place");
    }
    return ST_OK;
}

static enum status add_url(struct members *m, struct bytes name,
                           struct bytes url, struct fault *reterr)
{
    struct member *of = member_named(m, name);
    if (of == NULL) {
        if (m->count == IDENTITY_MEMBERS_MAX) {
            return fault_set(reterr, ST_INVALID,
                             "the initial cluster has more than %d members",
                             IDENTITY_MEMBERS_MAX);
        }
        of = &m->list[m->count++];
        *of = (struct member){.name = name};
    }
    of->urls_hash += hash_bytes(url, 1);
    return add_address(url, of->addresses, sizeof of->addresses, reterr);
}

static enum status parse(const char *text, struct members *m,
                         struct fault *reterr)
{
    while (*text != '\0') {
        const size_t size = strcspn(text, ",");
        const char *equals = memchr(text, '=', size);
        if (equals == NULL || equals == text || equals + 1 == text + size) {
            return fault_set(reterr, ST_INVALID,
                             "cannot read the initial cluster: '%.*s' is not "
                             "NAME=URL",
                             (int)size, text);
        }
        const struct bytes name = {(const uint8_t *)text,
                                   (size_t)(equals - text)};
        const struct bytes url = {(const uint8_t *)equals + 1,
                                  (size_t)(text + size - equals - 1)};
        const enum status st = add_url(m, name, url, reterr);
        if (st != ST_OK) {
            return st;
        }
        text += size;
        text += *text == ',';
    }
    return ST_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static enum status give_ids(struct members *m, const char *name,
                            const char *token, struct identity *ret,
                            struct fault *reterr)
{
    const uint64_t salt = hash_bytes(bytes_of(token), 2);
    for (size_t i = 0; i < m->count; i++) {
        struct member *of = &m->list[i];
        const uint64_t seed = hash_u64(salt ^ of->urls_hash);
        of->id = never_zero(hash_bytes(of->name, seed));
    }
    ret->member_id = member_named(m, bytes_of(name))->id;
    qsort(m->list, m->count, sizeof m->list[0], compare_ids);
    ret->voters_count = m->count;
    ret->cluster_id = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (i > 0 && m->list[i].id == m->list[i - 1].id) {
            return fault_set(reterr, ST_INVALID,
                             "two members of the initial cluster have the same "
                             "id: change a name");
        }
        ret->voters[i] = m->list[i].id;
        (void)snprintf(ret->names[i], sizeof ret->names[i], "%.*s",
                       (int)m->list[i].name.size,
                       (const char *)m->list[i].name.data);
        memcpy(ret->addresses[i], m->list[i].addresses,
               sizeof ret->addresses[i]);
        ret->cluster_id = hash_u64(ret->cluster_id ^ m->list[i].id);
    }
    ret->cluster_id = never_zero(ret->cluster_id);
    return ST_OK;
}

enum status identity_derive(const char *name, const char *token,
                            const char *initial_cluster, struct identity *ret,
                            struct fault *reterr)
{
    struct members *m = xcalloc(1, sizeof *m);
    enum status st = parse(initial_cluster, m, reterr);
    if (st == ST_OK && member_named(m, bytes_of(name)) == NULL) {
        st = fault_set(reterr, ST_INVALID,
                       "the initial cluster '%s' does not name this member, "
                       "'%s': give --name one of its names",
                       initial_cluster, name);
    }
    if (st == ST_OK) {
        st = give_ids(m, name, token, ret, reterr);
    }
    free(m);
    return st;
}

enum status identity_strip_urls(const char *urls, char *to, size_t size,
                                struct fault *reterr)
{
    must(size > 0);
    to[0] = '\0';
    while (*urls != '\0') {
        const size_t length = strcspn(urls, ",");
        const enum status st = add_address(
            (struct bytes){(const uint8_t *)urls, length}, to, size, reterr);
        if (st != ST_OK) {
            return st;
        }
        urls += length;
        urls += *urls == ',';
    }
    return ST_OK;
}
