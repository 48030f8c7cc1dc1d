/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which outcome each operation can have.
 */
#ifndef VMADEMO_RULES_PAIRS_TEST_H
#define VMADEMO_RULES_PAIRS_TEST_H

#include "rules.h"

/* By the operation's number */
static const struct {
	const char *op;
	const char *can; /* and no other */
} legal[] = {
	{ "read_fault", " SIGBUS HWPOISON " },
	{ "write_fault", " SIGBUS HWPOISON " },
	{ "cow_fault", " SIGBUS HWPOISON " },
	{ "mkwrite", " SIGBUS HWPOISON EIO ENOSPC EDQUOT " },
	{ "read_in", " EIO ENODATA ETIMEDOUT ENOMEM " },
	{ "write_out", " EIO ENOSPC EDQUOT ETIMEDOUT ENOMEM " },
	{ "flush", " EIO ENOSPC EDQUOT ETIMEDOUT " },
	{ "mmap", " ENOMEM EAGAIN EACCES EPERM ENODEV ETXTBSY EOVERFLOW " },
	{ "read", " EIO EAGAIN EINTR ENOMEM " },
	{ "write", " EIO ENOSPC EDQUOT EFBIG EAGAIN EINTR ENOMEM EPERM " },
	{ "allocate",
	  " ENOSPC EDQUOT EFBIG EIO EINTR ENOMEM EPERM ETXTBSY EOPNOTSUPP " },
	{ "truncate",
	  " EIO ENOSPC EDQUOT EFBIG ENOMEM EPERM EACCES EROFS ETXTBSY " },
	/* Only a tree has these */
	{ "create", " EIO ENOSPC EDQUOT ENOMEM EPERM EACCES EROFS " },
	{ "rename", " EIO ENOSPC EDQUOT ENOMEM EPERM EACCES EROFS " },
	{ "unlink", " EIO ENOSPC EDQUOT ENOMEM EPERM EACCES EROFS " },
	{ "link", " EIO ENOSPC EDQUOT ENOMEM EPERM EACCES EROFS " },
	{ "fsync_dir", " EIO ENOSPC EDQUOT ENOMEM EROFS ETIMEDOUT " },
};

static const struct {
	const char *name;
	uint32_t status;
} statuses[] = {
	{ "SIGBUS", VMADEMO_STATUS_SIGBUS },
	{ "HWPOISON", VMADEMO_STATUS_HWPOISON },
#define ERRNO(name)         \
	{                   \
#name, name \
	}
	ERRNO(EIO),
	ERRNO(ENODATA),
	ERRNO(ETIMEDOUT),
	ERRNO(ENOSPC),
	ERRNO(EDQUOT),
	ERRNO(ENOMEM),
	ERRNO(EAGAIN),
	ERRNO(EINTR),
	ERRNO(EFBIG),
	ERRNO(EPERM),
	ERRNO(EACCES),
	ERRNO(EROFS),
	ERRNO(ENODEV),
	ERRNO(ETXTBSY),
	ERRNO(EOVERFLOW),
	ERRNO(EOPNOTSUPP),
#undef ERRNO
};

#define OPS	   (sizeof(legal) / sizeof(legal[0]))
#define BUFFER_OPS (VMADEMO_OP_TRUNCATE + 1)
#define STATUSES   (sizeof(statuses) / sizeof(statuses[0]))

static inline bool is_legal(size_t op, const char *status)
{
	char word[32];

	snprintf(word, sizeof(word), " %s ", status);
	return strstr(legal[op].can, word);
}

#endif /* VMADEMO_RULES_PAIRS_TEST_H */
