/* What does not depend on state: errors to the letter, methods, URLs. */

#include "api/internal.h"
#include "tests/api/rig.h"

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

/* etcd-surface 1.1: 49 rpcs, and two of health; and one of our own. */
TEST(table, every_rpc_has_a_row_and_one_way_to_run)
{
    EXPECT_INT(api_rpcs_count, 52);
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

/* A request of our own has no schema that checks it: what is not quite one must
 * be refused before anything is asked of the cluster. */
TEST(table, changes_of_members_that_are_none_are_refused)
{
    static const struct {
        const char *bytes;
        size_t size;
        int code;
    } cases[] = {
        {"", 0, 3},                                 /* nothing */
        {"\x0a\x04\x08\x02\x10\x07", 6, 12},        /* remove 7: it is asked */
        {"\x0a\x02\x08\x01", 4, 3},                 /* add without URLs */
        {"\x0a\x05\x08\x01\x1a\x01x", 7, 3},        /* add at "x" */
        {"\x0a\x02\x08\x04", 4, 3},                 /* no such operation */
        {"\x0a\x02\x10\x07", 4, 3},                 /* none at all */
        {"\x0a\x09\x08\x02\x10\x07", 6, 3},         /* cut off */
        {"\x12\x04\x08\x02\x10\x07", 6, 3},         /* another field */
        {"\x0a\x0b\x08\x02\x1a\x07http://", 13, 3}, /* remove with a URL */
    };
    for (size_t i = 0; i < count_of(cases); i++) {
        struct rig r;
        struct grpc_call c = {0};
        rig_begin(&r);
        call_begin(&c, "/keelfspb.Cluster/MemberChange");
        call_bytes(
            &c, (struct bytes){(const uint8_t *)cases[i].bytes, cases[i].size});
        call_half_close(&c);
        EXPECT(c.finished);
        EXPECT_INT(c.code, cases[i].code);
        call_fini(&c);
        rig_end(&r);
    }
}
