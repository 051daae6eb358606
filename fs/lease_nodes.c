/* Node numbers of leases/, and what is open in it.
 *
 * The first two numbers are the directory's and grant's; then four for each
 * lease that the kernel knows: its directory and its three files.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/lease_dir.h"

#define PARTS_OF_LEASE 4
#define PLACES         ((UINT64_C(1) << 40) / PARTS_OF_LEASE)

struct known {
    struct hmap_node by_lease, by_place;
    int64_t lease;
    uint64_t place; /* 1 .. PLACES - 1 */
    uint64_t lookups;
};

struct fs_leases {
    struct hmap by_lease, by_place;
    uint64_t place_last;
    struct list files, lists;
};

const char *const fs_leases_files[FS_LEASES_FILES] = {"ttl", "granted_ttl",
                                                      "keys"};

struct fs_leases *fs_leases_new(void)
{
    struct fs_leases *l = xcalloc(1, sizeof *l);
    list_init(&l->files);
    list_init(&l->lists);
    return l;
}

static void forget(struct fs_leases *l, struct known *k)
{
    hmap_remove(&l->by_lease, &k->by_lease);
    hmap_remove(&l->by_place, &k->by_place);
    free(k);
}

void fs_leases_free(struct fs_leases *l)
{
    struct hmap_node *n;
    while ((n = hmap_any(&l->by_lease)) != NULL) {
        forget(l, container_of(n, struct known, by_lease));
    }
    hmap_fini(&l->by_lease);
    hmap_fini(&l->by_place);
    while (!list_is_empty(&l->files)) {
        fs_leases_drop_file(
            container_of(l->files.next, struct fs_lease_file, link));
    }
    while (!list_is_empty(&l->lists)) {
        fs_leases_drop_list(
            container_of(l->lists.next, struct fs_lease_list, link));
    }
    free(l);
}

static struct known *by_lease(const struct fs_leases *l, int64_t lease)
{
    for (struct hmap_node *n =
             hmap_first(&l->by_lease, hash_u64((uint64_t)lease));
         n != NULL; n = hmap_next(n)) {
        struct known *k = container_of(n, struct known, by_lease);
        if (k->lease == lease) {
            return k;
        }
    }
    return NULL;
}

static struct known *by_place(const struct fs_leases *l, uint64_t place)
{
    for (struct hmap_node *n = hmap_first(&l->by_place, hash_u64(place));
         n != NULL; n = hmap_next(n)) {
        struct known *k = container_of(n, struct known, by_place);
        if (k->place == place) {
            return k;
        }
    }
    return NULL;
}

bool fs_leases_part_of(const struct fs *fs, fuse_ino_t id,
                       enum fs_leases_part *ret_part, int64_t *ret_lease)
{
    must(fs_leases_has(id));
    const uint64_t at = id - FS_LEASES_ID_FIRST;
    *ret_lease = 0;
    if (at < PARTS_OF_LEASE) {
        *ret_part = (enum fs_leases_part)at;
        return at <= FS_LEASES_GRANT;
    }
    const struct known *k = by_place(fs->leases, at / PARTS_OF_LEASE);
    if (k == NULL) {
        return false;
    }
    *ret_lease = k->lease;
    *ret_part = (enum fs_leases_part)(FS_LEASES_LEASE + at % PARTS_OF_LEASE);
    return true;
}

static struct known *know(struct fs_leases *l, int64_t lease)
{
    struct known *k = by_lease(l, lease);
    if (k != NULL) {
        return k;
    }
    do {
        l->place_last = l->place_last % (PLACES - 1) + 1;
    } while (by_place(l, l->place_last) != NULL);
    k = xcalloc(1, sizeof *k);
    k->lease = lease;
    k->place = l->place_last;
    hmap_insert(&l->by_lease, &k->by_lease, hash_u64((uint64_t)lease));
    hmap_insert(&l->by_place, &k->by_place, hash_u64(k->place));
    return k;
}

fuse_ino_t fs_leases_id(struct fs *fs, int64_t lease, enum fs_leases_part part)
{
    if (part <= FS_LEASES_GRANT) {
        return FS_LEASES_ID_FIRST + (fuse_ino_t)part;
    }
    struct known *k = know(fs->leases, lease);
    k->lookups++;
    return FS_LEASES_ID_FIRST + k->place * PARTS_OF_LEASE +
           (fuse_ino_t)(part - FS_LEASES_LEASE);
}

void fs_leases_forget(struct fs *fs, fuse_ino_t id, uint64_t lookups)
{
    const uint64_t at = id - FS_LEASES_ID_FIRST;
    struct known *k =
        at < PARTS_OF_LEASE ? NULL : by_place(fs->leases, at / PARTS_OF_LEASE);
    if (k == NULL) {
        return;
    }
    k->lookups -= lookups < k->lookups ? lookups : k->lookups;
    if (k->lookups == 0) {
        forget(fs->leases, k);
    }
}

void fs_leases_keep_file(struct fs *fs, struct fs_lease_file *f)
{
    list_push(&fs->leases->files, &f->link);
}

void fs_leases_drop_file(struct fs_lease_file *f)
{
    list_remove(&f->link);
    buf_fini(&f->text);
    free(f);
}

void fs_leases_keep_list(struct fs *fs, struct fs_lease_list *l)
{
    list_push(&fs->leases->lists, &l->link);
}

void fs_leases_drop_list(struct fs_lease_list *l)
{
    list_remove(&l->link);
    free(l);
}

int fs_leases_may_change(struct fs *fs, fuse_req_t req)
{
    const struct fs_asker who = fs_asker_of(req);
    if (!fs_may(fs, fs->root, &who, W_OK)) {
        return EACCES;
    }
    return fs_is_writable(fs) ? 0 : EROFS;
}
