/* Command lines and environments, on a small table. */

#include <string.h>

#include "cmd/flags.h"
#include "cmd/nearest.h"
#include "tests/lib/test.h"

static const struct flag table[] = {
    {"name", FLAG_TEXT, "default", "", FLAG_USED, "", "Member", ""},
    {"max-txn-ops", FLAG_COUNT, "128", "", FLAG_USED, "", "Member", ""},
    {"quota", FLAG_INT, "0", "", FLAG_USED, "", "Member", ""},
    {"pre-vote", FLAG_BOOL, "true", "", FLAG_USED, "", "Member", ""},
    {"wait", FLAG_DURATION, "5s", "", FLAG_MOOT, "has no effect", "Member", ""},
    {"listen-urls", FLAG_URLS, "http://localhost:1", "", FLAG_LATER,
     "not served", "Member", ""},
    {"auto-tls", FLAG_BOOL, "false", "", FLAG_LATER, "not served", "M", ""},
    {"gateway", FLAG_BOOL, "true", "", FLAG_LATER, "not served", "M", ""},
    {"mode", FLAG_CHOICE, "new", "new existing", FLAG_USED, "", "Member", ""},
    {"no-fsync", FLAG_BOOL, "false", "", FLAG_REFUSED, "loses data", "U", ""},
    {"mount", FLAG_LIST, "", "", FLAG_USED, "", FLAG_GROUP_OWN, ""},
};

struct rig {
    struct flags flags;
    struct fault fault;
    char trace[1024];
};

static void rig_begin(struct rig *r)
{
    *r = (struct rig){.fault = {{0}}};
    flags_init(&r->flags, table, count_of(table));
}

/* main() gets pointers to writable text; nothing here writes to it. */
static void copy_words(char **to, int count, const char *const *words)
{
    must(count < 16);
    (void)memcpy(to, words, (size_t)count * sizeof to[0]);
    to[count] = NULL;
}

static enum status read_line(struct rig *r, int argc, const char *const *words)
{
    char *argv[16];
    copy_words(argv, argc, words);
    return flags_read_line(&r->flags, argc, argv, &r->fault);
}

static enum status read_environment(struct rig *r, int count,
                                    const char *const *words)
{
    char *environment[16];
    copy_words(environment, count, words);
    return flags_read_environment(&r->flags, environment, &r->fault);
}

#define WORDS(...)                                                             \
    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),             \
        (const char *const[])                                                  \
    {                                                                          \
        __VA_ARGS__                                                            \
    }
#define LINE(rig, ...)        read_line(rig, WORDS(__VA_ARGS__))
#define ENVIRONMENT(rig, ...) read_environment(rig, WORDS(__VA_ARGS__))

TEST(flags, both_spellings_and_one_dash_mean_the_same)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--name=a", "--max-txn-ops", "7", "-quota=-3", "-mode",
                    "existing"),
               ST_OK);
    EXPECT_TEXT(flags_text(&r.flags, "name"), "a");
    EXPECT_INT(flags_int(&r.flags, "max-txn-ops"), 7);
    EXPECT_INT(flags_int(&r.flags, "quota"), -3);
    EXPECT_TEXT(flags_text(&r.flags, "mode"), "existing");
    EXPECT_INT(flags_duration_ns(&r.flags, "wait"), INT64_C(5000000000));
    flags_fini(&r.flags);
}

/* A value may hold '=', and may look like a flag when it stands alone. */
TEST(flags, values_are_taken_as_they_are)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--name=a=b"), ST_OK);
    EXPECT_TEXT(flags_text(&r.flags, "name"), "a=b");
    EXPECT_INT(LINE(&r, "--name", "--mount"), ST_OK);
    EXPECT_TEXT(flags_text(&r.flags, "name"), "--mount");
    EXPECT_INT(LINE(&r, "--name="), ST_OK);
    EXPECT_TEXT(flags_text(&r.flags, "name"), "");
    flags_fini(&r.flags);
}

/* As in etcd: "--pre-vote false" is a flag and a stray word, not a value; read
 * as one it would switch on what the operator wanted off. */
TEST(flags, a_bool_never_takes_the_next_word)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--pre-vote=false", "--auto-tls"), ST_OK);
    EXPECT(!flags_bool(&r.flags, "pre-vote"));
    EXPECT(flags_bool(&r.flags, "auto-tls"));
    EXPECT_INT(LINE(&r, "--auto-tls", "false"), ST_INVALID);
    EXPECT_TEXT(r.fault.text, "'false' is not a flag: flags begin with --");
    flags_fini(&r.flags);
}

TEST(flags, the_last_one_wins_and_a_list_keeps_all)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--name=a", "--mount", "/a", "--name=b", "--mount=/b"),
               ST_OK);
    EXPECT_TEXT(flags_text(&r.flags, "name"), "b");
    const struct flag_setting *mounts = flags_setting(&r.flags, "mount");
    EXPECT_INT(mounts->count, 2);
    EXPECT_TEXT(mounts->values[0], "/a");
    EXPECT_TEXT(mounts->values[1], "/b");
    flags_fini(&r.flags);
}

