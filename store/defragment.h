/* Giving unused space of the store's file back to the disk, beside reads and
 * writes.
 *
 *   COPYING   a view's rows go into a new file beside the store's, verified on
 *             the way as a state from another member would be (transfer.h);
 *             flushes go on, and what each has written is kept in memory
 *   FOLLOWING the new file is given those flushes, in order, until it has all
 *   (switch)  the new file takes the name of the old one, between two flushes
 *
 *  D1  The new file never lacks anything that the old one has when it takes its
 *      name; a crash at any point leaves one of the two, whole.
 *  D2  What is kept in memory is bounded: beyond it the defragmentation is
 * given up, and nothing was done.
 */
#ifndef STORE_DEFRAGMENT_H
#define STORE_DEFRAGMENT_H

#include "store/store.h"

struct store_defragment;

/* Loop thread; does not block.
 *   ST_BUSY  a flush is under way, or another defragmentation
 *   ST_IO, ST_CORRUPT                                                        */
enum status store_defragment_begin(struct store *s,
                                   struct store_defragment **ret,
                                   struct fault *reterr) MUST_USE;
/* COPYING; blocks.  On any one thread, once.
 *   ST_CANCELED  store_defragment_stop() was called
 *   ST_NO_SPACE  the disk has no room for the new file
 *   ST_CORRUPT   a row of the old file failed its checksum
 *   ST_IO                                                                    */
enum status store_defragment_copy(struct store_defragment *d,
                                  struct fault *reterr) MUST_USE;
/* FOLLOWING.  On the loop: takes what was flushed since; false when there is
 * nothing.  Then on any thread: puts it into the new file; blocks.  Failures as
 * above. */
bool store_defragment_take(struct store_defragment *d);
enum status store_defragment_follow(struct store_defragment *d,
                                    struct fault *reterr) MUST_USE;
/* Loop: true when the switch can be made now: nothing is left to follow, no
 * flush is under way, no view but the store's own is held. */
bool store_defragment_is_ready(const struct store_defragment *d);
/* Loop; blocks for as long as a file takes to be opened.  Values borrowed from
 * the store are no longer valid.  After any failure the store is closed to
 * everything but store_close(): ST_IO, ST_CORRUPT. */
enum status store_defragment_switch(struct store_defragment *d,
                                    struct fault *reterr) MUST_USE;
/* Any thread, after the switch: gives the old file back to the disk, which
 * takes its time when it was large. */
void store_defragment_release(struct store_defragment *d);

/* Ends a copy soon; from the loop. */
void store_defragment_stop(struct store_defragment *d);
/* More was written meanwhile than is kept in memory. */
bool store_defragment_is_outrun(const struct store_defragment *d);
/* Bytes of rows copied so far, and in all, about. Any thread. */
void store_defragment_progress(const struct store_defragment *d,
                               uint64_t *ret_done, uint64_t *ret_all);
/* Loop, while no call is under way, before store_close(); removes the new file
 * unless it was switched to. NULL is fine. */
void store_defragment_free(struct store_defragment *d);

#endif
