/* Asking those who are there. */

#include "node/join.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/must.h"
#include "net/peer_ask.h"

#define FORMAT   1
#define LIMIT_MS 2000 /* for each address */

/* --- the question --- */

void join_answer(struct bytes question, uint64_t cluster_id, uint64_t member_id,
                 const struct membership *m, struct buf *to)
{
    if (question.size == 0 || question.data[0] != FORMAT) {
        return; /* of a later version: it sees that there is no answer */
    }
    write_u8(to, FORMAT);
    write_u64(to, cluster_id);
    write_u64(to, member_id);
    membership_write(m, to);
}

static enum status ask(const char *addresses, struct join_result *ret,
                       struct fault *reterr)
{
    static const uint8_t question[] = {FORMAT};
    struct buf answer = {0};
    enum status st =
        peer_ask(addresses, (struct bytes){question, sizeof question}, LIMIT_MS,
                 &answer, reterr);
    if (st == ST_OK) {
        struct reader r = reader_of(buf_bytes(&answer));
        const uint8_t format = read_u8(&r);
        ret->cluster_id = read_u64(&r);
        ret->member_id = read_u64(&r);
        if (!reader_ok(&r) || format != FORMAT ||
            membership_read(r.left, ret->members) != ST_OK) {
            st = fault_set(reterr, ST_INVALID,
                           "%s does not say who its members are", addresses);
        }
    }
    buf_fini(&answer);
    return st;
}

/* --- new --- */

/* The URLs of one name in "name=url,name=url,…". */
static void urls_of(const char *initial_cluster, const char *name, char *to,
                    size_t size)
{
    const size_t name_size = strlen(name);
    size_t used = 0;
    to[0] = '\0';
    for (const char *at = initial_cluster; *at != '\0';) {
        const size_t part = strcspn(at, ",");
        if (part > name_size && at[name_size] == '=' &&
            memcmp(at, name, name_size) == 0 &&
            used + part - name_size + 1 < size) {
            used += (size_t)snprintf(
                to + used, size - used, "%s%.*s", used > 0 ? "," : "",
                (int)(part - name_size - 1), at + name_size + 1);
        }
        at += part;
        at += *at == ',';
    }
}

struct membership *join_first_members(const struct identity *id,
                                      const char *initial_cluster)
{
    struct membership *m = xcalloc(1, sizeof *m);
    for (size_t i = 0; i < id->voters_count; i++) {
        struct membership_member member = {.id = id->voters[i]};
        (void)snprintf(member.name, sizeof member.name, "%s", id->names[i]);
        urls_of(initial_cluster, id->names[i], member.peer_urls,
                sizeof member.peer_urls);
        const bool added = membership_add_first(m, &member);
        must(added); /* ids differ, and there are not too many */
        m->conf.voters[m->conf.voters_count++] = member.id;
    }
    return m;
}

enum status join_check_new(const struct identity *id, struct fault *reterr)
{
    struct join_result heard = {.members = xcalloc(1, sizeof *heard.members)};
    enum status st = ST_OK;
    for (size_t i = 0; i < id->voters_count && st == ST_OK; i++) {
        struct fault fault;
        if (id->voters[i] == id->member_id ||
            ask(id->addresses[i], &heard, &fault) != ST_OK ||
            heard.cluster_id != id->cluster_id) {
            continue; /* not there yet, or none of ours */
        }
        const struct membership_member *self =
            membership_find(heard.members, id->member_id);
        if (self == NULL) {
            st = fault_set(reterr, ST_INVALID,
                           "member %llx was in this cluster before, and was "
                           "removed: add it again (member add), and start it "
                           "with --initial-cluster-state=existing",
                           (unsigned long long)id->member_id);
        } else {
            st =
                membership_check_newcomer(heard.members, id->member_id, reterr);
        }
    }
    free(heard.members);
    return st;
}

/* --- existing --- */

static bool is_same_url(const char *list, const char *url, size_t size)
{
    while (*list != '\0') {
        const size_t part = strcspn(list, ",");
        if (part == size && memcmp(list, url, size) == 0) {
            return true;
        }
        list += part;
        list += *list == ',';
    }
    return false;
}

/* The member that has one of the URLs. */
static const struct membership_member *owner_of(const struct membership *m,
                                                const char *urls)
{
    for (const char *at = urls; *at != '\0';) {
        const size_t part = strcspn(at, ",");
        for (size_t i = 0; i < m->count; i++) {
            if (is_same_url(m->members[i].peer_urls, at, part)) {
                return &m->members[i];
            }
        }
        at += part;
        at += *at == ',';
    }
    return NULL;
}

static bool has_answered(const struct join_result *sum, uint64_t id)
{
    bool found = false;
    for (size_t i = 0; i < sum->answered_count; i++) {
        found |= sum->answered[i] == id;
    }
    return found;
}

