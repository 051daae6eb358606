/* Getting ready to let another state take this one's place: finding what
 * watches have to be told, and telling them before what is still due. */

#include <stdlib.h>

#include "base/must.h"
#include "store/difference.h"
#include "store/watcher.h"

struct store_comparison {
    struct store *from, *to;
    struct difference *difference; /* NULL: not begun, or not needed */
};

struct store_comparison *store_compare_begin(struct store *from,
                                             struct store *to)
{
    struct store_comparison *c = xcalloc(1, sizeof *c);
    c->from = from;
    c->to = to;
    return c;
}

void store_compare_free(struct store_comparison *c)
{
    if (c != NULL) {
        difference_free(c->difference);
        hub_open(&c->from->hub);
        free(c);
    }
}

static bool is_needed(const struct store_comparison *c)
{
    const struct hub *h = &c->from->hub;
    const bool any = h->single.count > 0 || !list_is_empty(&h->ranges) ||
                     !list_is_empty(&h->catching);
    return any && c->from->state.numbers.revision + 1 <
                      c->to->state.numbers.compact_revision;
}

/* What `from` can tell it has told. */
static bool is_told(const struct store *from)
{
    const struct hub *h = &from->hub;
    return h->delivered == from->state.numbers.revision &&
           h->difference == NULL && list_is_empty(&h->catching);
}

/* The next step of the difference; false when there is nothing left to find. */
static enum status find(struct store_comparison *c, size_t rows_max,
                        bool *ret_more, struct fault *reterr)
{
    const int64_t revision = c->from->state.numbers.revision;
    if (c->difference != NULL && c->difference->from != revision) {
        difference_free(c->difference); /* it was written meanwhile */
        c->difference = NULL;
    }
    *ret_more = false;
    if (!is_needed(c)) {
        return ST_OK;
    }
    if (c->difference == NULL) {
        c->difference =
            difference_new(revision, c->to->state.numbers.compact_revision);
    } else if (difference_is_whole(c->difference)) {
        return ST_OK;
    }
    const enum status st =
        difference_step(c->difference, c->from, c->to, rows_max, reterr);
    *ret_more = !difference_is_whole(c->difference);
    return st;
}

enum status store_compare_step(struct store_comparison *c, size_t rows_max,
                               bool *ret_done, struct fault *reterr)
{
    struct hub *h = &c->from->hub;
    bool more;
    must(rows_max > 0 && !h->delivering);
    *ret_done = false;
    const enum status st = find(c, rows_max, &more, reterr);
    if (st != ST_OK || more) {
        hub_open(h);
        return st;
    }
    h->closed = true;
    *ret_done = is_told(c->from);
    return ST_OK;
}

struct difference *comparison_take(struct store_comparison *c)
{
    struct difference *d = c->difference;
    c->difference = NULL;
    if (d != NULL && !difference_is_whole(d)) {
        difference_free(d); /* nobody is left who would want it */
        return NULL;
    }
    return d;
}
