/* Alarms as apply.c changes them and open.c finds them. */
#ifndef STORE_ALARMS_H
#define STORE_ALARMS_H

#include "store/internal.h"

/* *ret_any: the alarm was there to be cleared, or is there now.
 *   ST_TOO_MANY  nothing was done */
enum status alarms_apply(struct store *s, const struct store_alarm_change *c,
                         bool *ret_any, struct fault *reterr) MUST_USE;
/* Whether this is what alarms_apply() writes. */
bool alarms_are_valid(struct bytes record);

#endif
