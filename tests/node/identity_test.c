/* Ids follow from the initial configuration alone, on every member alike. */

#include "node/identity.h"
#include "tests/lib/test.h"

#define THREE "a=http://h1:2380,b=http://h2:2380,c=http://h3:2380"

static struct identity derive(const char *name, const char *token,
                              const char *cluster)
{
    struct identity id;
    struct fault fault = {{0}};
    EXPECT_INT(identity_derive(name, token, cluster, &id, &fault), ST_OK);
    return id;
}

/* Members that disagree about the cluster's id would never talk. */
TEST(identity, members_agree_whatever_the_order)
{
    const struct identity a = derive("a", "t", THREE);
    const struct identity b =
        derive("b", "t", "c=http://h3:2380,b=http://h2:2380,a=http://h1:2380");
    EXPECT_INT(a.cluster_id, b.cluster_id);
    EXPECT(a.member_id != b.member_id);
    EXPECT_INT(a.voters_count, 3);
    EXPECT(memcmp(a.voters, b.voters, sizeof a.voters[0] * 3) == 0);
    EXPECT(a.voters[0] < a.voters[1] && a.voters[1] < a.voters[2]);
}

/* A name beside another member's id sends people to the wrong machine. */
TEST(identity, every_id_has_its_own_name)
{
    const char *const given[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        const struct identity id = derive(given[i], "t", THREE);
        for (size_t j = 0; j < 3; j++) {
            EXPECT_INT(strcmp(id.names[j], given[i]) == 0,
                       id.voters[j] == id.member_id);
        }
    }
}

/* Two clusters from the same configuration must not merge by accident: that is
 * what the token is for. */
TEST(identity, the_token_tells_clusters_apart)
{
    EXPECT(derive("a", "t1", THREE).cluster_id !=
           derive("a", "t2", THREE).cluster_id);
}

/* A member may have several URLs: still one member, in any order. */
TEST(identity, several_urls_of_one_name_are_one_member)
{
    const struct identity x = derive("a", "t", "a=http://x:1,a=http://y:1");
    const struct identity y = derive("a", "t", "a=http://y:1,a=http://x:1");
    EXPECT_INT(x.voters_count, 1);
    EXPECT_INT(x.member_id, y.member_id);
}

/* Peers are reached at what the URLs say. */
TEST(identity, addresses_are_kept_by_member)
{
    const struct identity x =
        derive("b", "t", "a=http://x:1,b=http://[::1]:3,a=http://y:2");
    const size_t a = x.voters[0] == x.member_id ? 1 : 0;
    EXPECT_TEXT(x.addresses[a], "x:1,y:2");
    EXPECT_TEXT(x.addresses[1 - a], "[::1]:3");
}

/* Half a configuration that looks secure is worse than none. */
TEST(identity, urls_that_this_version_cannot_serve_are_refused)
{
    struct identity id;
    struct fault fault = {{0}};
    char to[64];
    EXPECT_INT(identity_derive("a", "t", "a=https://x:1", &id, &fault),
               ST_UNSUPPORTED);
    EXPECT_INT(identity_derive("a", "t", "a=x:1", &id, &fault), ST_INVALID);
    EXPECT_INT(
        identity_strip_urls("http://a:1,http://b:2", to, sizeof to, &fault),
        ST_OK);
    EXPECT_TEXT(to, "a:1,b:2");
}

/* A typing error must not start a cluster of its own. */
TEST(identity, what_cannot_be_read_is_refused_and_named)
{
    static const char *const bad[] = {
        "",           "a",           "a=", "=http://x", "a=http://x,",
        "b=http://x", "a=http://x,b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct identity id;
        struct fault fault = {{0}};
        const bool is_fine = i == 4; /* a trailing comma says nothing */
        EXPECT_INT(identity_derive("a", "t", bad[i], &id, &fault),
                   is_fine ? ST_OK : ST_INVALID);
        EXPECT(is_fine || fault.text[0] != '\0');
    }
}
