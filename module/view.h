/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks of the regular-file view (view.c) that files of a mounted tree have too.
 *
 * Locks: see view.c.
 */
#ifndef VMADEMO_VIEW_H
#define VMADEMO_VIEW_H

#include <linux/fs.h>

#include "compat.h"

int vmademo_view_setattr(VMADEMO_IDMAP *idmap, struct dentry *dentry,
			 struct iattr *attr);
int vmademo_view_getattr(VMADEMO_IDMAP *idmap, const struct path *path,
			 struct kstat *stat, u32 request_mask, unsigned int flags);

#endif /* VMADEMO_VIEW_H */
