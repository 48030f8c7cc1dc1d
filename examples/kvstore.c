// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program around the key-value store of kvstore.h.  FILE is /dev/vmademo, a file of a
 * mount, or any other file that can be mapped; its size is that of the store.
 *
 *   kvstore format FILE            makes an empty store
 *   kvstore put FILE KEY VALUE
 *   kvstore get FILE KEY
 *   kvstore delete FILE KEY
 *   kvstore list FILE
 *   kvstore load FILE              puts each line "KEY VALUE" of standard input
 *   kvstore work FILE [MSYNC]      changes keys at random, to be cut off
 *   kvstore check FILE PROMISES    whether all that `work` promised is there
 *
 * The last two are for `vmademo explore`, which cuts the power at one event after the other:
 *
 *   vmademo explore --size 72K --ack promises --check 'kvstore check @ promises' -- kvstore work @
 *
 * finds nothing.  With the name of an msync behind `work @`, one of OPEN, RECORD, COPY and
 * SUPER, the store leaves that one out, and explore finds the cut that shows it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

static ssize_t random_bytes(void *to, size_t len);
#define KV_RANDOM random_bytes
#include "kvstore.h"

/* What is random makes each run of `work` another one, and a cut could not be replayed. */
static uint64_t replayed;

static ssize_t random_bytes(void *to, size_t len)
{
	if (!replayed)
		return getrandom(to, len, 0);
	replayed += 0x9e3779b97f4a7c15;
	memcpy(to, &replayed, len);
	return len;
}

static void die(const char *what)
{
	fprintf(stderr, "kvstore: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- one change, or one look --------------------------------------------- */

static int put(struct kv *kv, const char *key, const char *value)
{
	if (kv_put(kv, key, strlen(key), value, strlen(value)))
		die(key);
	return 0;
}

static int get(struct kv *kv, const char *key)
{
	size_t len;
	const char *value = kv_get(kv, key, strlen(key), &len);

	if (!value)
		return 1;
	printf("%.*s\n", (int)len, value);
	return 0;
}

static int list(struct kv *kv)
{
	for (size_t i = 0; i < KV_BUCKETS; i++) {
		for (struct kv_entry *e = kv->index[i]; e; e = e->next) {
			const struct kv_record *r = kv_record_at(kv, e->at);
			const char *key = (const char *)(r + 1);

			printf("%.*s %.*s\n", (int)r->key_len, key,
			       (int)r->value_len, key + r->key_len);
		}
	}
	return 0;
}

/* What it has said is there, whatever happens next. */
static int load(struct kv *kv)
{
	char key[64], value[1024];

	while (scanf("%63s %1023s", key, value) == 2) {
		put(kv, key, value);
		printf("%s\n", key);
		fflush(stdout);
	}
	return 0;
}

/* ---- work, for explore --------------------------------------------------- */

/*
 * On file descriptor 3 it says what it promises: "B KEY VALUE" before a change is begun,
 * "A KEY VALUE" when it is promised.  Keys are numbers, and values are said by their number;
 * 0 is none.
 */
#define PROMISES 3
#define KEYS	 8
#define LONG	 3500
#define SESSIONS 10
#define CHANGES	 6

static void say(char what, unsigned int key, uint32_t value)
{
	dprintf(PROMISES, "%c %u %u\n", what, key, value);
}

/* The same each time, so that a cut can be made again. */
static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352d;
	x = (x ^ x >> 15) * 0x846ca68b;
	return x ^ x >> 16;
}

/* A value: its number, and bytes that follow from that. */
static size_t make_value(uint32_t value, unsigned char *bytes)
{
	/* In 72 KiB, few of them fit into half of the store: so it is compacted often */
	size_t len = LONG / 2 + mix(value) % (LONG / 2);

	memcpy(bytes, &value, 4);
	for (size_t i = 4; i < len; i++)
		bytes[i] = mix(value + i);
	return len;
}

/* The number of a key's value; 0 if there is none, UINT32_MAX if it is garbage. */
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
		die("work");
	say('A', key, value);
}

