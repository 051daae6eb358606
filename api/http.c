/* The endpoints of HTTP/1.1 (etcd-surface 1.12): /health, /livez, /readyz,
 * /version, /metrics.
 *
 * A probe that has to read waits for kv; one read serves one probe.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/internal.h"

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

struct probe {
    struct api *api;
    struct grpc_http_request *request; /* NULL: it has gone */
    struct kv_range range;
    bool verbose;
    uint32_t wanted, failed; /* bits: checks */
    bool alarm_nospace, alarm_corrupt;
    const char *reasons[8];
    size_t reading; /* of the checks */
};

/* --- answers --- */

static void answer(struct grpc_http_request *r, int status, const char *type,
                   const char *text)
{
    grpc_http_answer(r, status, type, bytes_of(text));
}

static void answer_version(struct api *a, struct grpc_http_request *r)
{
    char text[256];
    const bool decided = api_status(a)->leader != 0;
    (void)snprintf(text, sizeof text,
                   "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\","
                   "\"storage\":\"%s\"}",
                   a->options.server_version,
                   decided ? a->options.cluster_version : "not_decided",
                   decided ? a->options.cluster_version : "unknown");
    answer(r, 200, JSON, text);
}

static void answer_metrics(struct api *a, struct grpc_http_request *r)
{
    struct buf b = {0};
    api_metrics(a, &b);
    grpc_http_answer(r, 200, "text/plain; version=0.0.4; charset=utf-8",
                     buf_bytes(&b));
    buf_fini(&b);
}

/* --- queries --- */

/* The next "name=value" of a query; false at its end. */
static bool next_pair(struct bytes *query, struct bytes *ret_name,
                      struct bytes *ret_value)
{
    if (query->size == 0) {
        return false;
    }
    const uint8_t *amp = memchr(query->data, '&', query->size);
    struct bytes pair = *query;
    if (amp != NULL) {
        pair.size = (size_t)(amp - query->data);
    }
    *query = bytes_after(*query, amp != NULL ? pair.size + 1 : pair.size);
    const uint8_t *equals =
        pair.size > 0 ? memchr(pair.data, '=', pair.size) : NULL;
    *ret_name = pair;
    *ret_value = BYTES_NONE;
    if (equals != NULL) {
        ret_name->size = (size_t)(equals - pair.data);
        *ret_value = bytes_after(pair, ret_name->size + 1);
    }
    return true;
}

static bool is_text(struct bytes b, const char *text)
{
    return bytes_equal(b, bytes_of(text));
}

/* --- alarms --- */

static void note_alarms(struct probe *p)
{
    struct api *a = p->api;
    if (a->admin == NULL) {
        return;
    }
    struct admin_status s;
    admin_status(a->admin, &s);
    for (size_t i = 0; i < s.alarms_count; i++) {
        p->alarm_nospace |= s.alarms[i].type == ADMIN_ALARM_NOSPACE;
        p->alarm_corrupt |= s.alarms[i].type == ADMIN_ALARM_CORRUPT;
    }
}

/* --- /health --- */

static void probe_free(struct probe *p)
{
    free(p);
}

static void answer_health(struct probe *p, const char *reason)
{
    char text[256];
    struct api *a = p->api;
    const bool good = reason[0] == '\0';
    a->counts.health_success += good;
    a->counts.health_failures += !good;
    (void)snprintf(text, sizeof text, "{\"health\":\"%s\",\"reason\":\"%s\"}",
                   good ? "true" : "false", reason);
    struct grpc_http_request *r = p->request;
    probe_free(p);
    answer(r, good ? 200 : 503, JSON, text);
}

static void health_read(struct kv_call *call)
{
    struct probe *p = container_of(call, struct probe, range.call);
    p->api->held--;
    if (p->request == NULL) {
        probe_free(p);
        return;
    }
    char reason[160] = "";
    if (call->status != ST_OK) {
        (void)snprintf(reason, sizeof reason, "RANGE ERROR:%s",
                       status_text(call->status));
    }
    answer_health(p, reason);
}

