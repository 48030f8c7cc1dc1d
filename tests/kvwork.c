// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program for `vmademo explore`: works with the key-value store of kvstore.h, and checks
 * what a power cut left of that.  It is no test itself; command.sh runs it.
 *
 *   kvwork work FILE [OPEN|RECORD|COPY|SUPER]   the msync that is left out
 *   kvwork check FILE ACK
 *   kvwork open FILE            maps it, and waits until standard input ends
 *
 * What it promises it says on file descriptor 3, a line each: "B KEY VALUE" before a change is
 * begun, "A KEY VALUE" when it is promised; the VALUE 0 is that there is none.  It does the
 * same each time.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/random.h>

/* The salts, too: each is another one, but those of every run are the same */
static ssize_t same_each_time(void *to, size_t len, unsigned int flags);
#define getrandom same_each_time
#include "kvstore.h"

static ssize_t same_each_time(void *to, size_t len, unsigned int flags)
{
	static uint64_t salt;

	salt += 0x9e3779b97f4a7c15;
	memcpy(to, &salt, len);
	return len;
}

#define SIZE	 (18 * KV_PAGE) /* two halves of eight pages */
#define KEYS	 8
#define LONG	 3500
#define SESSIONS 10
#define CHANGES	 6

static const char *const msyncs[] = { "OPEN", "RECORD", "COPY", "SUPER" };

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352d;
	x = (x ^ x >> 15) * 0x846ca68b;
	return x ^ x >> 16;
}

/* A value: its number, and bytes that follow from that. */
static size_t make_value(uint32_t value, unsigned char *bytes)
{
	/* Few of them fit into a half, so that it is copied often */
	size_t len = LONG / 2 + mix(value) % (LONG / 2);

	memcpy(bytes, &value, 4);
	for (size_t i = 4; i < len; i++)
		bytes[i] = mix(value + i);
	return len;
}

/* The value of a key; 0 if there is none, UINT32_MAX if it is garbage. */
static uint32_t value_of(struct kv *kv, unsigned char key)
{
	unsigned char expected[LONG];
	size_t len;
	const void *bytes = kv_get(kv, &key, 1, &len);
	uint32_t value;

	if (!bytes)
		return 0;
	if (len < 4)
		return UINT32_MAX;
	memcpy(&value, bytes, 4);
	if (len != make_value(value, expected) || memcmp(bytes, expected, len))
		return UINT32_MAX;
	return value;
}

/* ---- work ---------------------------------------------------------------- */

static jmp_buf killed;
static int steps; /* until the session ends in the middle of things */

static void count_steps(void *arg)
{
	if (steps && --steps == 0)
		longjmp(killed, 1);
}

static void say(char what, unsigned int key, uint32_t value)
{
	dprintf(3, "%c %u %u\n", what, key, value);
}

static void change(struct kv *kv, unsigned char key, uint32_t value)
{
	unsigned char bytes[LONG];
	int err;

	/* Some are deleted */
	if (mix(value) % 5 == 0) {
		say('B', key, 0);
		err = kv_delete(kv, &key, 1);
		value = 0;
	} else {
		size_t len = make_value(value, bytes);

		say('B', key, value);
		err = kv_put(kv, &key, 1, bytes, len);
	}
	if (err)
		die("change");
	say('A', key, value);
}

static void session(int fd, unsigned int left_out)
{
	static struct kv kv;
	static uint32_t value;

	kv = (struct kv){ .left_out = left_out };
	if (kv_open(&kv, fd, SIZE))
		die("open");
	/* Who asks gets what is there: so it is promised */
	for (unsigned int key = 0; key < KEYS; key++)
		say('A', key, value_of(&kv, key));
	kv.step = count_steps;
	if (!setjmp(killed)) {
		for (int i = 0; i < CHANGES; i++) {
			value++;
			/* The last one is stored, but has no msync yet */
			steps = i == CHANGES - 1 ? 3 : 0;
			change(&kv, mix(~value) % KEYS, value);
		}
	}
	steps = 0;
	kv_close(&kv);
}

static void work(int fd, unsigned int left_out)
{
	if (kv_format(fd, SIZE))
		die("format");
	say('A', 0, 0);
	for (int i = 0; i < SESSIONS; i++)
		session(fd, left_out);
}

/* ---- check --------------------------------------------------------------- */

/* What each key may be: what was promised last, and what was begun since. */
struct allowed {
	uint32_t values[64];
	int nr;
};

static int read_promises(const char *path, struct allowed *allowed)
{
	FILE *file = fopen(path, "r");
	unsigned int key, value;
	int lines = 0;
	char what;

	if (!file)
		die(path);
	while (fscanf(file, " %c %u %u", &what, &key, &value) == 3) {
		struct allowed *a = &allowed[key % KEYS];

		if (what == 'A')
			a->nr = 0;
		if (a->nr < 64)
			a->values[a->nr++] = value;
		lines++;
	}
	fclose(file);
	return lines;
}

static int check(int fd, const char *ack)
{
	struct allowed allowed[KEYS] = { 0 };
	int lines = read_promises(ack, allowed), bad = 0;
	struct kv kv = { 0 };

	if (kv_open(&kv, fd, SIZE)) {
		/* Not promised yet that there is a store */
		if (!lines && errno == EUCLEAN)
			return 0;
		die("open");
	}
	for (unsigned int key = 0; key < KEYS; key++) {
		uint32_t value = value_of(&kv, key);
		bool good = !allowed[key].nr && !value;

		for (int i = 0; i < allowed[key].nr; i++)
			good |= allowed[key].values[i] == value;
		if (!good) {
			printf("key %u is %u, and promised was %u\n", key,
			       value, allowed[key].values[0]);
			bad = 1;
		}
	}
	return bad;
}

int main(int argc, char **argv)
{
	unsigned int left_out = 0;
	int fd;

	if (argc < 3)
		return 2;
	fd = open(argv[2], O_RDWR);
	if (fd < 0)
		die(argv[2]);
	if (!strcmp(argv[1], "open")) {
		struct kv kv = { 0 };

		if (kv_format(fd, SIZE) || kv_open(&kv, fd, SIZE))
			die("open");
		puts("open");
		fflush(stdout);
		return getchar() != EOF;
	}
	if (!strcmp(argv[1], "check"))
		return argc == 4 ? check(fd, argv[3]) : 2;
	for (int i = 0; i < 4; i++)
		if (argc > 3 && !strcmp(argv[3], msyncs[i]))
			left_out = 1U << i;
	if (argc > 3 && !left_out)
		return 2;
	work(fd, left_out);
	return 0;
}
