/* grpc.health.v1.Health: the server as a whole is the service "". */

#include "api/internal.h"
#include "proto/health.pb-c.h"
#include "proto/wire.h"

static void add_status(struct api_call *c,
                       Grpc__Health__V1__HealthCheckResponse__ServingStatus s)
{
    wire_add_number(api_begin(c), 1, (uint64_t)s);
}

void api_health_check(struct api_call *c, struct bytes message)
{
    const Grpc__Health__V1__HealthCheckRequest *q = api_unpack(
        c, &grpc__health__v1__health_check_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    if (q->service[0] != '\0') {
        api_fail(c, API_UNKNOWN_SERVICE);
        return;
    }
    add_status(
        c, GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    api_send_end(c);
}

/* It serves until it ends, and then nobody can be told: one answer, and the
 * stream stays open. */
void api_health_watch(struct api_call *c, struct bytes message)
{
    const Grpc__Health__V1__HealthCheckRequest *q = api_unpack(
        c, &grpc__health__v1__health_check_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    add_status(
        c,
        q->service[0] == '\0'
            ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
            : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN);
    (void)api_send(c); /* nothing more comes */
}
