/* What a client is told of a failure: gRPC code and text, etcd's to the letter
 * (etcd-surface 1.3).  base/status.h has those that other folders know. */
#ifndef API_ERRORS_H
#define API_ERRORS_H

#include "base/status.h"

struct api_error {
    int code;
    const char *text;
};

struct api_error api_error_of(enum status st);

#define API_ERROR_TABLE(X)                                                     \
    X(INVALID_SORT, GRPC_INVALID_ARGUMENT, "etcdserver: invalid sort option")  \
    X(INVALID_VERSION, GRPC_INVALID_ARGUMENT,                                  \
      "etcdserver: invalid client api version")                                \
    X(STREAM_SORT, GRPC_UNIMPLEMENTED,                                         \
      "RangeStream does not support sorting, except by key ascending")         \
    X(STREAM_FILTER, GRPC_UNIMPLEMENTED,                                       \
      "RangeStream does not support filters by revision")                      \
    X(MESSAGE_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED,                              \
      "grpc: trying to send message larger than max (2147483647)")             \
    X(WATCH_CANCELED, GRPC_CANCELLED, "etcdserver: watch canceled")            \
    X(NOT_SUPPORTED, GRPC_UNIMPLEMENTED, "not supported by this server")       \
    X(UNKNOWN_SERVICE, GRPC_NOT_FOUND, "unknown service")                      \
    X(BAD_DOWNGRADE_FORMAT, GRPC_INVALID_ARGUMENT,                             \
      "etcdserver: wrong downgrade target version format")                     \
    X(BAD_DOWNGRADE_TARGET, GRPC_INVALID_ARGUMENT,                             \
      "etcdserver: invalid downgrade target version")                          \
    X(NO_DOWNGRADE, GRPC_FAILED_PRECONDITION,                                  \
      "etcdserver: no inflight downgrade job")                                 \
    X(UNKNOWN_ALARM, GRPC_INVALID_ARGUMENT, "unknown action or alarm")         \
    X(UNKNOWN_ACTION, GRPC_UNKNOWN, "etcdserver: unknown method")              \
    X(NOT_LEADER, GRPC_UNKNOWN, "election: not leader")                        \
    X(ELECTION_NO_LEADER, GRPC_UNKNOWN, "election: no leader")                 \
    X(NO_LEADER_KEY, GRPC_UNKNOWN, "\"leader\" field must be provided")        \
    X(SESSION_EXPIRED, GRPC_UNKNOWN, "mutex: session is expired")              \
    X(NO_ROOT_USER, GRPC_FAILED_PRECONDITION,                                  \
      "etcdserver: root user does not exist")                                  \
    X(AUTH_NOT_ENABLED, GRPC_FAILED_PRECONDITION,                              \
      "etcdserver: authentication is not enabled")                             \
    X(USER_EMPTY, GRPC_INVALID_ARGUMENT, "etcdserver: user name is empty")     \
    X(USER_NOT_FOUND, GRPC_FAILED_PRECONDITION,                                \
      "etcdserver: user name not found")                                       \
    X(ROLE_EMPTY, GRPC_INVALID_ARGUMENT, "etcdserver: role name is empty")     \
    X(ROLE_NOT_FOUND, GRPC_FAILED_PRECONDITION,                                \
      "etcdserver: role name not found")                                       \
    X(NO_PERMISSION_GIVEN, GRPC_INVALID_ARGUMENT,                              \
      "etcdserver: permission not given")                                      \
    X(NO_USERS_HERE, GRPC_UNIMPLEMENTED,                                       \
      "this server keeps no users and no roles")

#define X(name, code, text) extern const struct api_error API_##name;
API_ERROR_TABLE(X)
#undef X

#endif
