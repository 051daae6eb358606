/* A range in slices: each is asked for when the one before was taken, so that
 * what asks for a million keys does not hold up what asks for one.  All slices
 * are of the revision of the first; put together they are Range's answer.
 *
 *   ask --done--> take --there is more--> ask ...
 *                  \--last: header, count, more are those of the whole
 *
 * Where the asked limit is reached, the rest is counted, in slices too.
 */
#ifndef API_SLICES_H
#define API_SLICES_H

#include "api/internal.h"

struct api_slices {
    struct kv_range_spec asked; /* by the client; its bytes outlive this */
    struct kv_header header;    /* of the first slice */
    int64_t items, count;       /* so far */
    bool more;
    bool whole; /* no slices: all at once */
    struct buf next;
};

void api_slices_fini(struct api_slices *s);
/* Submits c->range; done begins with api_call_back() or api_call_returned(). */
void api_slices_ask(struct api_call *c, struct api_slices *s,
                    void (*done)(struct kv_call *));
/* c->range has been answered. True: that was the last slice. */
bool api_slices_take(const struct api_call *c, struct api_slices *s);
/* From the beginning, at another revision. */
void api_slices_restart(struct api_slices *s);

#endif
