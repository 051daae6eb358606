/* Why something failed: one table for the whole program.
 *
 * Each row is (name, text, errno at the mount, gRPC code).  Texts that etcd
 * clients match on are etcd's own, to the letter (etcd's rpctypes/error.go).
 * gRPC codes are the numbers of the gRPC specification.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <errno.h>

#define GRPC_OK                  0
#define GRPC_CANCELLED           1
#define GRPC_UNKNOWN             2
#define GRPC_INVALID_ARGUMENT    3
#define GRPC_DEADLINE_EXCEEDED   4
#define GRPC_NOT_FOUND           5
#define GRPC_PERMISSION_DENIED   7
#define GRPC_RESOURCE_EXHAUSTED  8
#define GRPC_FAILED_PRECONDITION 9
#define GRPC_OUT_OF_RANGE        11
#define GRPC_UNIMPLEMENTED       12
#define GRPC_INTERNAL            13
#define GRPC_UNAVAILABLE         14
#define GRPC_DATA_LOSS           15

#define STATUS_TABLE(X)                                                        \
    X(OK, "ok", 0, GRPC_OK)                                                    \
    X(NOT_FOUND, "not found", ENOENT, GRPC_NOT_FOUND)                          \
    X(EXISTS, "already exists", EEXIST, GRPC_FAILED_PRECONDITION)              \
    X(INVALID, "invalid argument", EINVAL, GRPC_INVALID_ARGUMENT)              \
    X(DENIED, "etcdserver: permission denied", EACCES, GRPC_PERMISSION_DENIED) \
    X(NO_LEADER, "etcdserver: no leader", EROFS, GRPC_UNAVAILABLE)             \
    X(NOT_LEADER, "etcdserver: not leader", EROFS, GRPC_FAILED_PRECONDITION)   \
    X(TIMEOUT, "etcdserver: request timed out", ETIMEDOUT, GRPC_UNAVAILABLE)   \
    X(CANCELED, "etcdserver: request canceled", EINTR, GRPC_CANCELLED)         \
    X(STOPPED, "etcdserver: server stopped", ETIMEDOUT, GRPC_UNAVAILABLE)      \
    X(NO_SPACE, "etcdserver: mvcc: database space exceeded", ENOSPC,           \
      GRPC_RESOURCE_EXHAUSTED)                                                 \
    X(TOO_LARGE, "etcdserver: request is too large", EFBIG,                    \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(COMPACTED, "etcdserver: mvcc: required revision has been compacted",     \
      ESTALE, GRPC_OUT_OF_RANGE)                                               \
    X(FUTURE_REVISION,                                                         \
      "etcdserver: mvcc: required revision is a future revision", EINVAL,      \
      GRPC_OUT_OF_RANGE)                                                       \
    X(TOO_MANY, "etcdserver: too many requests", EAGAIN,                       \
      GRPC_RESOURCE_EXHAUSTED)                                                 \
    X(TOO_MANY_OPS, "etcdserver: too many operations in txn request", EXDEV,   \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(EMPTY_KEY, "etcdserver: key is not provided", EINVAL,                    \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(KEY_NOT_FOUND, "etcdserver: key not found", ENOENT,                      \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(VALUE_PROVIDED, "etcdserver: value is provided", EINVAL,                 \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(LEASE_PROVIDED, "etcdserver: lease is provided", EINVAL,                 \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(LEASE_NOT_FOUND, "etcdserver: requested lease not found", ENOENT,        \
      GRPC_NOT_FOUND)                                                          \
    X(LEASE_EXISTS, "etcdserver: lease already exists", EEXIST,                \
      GRPC_FAILED_PRECONDITION)                                                \
    X(LEASE_TTL_TOO_LARGE, "etcdserver: too large lease TTL", EINVAL,          \
      GRPC_OUT_OF_RANGE)                                                       \
    X(MEMBER_EXISTS, "etcdserver: member ID already exist", EEXIST,            \
      GRPC_FAILED_PRECONDITION)                                                \
    X(PEER_URL_EXISTS, "etcdserver: Peer URLs already exists", EEXIST,         \
      GRPC_FAILED_PRECONDITION)                                                \
    X(MEMBER_BAD_URLS, "etcdserver: given member URLs are invalid", EINVAL,    \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(MEMBER_NOT_FOUND, "etcdserver: member not found", ENOENT,                \
      GRPC_NOT_FOUND)                                                          \
    X(MEMBER_NOT_LEARNER, "etcdserver: can only promote a learner member",     \
      EINVAL, GRPC_FAILED_PRECONDITION)                                        \
    X(LEARNER_NOT_READY,                                                       \
      "etcdserver: can only promote a learner member which is in sync with "   \
      "leader",                                                                \
      EAGAIN, GRPC_FAILED_PRECONDITION)                                        \
    X(TOO_MANY_LEARNERS, "etcdserver: too many learner members in cluster",    \
      EINVAL, GRPC_FAILED_PRECONDITION)                                        \
    X(NOT_ENOUGH_STARTED,                                                      \
      "etcdserver: re-configuration failed due to not enough started members", \
      EROFS, GRPC_UNKNOWN)                                                     \
    X(UNHEALTHY, "etcdserver: unhealthy cluster", EROFS, GRPC_UNAVAILABLE)     \
    X(LEARNER, "etcdserver: rpc not supported for learner", EROFS,             \
      GRPC_FAILED_PRECONDITION)                                                \
    X(BAD_TRANSFEREE, "etcdserver: bad leader transferee", EINVAL,             \
      GRPC_FAILED_PRECONDITION)                                                \
    X(TRANSFER_TIMEOUT,                                                        \
      "etcdserver: request timed out, leader transfer took too long",          \
      ETIMEDOUT, GRPC_UNKNOWN)                                                 \
    X(DUPLICATE_KEY, "etcdserver: duplicate key given in txn request", EINVAL, \
      GRPC_INVALID_ARGUMENT)                                                   \
    X(CORRUPT, "etcdserver: corrupt cluster", EIO, GRPC_DATA_LOSS)             \
    X(IO, "input/output error", EIO, GRPC_INTERNAL)                            \
    X(BUSY, "in use by another process", EBUSY, GRPC_FAILED_PRECONDITION)      \
    X(UNSUPPORTED, "not supported", EOPNOTSUPP, GRPC_UNIMPLEMENTED)

enum status {
#define STATUS_ENUM(name, text, error, grpc) ST_##name,
    STATUS_TABLE(STATUS_ENUM)
#undef STATUS_ENUM
};

/* "NOT_FOUND" and the like; never NULL. */
const char *status_name(enum status st);
/* The text a client sees; never NULL. */
const char *status_text(enum status st);
/* The errno at the mount; 0 for ST_OK. */
int status_errno(enum status st);
/* The gRPC code. */
int status_grpc(enum status st);
/* The status that a failed system call stands for: ENOSPC and EDQUOT are
 * ST_NO_SPACE, ENOENT is ST_NOT_FOUND, EEXIST is ST_EXISTS, EBUSY is ST_BUSY,
 * EACCES and EPERM are ST_DENIED, everything else is ST_IO. */
enum status status_of_errno(int error);

#endif
