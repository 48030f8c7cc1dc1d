// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers in parameters, as people write them.
 *
 * Locks: none.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "vmademo.h"

/**
 * vmademo_parse_bytes() - read a number of bytes
 * @text: decimal, or hexadecimal after 0x, then K, M, G or nothing
 * @bytes: where to put it
 *
 * memparse() is not used because it takes what overflows or ends in rubbish
 * without a word.
 *
 * Context: Any.
 * Return: 0; -EINVAL if it is no such number, -EOVERFLOW if it is over 2^64 - 1.
 */
int vmademo_parse_bytes(const char *text, u64 *bytes)
{
	char digits[24];	/* 2^64 has 20 */
	unsigned int shift = 0;
	ssize_t len = strscpy(digits, text, sizeof(digits));
	u64 value;

	if (len < 1 || !isdigit(digits[0]))
		return -EINVAL;
	switch (toupper(digits[len - 1])) {
	case 'G':
		shift += 10;
		fallthrough;
	case 'M':
		shift += 10;
		fallthrough;
	case 'K':
		shift += 10;
		digits[len - 1] = '\0';
	}
	if (kstrtou64(digits, strncasecmp(digits, "0x", 2) ? 10 : 16, &value))
		return -EINVAL;
	if (check_shl_overflow(value, shift, bytes))
		return -EOVERFLOW;
	return 0;
}
