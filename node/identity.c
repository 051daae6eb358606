/* Deriving ids from --name, --initial-cluster and --initial-cluster-token. */

#include "node/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hmap.h"
#include "base/must.h"

struct member {
    struct bytes name;
    uint64_t urls_hash; /* order of a member's URLs does not matter */
};

static uint64_t never_zero(uint64_t id)
{
    return id != 0 ? id : 1;
}

static struct member *member_named(struct member *members, size_t count,
                                   struct bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(members[i].name, name)) {
            return &members[i];
        }
    }
    return NULL;
}

static enum status parse(const char *text, struct member *members,
                         size_t *ret_count, struct fault *reterr)
{
    size_t count = 0;
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
        struct member *m = member_named(members, count, name);
        if (m == NULL) {
            if (count == IDENTITY_MEMBERS_MAX) {
                return fault_set(reterr, ST_INVALID,
                                 "the initial cluster has more than %d members",
                                 IDENTITY_MEMBERS_MAX);
            }
            m = &members[count++];
            *m = (struct member){.name = name};
        }
        m->urls_hash += hash_bytes(url, 1);
        text += size;
        text += *text == ',';
    }
    *ret_count = count;
    return ST_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum status identity_derive(const char *name, const char *token,
                            const char *initial_cluster, struct identity *ret,
                            struct fault *reterr)
{
    struct member members[IDENTITY_MEMBERS_MAX];
    size_t count = 0;
    const enum status st = parse(initial_cluster, members, &count, reterr);
    if (st != ST_OK) {
        return st;
    }
    if (member_named(members, count, bytes_of(name)) == NULL) {
        return fault_set(reterr, ST_INVALID,
                         "the initial cluster '%s' does not name this member, "
                         "'%s': give --name one of its names",
                         initial_cluster, name);
    }
    const uint64_t salt = hash_bytes(bytes_of(token), 2);
    struct identity id = {.voters_count = count};
    for (size_t i = 0; i < count; i++) {
        const uint64_t seed = hash_u64(salt ^ members[i].urls_hash);
        id.voters[i] = never_zero(hash_bytes(members[i].name, seed));
        if (bytes_equal(members[i].name, bytes_of(name))) {
            id.member_id = id.voters[i];
        }
    }
    qsort(id.voters, count, sizeof id.voters[0], compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && id.voters[i] == id.voters[i - 1]) {
            return fault_set(reterr, ST_INVALID,
                             "two members of the initial cluster have the same "
                             "id: change a name");
        }
        id.cluster_id = hash_u64(id.cluster_id ^ id.voters[i]);
    }
    id.cluster_id = never_zero(id.cluster_id);
    must(id.member_id != 0);
    *ret = id;
    return ST_OK;
}
