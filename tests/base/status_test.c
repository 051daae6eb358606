/* The status table against the two contracts it serves: filesystem.md section
 * 9 and etcd's error table (api/v3rpc/rpctypes/error.go, etcd 3.6). */

#include "base/fault.h"
#include "base/status.h"
#include "tests/lib/test.h"

#include <string.h>

/* Danger: "no leader" told as "no such file" makes a clean-up script delete
 * what is there. */
TEST(status, errnos_are_those_of_the_filesystem_contract)
{
    static const struct {
        enum status st;
        int error;
    } rows[] = {
        {ST_NOT_FOUND, ENOENT}, /* key or directory not there */
        {ST_KEY_NOT_FOUND, ENOENT},
        {ST_DENIED, EACCES},   /* by the store's roles */
        {ST_NO_LEADER, EROFS}, /* no leader, for a write */
        {ST_NOT_LEADER, EROFS},
        {ST_TIMEOUT, ETIMEDOUT}, /* no answer in time, outcome unknown */
        {ST_STOPPED, ETIMEDOUT},
        {ST_NO_SPACE, ENOSPC},        /* space alarm, quota */
        {ST_TOO_LARGE, EFBIG},        /* value or request too large */
        {ST_COMPACTED, ESTALE},       /* compacted revision */
        {ST_FUTURE_REVISION, EINVAL}, /* section 8: at/ of the future */
        {ST_TOO_MANY, EAGAIN},        /* too many operations at once */
        {ST_CORRUPT, EIO},            /* corruption found */
        {ST_IO, EIO},
        {ST_EXISTS, EEXIST},
        {ST_UNSUPPORTED, EOPNOTSUPP},
        {ST_INVALID, EINVAL},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        EXPECT_INT(status_errno(rows[i].st), rows[i].error);
    }
    EXPECT_INT(status_errno(ST_OK), 0);
}

