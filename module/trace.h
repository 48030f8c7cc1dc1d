/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: each stands where the event is counted.  A buffer is named by its inode
 * number, which fdinfo and /proc/PID/maps show too; a page by its number in the buffer.
 * Times are in nanoseconds, and taken only while somebody traces.
 *
 * Locks: none.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vmademo

#if !defined(VMADEMO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VMADEMO_TRACE_H

#include <linux/mm.h>
#include <linux/tracepoint.h>

#include "rules.h"

/*
 * Perf and trace-cmd print events by themselves: TRACE_DEFINE_ENUM() tells them the numbers of
 * these names.  The kernel's own list, VM_FAULT_RESULT_TRACE, is of a type that neither they nor
 * sparse take.
 */
#ifndef VMADEMO_TRACE_ONCE
#define VMADEMO_TRACE_ONCE
#define VMADEMO_RESULT_NUMBER(name) VMADEMO_RESULT_##name = (__force unsigned int)VM_FAULT_##name
enum {
	VMADEMO_RESULT_NUMBER(OOM),
	VMADEMO_RESULT_NUMBER(SIGBUS),
	VMADEMO_RESULT_NUMBER(MAJOR),
	VMADEMO_RESULT_NUMBER(HWPOISON),
	VMADEMO_RESULT_NUMBER(NOPAGE),
	VMADEMO_RESULT_NUMBER(LOCKED),
	VMADEMO_RESULT_NUMBER(RETRY),
	VMADEMO_RESULT_NUMBER(FALLBACK),
};
#endif

TRACE_DEFINE_ENUM(VMADEMO_RESULT_OOM);
TRACE_DEFINE_ENUM(VMADEMO_RESULT_SIGBUS);
TRACE_DEFINE_ENUM(VMADEMO_RESULT_MAJOR);
TRACE_DEFINE_ENUM(VMADEMO_RESULT_HWPOISON);
TRACE_DEFINE_ENUM(VMADEMO_RESULT_NOPAGE);
TRACE_DEFINE_ENUM(VMADEMO_RESULT_LOCKED);
TRACE_DEFINE_ENUM(VMADEMO_RESULT_RETRY);
TRACE_DEFINE_ENUM(VMADEMO_RESULT_FALLBACK);

TRACE_DEFINE_ENUM(FAULT_FLAG_WRITE);
TRACE_DEFINE_ENUM(FAULT_FLAG_MKWRITE);
TRACE_DEFINE_ENUM(FAULT_FLAG_ALLOW_RETRY);
TRACE_DEFINE_ENUM(FAULT_FLAG_RETRY_NOWAIT);
TRACE_DEFINE_ENUM(FAULT_FLAG_KILLABLE);
TRACE_DEFINE_ENUM(FAULT_FLAG_TRIED);
TRACE_DEFINE_ENUM(FAULT_FLAG_USER);
TRACE_DEFINE_ENUM(FAULT_FLAG_REMOTE);
TRACE_DEFINE_ENUM(FAULT_FLAG_INSTRUCTION);
TRACE_DEFINE_ENUM(FAULT_FLAG_INTERRUPTIBLE);
#ifdef VMADEMO_FAULT_FLAG_VMA_LOCK
TRACE_DEFINE_ENUM(FAULT_FLAG_VMA_LOCK);
#endif

#define VMADEMO_RESULT(name)	{ VMADEMO_RESULT_##name, #name }
#define VMADEMO_RESULTS							\
	VMADEMO_RESULT(OOM),						\
	VMADEMO_RESULT(SIGBUS),						\
	VMADEMO_RESULT(MAJOR),						\
	VMADEMO_RESULT(HWPOISON),					\
	VMADEMO_RESULT(NOPAGE),						\
	VMADEMO_RESULT(LOCKED),						\
	VMADEMO_RESULT(RETRY),						\
	VMADEMO_RESULT(FALLBACK)

TRACE_EVENT(vmademo_fault,
	TP_PROTO(unsigned long ino, pgoff_t page, unsigned long address,
		 unsigned int flags, vm_fault_t result, u64 ns),
	TP_ARGS(ino, page, address, flags, result, ns),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(unsigned long, page)
		__field(unsigned long, address)
		__field(unsigned int, flags)
		__field(unsigned int, result)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->page = page;
		__entry->address = address;
		__entry->flags = flags;
		__entry->result = (__force unsigned int)result;
		__entry->ns = ns;
	),
	TP_printk("ino=%lu page=%lu address=0x%lx flags=%s result=%s ns=%llu",
		  __entry->ino, __entry->page, __entry->address,
		  __print_flags(__entry->flags, "|", FAULT_FLAG_TRACE),
		  __print_flags(__entry->result, "|", VMADEMO_RESULTS), __entry->ns)
);

