/* Events for the published TLA+ trace specification: an ndjson line each. */

#include "raft/trace.h"

#include "base/buf.h"
#include "tests/raft/paper.h"
#include "tests/raft/text.h"

struct recorder {
    struct raft_tracer tracer;
    struct buf text;
};

static void add_set(struct buf *to, const uint64_t *ids, size_t count)
{
    text_add(to, "[");
    for (size_t i = 0; i < count; i++) {
        text_add(to, "%s\"%llu\"", i > 0 ? "," : "",
                 (unsigned long long)ids[i]);
    }
    text_add(to, "]");
}

static void record(struct raft_tracer *t, const struct raft_trace *e)
{
    struct buf *to = &container_of(t, struct recorder, tracer)->text;
    text_add(to,
             "{\"name\":\"%s\",\"nid\":\"%llu\",\"state\":{\"term\":%llu,"
             "\"vote\":\"%llu\",\"commit\":%llu},\"role\":\"%s\",\"log\":%llu,"
             "\"conf\":[",
             raft_trace_name(e->kind), (unsigned long long)e->id,
             (unsigned long long)e->hard.term, (unsigned long long)e->hard.vote,
             (unsigned long long)e->hard.commit, text_role(e->role),
             (unsigned long long)e->last_index);
    add_set(to, e->conf.voters, e->conf.voters_count);
    text_add(to, ",");
    add_set(to, e->conf.voters_outgoing, e->conf.voters_outgoing_count);
    text_add(to, "]");
    if (e->message != NULL) {
        text_add(to,
                 ",\"msg\":{\"type\":\"%s\",\"from\":\"%llu\",\"to\":"
                 "\"%llu\",\"index\":%llu}",
                 raft_message_type_name(e->message->type),
                 (unsigned long long)e->message->from,
                 (unsigned long long)e->message->to,
                 (unsigned long long)e->message->index);
    }
    text_add(to, "}\n");
}

/* Danger: a trace that leaves out or reorders a step proves nothing. */
TEST(trace, an_election_and_a_commit_of_one_member)
{
    static const char *const wanted =
        "{\"name\":\"InitState\",\"nid\":\"1\",\"state\":{\"term\":0,\"vote\":"
        "\"0\",\"commit\":1},\"role\":\"StateFollower\",\"log\":1,\"conf\":[[],"
        "[]]}\n"
        "{\"name\":\"ApplyConfChange\",\"nid\":\"1\",\"state\":{\"term\":0,"
        "\"vote\":\"0\",\"commit\":1},\"role\":\"StateFollower\",\"log\":1,"
        "\"conf\":[[\"1\"],[]]}\n"
        "{\"name\":\"BecomeFollower\",\"nid\":\"1\",\"state\":{\"term\":1,"
        "\"vote\":\"0\",\"commit\":1},\"role\":\"StateFollower\",\"log\":1,"
        "\"conf\":[[\"1\"],[]]}\n"
        "{\"name\":\"BecomeCandidate\",\"nid\":\"1\",\"state\":{\"term\":2,"
        "\"vote\":\"1\",\"commit\":1},\"role\":\"StateCandidate\",\"log\":1,"
        "\"conf\":[[\"1\"],[]]}\n"
        "{\"name\":\"SendRequestVoteResponse\",\"nid\":\"1\",\"state\":{"
        "\"term\":2,\"vote\":\"1\",\"commit\":1},\"role\":\"StateCandidate\","
        "\"log\":1,\"conf\":[[\"1\"],[]],\"msg\":{\"type\":\"MsgVoteResp\","
        "\"from\":\"1\",\"to\":\"1\",\"index\":0}}\n"
        "{\"name\":\"Ready\",\"nid\":\"1\",\"state\":{\"term\":2,\"vote\":"
        "\"1\",\"commit\":1},\"role\":\"StateCandidate\",\"log\":1,\"conf\":[["
        "\"1\"],[]]}\n"
        "{\"name\":\"ReceiveRequestVoteResponse\",\"nid\":\"1\",\"state\":{"
        "\"term\":2,\"vote\":\"1\",\"commit\":1},\"role\":\"StateCandidate\","
        "\"log\":1,\"conf\":[[\"1\"],[]],\"msg\":{\"type\":\"MsgVoteResp\","
        "\"from\":\"1\",\"to\":\"1\",\"index\":0}}\n"
        "{\"name\":\"BecomeLeader\",\"nid\":\"1\",\"state\":{\"term\":2,"
        "\"vote\":\"1\",\"commit\":1},\"role\":\"StateLeader\",\"log\":1,"
        "\"conf\":[[\"1\"],[]]}\n"
        "{\"name\":\"Replicate\",\"nid\":\"1\",\"state\":{\"term\":2,\"vote\":"
        "\"1\",\"commit\":1},\"role\":\"StateLeader\",\"log\":1,\"conf\":[["
        "\"1\"],[]]}\n";
    struct recorder recorder = {.tracer = {record}};
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    config.tracer = &recorder.tracer;
    struct cluster *c = cluster_new(&config, 1, 1, 1);
    raft_campaign(cluster_raft(c, 1));
    cluster_pump(c, 1);
    EXPECT(cluster_append_one(c, 1));
    EXPECT(bytes_starts_with(buf_bytes(&recorder.text), bytes_of(wanted)));
    cluster_free(c);
    buf_fini(&recorder.text);
}
