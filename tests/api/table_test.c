/* What does not depend on state: errors to the letter, methods, URLs. */

#include "api/internal.h"
#include "tests/lib/test.h"

/* etcd-surface 1.3; clients match on the text. */
TEST(table, errors_are_etcds_to_the_letter)
{
    static const struct {
        struct api_error (*of)(enum status);
        enum status st;
        int code;
        const char *text;
    } cases[] = {
        {api_error_of, ST_COMPACTED, 11,
         "etcdserver: mvcc: required revision has been compacted"},
        {api_error_of, ST_FUTURE_REVISION, 11,
         "etcdserver: mvcc: required revision is a future revision"},
        {api_error_of, ST_LEASE_EXISTS, 9, "etcdserver: lease already exists"},
        {api_error_of, ST_LEASE_TTL_TOO_LARGE, 11,
         "etcdserver: too large lease TTL"},
        {api_error_of, ST_DUPLICATE_KEY, 3,
         "etcdserver: duplicate key given in txn request"},
        {api_error_of, ST_MEMBER_NOT_FOUND, 5, "etcdserver: member not found"},
        {api_error_of, ST_MEMBER_BAD_URLS, 3,
         "etcdserver: given member URLs are invalid"},
        {api_error_of, ST_NOT_LEADER, 9, "etcdserver: not leader"},
        {api_error_of, ST_CORRUPT, 15, "etcdserver: corrupt cluster"},
    };
    for (size_t i = 0; i < count_of(cases); i++) {
        const struct api_error e = cases[i].of(cases[i].st);
        EXPECT_INT(e.code, cases[i].code);
        EXPECT_TEXT(e.text, cases[i].text);
    }
    EXPECT_INT(API_AUTH_NOT_ENABLED.code, 9);
    EXPECT_TEXT(API_AUTH_NOT_ENABLED.text,
                "etcdserver: authentication is not enabled");
    EXPECT_INT(API_NO_ROOT_USER.code, 9);
    EXPECT_TEXT(API_NO_ROOT_USER.text, "etcdserver: root user does not exist");
    EXPECT_TEXT(API_NO_DOWNGRADE.text, "etcdserver: no inflight downgrade job");
}

/* etcd-surface 1.1: 49 rpcs, and two of health. */
TEST(table, every_rpc_has_a_row_and_one_way_to_run)
{
    EXPECT_INT(api_rpcs_count, 51);
    for (size_t i = 0; i < api_rpcs_count; i++) {
        const struct api_rpc *r = &api_rpcs[i];
        EXPECT_INT(r->path[0], '/');
        EXPECT((r->run == NULL) != (r->begin == NULL));
        EXPECT_INT(r->client_streams, r->begin != NULL);
        for (size_t j = 0; j < i; j++) {
            EXPECT(strcmp(r->path, api_rpcs[j].path) != 0);
        }
    }
}

TEST(table, peer_urls_are_as_etcd_takes_them)
{
    static const struct {
        const char *url;
        bool good;
    } cases[] = {
        {"http://127.0.0.1:2380", true},
        {"https://host:1", true},
        {"http://[::1]:2380", true},
        {"unix://localhost:1", true},
        {"http://:2380", true},
        {"", false},
        {"127.0.0.1:2380", false},
        {"http://127.0.0.1", false},
        {"http://127.0.0.1:2380/", false},
        {"http://127.0.0.1:x", false},
        {"http://::1:2380", false},
        {"ftp://127.0.0.1:2380", false},
        {"http://a b:1", false},
        {"http://", false},
        {"unix://", false},
    };
    for (size_t i = 0; i < count_of(cases); i++) {
        EXPECT_INT(api_url_is_peer(bytes_of(cases[i].url)), cases[i].good);
    }
}
