/* Scripts: the published ones, where they are, and our own. */

#include <dirent.h>
#include <stdlib.h>

#include "base/must.h"
#include "tests/lib/test.h"
#include "tests/raft/interaction.h"
#include "tests/raft/pure.h"

static void run_one(const char *path, const char *folder,
                    struct script_score *score)
{
    if (strncmp(folder, "quorum", 6) == 0) {
        (void)script_file(path, quorum_run, NULL, score);
    } else if (strncmp(folder, "confchange", 10) == 0) {
        struct confchange c;
        confchange_init(&c);
        (void)script_file(path, confchange_run, &c, score);
        confchange_fini(&c);
    } else {
        struct interaction in = {.quiet = false};
        (void)script_file(path, interaction_run, &in, score);
        interaction_fini(&in);
    }
}

static int is_script(const struct dirent *e)
{
    const size_t size = strlen(e->d_name);
    return size > 4 && strcmp(e->d_name + size - 4, ".txt") == 0;
}

/* All *.txt of root/folder in the order of their names; false: no folder. */
static bool run_folder(const char *root, const char *folder,
                       struct script_score *score)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", root, folder);
    struct dirent **names = NULL;
    const int count = scandir(path, &names, is_script, alphasort);
    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/%s", root, folder,
                       names[i]->d_name);
        run_one(path, folder, score);
        free(names[i]);
    }
    free(names);
    return count >= 0;
}

static bool run_root(const char *root, struct script_score *score)
{
    const bool interaction = run_folder(root, "interaction", score);
    const bool quorum = run_folder(root, "quorum", score);
    const bool confchange = run_folder(root, "confchange", score);
    /* As they lie in the published repository. */
    const bool published = run_folder(root, "testdata", score);
    (void)run_folder(root, "quorum/testdata", score);
    (void)run_folder(root, "confchange/testdata", score);
    print_message("# %s: %zu of %zu files, %zu of %zu blocks, %zu of %zu "
                  "compared lines\n",
                  root, score->files_passed, score->files, score->blocks_passed,
                  score->blocks, score->lines_passed, score->lines);
    return interaction || quorum || confchange || published;
}

/* Danger: a core that is nearly Raft.  Each script is a behaviour that years
 * of use have shown to matter. */
TEST(scripts, published_ones_replay_line_by_line)
{
    const char *given = getenv("KEELFS_RAFT_SCRIPTS");
    const char *root =
        given != NULL ? given : PROJECT_ROOT "/../shared/raft-scripts";
    DIR *d = opendir(root);
    if (d == NULL) {
        print_message("# no folder %s (or set KEELFS_RAFT_SCRIPTS)\n", root);
        SKIP("the published raft scripts are not here");
    }
    (void)closedir(d);
    struct script_score score = {.files = 0};
    EXPECT(run_root(root, &score));
    EXPECT(score.files > 0);
    EXPECT_INT(score.files_passed, score.files);
}

TEST(scripts, own_ones_replay_line_by_line)
{
    struct script_score score = {.files = 0};
    EXPECT(run_root(PROJECT_ROOT "/tests/raft/scripts", &score));
    EXPECT(score.files > 0);
    EXPECT_INT(score.files_passed, score.files);
}