TEST(flags, a_list_has_room_for_its_limit_and_no_more)
{
    struct rig r;
    rig_begin(&r);
    for (int i = 0; i < FLAG_LIST_MAX; i++) {
        EXPECT_INT(LINE(&r, "--mount=/m"), ST_OK);
    }
    EXPECT_INT(LINE(&r, "--mount=/m"), ST_TOO_MANY);
    EXPECT_TEXT(r.fault.text, "--mount: given more than 64 times");
    flags_fini(&r.flags);
}

/* Each message says which flag, which value, and what would be right. */
TEST(flags, what_is_wrong_is_named)
{
    static const struct {
        const char *words[2];
        int count;
        const char *text;
    } rows[] = {
        {{"--nmae=x"}, 1, "unknown flag '--nmae': did you mean '--name'?"},
        {{"--max-txn-op", "1"},
         2,
         "unknown flag '--max-txn-op': did you mean '--max-txn-ops'?"},
        {{"--mont", "/a"}, 2, "unknown flag '--mont': did you mean '--mount'?"},
        {{"--zzzzzzzz"}, 1, "unknown flag '--zzzzzzzz'"},
        {{"--name"}, 1, "--name: its value is missing"},
        {{"x"}, 1, "'x' is not a flag: flags begin with --"},
        {{"-"}, 1, "'-' is not a flag: flags begin with --"},
        {{""}, 1, "'' is not a flag: flags begin with --"},
        {{"--"}, 1, "unknown flag '--'"},
        {{"--max-txn-ops=x"}, 1, "--max-txn-ops: 'x' is not a whole number"},
        {{"--max-txn-ops=-1"}, 1, "--max-txn-ops: -1 is negative"},
        {{"--pre-vote=maybe"},
         1,
         "--pre-vote: 'maybe' is neither true nor false"},
        {{"--wait", "5"},
         2,
         "--wait: '5' is not a length of time (write 500ms, 10s, 1h30m)"},
        {{"--wait=-5s"},
         1,
         "--wait: '-5s' is not a length of time (write 500ms, 10s, 1h30m)"},
        {{"--listen-urls=http://a:1,b:2"},
         1,
         "--listen-urls: 'b:2' must begin with http://, https://, unix:// or "
         "unixs://"},
        {{"--mode=old"}, 1, "--mode: 'old' is not one of: new existing"},
        {{"--mount="}, 1, "--mount: the value is empty"},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct rig r;
        rig_begin(&r);
        EXPECT_INT(read_line(&r, rows[i].count, rows[i].words), ST_INVALID);
        EXPECT_TEXT(r.fault.text, rows[i].text);
        flags_fini(&r.flags);
    }
}

/* Words from outside of any length: the message is cut, nothing overflows. */
TEST(flags, endless_words_are_refused)
{
    static char word[5000];
    (void)memset(word, 'x', sizeof word - 1);
    word[0] = word[1] = '-';
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, word), ST_INVALID);
    EXPECT(strncmp(r.fault.text, "unknown flag '--xxx", 19) == 0);
    flags_fini(&r.flags);
}

TEST(flags, help_and_version_are_noticed)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--version", "-h"), ST_OK);
    EXPECT(r.flags.version);
    EXPECT(r.flags.help);
    flags_fini(&r.flags);
}

/* --- the environment --- */

TEST(flags, the_line_wins_over_the_environment_over_the_default)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--name=line"), ST_OK);
    EXPECT_INT(ENVIRONMENT(&r, "ETCD_NAME=environment", "ETCD_MAX_TXN_OPS=9",
                           "ETCD_QUOTA=", "PATH=/bin"),
               ST_OK);
    EXPECT_TEXT(flags_text(&r.flags, "name"), "line");
    EXPECT_INT(flags_int(&r.flags, "max-txn-ops"), 9);
    EXPECT_INT(flags_int(&r.flags, "quota"), 0);
    EXPECT_INT(flags_setting(&r.flags, "name")->source, FLAG_FROM_LINE);
    EXPECT_INT(flags_setting(&r.flags, "max-txn-ops")->source,
               FLAG_FROM_ENVIRONMENT);
    EXPECT_INT(flags_setting(&r.flags, "quota")->source, FLAG_FROM_DEFAULT);
    EXPECT(flags_setting(&r.flags, "name")->shadowed);
    flags_fini(&r.flags);
}

TEST(flags, a_wrong_variable_is_named_as_such)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(ENVIRONMENT(&r, "ETCD_MAX_TXN_OPS=many"), ST_INVALID);
    EXPECT_TEXT(r.fault.text, "ETCD_MAX_TXN_OPS: 'many' is not a whole number");
    flags_fini(&r.flags);
}

