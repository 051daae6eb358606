/* The Watch service (etcd-surface 1.5), with the store's side in the test's
 * hands.  What a stream was sent is a text, one response a line. */

#include <stdlib.h>

#include "base/must.h"
#include "proto/rpc.pb-c.h"
#include "tests/api/rig.h"

static ProtobufCBinaryData text(const char *t)
{
    return (ProtobufCBinaryData){strlen(t), (uint8_t *)(uintptr_t)t};
}

struct stream {
    struct rig rig;
    struct grpc_call call;
    char heard[4096];
};

static void stream_begin(struct stream *s)
{
    *s = (struct stream){0};
    rig_begin(&s->rig);
    call_begin(&s->call, "/etcdserverpb.Watch/Watch");
}

static void stream_end(struct stream *s)
{
    if (!s->call.finished) {
        call_reset(&s->call);
    }
    call_fini(&s->call);
    rig_end(&s->rig);
}

static void create(struct stream *s, Etcdserverpb__WatchCreateRequest q)
{
    Etcdserverpb__WatchRequest m = ETCDSERVERPB__WATCH_REQUEST__INIT;
    m.request_union_case = 1;
    m.create_request = &q;
    call_message(&s->call, &m);
}

static Etcdserverpb__WatchCreateRequest request(const char *key)
{
    Etcdserverpb__WatchCreateRequest q =
        ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    q.key = text(key);
    return q;
}

static void cancel(struct stream *s, int64_t id)
{
    Etcdserverpb__WatchCancelRequest q =
        ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;
    q.watch_id = id;
    Etcdserverpb__WatchRequest m = ETCDSERVERPB__WATCH_REQUEST__INIT;
    m.request_union_case = 2;
    m.cancel_request = &q;
    call_message(&s->call, &m);
}

static void ask_progress(struct stream *s)
{
    Etcdserverpb__WatchProgressRequest q =
        ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest m = ETCDSERVERPB__WATCH_REQUEST__INIT;
    m.request_union_case = 3;
    m.progress_request = &q;
    call_message(&s->call, &m);
    rig_turn();
}

static void say(struct stream *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct stream *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t used = strlen(s->heard);
    (void)vsnprintf(s->heard + used, sizeof s->heard - used, format, args);
    va_end(args);
}

/* What came since the last look. */
static const char *heard(struct stream *s)
{
    s->heard[0] = 0;
    Etcdserverpb__WatchResponse *m;
    while ((m = call_next(&s->call,
                          &etcdserverpb__watch_response__descriptor)) != NULL) {
        say(s, "%lld at %lld%s%s%s", (long long)m->watch_id,
            (long long)m->header->revision, m->created ? " created" : "",
            m->canceled ? " canceled" : "", m->fragment ? " fragment" : "");
        if (m->compact_revision != 0) {
            say(s, " compacted %lld", (long long)m->compact_revision);
        }
        if (m->cancel_reason[0] != 0) {
            say(s, " (%s)", m->cancel_reason);
        }
        for (size_t i = 0; i < m->n_events; i++) {
            say(s, " %.*s@%lld", (int)m->events[i]->kv->key.len,
                (const char *)m->events[i]->kv->key.data,
                (long long)m->events[i]->kv->mod_revision);
        }
        say(s, "\n");
        rig_free(m);
    }
    return s->heard;
}

/* Ids count from 0, past those that clients chose; the stream outlives what is
 * wrong with one request; cancelling nobody is nothing. */
TEST(watch, created_refused_cancelled)
{
    struct stream s;
    stream_begin(&s);
    create(&s, request("a"));
    Etcdserverpb__WatchCreateRequest q = request("b");
    q.watch_id = 1;
    create(&s, q);
    create(&s, request("c"));
    create(&s, q);
    EXPECT_TEXT(heard(&s),
                "0 at 10 created\n"
                "1 at 10 created\n"
                "2 at 10 created\n"
                "-1 at 10 created canceled (mvcc: duplicate watch ID provided "
                "on the WatchStream)\n");
    q = request("b");
    q.range_end = text("a");
    create(&s, q);
    q = request("b");
    q.start_revision = -1;
    create(&s, q);
    EXPECT_TEXT(heard(&s),
                "-1 at 10 created canceled (mvcc: watcher range is empty)\n"
                "-1 at 10 created canceled (etcdserver: mvcc: required "
                "revision has been compacted)\n");
    cancel(&s, 1);
    cancel(&s, 77);
    EXPECT_TEXT(heard(&s), "1 at 10 canceled\n");
    EXPECT_INT(rig_watches(&s.rig), 2);
    stream_end(&s);
}