TRACE_EVENT(vmademo_map_pages,
	TP_PROTO(unsigned long ino, pgoff_t page, pgoff_t first, pgoff_t last,
		 bool mapped),
	TP_ARGS(ino, page, first, last, mapped),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(unsigned long, page)
		__field(unsigned long, first)
		__field(unsigned long, last)
		__field(bool, mapped)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->page = page;
		__entry->first = first;
		__entry->last = last;
		__entry->mapped = mapped;
	),
	TP_printk("ino=%lu page=%lu first=%lu last=%lu mapped=%d",
		  __entry->ino, __entry->page, __entry->first, __entry->last,
		  __entry->mapped)
);

TRACE_EVENT(vmademo_mkwrite,
	TP_PROTO(unsigned long ino, pgoff_t page, unsigned long address,
		 vm_fault_t result, u64 ns),
	TP_ARGS(ino, page, address, result, ns),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(unsigned long, page)
		__field(unsigned long, address)
		__field(unsigned int, result)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->page = page;
		__entry->address = address;
		__entry->result = (__force unsigned int)result;
		__entry->ns = ns;
	),
	TP_printk("ino=%lu page=%lu address=0x%lx result=%s ns=%llu", __entry->ino,
		  __entry->page, __entry->address,
		  __print_flags(__entry->result, "|", VMADEMO_RESULTS), __entry->ns)
);

TRACE_EVENT(vmademo_mmap,
	TP_PROTO(unsigned long ino, pgoff_t page, unsigned long pages),
	TP_ARGS(ino, page, pages),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(unsigned long, page)
		__field(unsigned long, pages)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->page = page;
		__entry->pages = pages;
	),
	TP_printk("ino=%lu page=%lu pages=%lu", __entry->ino, __entry->page,
		  __entry->pages)
);

/* A folio changes its state. */
DECLARE_EVENT_CLASS(vmademo_folio,
	TP_PROTO(unsigned long ino, struct folio *folio),
	TP_ARGS(ino, folio),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(unsigned long, page)
		__field(size_t, bytes)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->page = folio->index;
		__entry->bytes = folio_size(folio);
	),
	TP_printk("ino=%lu page=%lu bytes=%zu", __entry->ino, __entry->page,
		  __entry->bytes)
);

/* Clean to dirty. */
DEFINE_EVENT(vmademo_folio, vmademo_dirty,
	TP_PROTO(unsigned long ino, struct folio *folio),
	TP_ARGS(ino, folio)
);

/* Given to reclaim; the store has it. */
DEFINE_EVENT(vmademo_folio, vmademo_evict,
	TP_PROTO(unsigned long ino, struct folio *folio),
	TP_ARGS(ino, folio)
);

/* Gone while it was dirty, by truncation. */
DEFINE_EVENT(vmademo_folio, vmademo_discard,
	TP_PROTO(unsigned long ino, struct folio *folio),
	TP_ARGS(ino, folio)
);

/* Gone while it was dirty, by a power cut. */
DEFINE_EVENT(vmademo_folio, vmademo_lose,
	TP_PROTO(unsigned long ino, struct folio *folio),
	TP_ARGS(ino, folio)
);

/* Written in part, by a power cut; it is lost then. */
DEFINE_EVENT(vmademo_folio, vmademo_tear,
	TP_PROTO(unsigned long ino, struct folio *folio),
	TP_ARGS(ino, folio)
);

/* The store reads or writes a part of a folio. */
DECLARE_EVENT_CLASS(vmademo_io,
	TP_PROTO(unsigned long ino, loff_t pos, size_t bytes, int err, u64 ns),
	TP_ARGS(ino, pos, bytes, err, ns),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(loff_t, pos)
		__field(size_t, bytes)
		__field(int, err)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->bytes = bytes;
		__entry->err = err;
		__entry->ns = ns;
	),
	TP_printk("ino=%lu pos=%lld bytes=%zu err=%d ns=%llu", __entry->ino,
		  __entry->pos, __entry->bytes, __entry->err, __entry->ns)
);

DEFINE_EVENT(vmademo_io, vmademo_read_in,
	TP_PROTO(unsigned long ino, loff_t pos, size_t bytes, int err, u64 ns),
	TP_ARGS(ino, pos, bytes, err, ns)
);

DEFINE_EVENT(vmademo_io, vmademo_write_out,
	TP_PROTO(unsigned long ino, loff_t pos, size_t bytes, int err, u64 ns),
	TP_ARGS(ino, pos, bytes, err, ns)
);

TRACE_EVENT(vmademo_flush,
	TP_PROTO(unsigned long ino, bool datasync, int err, u64 ns),
	TP_ARGS(ino, datasync, err, ns),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(bool, datasync)
		__field(int, err)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->datasync = datasync;
		__entry->err = err;
		__entry->ns = ns;
	),
	TP_printk("ino=%lu datasync=%d err=%d ns=%llu", __entry->ino,
		  __entry->datasync, __entry->err, __entry->ns)
);

#define VMADEMO_OP_NAME(NAME, name)	{ VMADEMO_OP_##NAME, #name },