/* Flags that etcd does not have must not claim names in etcd's space. */
TEST(flags, own_flags_have_own_variables_and_lists_take_colons)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(ENVIRONMENT(&r, "ETCD_MOUNT=/no", "KEELFS_MOUNT=/a:/b c:/d"),
               ST_OK);
    const struct flag_setting *mounts = flags_setting(&r.flags, "mount");
    EXPECT_INT(mounts->count, 3);
    EXPECT_TEXT(mounts->values[1], "/b c");
    flags_fini(&r.flags);

    rig_begin(&r);
    EXPECT_INT(ENVIRONMENT(&r, "KEELFS_MOUNT=/a::/b"), ST_INVALID);
    EXPECT_TEXT(r.fault.text, "KEELFS_MOUNT: the value is empty");
    flags_fini(&r.flags);
}

static void note(void *arg, const char *line)
{
    struct rig *r = arg;
    const size_t size = strlen(r->trace);
    (void)snprintf(r->trace + size, sizeof r->trace - size, "%s\n", line);
}

TEST(flags, unknown_variables_of_etcd_are_told)
{
    struct rig r;
    rig_begin(&r);
    const char *const words[] = {"ETCD_NMAE=x", "ETCD_NAME=x", "ETCDCTL_API=3",
                                 "HOME=/", "ETCD_NAME_MORE=x"};
    char *environment[16];
    copy_words(environment, count_of(words), words);
    flags_each_unknown_variable(&r.flags, environment, note, &r);
    EXPECT_TEXT(r.trace, "ETCD_NMAE\nETCD_NAME_MORE\n");
    flags_fini(&r.flags);
}

/* --- what is said about flags that are not used --- */

static const char *review(struct rig *r)
{
    r->trace[0] = '\0';
    const enum status st = flags_review(&r->flags, note, r, &r->fault);
    if (st != ST_OK) {
        note(r, r->fault.text);
    }
    return r->trace;
}

/* The danger: a server that drops a listener or a check without a word. */
TEST(flags, what_is_given_and_not_done_is_said)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_TEXT(review(&r), "");
    EXPECT_INT(LINE(&r, "--name=x", "--listen-urls=http://localhost:1",
                    "--wait=1s", "--auto-tls"),
               ST_OK);
    EXPECT_TEXT(review(&r), "--wait: has no effect\n"
                            "--listen-urls: not served\n"
                            "--auto-tls: not served\n");
    flags_fini(&r.flags);
}

TEST(flags, what_asks_for_nothing_is_not_warned_about)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--listen-urls=", "--wait=5000ms", "--auto-tls=F",
                    "--no-fsync=0"),
               ST_OK);
    EXPECT_TEXT(review(&r), "");
    /* A switch that is on by default: turning it off asks for something. */
    EXPECT_INT(LINE(&r, "--gateway=false"), ST_OK);
    EXPECT_TEXT(review(&r), "--gateway: not served\n");
    flags_fini(&r.flags);
}

TEST(flags, what_is_unsafe_is_refused_wherever_it_comes_from)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--no-fsync"), ST_OK);
    EXPECT_TEXT(review(&r), "--no-fsync: loses data\n");
    flags_fini(&r.flags);

    rig_begin(&r);
    EXPECT_INT(ENVIRONMENT(&r, "ETCD_NO_FSYNC=true"), ST_OK);
    EXPECT_TEXT(review(&r), "ETCD_NO_FSYNC: loses data\n");
    flags_fini(&r.flags);
}

TEST(flags, an_overridden_variable_is_told)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(LINE(&r, "--name=x"), ST_OK);
    EXPECT_INT(ENVIRONMENT(&r, "ETCD_NAME=y"), ST_OK);
    EXPECT_TEXT(review(&r), "ETCD_NAME: overridden by --name\n");
    flags_fini(&r.flags);
}

/* --- did you mean --- */

TEST(nearest, distance_counts_edits_and_swaps)
{
    static const struct {
        const char *a, *b;
        size_t wanted;
    } rows[] = {
        {"", "", 0},
        {"a", "", 1},
        {"", "abc", 3},
        {"name", "name", 0},
        {"nmae", "name", 1},
        {"nam", "name", 1},
        {"named", "name", 1},
        {"nane", "name", 1},
        {"mont", "mount", 1},
        {"abc", "xyz", 3},
        {"kitten", "sitting", 3},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        EXPECT_INT(nearest_distance(rows[i].a, rows[i].b), rows[i].wanted);
        EXPECT_INT(nearest_distance(rows[i].b, rows[i].a), rows[i].wanted);
    }
    char word[65] = {0};
    (void)memset(word, 'x', 64);
    EXPECT(nearest_distance(word, word) == SIZE_MAX);
    word[63] = '\0';
    EXPECT_INT(nearest_distance(word, word), 0);
}
