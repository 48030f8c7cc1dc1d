/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the benchmark share: subjects.c makes what is measured, mapping.c measures
 * files and memory, windows.c windows, scaling.c two processors, targets.c says what is to be
 * reached, report.c prints what was measured.
 */
#ifndef VMADEMO_BENCH_H
#define VMADEMO_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

enum figure {
	FRESH_READ,
	FRESH_WRITE,
	FRESH_POPULATE,
	READ,
	READ_RANDOM,
	READ_ADVISED,
	READ_SPARSE,
	WRITE,
	POPULATE,
	MKWRITE,
	MSYNC,
	MSYNC_ONE,
	READ_4,
	WRITE_4,
	UNMAP,
	FORK,
	EVICT,
	READ_IN,
	READ_CALL,
	READ_CALL_LARGE,
	WRITE_CALL,
	WRITE_CALL_LARGE,
	MMAP_CALL,
	CREATE,
	CREATE_MANY,
	CREATE_CLOSE,
	WINDOW_MAP,
	WINDOW_READ,
	WINDOW_WRITE,
	WINDOW_READ_SMALL,
	WINDOW_WRITE_SMALL,
	FIGURES,
};

enum subject {
	NONE,
	NONE_64K,
	NONE_2M,
	RAM,
	RAM_64K,
	TMPFS,
	TMPFS_2M,
	HUGETLB,
	SHARED,
	PRIVATE,
	PRIVATE_2M,
	EXT4,
	EXT4_DAX,
	DEV_DAX,
	DEV_DAX_2M,
	EAGER,
	LAZY,
	DEV_MEM,
	SUBJECTS,
};

/**
 * struct cost - what one page or one call costs
 * @instructions: in hundredths; 0: not measured
 * @faults: in millionths
 */
struct cost {
	int64_t instructions, faults;
};

extern const char *const figures[FIGURES], *const subjects[SUBJECTS];
extern struct cost costs[SUBJECTS][FIGURES];
/* How large what is measured is, in bytes and in pages; a power of two. */
extern size_t len, pages;
/* The one whose instructions are counted by function: scripts/vm/count.c looks on. */
extern enum figure profiled;

/* bench.c */
void fail(const char *what);

/* subjects.c */
bool is_there(enum subject s);
bool is_file(enum subject s);
bool has_pages(enum subject s);
bool has_calls(enum subject s);
bool has_store(enum subject s);
int make(enum subject s);
unsigned char *map(enum subject s, int fd, int flags);

/* mapping.c */
enum way { READING, READING_AT_RANDOM, WRITING };

int64_t now(void);
struct cost begin(void);
struct cost since(struct cost start);
void keep(enum subject s, enum figure f, struct cost all, int64_t loop,
	  int64_t parts);
struct cost touch_all(unsigned char *p, enum way way);
int64_t loop(unsigned char *p, enum way way);
void measure(enum subject s);
void measure_create(enum subject s);

/* windows.c */
void measure_windows(void);

/* scaling.c */
void measure_scaling(void);

/* targets.c */
bool check_targets(void);

/* report.c */
void print_tables(void);
void print_csv(void);

#endif /* VMADEMO_BENCH_H */