/* etcd's clients decide by these texts, to the letter, and by the code. */
TEST(status, texts_and_codes_are_etcds)
{
    static const struct {
        enum status st;
        int code;
        const char *text;
    } rows[] = {
        {ST_EMPTY_KEY, 3, "etcdserver: key is not provided"},
        {ST_KEY_NOT_FOUND, 3, "etcdserver: key not found"},
        {ST_VALUE_PROVIDED, 3, "etcdserver: value is provided"},
        {ST_LEASE_PROVIDED, 3, "etcdserver: lease is provided"},
        {ST_TOO_MANY_OPS, 3, "etcdserver: too many operations in txn request"},
        {ST_DUPLICATE_KEY, 3, "etcdserver: duplicate key given in txn request"},
        {ST_COMPACTED, 11,
         "etcdserver: mvcc: required revision has been compacted"},
        {ST_FUTURE_REVISION, 11,
         "etcdserver: mvcc: required revision is a future revision"},
        {ST_NO_SPACE, 8, "etcdserver: mvcc: database space exceeded"},
        {ST_LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found"},
        {ST_LEASE_EXISTS, 9, "etcdserver: lease already exists"},
        {ST_LEASE_TTL_TOO_LARGE, 11, "etcdserver: too large lease TTL"},
        {ST_MEMBER_EXISTS, 9, "etcdserver: member ID already exist"},
        {ST_PEER_URL_EXISTS, 9, "etcdserver: Peer URLs already exists"},
        {ST_MEMBER_BAD_URLS, 3, "etcdserver: given member URLs are invalid"},
        {ST_MEMBER_NOT_FOUND, 5, "etcdserver: member not found"},
        {ST_MEMBER_NOT_LEARNER, 9,
         "etcdserver: can only promote a learner member"},
        {ST_LEARNER_NOT_READY, 9,
         "etcdserver: can only promote a learner member which is in sync with "
         "leader"},
        {ST_TOO_MANY_LEARNERS, 9,
         "etcdserver: too many learner members in cluster"},
        {ST_NOT_ENOUGH_STARTED, 2,
         "etcdserver: re-configuration failed due to not enough started "
         "members"},
        {ST_UNHEALTHY, 14, "etcdserver: unhealthy cluster"},
        {ST_LEARNER, 9, "etcdserver: rpc not supported for learner"},
        {ST_BAD_TRANSFEREE, 9, "etcdserver: bad leader transferee"},
        {ST_TRANSFER_TIMEOUT, 2,
         "etcdserver: request timed out, leader transfer took too long"},
        {ST_TOO_LARGE, 3, "etcdserver: request is too large"},
        {ST_TOO_MANY, 8, "etcdserver: too many requests"},
        {ST_DENIED, 7, "etcdserver: permission denied"},
        {ST_NO_LEADER, 14, "etcdserver: no leader"},
        {ST_NOT_LEADER, 9, "etcdserver: not leader"},
        {ST_STOPPED, 14, "etcdserver: server stopped"},
        {ST_TIMEOUT, 14, "etcdserver: request timed out"},
        {ST_CORRUPT, 15, "etcdserver: corrupt cluster"},
        {ST_CANCELED, 1, "etcdserver: request canceled"},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        EXPECT_TEXT(status_text(rows[i].st), rows[i].text);
        EXPECT_INT(status_grpc(rows[i].st), rows[i].code);
    }
    EXPECT_INT(status_grpc(ST_OK), 0);
    EXPECT_INT(status_grpc(ST_UNSUPPORTED), 12);
}

#define ONE_MORE(name, text, error, grpc) +1
enum { STATUS_COUNT = 0 STATUS_TABLE(ONE_MORE) };

/* Every row is whole, and only ST_OK is success in any of the languages. */
TEST(status, every_row_is_whole)
{
    for (int i = 0; i < STATUS_COUNT; i++) {
        const enum status st = (enum status)i;
        EXPECT(status_name(st)[0] != '\0');
        EXPECT(status_text(st)[0] != '\0');
        EXPECT_INT(status_errno(st) == 0, st == ST_OK);
        EXPECT_INT(status_grpc(st) == GRPC_OK, st == ST_OK);
        EXPECT(status_grpc(st) >= 0 && status_grpc(st) <= 16);
    }
    EXPECT_TEXT(status_name(ST_NOT_FOUND), "NOT_FOUND");
}

/* Danger: a full disk that is taken for a broken one stops a node that could
 * have told its clients to clean up. */
TEST(status, of_system_calls)
{
    EXPECT_INT(status_of_errno(ENOSPC), ST_NO_SPACE);
    EXPECT_INT(status_of_errno(EDQUOT), ST_NO_SPACE);
    EXPECT_INT(status_of_errno(ENOENT), ST_NOT_FOUND);
    EXPECT_INT(status_of_errno(EEXIST), ST_EXISTS);
    EXPECT_INT(status_of_errno(EBUSY), ST_BUSY);
    EXPECT_INT(status_of_errno(EACCES), ST_DENIED);
    EXPECT_INT(status_of_errno(EPERM), ST_DENIED);
    EXPECT_INT(status_of_errno(EIO), ST_IO);
    EXPECT_INT(status_of_errno(EROFS), ST_IO);
    EXPECT_INT(status_of_errno(ENAMETOOLONG), ST_IO);
}

TEST(fault, says_what_failed_and_why)
{
    struct fault f = {{0}};
    EXPECT_INT(fault_sys(&f, ENOSPC, "cannot sync '%s'", "a.wal"), ST_NO_SPACE);
    EXPECT_TEXT(f.text, "cannot sync 'a.wal': No space left on device");
    EXPECT_INT(fault_set(&f, ST_CORRUPT, "segment %d is damaged", 7),
               ST_CORRUPT);
    EXPECT_TEXT(f.text, "segment 7 is damaged");
    EXPECT_INT(fault_set(NULL, ST_BUSY, "nobody listens"), ST_BUSY);
    EXPECT_INT(fault_sys(NULL, EIO, "nobody listens"), ST_IO);
}

/* A user's path in a message may be as long as it likes. */
TEST(fault, cuts_what_is_too_long)
{
    char path[2000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct fault f;
    EXPECT_INT(fault_sys(&f, EIO, "cannot open '%s'", path), ST_IO);
    EXPECT_INT(strlen(f.text), sizeof f.text - 1);
}
