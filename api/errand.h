/* Small things done for calls that may be over before they are: nobody waits
 * for their outcome, and a lease ends what they miss. */
#ifndef API_ERRAND_H
#define API_ERRAND_H

#include "api/internal.h"

/* Deletes the key if it still hangs on that lease. */
void api_errand_delete(struct api *a, struct bytes key, int64_t lease);
void api_errand_revoke(struct api *a, int64_t lease);
void api_errand_renew(struct api *a, int64_t lease);

#endif
