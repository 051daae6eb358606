/* What a server's refusal means: by its text, which clients of etcd match on,
 * then by its code. */

#include "client/internal.h"

static const struct {
    const char *text;
    enum status st;
} known[] = {
#define KNOWN(name, text, error, grpc) {text, ST_##name},
    STATUS_TABLE(KNOWN)
#undef KNOWN
    /* Texts that have no status of their own. */
    {"raft proposal dropped", ST_NO_LEADER},
    {"etcdserver: leader changed", ST_TIMEOUT},
    {"etcdserver: request timed out, possibly due to previous leader failure",
     ST_TIMEOUT},
    {"etcdserver: request timed out, possibly due to connection lost",
     ST_TIMEOUT},
    {"etcdserver: request timed out, waiting for the applied index took too "
     "long",
     ST_TIMEOUT},
};

static enum status status_of_code(int code)
{
    switch (code) {
    case GRPC_CANCELLED:
        return ST_CANCELED;
    case GRPC_INVALID_ARGUMENT:
    case GRPC_FAILED_PRECONDITION:
        return ST_INVALID;
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_UNAVAILABLE:
        return ST_TIMEOUT;
    case GRPC_NOT_FOUND:
        return ST_NOT_FOUND;
    case GRPC_PERMISSION_DENIED:
    case 16: /* UNAUTHENTICATED */
        return ST_DENIED;
    case GRPC_RESOURCE_EXHAUSTED:
        return ST_TOO_MANY;
    case GRPC_OUT_OF_RANGE:
        return ST_INVALID;
    case GRPC_UNIMPLEMENTED:
        return ST_UNSUPPORTED;
    case GRPC_DATA_LOSS:
        return ST_CORRUPT;
    default:
        return ST_IO;
    }
}

enum status status_of_outcome(const struct grpc_outcome *how)
{
    must(how->code != GRPC_OK);
    for (size_t i = 0; how->answered && i < count_of(known); i++) {
        if (bytes_equal(how->text, bytes_of(known[i].text)) &&
            known[i].st != ST_OK) {
            return known[i].st;
        }
    }
    return status_of_code(how->code);
}
