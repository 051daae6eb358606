/* Damage to the file: ten thousand bits. */

#include "flips.h"
#include "rig.h"

TEST(damage, ten_thousand_flipped_bits_are_never_served)
{
    flips_run(&(struct flips_options){.seed = test_seed(), .flips = 10000});
}
