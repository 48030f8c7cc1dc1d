/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A store of keys and values on a mapping that loses nothing in a power cut: what
 * kv_put() and kv_delete() have returned 0 for is there when the store is opened again,
 * and what they were in the middle of is there wholly or not at all.
 *
 *   page 0, page 1   two superblocks; the one with the higher generation counts
 *   half 0, half 1   the log, and room for the next one; that of generation g is
 *                    half g % 2, and superblock g % 2 tells of it
 *
 * All changes are records appended to the log.  An index in memory says where the
 * newest record of each key is; kv_open() makes it from the log.  A log that is full
 * is copied to the other half, without what is out of date.
 *
 * What a power cut does to a mapping.  The kernel writes back a dirty page when it
 * likes, in any order, and a disk writes its sectors of 512 bytes in any order.  So of
 * what was stored since the last msync, any subset of sectors may be there: the end of
 * a record without its beginning, a superblock without the log that it tells of.
 * (VMADEMO_IOC_CRASH does this to order: it writes some dirty pages, and some sectors
 * of others, before it drops them all.)  Three rules follow:
 *
 *  1. msync between what must be first and what may come after.
 *  2. A checksum over each record: the log ends where it is wrong.
 *  3. Bytes that were promised are not stored to again.  The page at the end of the
 *     log is written again with each record, and may be torn; but its old bytes are
 *     the same in both versions, so it does not matter which of them is there.
 *
 * One thread; one program at a time.  The fields are in the machine's byte order.
 *
 * kvstore.c is a program around it.
 */
#ifndef KVSTORE_H
#define KVSTORE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define KV_PAGE	   4096UL /* on every machine: a page of its own may be larger */
#define KV_MAGIC   0x4c56414b
#define KV_BUCKETS 256

/* Whoever wants to replay a run defines another one. */
#ifndef KV_RANDOM
#define KV_RANDOM(to, len) getrandom(to, len, 0)
#endif

/* The msyncs, each of them needed.  To show that, .left_out leaves one out. */
#define KV_MSYNC_OPEN	0x1U /* what a program left that died */
#define KV_MSYNC_RECORD 0x2U /* a record, before it is promised */
#define KV_MSYNC_COPY	0x4U /* the new log, before a superblock tells of it */
#define KV_MSYNC_SUPER \
	0x8U /* the superblock, before the new log is relied on */

/* Smaller than a sector.  Where a sector can be torn too, the checksum tells. */
struct kv_super {
	uint32_t crc; /* of what follows */
	uint32_t magic;
	uint64_t generation;
	uint64_t salt; /* of the checksums in this log */
};

/* Followed by the key and the value, and zeroes up to a multiple of 8 bytes. */
struct kv_record {
	uint32_t crc; /* of the salt, what follows, key and value */
	uint32_t key_len;
	uint32_t value_len;
	uint32_t deleted;
	uint64_t sequence; /* 1 for the first of the log, and so on */
};

struct kv_entry {
	struct kv_entry *next;
	size_t at; /* where in the mapping the record is */
};

struct kv {
	unsigned char *map;
	size_t size, half; /* of the mapping, and of a half of the room for logs */
	uint64_t generation, salt, sequence;
	size_t end; /* where in the mapping the log ends */
	bool failed; /* an msync has, see kv_msync() */
	struct kv_entry *index[KV_BUCKETS];
	/* For tests: is called before and after each step on the way to the store */
	void (*step)(void *arg);
	void *step_arg;
	unsigned int left_out; /* KV_MSYNC_... */
};

/* ---- checksums ------------------------------------------------------------ */