TEST(watch, events_carry_what_was_asked_for)
{
    struct stream s;
    stream_begin(&s);
    Etcdserverpb__WatchCreateRequest q = request("a");
    Etcdserverpb__WatchCreateRequest__FilterType no_put = 0;
    q.filters = &no_put;
    q.n_filters = 1;
    q.prev_kv = true;
    q.start_revision = 5;
    create(&s, q);
    struct kv_watch *w = rig_watch(&s.rig, 0);
    EXPECT_INT(w->start_revision, 5);
    EXPECT(w->prev_kv);
    (void)heard(&s);
    rig_put(&s.rig, w, "a", 6);
    EXPECT_TEXT(heard(&s), ""); /* all of it was filtered out */
    const struct kv_event del = {
        .type = KV_EVENT_DELETE,
        .item = {.key = bytes_of("a"), .mod_revision = 7}};
    w->on_events(w, &del, 1, s.rig.status.header);
    EXPECT_TEXT(heard(&s), "0 at 10 a@7\n");
    stream_end(&s);
}

/* etcd-surface 1.5: the watcher ends, the stream stays, the header is empty. */
TEST(watch, compaction_ends_a_watcher_and_not_the_stream)
{
    struct stream s;
    stream_begin(&s);
    Etcdserverpb__WatchCreateRequest q = request("a");
    q.start_revision = 3;
    create(&s, q);
    struct kv_watch *w = rig_watch(&s.rig, 0);
    list_remove(&w->link);
    w->on_end(w, ST_COMPACTED, 8);
    EXPECT_TEXT(heard(&s), "0 at 10 created\n0 at 0 canceled compacted 8\n");
    create(&s, request("b"));
    EXPECT_TEXT(heard(&s), "1 at 10 created\n");
    stream_end(&s);
}

/* A client that does not read: nothing is kept for it but the revision to go on
 * with; nothing is lost, nothing comes twice, and it is not read either. */
TEST(watch, a_slow_client_is_parked_and_fed_from_history)
{
    struct stream s;
    stream_begin(&s);
    create(&s, request("a"));
    create(&s, request("b"));
    (void)heard(&s);
    s.call.choked = true;
    rig_put(&s.rig, rig_watch(&s.rig, 0), "a", 11); /* this one still goes */
    EXPECT(s.call.paused);
    rig_put(&s.rig, rig_watch(&s.rig, 0), "a", 12);
    rig_put(&s.rig, rig_watch(&s.rig, 0), "b", 13);
    EXPECT_INT(rig_watches(&s.rig), 0);
    EXPECT_TEXT(heard(&s), "0 at 11 a@11\n");
    rig_turn();
    EXPECT_INT(rig_watches(&s.rig), 0); /* there is still no room */
    call_unchoke(&s.call);
    EXPECT(!s.call.paused);
    rig_turn();
    EXPECT_INT(rig_watches(&s.rig), 2);
    EXPECT_INT(rig_watch(&s.rig, 0)->start_revision, 12);
    EXPECT_INT(rig_watch(&s.rig, 1)->start_revision, 13);
    stream_end(&s);
}

/* Cancelling one that is parked, and a stream that ends with some. */
TEST(watch, parked_watchers_end_too)
{
    struct stream s;
    stream_begin(&s);
    create(&s, request("a"));
    create(&s, request("b"));
    s.call.choked = true;
    rig_put(&s.rig, rig_watch(&s.rig, 0), "a", 11);
    rig_put(&s.rig, rig_watch(&s.rig, 0), "a", 12);
    rig_put(&s.rig, rig_watch(&s.rig, 0), "b", 12);
    (void)heard(&s);
    cancel(&s, 0);
    EXPECT_TEXT(heard(&s), "0 at 10 canceled\n");
    stream_end(&s);
}