/* A rule acts; status is an errno, or one of VMADEMO_STATUS_... */
TRACE_EVENT(vmademo_rule_hit,
	TP_PROTO(unsigned long ino, u64 id, unsigned int op, u64 page, u32 status),
	TP_ARGS(ino, id, op, page, status),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, id)
		__field(u64, page)
		__field(unsigned int, op)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->id = id;
		__entry->page = page;
		__entry->op = op;
		__entry->status = status;
	),
	TP_printk("ino=%lu id=%llu op=%s page=%llu status=%u", __entry->ino, __entry->id,
		  __print_symbolic(__entry->op, VMADEMO_OPS(VMADEMO_OP_NAME) { -1, NULL }),
		  __entry->page, __entry->status)
);

TRACE_EVENT(vmademo_crash,
	TP_PROTO(unsigned long ino, u64 seed, u64 written, u64 torn, u64 lost),
	TP_ARGS(ino, seed, written, torn, lost),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, seed)
		__field(u64, written)
		__field(u64, torn)
		__field(u64, lost)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->seed = seed;
		__entry->written = written;
		__entry->torn = torn;
		__entry->lost = lost;
	),
	TP_printk("ino=%lu seed=%llu written=%llu torn=%llu lost=%llu",
		  __entry->ino, __entry->seed, __entry->written, __entry->torn,
		  __entry->lost)
);

TRACE_EVENT(vmademo_snapshot,
	TP_PROTO(unsigned long ino, unsigned long to, u64 seed, u64 written, u64 torn, u64 lost),
	TP_ARGS(ino, to, seed, written, torn, lost),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(unsigned long, to)
		__field(u64, seed)
		__field(u64, written)
		__field(u64, torn)
		__field(u64, lost)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->to = to;
		__entry->seed = seed;
		__entry->written = written;
		__entry->torn = torn;
		__entry->lost = lost;
	),
	TP_printk("ino=%lu to=%lu seed=%llu written=%llu torn=%llu lost=%llu",
		  __entry->ino, __entry->to, __entry->seed, __entry->written,
		  __entry->torn, __entry->lost)
);

/* A file of a mounted tree gets a name, or loses it.  op: create, link, unlink, rename, exchange */
TRACE_EVENT(vmademo_name,
	TP_PROTO(const char *op, unsigned long dir, unsigned long ino, const char *name),
	TP_ARGS(op, dir, ino, name),
	TP_STRUCT__entry(
		__array(char, op, 12)
		__field(unsigned long, dir)
		__field(unsigned long, ino)
		__array(char, name, NAME_MAX + 1)
	),
	TP_fast_assign(
		strscpy(__entry->op, op, sizeof(__entry->op));
		__entry->dir = dir;
		__entry->ino = ino;
		strscpy(__entry->name, name, sizeof(__entry->name));
	),
	TP_printk("op=%s dir=%lu ino=%lu name=%s", __entry->op, __entry->dir, __entry->ino,
		  __entry->name)
);

/* A window, by the minor number of its node. */
DECLARE_EVENT_CLASS(vmademo_window,
	TP_PROTO(int minor, unsigned long start, unsigned long end),
	TP_ARGS(minor, start, end),
	TP_STRUCT__entry(
		__field(int, minor)
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->start = start;
		__entry->end = end;
	),
	TP_printk("minor=%d start=0x%lx end=0x%lx", __entry->minor,
		  __entry->start, __entry->end)
);

DEFINE_EVENT(vmademo_window, vmademo_vma_open,
	TP_PROTO(int minor, unsigned long start, unsigned long end),
	TP_ARGS(minor, start, end)
);

DEFINE_EVENT(vmademo_window, vmademo_vma_close,
	TP_PROTO(int minor, unsigned long start, unsigned long end),
	TP_ARGS(minor, start, end)
);

TRACE_EVENT(vmademo_revoke,
	TP_PROTO(int minor),
	TP_ARGS(minor),
	TP_STRUCT__entry(
		__field(int, minor)
	),
	TP_fast_assign(
		__entry->minor = minor;
	),
	TP_printk("minor=%d", __entry->minor)
);

/* A buffer is taken away, or given back; or its store's power. */
DECLARE_EVENT_CLASS(vmademo_buffer,
	TP_PROTO(unsigned long ino),
	TP_ARGS(ino),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
	),
	TP_fast_assign(
		__entry->ino = ino;
	),
	TP_printk("ino=%lu", __entry->ino)
);

DEFINE_EVENT(vmademo_buffer, vmademo_revoke_buffer,
	TP_PROTO(unsigned long ino),
	TP_ARGS(ino)
);

DEFINE_EVENT(vmademo_buffer, vmademo_restore,
	TP_PROTO(unsigned long ino),
	TP_ARGS(ino)
);

DEFINE_EVENT(vmademo_buffer, vmademo_power_off,
	TP_PROTO(unsigned long ino),
	TP_ARGS(ino)
);

DEFINE_EVENT(vmademo_buffer, vmademo_power_on,
	TP_PROTO(unsigned long ino),
	TP_ARGS(ino)
);

#endif /* VMADEMO_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
