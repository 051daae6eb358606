/* Client ports: from flags to the API's listeners. */

#include "cmd/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/log.h"
#include "cmd/version.h"

#define PLACES_MAX     32
#define PLACE_SIZE_MAX 300

struct clients {
    struct api *api;
    char places[PLACES_MAX][PLACE_SIZE_MAX];
    size_t places_count;
};

static void note_place(struct clients *c, const char *url, uint16_t port)
{
    if (c->places_count == PLACES_MAX) {
        return; /* it serves all the same */
    }
    /* Port 0 stands for one that the system chose. */
    const char *colon = strrchr(url, ':');
    const size_t host = colon != NULL ? (size_t)(colon - url) : strlen(url);
    (void)snprintf(c->places[c->places_count++], PLACE_SIZE_MAX, "%.*s:%u",
                   (int)host, url, (unsigned)port);
}

static enum status listen_at_each(struct clients *c, const char *urls,
                                  bool metrics_only, struct fault *reterr)
{
    enum status st = ST_OK;
    while (*urls != '\0' && st == ST_OK) {
        char url[PLACE_SIZE_MAX];
        const size_t size = strcspn(urls, ",");
        if (size >= sizeof url) {
            return fault_set(reterr, ST_INVALID, "'%.*s' is too long for a URL",
                             (int)size, urls);
        }
        memcpy(url, urls, size);
        url[size] = '\0';
        urls += size + (urls[size] == ',');
        uint16_t port = 0;
        st = api_listen(c->api, url, metrics_only, &port, reterr);
        if (st == ST_OK) {
            note_place(c, url, port);
        }
    }
    return st;
}

static struct api_options options_of(const struct server_options *o)
{
    struct api_options a;
    api_options_default(&a);
    a.server_version = ETCD_VERSION;
    a.cluster_version = ETCD_CLUSTER_VERSION;
    a.txn_ops_max = o->txn_ops_max;
    a.request_bytes_max = o->request_bytes_max;
    a.progress_interval_ms = o->progress_interval_ms;
    a.election_ms = o->election_ms;
    a.streams_max = o->streams_max;
    a.ping_interval_min_ms = o->ping_interval_min_ms;
    a.keepalive_ms = o->keepalive_ms;
    a.keepalive_timeout_ms = o->keepalive_timeout_ms;
    return a;
}

enum status clients_open(struct loop *loop, struct kv *kv, struct admin *admin,
                         const struct server_options *options,
                         struct clients **ret, struct fault *reterr)
{
    const struct api_options api_options = options_of(options);
    struct clients *c = xcalloc(1, sizeof *c);
    struct fault why;
    c->api = api_new(loop, kv, admin, &api_options);
    enum status st =
        listen_at_each(c, options->listen_client_urls, false, &why);
    if (st != ST_OK && !options->client_urls_given &&
        options->mounts_count > 0) {
        log_warn("no port for clients: %s; the mounts are served all the same "
                 "(--listen-client-urls names another port, or '' for none)",
                 why.text);
        st = ST_OK;
    }
    if (st == ST_OK) {
        st = listen_at_each(c, options->listen_metrics_urls, true, &why);
    }
    if (st != ST_OK) {
        clients_free(c);
        return fault_set(reterr, st, "cannot serve clients: %s", why.text);
    }
    *ret = c;
    return ST_OK;
}

void clients_announce(const struct clients *c)
{
    for (size_t i = 0; i < c->places_count; i++) {
        (void)printf("keelfs: listening at %s\n", c->places[i]);
    }
}

void clients_drain(struct clients *c)
{
    if (c != NULL) {
        api_drain(c->api);
    }
}

bool clients_idle(const struct clients *c)
{
    return c == NULL || api_calls(c->api) == 0;
}

void clients_close(struct clients *c)
{
    if (c != NULL) {
        api_close(c->api);
    }
}

void clients_free(struct clients *c)
{
    if (c != NULL) {
        api_free(c->api);
        free(c);
    }
}
