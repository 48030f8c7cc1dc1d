/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mounted trees of buffers, in one place.
 */
#ifndef VMADEMO_LIB_TREE_H
#define VMADEMO_LIB_TREE_H

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "lib.h"

#define TREE "/tmp/vmademo-tree"
#define AT   TREE "/" /* and a name */

int mount_tree(const char *options);
int umount_tree(void);
int new_file(const char *path);
int write_file(const char *path, const char *text);
const char *text_of(const char *path);
int64_t size_of(int fd);
int sync_tree(void);
int sync_file(const char *path);
int64_t room_taken(void);
int64_t inodes_taken(void);

#endif /* VMADEMO_LIB_TREE_H */
