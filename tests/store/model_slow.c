/* The model test, for longer. */

#include "model_run.h"
#include "rig.h"

TEST(model, store_and_reference_agree_for_long)
{
    for (unsigned i = 0; i < 60; i++) {
        model_run(&(struct model_run_options){
            .seed = test_seed() + i, .steps = 2000, .long_keys = i % 3 == 2});
    }
}
