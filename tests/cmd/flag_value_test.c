/* Values as etcd's command line reads them: Go's strconv and time packages. */

#include "cmd/flag_value.h"
#include "tests/lib/test.h"

#define BAD INT64_MIN /* the text is refused */

TEST(flag_value, bools_are_the_twelve_words_of_strconv)
{
    static const char *const yes[] = {"1", "t", "T", "true", "True", "TRUE"};
    static const char *const no[] = {"0", "f", "F", "false", "False", "FALSE"};
    static const char *const bad[] = {"", "yes", "no", "tRUE", "2", "true "};
    bool value;
    for (size_t i = 0; i < 6; i++) {
        EXPECT(flag_value_bool(yes[i], &value) && value);
        EXPECT(flag_value_bool(no[i], &value) && !value);
        EXPECT(!flag_value_bool(bad[i], &value));
    }
}

/* Danger: a number read half, or wrapped around, sets a limit nobody wanted. */
TEST(flag_value, integers_are_whole_or_refused)
{
    static const struct {
        const char *text;
        int64_t wanted;
    } rows[] = {
        {"0", 0},
        {"128", 128},
        {"+7", 7},
        {"-1", -1},
        {"0x10", 16},
        {"0XfF", 255},
        {"0b101", 5},
        {"0o17", 15},
        {"017", 15},
        {"0x_ff", 255},
        {"0x1_0", 16},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", -INT64_MAX},
        {"9223372036854775808", BAD},
        {"-9223372036854775809", BAD},
        {"99999999999999999999", BAD},
        {"", BAD},
        {"-", BAD},
        {"0x", BAD},
        {"08", BAD},
        {"1_000", BAD}, /* underscores need a written base */
        {"0x1__0", BAD},
        {"0x1_", BAD},
        {"12a", BAD},
        {" 1", BAD},
        {"1 ", BAD},
        {"1.5", BAD},
        {"--1", BAD},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        int64_t value = BAD;
        const bool good = flag_value_int(rows[i].text, &value);
        if (good != (rows[i].wanted != BAD) || value != rows[i].wanted) {
            fail_msg("'%s' is read as %lld", rows[i].text, (long long)value);
        }
    }
    int64_t lowest = 0;
    EXPECT(flag_value_int("-9223372036854775808", &lowest));
    EXPECT_INT(lowest, INT64_MIN);
}

TEST(flag_value, durations_need_a_unit_and_fit)
{
    static const struct {
        const char *text;
        int64_t wanted_ns;
    } rows[] = {
        {"0", 0},
        {"0s", 0},
        {"100ms", 100000000},
        {"10s", 10000000000},
        {"1h30m", 5400000000000},
        {"1.5s", 1500000000},
        {".5s", 500000000},
        {"1.s", 1000000000},
        {"0.3h", 1080000000000},
        {"2us", 2000},
        {"2\u00b5s", 2000},
        {"2\u03bcs", 2000},
        {"7ns", 7},
        {"1h1m1s1ms1us1ns", 3661001001001},
        {"-5s", -5000000000},
        {"+5s", 5000000000},
        {"1.123456789s", 1123456789},
        {"2562047h", 9223369200000000000},
        {"2562048h", BAD},
        {"2562047h2562047h", BAD},
        {"99999999999999999999s", BAD},
        {"", BAD},
        {"5", BAD},
        {"s", BAD},
        {".s", BAD},
        {"5 s", BAD},
        {"5x", BAD},
        {"1h-5m", BAD},
        {"5s ", BAD},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        int64_t value = BAD;
        const bool good = flag_value_duration(rows[i].text, &value);
        if (good != (rows[i].wanted_ns != BAD) || value != rows[i].wanted_ns) {
            fail_msg("'%s' is read as %lld", rows[i].text, (long long)value);
        }
    }
}

TEST(flag_value, urls_have_a_scheme_a_host_a_port_and_nothing_else)
{
    static const struct {
        const char *text;
        const char *wrong; /* the part that is refused; NULL: none */
    } rows[] = {
        {"http://localhost:2379", NULL},
        {"https://10.0.0.1:2379,http://[::1]:2379", NULL},
        {"http://:2379", NULL},
        {"http://0.0.0.0:0", NULL},
        {"unix:///run/k.sock,unixs://localhost:27", NULL},
        {"", ""},
        {"localhost:2379", "localhost:2379"},
        {"ftp://localhost:2379", "ftp://localhost:2379"},
        {"http://localhost", "http://localhost"},
        {"http://localhost:", "http://localhost:"},
        {"http://localhost:x", "http://localhost:x"},
        {"http://localhost:65536", "http://localhost:65536"},
        {"http://localhost:99999999999", "http://localhost:99999999999"},
        {"http://localhost:2379/", "http://localhost:2379/"},
        {"http://localhost:2379/v3", "http://localhost:2379/v3"},
        {"http://::1:2379", "http://::1:2379"},
        {"unix://", "unix://"},
        {"http://a:1,", ""},
        {"http://a:1,,http://b:1", ""},
        {"http://a:1,b:1,http://c:1", "b:1"},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct flag_url_error error = {"", 0, NULL};
        const bool good = flag_value_urls(rows[i].text, &error);
        EXPECT_INT(good, rows[i].wrong == NULL);
        if (!good) {
            EXPECT_BYTES(((struct bytes){(const uint8_t *)error.url,
                                         (size_t)error.size}),
                         bytes_of(rows[i].wrong));
            EXPECT(error.why != NULL);
        }
    }
}
