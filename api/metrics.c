/* The text of /metrics: Prometheus' exposition format 0.0.4, with etcd's names
 * where they mean the same (etcd-surface 1.13). */

#include <stdio.h>

#include "api/internal.h"

void api_metrics(struct api *a, struct buf *to)
{
    (void)a;
    buf_append(to, bytes_of(""));
}
