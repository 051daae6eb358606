/* The model test, as much of it as fits into the fast ring. */

#include "model_run.h"
#include "rig.h"

TEST(model, store_and_reference_agree)
{
    for (unsigned i = 0; i < 3; i++) {
        model_run(
            &(struct model_run_options){.seed = test_seed() + i, .steps = 600});
    }
}

TEST(model, store_and_reference_agree_on_long_keys)
{
    model_run(&(struct model_run_options){
        .seed = test_seed(), .steps = 600, .long_keys = true});
}
