/* The texts of errors.h as objects. */

#include "api/errors.h"

#define X(name, code, text) const struct api_error API_##name = {code, text};
API_ERROR_TABLE(X)
#undef X

struct api_error api_error_of(enum status st)
{
    return (struct api_error){status_grpc(st), status_text(st)};
}