static void read_health_key(struct probe *p, bool serializable,
                            void (*done)(struct kv_call *))
{
    p->range =
        (struct kv_range){.call.done = done,
                          .spec = {.keys = {bytes_of("health"), BYTES_NONE},
                                   .limit = 1,
                                   .serializable = serializable}};
    p->api->held++;
    kv_range(p->api->kv, &p->range);
}

static void begin_health(struct probe *p, struct bytes query)
{
    bool serializable = false;
    bool no_nospace = false;
    bool no_corrupt = false;
    struct bytes name, value;
    while (next_pair(&query, &name, &value)) {
        serializable |= is_text(name, "serializable") && is_text(value, "true");
        no_nospace |= is_text(name, "exclude") && is_text(value, "NOSPACE");
        no_corrupt |= is_text(name, "exclude") && is_text(value, "CORRUPT");
    }
    note_alarms(p);
    if (p->alarm_nospace && !no_nospace) {
        answer_health(p, "ALARM NOSPACE");
    } else if (p->alarm_corrupt && !no_corrupt) {
        answer_health(p, "ALARM CORRUPT");
    } else if (!serializable && api_status(p->api)->leader == 0) {
        answer_health(p, "RAFT NO LEADER");
    } else {
        read_health_key(p, serializable, health_read);
    }
}

/* --- /livez and /readyz --- */

enum check_kind {
    CHECK_CORRUPTION,
    CHECK_SERIALIZABLE,
    CHECK_LINEARIZABLE,
    CHECK_LEARNER
};

struct check {
    const char *name;
    enum check_kind kind;
    bool live, ready;
};

static const struct check checks[] = {
    {"data_corruption", CHECK_CORRUPTION, false, true},
    {"serializable_read", CHECK_SERIALIZABLE, true, true},
    {"linearizable_read", CHECK_LINEARIZABLE, false, true},
    {"non_learner", CHECK_LEARNER, false, true},
};