/* Kubernetes serves lists from its cache up to the revision it is told here: a
 * notice while one watcher still lacks an event would show it the past. */
TEST(watch, progress_is_told_when_all_watchers_have_got_there)
{
    struct stream s;
    stream_begin(&s);
    ask_progress(&s);
    EXPECT_TEXT(heard(&s), ""); /* nobody watches */
    create(&s, request("a"));
    create(&s, request("b"));
    (void)heard(&s);
    s.rig.watched = 9; /* of 10 */
    ask_progress(&s);
    EXPECT_TEXT(heard(&s), "");
    s.rig.watched = 0;
    rig_turn();
    EXPECT_TEXT(heard(&s), "-1 at 10\n");
    rig_turn();
    EXPECT_TEXT(heard(&s), ""); /* once */
    Etcdserverpb__WatchCreateRequest q = request("c");
    q.start_revision = 12;
    create(&s, q);
    (void)heard(&s);
    ask_progress(&s);
    EXPECT_TEXT(heard(&s), ""); /* it waits for the future */
    stream_end(&s);
}

TEST(watch, notices_come_to_idle_watchers_that_want_them)
{
    struct stream s;
    stream_begin(&s);
    Etcdserverpb__WatchCreateRequest q = request("a");
    q.progress_notify = true;
    create(&s, q);
    create(&s, request("b"));
    (void)heard(&s);
    rig_pass(661000); /* ten minutes and a tenth */
    EXPECT_TEXT(heard(&s), "0 at 10\n");
    rig_put(&s.rig, rig_watch(&s.rig, 0), "a", 11);
    s.rig.status.header.revision = 11;
    (void)heard(&s);
    rig_pass(661000);
    EXPECT_TEXT(heard(&s), ""); /* it has just had an event */
    rig_pass(661000);
    EXPECT_TEXT(heard(&s), "0 at 11\n");
    stream_end(&s);
}

/* All of a revision in one response, unless fragments were asked for. */
TEST(watch, large_revisions_are_split_for_those_who_asked)
{
    const size_t size = 900 << 10;
    uint8_t *value = calloc(1, size);
    struct kv_event events[4];
    for (size_t i = 0; i < 4; i++) {
        events[i] = (struct kv_event){.item = {.key = bytes_of("a"),
                                               .value = {value, size},
                                               .mod_revision = 11}};
    }
    for (int fragment = 0; fragment <= 1; fragment++) {
        struct stream s;
        stream_begin(&s);
        Etcdserverpb__WatchCreateRequest q = request("a");
        q.fragment = fragment == 1;
        create(&s, q);
        (void)heard(&s);
        struct kv_watch *w = rig_watch(&s.rig, 0);
        w->on_events(w, events, 4, s.rig.status.header);
        EXPECT_TEXT(heard(&s), fragment == 1 ? "0 at 10 fragment a@11 a@11\n"
                                               "0 at 10 a@11 a@11\n"
                                             : "0 at 10 a@11 a@11 a@11 a@11\n");
        stream_end(&s);
    }
    free(value);
}

/* Three periods without a leader end the streams that asked for one. */
TEST(watch, a_lost_leader_ends_streams_that_need_one)
{
    struct rig r;
    struct grpc_call careless = {0};
    struct grpc_call careful = {.has_leader = true};
    rig_begin(&r);
    call_begin(&careless, "/etcdserverpb.Watch/Watch");
    call_begin(&careful, "/etcdserverpb.Watch/Watch");
    r.status.leader = 0;
    rig_turn();
    rig_pass(1000);
    rig_pass(1000);
    EXPECT(!careful.finished);
    rig_pass(1000);
    EXPECT(careful.finished);
    EXPECT_INT(careful.code, 14);
    EXPECT_TEXT(careful.text, "etcdserver: no leader");
    EXPECT(!careless.finished);
    call_half_close(&careless);
    EXPECT(!careless.finished); /* it goes on listening */
    call_reset(&careless);
    call_fini(&careless);
    call_fini(&careful);
    rig_pass(1000);
    rig_end(&r);
}
