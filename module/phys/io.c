// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading and writing a window from inside the kernel: for read(2), write(2) and
 * debuggers.
 *
 * Locks: the window's lock, for reading, while its memory is accessed.
 */
#include <linux/io.h>
#include <linux/string.h>

#include "phys/phys.h"

/*
 * Registers want accesses of their size, and memcpy_fromio() makes any it likes.  Each
 * one here is of 1, 2, 4 or 8 bytes, as the offset is aligned and as much as is left;
 * 8 not where it is uncached: many devices have no registers of that size.
 */
static void window_copy_io(struct vmademo_window *w, u64 offset, void *buf,
			   size_t len, bool write)
{
	size_t widest = w->memtype == VMADEMO_UC ? 4 : sizeof(long), n;
	void __iomem *io = w->io + offset;
	union {
		u8 one;
		__le16 two;
		__le32 four;
		__le64 eight;
	} v;

	for (; len; io += n, buf += n, len -= n, offset += n) {
		n = widest;
		while (n > len || offset % n)
			n /= 2;
		if (write)
			memcpy(&v, buf, n);
		switch (n | write << 4) {
		case 1:
			v.one = readb(io);
			break;
		case 2:
			v.two = cpu_to_le16(readw(io));
			break;
		case 4:
			v.four = cpu_to_le32(readl(io));
			break;
		case 1 | 1 << 4:
			writeb(v.one, io);
			break;
		case 2 | 1 << 4:
			writew(le16_to_cpu(v.two), io);
			break;
		case 4 | 1 << 4:
			writel(le32_to_cpu(v.four), io);
			break;
#ifdef CONFIG_64BIT
		case 8:
			v.eight = cpu_to_le64(readq(io));
			break;
		case 8 | 1 << 4:
			writeq(le64_to_cpu(v.eight), io);
			break;
#endif
		}
		if (!write)
			memcpy(buf, &v, n);
	}
}

/**
 * vmademo_window_copy() - read or write a window from inside the kernel
 * @w: the window
 * @offset: where, in bytes; @len bytes from there are in the window
 * @buf: what is copied from or to
 * @len: bytes
 * @write: from @buf to the window
 *
 * Context: May sleep.  Takes the window's lock for reading.
 * Return: 0, or -ENODEV if the window was revoked.
 */
int vmademo_window_copy(struct vmademo_window *w, u64 offset, void *buf,
			size_t len, bool write)
{
	int err = 0;

	down_read(&w->lock);
	if (w->revoked)
		err = -ENODEV;
	else if (w->own && write)
		memcpy(w->own + offset, buf, len);
	else if (w->own)
		memcpy(buf, w->own + offset, len);
	else
		window_copy_io(w, offset, buf, len, write);
	up_read(&w->lock);
	return err;
}