/* CRC-32 as in zip and Ethernet, four bits at a time; begin with 0. */
static inline uint32_t kv_crc(uint32_t crc, const void *data, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const unsigned char *p = data;

	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static inline uint32_t kv_super_crc(const struct kv_super *s)
{
	return kv_crc(0, &s->magic,
		      sizeof(*s) - offsetof(struct kv_super, magic));
}

static inline uint32_t kv_record_crc(uint64_t salt, const struct kv_record *r)
{
	const size_t from = offsetof(struct kv_record, key_len);
	uint32_t crc = kv_crc(0, &salt, sizeof(salt));

	return kv_crc(crc, (const unsigned char *)r + from,
		      sizeof(*r) - from + r->key_len + r->value_len);
}

/* ---- where things are ----------------------------------------------------- */

static inline struct kv_super *kv_super_of(struct kv *kv, uint64_t generation)
{
	return (struct kv_super *)(kv->map + generation % 2 * KV_PAGE);
}

static inline size_t kv_log_start(const struct kv *kv, uint64_t generation)
{
	return 2 * KV_PAGE + generation % 2 * kv->half;
}

static inline struct kv_record *kv_record_at(const struct kv *kv, size_t at)
{
	return (struct kv_record *)(kv->map + at);
}

static inline size_t kv_record_size(size_t key_len, size_t value_len)
{
	return (sizeof(struct kv_record) + key_len + value_len + 7) & ~7UL;
}

/* ---- the index ------------------------------------------------------------ */

/* Where the entry of a key hangs, or would. */
static inline struct kv_entry **kv_find(struct kv *kv, const void *key,
					size_t key_len)
{
	struct kv_entry **e = &kv->index[kv_crc(0, key, key_len) % KV_BUCKETS];

	for (; *e; e = &(*e)->next) {
		struct kv_record *r = kv_record_at(kv, (*e)->at);

		if (r->key_len == key_len && !memcmp(r + 1, key, key_len))
			break;
	}
	return e;
}

/* The record at the end of the log has come to stay; 0, or -1 and errno. */
static inline int kv_take_in(struct kv *kv)
{
	const struct kv_record *r = kv_record_at(kv, kv->end);
	struct kv_entry **e = kv_find(kv, r + 1, r->key_len), *old = *e;

	if (r->deleted) {
		if (old) {
			*e = old->next;
			free(old);
		}
	} else {
		if (!old) {
			old = calloc(1, sizeof(*old));
			if (!old)
				return -1;
			*e = old;
		}
		old->at = kv->end;
	}
	kv->end += kv_record_size(r->key_len, r->value_len);
	kv->sequence++;
	return 0;
}

/* ---- getting things to the store ------------------------------------------ */

static inline void kv_step(struct kv *kv)
{
	if (kv->step)
		kv->step(kv->step_arg);
}

/*
 * What was stored to these bytes is on the store when this returns 0.  Page by page:
 * msync wants the beginning of one.
 *
 * After an error nobody knows what the store has, and to call msync again does not
 * tell: the kernel says it once, and takes the pages for clean.  So nothing more is
 * promised by this kv.
 */
static inline int kv_msync(struct kv *kv, unsigned int which, size_t at,
			   size_t len)
{
	const size_t start = at & ~(sysconf(_SC_PAGESIZE) - 1UL);

	kv_step(kv);
	if (!(kv->left_out & which) &&
	    msync(kv->map + start, at + len - start, MS_SYNC)) {
		kv->failed = true;
		return -1;
	}
	kv_step(kv);
	return 0;
}

/* Stores a record; it is not promised yet. */
static inline void kv_store(struct kv *kv, size_t at, uint64_t salt,
			    const struct kv_record *header, const void *key,
			    const void *value)
{
	struct kv_record *r = kv_record_at(kv, at);
	unsigned char *data = (unsigned char *)(r + 1);
	const size_t used = header->key_len + header->value_len;

	memcpy(r, header, sizeof(*r));
	kv_step(kv);
	memcpy(data, key, header->key_len);
	memcpy(data + header->key_len, value, header->value_len);
	memset(data + used, 0,
	       kv_record_size(header->key_len, header->value_len) - sizeof(*r) -
		       used);
	kv_step(kv);
	r->crc = kv_record_crc(salt, r);
}

static inline void kv_store_super(struct kv *kv, uint64_t generation,
				  uint64_t salt)
{
	struct kv_super s = {
		.magic = KV_MAGIC,
		.generation = generation,
		.salt = salt,
	};

	s.crc = kv_super_crc(&s);
	memcpy(kv_super_of(kv, generation), &s, sizeof(s));
}

/*
 * A salt that no log had before.  In the other half there are still the records of an
 * older log, or of a copy that a power cut ended.  Where the new log ends, one of them
 * may begin, even with the right number; only its checksum says that it does not belong.
 */
static inline int kv_new_salt(uint64_t *salt)
{
	return KV_RANDOM(salt, sizeof(*salt)) == sizeof(*salt) ? 0 : -1;
}

/* Makes room: copies what is up to date to the other half, and goes on there. */
static inline int kv_compact(struct kv *kv)
{
	const uint64_t generation = kv->generation + 1;
	const size_t start = kv_log_start(kv, generation);
	uint64_t salt, sequence = 0;
	size_t at = start;

	if (kv_new_salt(&salt))
		return -1;
	for (size_t i = 0; i < KV_BUCKETS; i++) {
		for (struct kv_entry *e = kv->index[i]; e; e = e->next) {
			struct kv_record *old = kv_record_at(kv, e->at), r = *old;
			const unsigned char *key = (unsigned char *)(old + 1);

			r.sequence = ++sequence;
			kv_store(kv, at, salt, &r, key, key + r.key_len);
			e->at = at;
			at += kv_record_size(r.key_len, r.value_len);
		}
	}
	/* Before the superblock: it may get to the store as soon as it is stored */
	if (kv_msync(kv, KV_MSYNC_COPY, start, at - start))
		return -1;
	kv_store_super(kv, generation, salt);
	/*
	 * Before a record in the new log is promised: with the old superblock nobody
	 * would look for it there.  And before the old log is overwritten, by the next
	 * compaction: it counts until the new superblock is on the store.
	 */
	if (kv_msync(kv, KV_MSYNC_SUPER, generation % 2 * KV_PAGE,
		     sizeof(struct kv_super)))
		return -1;
	kv->generation = generation;
	kv->salt = salt;
	kv->sequence = sequence;
	kv->end = at;
	return 0;
}

static inline size_t kv_room(const struct kv *kv)
{
	return kv_log_start(kv, kv->generation) + kv->half - kv->end;
}

static inline int kv_append(struct kv *kv, struct kv_record *header,
			    const void *key, const void *value)
{
	const size_t len = kv_record_size(header->key_len, header->value_len);

	if (kv->failed) {
		errno = EIO;
		return -1;
	}
	if (len > kv_room(kv) && kv_compact(kv))
		return -1;
	if (len > kv_room(kv)) {
		errno = ENOSPC;
		return -1;
	}
	header->sequence = kv->sequence + 1;
	kv_store(kv, kv->end, kv->salt, header, key, value);
	/* Before the caller is told that it is durable */
	if (kv_msync(kv, KV_MSYNC_RECORD, kv->end, len))
		return -1;
	return kv_take_in(kv);
}

/* ---- what others call ----------------------------------------------------- */

/* 0 when the value is durable; or -1 and errno: then it may or may not be there. */
static inline int kv_put(struct kv *kv, const void *key, uint32_t key_len,
			 const void *value, uint32_t value_len)
{
	struct kv_record r = { .key_len = key_len, .value_len = value_len };

	if (!key_len || key_len > kv->half || value_len > kv->half) {
		errno = EINVAL;
		return -1;
	}
	return kv_append(kv, &r, key, value);
}

/* The same for a key that must go. */
static inline int kv_delete(struct kv *kv, const void *key, uint32_t key_len)
{
	struct kv_record r = { .key_len = key_len, .deleted = 1 };

	return *kv_find(kv, key, key_len) ? kv_append(kv, &r, key, "") : 0;
}

/* The value, in the mapping, until the next change of the store; or NULL. */
static inline const void *kv_get(struct kv *kv, const void *key, size_t key_len,
				 size_t *value_len)
{
	const struct kv_entry *e = *kv_find(kv, key, key_len);
	const struct kv_record *r;

	if (!e)
		return NULL;
	r = kv_record_at(kv, e->at);
	*value_len = r->value_len;
	return (const unsigned char *)(r + 1) + r->key_len;
}

/* Is a record at the end of the log?  Anything may be there, or half of one. */
static inline bool kv_is_record(const struct kv *kv)
{
	const struct kv_record *r = kv_record_at(kv, kv->end);
	const size_t room = kv_room(kv);

	return room >= sizeof(*r) && r->sequence == kv->sequence + 1 &&
	       r->key_len && r->key_len <= room && r->value_len <= room &&
	       kv_record_size(r->key_len, r->value_len) <= room &&
	       r->crc == kv_record_crc(kv->salt, r);
}

static inline void kv_close(struct kv *kv)
{
	for (size_t i = 0; i < KV_BUCKETS; i++) {
		while (kv->index[i]) {
			struct kv_entry *e = kv->index[i];

			kv->index[i] = e->next;
			free(e);
		}
	}
	munmap(kv->map, kv->size);
	kv->map = NULL;
}

static inline int kv_map(struct kv *kv, int fd, size_t size)
{
	/* The superblocks and a page for each half */
	if (size < 4 * KV_PAGE) {
		errno = EINVAL;
		return -1;
	}
	kv->size = size;
	kv->half = (size - 2 * KV_PAGE) / 2 & ~(KV_PAGE - 1);
	kv->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return kv->map == MAP_FAILED ? -1 : 0;
}

/* Makes an empty store, whatever was there.  0, or -1 and errno; EINVAL: size is too small. */
static inline int kv_format(int fd, size_t size)
{
	struct kv kv = { 0 };
	uint64_t salt;
	int ret = -1;

	if (kv_map(&kv, fd, size))
		return -1;
	if (!kv_new_salt(&salt)) {
		memset(kv.map, 0, 2 * KV_PAGE);
		kv_store_super(&kv, 1, salt);
		ret = msync(kv.map, 2 * KV_PAGE, MS_SYNC);
	}
	kv_close(&kv);
	return ret;
}

/*
 * Opens what kv_format() has made, in whatever state it was left; *kv may have
 * .left_out and a .step, and is zeroes otherwise.  0, or -1 and errno; EUCLEAN if
 * there is no such store.
 */
static inline int kv_open(struct kv *kv, int fd, size_t size)
{
	if (kv_map(kv, fd, size))
		return -1;
	/*
	 * If it was the program that ended and not the machine, then what it did last
	 * is in the page cache, and perhaps only there.  Whoever is about to see it, or to
	 * append to it, must be able to rely on it.
	 */
	if (kv_msync(kv, KV_MSYNC_OPEN, 0, size))
		goto close;
	for (int i = 0; i < 2; i++) {
		const struct kv_super *s = kv_super_of(kv, i);

		if (s->magic == KV_MAGIC && s->crc == kv_super_crc(s) &&
		    s->generation > kv->generation) {
			kv->generation = s->generation;
			kv->salt = s->salt;
		}
	}
	errno = EUCLEAN;
	if (!kv->generation)
		goto close;
	kv->end = kv_log_start(kv, kv->generation);
	while (kv_is_record(kv))
		if (kv_take_in(kv))
			goto close;
	return 0;

close:
	kv_close(kv);
	return -1;
}

#endif /* KVSTORE_H */
