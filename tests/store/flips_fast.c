/* Damage to the file: the fast ring's share. */

#include "flips.h"
#include "rig.h"

/* LMDB has no checksums: of single flipped bits in its file, most were served
 * as data when it was tried.  None may be. */
TEST(damage, flipped_bits_are_never_served)
{
    flips_run(&(struct flips_options){.seed = test_seed(), .flips = 25});
}
