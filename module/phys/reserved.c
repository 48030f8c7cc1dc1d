// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that the administrator kept from the kernel, with memmap=SIZE$BASE on its
 * command line.  The kernel remembers such a range as reserved, as it does what the
 * firmware keeps for itself; only the command line tells them apart.
 *
 * Locks: none.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "phys/phys.h"

/* The kernel's command line, or ERR_PTR; to be kfree()d. */
static char *read_command_line(void)
{
	/* COMMAND_LINE_SIZE is a few KiB everywhere */
	const size_t room = 64 * 1024;
	struct file *file = filp_open("/proc/cmdline", O_RDONLY, 0);
	loff_t pos = 0;
	size_t done = 0;
	ssize_t n;
	char *text;

	if (IS_ERR(file))
		return ERR_CAST(file);
	text = kzalloc(room, GFP_KERNEL);
	n = text ? 0 : -ENOMEM;
	while (!n && done < room - 1) {
		n = kernel_read(file, text + done, room - 1 - done, &pos);
		if (n <= 0)
			break;
		done += n;
		n = 0;
	}
	filp_close(file, NULL);
	if (n < 0) {
		kfree(text);
		return ERR_PTR(n);
	}
	return text;
}

/* Whether one word after memmap= keeps all of the range: "SIZE$BASE". */
static bool keeps(const char *word, u64 first, u64 last)
{
	char *end;
	u64 size, base;

	size = memparse(word, &end);
	if (*end != '$')
		return false;
	base = memparse(end + 1, &end);
	return !*end && size && base <= first && last - base < size;
}

static bool command_line_keeps(char *text, u64 first, u64 last)
{
	char *option, *word;

	while ((option = strsep(&text, " \t\n"))) {
		/* What follows is for init */
		if (!strcmp(option, "--"))
			break;
		if (!str_has_prefix(option, "memmap="))
			continue;
		option += strlen("memmap=");
		while ((word = strsep(&option, ",")))
			if (keeps(word, first, last))
				return true;
	}
	return false;
}

/* @next: what is reserved up to here. */
static int reserved_up_to(struct resource *found, void *next)
{
	if (found->start > *(resource_size_t *)next)
		return 1;
	*(resource_size_t *)next = found->end + 1;
	return 0;
}

/**
 * vmademo_is_reserved() - is this range reserved, and by memmap=?
 * @first: its first byte
 * @last: its last byte
 *
 * Context: May sleep.  Reads /proc/cmdline.
 * Return: 1 or 0, or a negative errno if /proc/cmdline cannot be read.
 */
int vmademo_is_reserved(phys_addr_t first, phys_addr_t last)
{
	resource_size_t next = first;
	char *text;
	int ret;

	/* Firmware tables have precedence over memmap=, and are another kind */
	walk_iomem_res_desc(IORES_DESC_RESERVED, IORESOURCE_MEM, first, last,
			    &next, reserved_up_to);
	if (next - 1 != last)
		return 0;
	text = read_command_line();
	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = command_line_keeps(text, first, last);
	kfree(text);
	return ret;
}