static void add(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add(struct buf *b, const char *format, ...)
{
    char line[320];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    must(size >= 0);
    const size_t kept =
        (size_t)size < sizeof line ? (size_t)size : sizeof line - 1;
    buf_append(b, (struct bytes){(const uint8_t *)line, kept});
}

static void answer_checks(struct probe *p)
{
    struct buf b = {0};
    const bool good = p->failed == 0;
    for (size_t i = 0; i < count_of(checks) && (p->verbose || !good); i++) {
        const uint32_t bit = 1u << i;
        if ((p->failed & bit) != 0) {
            add(&b, "[-]%s failed: %s\n", checks[i].name, p->reasons[i]);
        } else if ((p->wanted & bit) != 0) {
            add(&b, "[+]%s ok\n", checks[i].name);
        }
    }
    if (good) {
        add(&b, "ok\n");
    }
    struct grpc_http_request *r = p->request;
    probe_free(p);
    grpc_http_answer(r, good ? 200 : 503, TEXT, buf_bytes(&b));
    buf_fini(&b);
}

static void fail_check(struct probe *p, size_t index, const char *why)
{
    p->failed |= 1u << index;
    p->reasons[index] = why;
}

static void next_check(struct probe *p);

static void check_read(struct kv_call *call)
{
    struct probe *p = container_of(call, struct probe, range.call);
    p->api->held--;
    if (p->request == NULL) {
        probe_free(p);
        return;
    }
    if (call->status != ST_OK) {
        fail_check(p, p->reading, status_text(call->status));
    }
    p->reading++;
    next_check(p);
}

static void next_check(struct probe *p)
{
    for (; p->reading < count_of(checks); p->reading++) {
        if ((p->wanted & 1u << p->reading) == 0) {
            continue;
        }
        switch (checks[p->reading].kind) {
        case CHECK_CORRUPTION:
            if (p->alarm_corrupt) {
                fail_check(p, p->reading, "alarm activated: CORRUPT");
            }
            break;
        case CHECK_SERIALIZABLE:
            read_health_key(p, true, check_read);
            return;
        case CHECK_LINEARIZABLE:
            read_health_key(p, false, check_read);
            return;
        case CHECK_LEARNER:
            (void)api_status(p->api);
            if (p->api->is_learner) {
                fail_check(p, p->reading, "member is a learner");
            }
            break;
        }
    }
    answer_checks(p);
}

static uint32_t checks_of(bool live, struct bytes name)
{
    uint32_t wanted = 0;
    for (size_t i = 0; i < count_of(checks); i++) {
        if ((live ? checks[i].live : checks[i].ready) &&
            (name.size == 0 || is_text(name, checks[i].name))) {
            wanted |= 1u << i;
        }
    }
    return wanted;
}

static void begin_checks(struct probe *p, bool live, struct bytes name,
                         struct bytes query)
{
    struct bytes key, value;
    p->wanted = checks_of(live, name);
    if (p->wanted == 0) {
        struct grpc_http_request *r = p->request;
        probe_free(p);
        answer(r, 404, TEXT, "404 page not found\n");
        return;
    }
    while (next_pair(&query, &key, &value)) {
        p->verbose |= is_text(key, "verbose");
        if (is_text(key, "exclude") && value.size > 0) {
            p->wanted &= ~checks_of(live, value);
        }
    }
    note_alarms(p);
    next_check(p);
}

/* --- requests --- */

static struct probe *probe_new(struct api *a, struct grpc_http_request *r)
{
    struct probe *p = xcalloc(1, sizeof *p);
    p->api = a;
    p->request = r;
    grpc_http_set_state(r, p);
    return p;
}

static void split(struct bytes target, struct bytes *ret_path,
                  struct bytes *ret_query)
{
    const uint8_t *mark =
        target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
    *ret_path = target;
    *ret_query = BYTES_NONE;
    if (mark != NULL) {
        ret_path->size = (size_t)(mark - target.data);
        *ret_query = bytes_after(target, ret_path->size + 1);
    }
}

/* "/livez" or "/livez/NAME". */
static bool is_checks(struct bytes path, const char *endpoint,
                      struct bytes *ret_name)
{
    const struct bytes prefix = bytes_of(endpoint);
    if (!bytes_starts_with(path, prefix)) {
        return false;
    }
    *ret_name = bytes_after(path, prefix.size);
    if (ret_name->size > 0 && ret_name->data[0] == '/') {
        *ret_name = bytes_after(*ret_name, 1);
        return true;
    }
    return ret_name->size == 0;
}

static void on_request(void *arg, struct grpc_http_request *r,
                       struct bytes method, struct bytes target,
                       struct bytes body)
{
    struct api *a = arg;
    struct bytes path, query, name;
    (void)body; /* none of them reads one */
    split(target, &path, &query);
    grpc_http_set_state(r, NULL);
    const bool health = is_text(path, "/health");
    const bool version = is_text(path, "/version");
    const bool metrics = is_text(path, "/metrics");
    const bool live = is_checks(path, "/livez", &name);
    const bool ready = !live && is_checks(path, "/readyz", &name);
    if (!health && !version && !metrics && !live && !ready) {
        answer(r, 404, TEXT, "404 page not found\n");
    } else if (!is_text(method, "GET")) {
        answer(r, 405, TEXT, "Method Not Allowed\n");
    } else if (version) {
        answer_version(a, r);
    } else if (metrics) {
        answer_metrics(a, r);
    } else if (health) {
        begin_health(probe_new(a, r), query);
    } else {
        begin_checks(probe_new(a, r), live, name, query);
    }
}

static void on_gone(void *arg, struct grpc_http_request *r)
{
    struct api *a = arg;
    struct probe *p = grpc_http_state(r);
    if (p != NULL) {
        p->request = NULL; /* freed when the read is done */
        kv_cancel(a->kv, &p->range.call);
    }
}

void api_http_init(struct api *a, struct grpc_http *ret)
{
    *ret = (struct grpc_http){
        .on_request = on_request, .on_gone = on_gone, .arg = a};
}