/* Whom one of the two knows to be started is so in *to. */
static void add_started(struct membership *to, const struct membership *from)
{
    for (size_t i = 0; i < to->count; i++) {
        const struct membership_member *m =
            membership_find(from, to->members[i].id);
        to->members[i].started |= m != NULL && m->started;
    }
}

void join_take_answer(struct join_result *sum, struct join_result *one)
{
    if (membership_waits(one->members)) {
        free(one->members); /* it joins itself, and knows no more */
        return;
    }
    if (sum->answered_count == 0) {
        sum->cluster_id = one->cluster_id;
        free(sum->members);
        sum->members = one->members;
    } else if (sum->cluster_id != one->cluster_id ||
               has_answered(sum, one->member_id) ||
               sum->answered_count == MEMBERSHIP_MAX) {
        free(one->members);
        return;
    } else if (sum->members->changed_index < one->members->changed_index) {
        add_started(one->members, sum->members);
        free(sum->members);
        sum->members = one->members;
    } else {
        add_started(sum->members, one->members);
        free(one->members);
    }
    sum->answered[sum->answered_count++] = one->member_id;
}

/* What a quorum knows, the others know too unless this member was part of it:
 * so many of the voters that there is no quorum of the rest. */
static enum status check_answers(const struct join_result *sum,
                                 struct fault *reterr)
{
    const struct membership_conf *c = &sum->members->conf;
    const size_t wanted = c->voters_count - c->voters_count / 2;
    size_t heard = 0;
    for (size_t i = 0; i < c->voters_count; i++) {
        heard += has_answered(sum, c->voters[i]);
    }
    return heard >= wanted
               ? ST_OK
               : fault_set(reterr, ST_NOT_FOUND,
                           "cannot join: only %zu of the voting members "
                           "answer, and %zu have to, to be sure that this one "
                           "was never in the cluster before; name all of them "
                           "in --initial-cluster, and start it when they run",
                           heard, wanted);
}

enum status join_take_place(struct join_result *ret, const char *advertised,
                            struct fault *reterr)
{
    const struct membership_member *self = owner_of(ret->members, advertised);
    if (self == NULL) {
        return fault_set(
            reterr, ST_INVALID,
            "no member of cluster %llx has one of this member's peer URLs, %s: "
            "add it first (member add NAME --peer-urls=%s), or correct "
            "--initial-advertise-peer-urls",
            (unsigned long long)ret->cluster_id, advertised, advertised);
    }
    ret->member_id = self->id;
    enum status st = membership_check_newcomer(ret->members, self->id, reterr);
    st = st == ST_OK ? check_answers(ret, reterr) : st;
    ret->members->conf = (struct membership_conf){.voters_count = 0};
    return st;
}

/* Asks whoever the URL "…//host:port" of `size` bytes belongs to. */
static enum status ask_at(const char *url, size_t size, struct join_result *ret,
                          struct fault *reterr)
{
    char text[MEMBERSHIP_URLS_MAX + 1];
    char address[MEMBERSHIP_URLS_MAX + 1];
    if (size >= sizeof text) {
        return fault_set(reterr, ST_INVALID, "a URL is too long");
    }
    memcpy(text, url, size);
    text[size] = '\0';
    const enum status st =
        identity_strip_urls(text, address, sizeof address, reterr);
    return st == ST_OK ? ask(address, ret, reterr) : st;
}

enum status join_existing(const char *name, const char *advertised,
                          const char *initial_cluster, struct join_result *ret,
                          struct fault *reterr)
{
    const size_t name_size = strlen(name);
    struct fault last = {{0}};
    *ret = (struct join_result){0};
    (void)!fault_set(&last, ST_NOT_FOUND,
                     "--initial-cluster names nobody but this member");
    for (const char *at = initial_cluster; *at != '\0';) {
        const size_t part = strcspn(at, ",");
        const char *equals = memchr(at, '=', part);
        const size_t own = equals != NULL ? (size_t)(equals - at) : part;
        struct join_result one = {.members = xcalloc(1, sizeof *one.members)};
        if (equals != NULL &&
            !(own == name_size && memcmp(at, name, own) == 0) &&
            ask_at(equals + 1, part - own - 1, &one, &last) == ST_OK) {
            join_take_answer(ret, &one);
        } else {
            free(one.members);
        }
        at += part;
        at += *at == ',';
    }
    const enum status st =
        ret->answered_count > 0
            ? join_take_place(ret, advertised, reterr)
            : fault_set(reterr, ST_NOT_FOUND,
                        "cannot join: no member of the cluster answers; the "
                        "last attempt: %s",
                        last.text);
    if (st != ST_OK) {
        free(ret->members);
        ret->members = NULL;
    } else {
        log_info("this is member %llx of cluster %llx",
                 (unsigned long long)ret->member_id,
                 (unsigned long long)ret->cluster_id);
    }
    return st;
}
