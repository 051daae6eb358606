/* The Watch service's streams and watchers, between watch.c (the requests) and
 * watch_feed.c (the events).
 *
 * Nothing waits in memory for a slow client but what its connection holds: when
 * grpc says to pause, the watcher whose turn it would be is parked (unwatched,
 * with the revision it needs next), and taken up again from history when there
 * is room.  So nothing is lost, and nothing comes twice.
 *
 *   feeding --events, no room--> parked --room--> feeding
 *   feeding --compacted, cancelled--> gone
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include "api/internal.h"
#include "base/hmap.h"
#include "proto/kv_response.h"

struct watch_stream {
    struct api_method *method;
    struct grpc_call *grpc;
    struct list link;      /* api->watch_streams */
    struct list busy_link; /* api->busy_streams */
    struct hmap watchers;  /* by id */
    struct list parked;
    int64_t next_id;
    bool full;                         /* until on_writable */
    bool wants_leader;                 /* metadata hasleader */
    bool wants_progress;               /* a WatchProgressRequest to answer */
    struct loop_timer *progress_timer; /* NULL: nobody wants notices */
};

struct watcher {
    struct kv_watch watch;
    struct hmap_node node;
    struct list parked_link;
    struct watch_stream *stream;
    int64_t id;
    int64_t next_revision; /* first that was not sent */
    int64_t start_revision;
    bool parked;
    bool progress;     /* wants notices */
    bool progress_due; /* had no event since the last one was due */
    bool fragment;
    bool no_put, no_delete;
    uint8_t keys[]; /* key, then end */
};

struct watcher *watch_find(const struct watch_stream *s, int64_t id);
/* Removes and frees; nothing is sent. */
void watch_drop(struct watcher *w);
/* Ends the stream with all its watchers. */
void watch_end(struct watch_stream *s, struct api_error why);
void watch_free(struct watch_stream *s);
/* The hook shall look at the stream at the end of the turn. */
void watch_make_busy(struct watch_stream *s);

/* Begins with next_revision. */
void watch_feed(struct watcher *w);
/* Sends one response. */
void watch_send(struct watch_stream *s, const struct kv_watch_response *r);
struct kv_header watch_header(const struct watch_stream *s, int64_t revision);
/* The timer of notices, as soon as somebody wants them. */
void watch_want_notices(struct watch_stream *s);

#endif
