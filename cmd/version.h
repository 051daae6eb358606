/* Which program this is, and which etcd it takes after. */
#ifndef CMD_VERSION_H
#define CMD_VERSION_H

/* KEELFS_VERSION comes from meson.build. */

/* The release whose flags, texts and behaviour are followed. */
#define ETCD_VERSION         "3.6.14"
#define ETCD_CLUSTER_VERSION "3.6.0"

#endif
