/* The texts of the control directory: facts from kv_status(), and what follows
 * from them for whoever wonders why a write was refused. */

#include "fs/control_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/must.h"

#define LINE_SIZE_MAX 512 /* bytes */

const char *const fs_control_names[FS_CONTROL_FILES_COUNT] = {
    [FS_CONTROL_STATUS] = "status",   [FS_CONTROL_LEADER] = "leader",
    [FS_CONTROL_MEMBERS] = "members", [FS_CONTROL_REVISION] = "revision",
    [FS_CONTROL_HEALTH] = "health",
};

/* One line; what is not printable comes from a member's name and would make
 * two lines of one. */
static __attribute__((format(printf, 2, 3))) void add(struct buf *to,
                                                      const char *format, ...)
{
    char line[LINE_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            *at = '?';
        }
    }
    buf_append(to, bytes_of(line));
    buf_append_byte(to, '\n');
}

/* The member's name, or "-" when it is not known. */
static const char *name_of(const struct kv_status *s, uint64_t id)
{
    for (size_t i = 0; i < s->members_count; i++) {
        if (s->members[i].id == id && s->members[i].name[0] != '\0') {
            return s->members[i].name;
        }
    }
    return "-";
}

static const char *role_of(const struct kv_status *s)
{
    switch (s->role) {
    case KV_ROLE_UNKNOWN:
        break;
    case KV_FOLLOWER:
        return "follower";
    case KV_CANDIDATE:
        return "candidate";
    case KV_LEADER:
        return "leader";
    }
    return "unknown";
}

/* --- what is wrong --- */

/* Each of these refuses writes, or some. */
enum trouble {
    CORRUPT,
    NO_LEADER,
    STOPPING,
    DISK_FULL,
    STORE_FULL,
    NO_SPACE,
    TROUBLES_COUNT
};

static const char *const troubles[TROUBLES_COUNT] = {
    [CORRUPT] = ("alarm CORRUPT: the state of this member differs from the "
                 "others', it serves nothing; remove it from the cluster and "
                 "add it again with an empty data directory"),
    [NO_LEADER] = ("no leader is known: the quorum is lost, this member is cut "
                   "off, or an election is under way"),
    [STOPPING] = "this member takes no writes: it is stopping",
    [DISK_FULL] = "the disk under the store is full",
    [STORE_FULL] = "the store has reached its quota: only deleting is possible",
    [NO_SPACE] = ("alarm NOSPACE: a member's store has reached its quota: only "
                  "deleting is possible until there is room; delete, then "
                  "compact"),
};

static bool has(const struct kv_status *s, enum trouble trouble)
{
    switch (trouble) {
    case CORRUPT:
        return s->corrupt;
    case NO_LEADER:
        return s->leader == 0;
    case STOPPING:
        return s->leader != 0 && !s->writable;
    case DISK_FULL:
        return s->disk_full;
    case STORE_FULL:
        return s->quota_bytes != 0 && s->used_bytes >= s->quota_bytes;
    case NO_SPACE:
        return s->no_space && !has(s, STORE_FULL);
    case TROUBLES_COUNT:
        break;
    }
    return false;
}

/* Why a write would be refused; NULL: it would be taken. */
static const char *refusal_of(const struct fs *fs, const struct kv_status *s)
{
    if (fs->options.read_only) {
        return "this mount is read-only (option ro)";
    }
    for (int i = 0; i < TROUBLES_COUNT; i++) {
        if (has(s, (enum trouble)i)) {
            return troubles[i];
        }
    }
    return NULL;
}

/* --- the files --- */

static void add_leader(const struct kv_status *s, const char *label,
                       struct buf *to)
{
    const char *name = name_of(s, s->leader);
    if (s->leader == 0) {
        add(to, "%snone", label);
    } else if (name[0] == '-' && name[1] == '\0') {
        add(to, "%s%" PRIx64, label, s->leader);
    } else {
        add(to, "%s%s", label, name);
    }
}

static void add_status(const struct fs *fs, const struct kv_status *s,
                       struct buf *to)
{
    const char *refusal = refusal_of(fs, s);
    add(to, "name: %s", name_of(s, s->header.member_id));
    add(to, "member_id: %" PRIx64, s->header.member_id);
    add(to, "cluster_id: %" PRIx64, s->header.cluster_id);
    add(to, "role: %s", role_of(s));
    add_leader(s, "leader: ", to);
    add(to, "leader_id: %" PRIx64, s->leader);
    add(to, "term: %" PRIu64, s->header.raft_term);
    add(to, "revision: %" PRId64, s->header.revision);
    add(to, "compact_revision: %" PRId64, s->compact_revision);
    add(to, "applied: %" PRIu64, s->applied);
    add(to, "members: %zu", s->members_count);
    /* A leader gives up when it does not hear from a majority, and a member
     * forgets the leader it does not hear from. */
    add(to, "quorum: %s", s->leader != 0 ? "yes" : "no");
    add(to, "writable: %s%s", refusal == NULL ? "yes" : "no, ",
        refusal == NULL ? "" : refusal);
    add(to, "keys: %" PRIu64, s->keys_count);
    add(to, "store_bytes: %" PRIu64, s->size_bytes);
    add(to, "store_used_bytes: %" PRIu64, s->used_bytes);
    add(to, "store_quota_bytes: %" PRIu64, s->quota_bytes);
    add(to, "log_bytes: %" PRIu64, s->log_bytes);
    add(to, "log_entries: %" PRIu64, s->log_entries);
}

static void add_members(const struct kv_status *s, struct buf *to)
{
    for (size_t i = 0; i < s->members_count; i++) {
        const struct kv_member *m = &s->members[i];
        add(to, "%" PRIx64 " %s%s%s%s", m->id, name_of(s, m->id),
            m->id == s->leader ? " leader" : "", m->is_self ? " self" : "",
            m->is_learner ? " learner" : "");
    }
}

static void add_health(const struct kv_status *s, struct buf *to)
{
    for (int i = 0; i < TROUBLES_COUNT; i++) {
        if (has(s, (enum trouble)i)) {
            add(to, "%s", troubles[i]);
        }
    }
    if (to->size == 0) {
        add(to, "ok");
    }
}

void fs_control_text(struct fs *fs, enum fs_control_file file, struct buf *to)
{
    must(to->size == 0);
    struct kv_status s;
    kv_status(fs->kv, &s);
    switch (file) {
    case FS_CONTROL_STATUS:
        add_status(fs, &s, to);
        break;
    case FS_CONTROL_LEADER:
        add_leader(&s, "", to);
        break;
    case FS_CONTROL_MEMBERS:
        add_members(&s, to);
        break;
    case FS_CONTROL_REVISION:
        add(to, "%" PRId64, s.header.revision);
        break;
    case FS_CONTROL_HEALTH:
        add_health(&s, to);
        break;
    case FS_CONTROL_FILES_COUNT:
        break;
    }
}