static jmp_buf ended;
static int steps; /* until the session ends in the middle of things; 0: it does not */

static void count_steps(void *arg)
{
	if (steps && --steps == 0)
		longjmp(ended, 1);
}

/* Opens the store, and dies in the middle of its last change: stored, with no msync yet. */
static void session(int fd, size_t size, unsigned int left_out)
{
	static struct kv kv;
	static uint32_t value;

	kv = (struct kv){ .left_out = left_out };
	if (kv_open(&kv, fd, size))
		die("open");
	/* Whoever asks gets what is there: so it is promised */
	for (unsigned int key = 0; key < KEYS; key++)
		say('A', key, value_of(&kv, key));
	kv.step = count_steps;
	if (!setjmp(ended)) {
		for (int i = 0; i < CHANGES; i++) {
			value++;
			steps = i == CHANGES - 1 ? 3 : 0;
			change(&kv, mix(~value) % KEYS, value);
		}
	}
	steps = 0;
	kv_close(&kv);
}

static int work(int fd, size_t size, const char *left_out)
{
	static const char *const msyncs[] = { "OPEN", "RECORD", "COPY", "SUPER" };
	unsigned int which = 0;

	for (int i = 0; left_out && i < 4; i++)
		if (!strcmp(left_out, msyncs[i]))
			which = 1U << i;
	if (left_out && !which) {
		errno = EINVAL;
		die(left_out);
	}
	replayed = 1;
	if (kv_format(fd, size))
		die("format");
	say('A', 0, 0);
	for (int i = 0; i < SESSIONS; i++)
		session(fd, size, which);
	return 0;
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

static int check(int fd, size_t size, const char *promises)
{
	struct allowed allowed[KEYS] = { 0 };
	int lines = read_promises(promises, allowed), bad = 0;
	struct kv kv = { 0 };

	if (kv_open(&kv, fd, size)) {
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
	kv_close(&kv);
	return bad;
}

/* ---- the words ----------------------------------------------------------- */

static const struct {
	const char *word;
	int least, most; /* arguments behind FILE */
} words[] = {
	{ "format", 0, 0 }, { "put", 2, 2 },   { "get", 1, 1 },
	{ "delete", 1, 1 }, { "list", 0, 0 },  { "load", 0, 0 },
	{ "work", 0, 1 },   { "check", 1, 1 },
};

static bool known(const char *word, int args)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i].word))
			return args >= words[i].least && args <= words[i].most;
	return false;
}

int main(int argc, char **argv)
{
	struct kv kv = { 0 };
	const char *word;
	off_t size;
	int fd, ret;

	if (argc < 3 || !known(argv[1], argc - 3)) {
		fprintf(stderr,
			"usage: kvstore format|put|get|delete|list|load|work|check FILE ...\n");
		return 2;
	}
	word = argv[1];
	fd = open(argv[2], O_RDWR | O_CLOEXEC);
	size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (size < 0)
		die(argv[2]);
	if (!strcmp(word, "work"))
		return work(fd, size, argv[3]);
	if (!strcmp(word, "check"))
		return check(fd, size, argv[3]);
	if (!strcmp(word, "format"))
		ret = kv_format(fd, size);
	else
		ret = kv_open(&kv, fd, size);
	if (ret)
		die(argv[2]);
	if (!strcmp(word, "format"))
		return 0;
	if (!strcmp(word, "put"))
		ret = put(&kv, argv[3], argv[4]);
	else if (!strcmp(word, "get"))
		ret = get(&kv, argv[3]);
	else if (!strcmp(word, "list"))
		ret = list(&kv);
	else if (!strcmp(word, "load"))
		ret = load(&kv);
	else if (kv_delete(&kv, argv[3], strlen(argv[3])))
		die(argv[3]);
	kv_close(&kv);
	return ret;
}
