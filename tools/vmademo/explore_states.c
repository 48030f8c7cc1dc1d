// SPDX-License-Identifier: GPL-2.0-only
/*
 * What cuts leave, for the verb explore: kept as files in memory, each state once, and checked when
 * the program is over.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "explore.h"

/* So much of the memory that is free is for them, at most */
#define SHARE_OF_MEMORY 4
/* And so many are open at a time, or half of what may be */
#define MOST_OPEN 512

/* States with one hash are the same; among a million states, that is wrong once in 30 million. */
static uint64_t add_to_hash(uint64_t hash, const void *bytes, size_t len)
{
	uint64_t word = 0;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		memcpy(&word, (const char *)bytes + i,
		       len - i < sizeof(word) ? len - i : sizeof(word));
		hash = mix(hash, word);
	}
	return mix(hash, len);
}

/* Zeros may be a hole, or not. */
static uint64_t hash_of(int file)
{
	static char bytes[1 << 16], zeros[1 << 16];
	uint64_t hash = 0;
	off_t pos = 0;
	ssize_t n;

	while ((pos = lseek(file, pos, SEEK_DATA)) >= 0) {
		pos -= pos % page_size();
		n = pread(file, bytes, page_size(), pos);
		if (n < 0)
			die_errno("a copy of the buffer");
		if (memcmp(bytes, zeros, n)) {
			hash = mix(hash, pos);
			hash = add_to_hash(hash, bytes, n);
		}
		pos += page_size();
	}
	return hash;
}

/* What is promised at the moment: all of it, or a check would ask for too little. */
static void read_ack(const struct explore *explore, struct state *state)
{
	struct stat st;
	int fd;

	if (!explore->ack)
		return;
	fd = open(explore->ack, O_RDONLY | O_CLOEXEC);
	/* The program may have removed it */
	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || fstat(fd, &st))
		die_errno("--ack: %s", explore->ack);
	state->promised = must_alloc(NULL, st.st_size);
	state->len = st.st_size;
	if (read(fd, state->promised, st.st_size) != st.st_size)
		die("--ack: %s cannot be read whole", explore->ack);
	close(fd);
}

static bool too_many(const struct states *states)
{
	return states->nr >= MOST_OPEN ||
	       states->nr >= (size_t)sysconf(_SC_OPEN_MAX) / 2 ||
	       states->bytes / page_size() >
		       (uint64_t)sysconf(_SC_AVPHYS_PAGES) / SHARE_OF_MEMORY;
}

static void free_state(struct state *state)
{
	if (state->file >= 0)
		close(state->file);
	free(state->promised);
	state->file = -1;
	state->promised = NULL;
}

/**
 * keep_state() - keep what a cut would leave
 * @explore: what is promised now, too
 * @states: of this run of the program
 * @fd: a snapshot
 *
 * Return: its number; -1: there is no room for more.
 */
ssize_t keep_state(const struct explore *explore, struct states *states, int fd)
{
	struct state state = { .file = memfd_create("state", MFD_CLOEXEC) };
	struct stat st;

	if (state.file < 0)
		return -1;
	copy_bytes(explore, fd, state.file);
	read_ack(explore, &state);
	state.hash = add_to_hash(hash_of(state.file), state.promised, state.len);
	for (size_t i = 0; i < states->nr; i++) {
		if (states->state[i].hash != state.hash)
			continue;
		free_state(&state);
		return i;
	}
	if (fstat(state.file, &st))
		die_errno("a copy of the buffer");
	states->bytes += st.st_blocks * 512 + state.len;
	if (too_many(states)) {
		free_state(&state);
		return -1;
	}
	states->state = must_alloc(states->state,
				   (states->nr + 1) * sizeof(state));
	states->state[states->nr] = state;
	return states->nr++;
}

/* The file in which promises are is the one that the check knows. */
static void write_ack(const struct explore *explore, const struct state *state)
{
	int fd;

	if (!explore->ack)
		return;
	fd = open(explore->ack, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 ||
	    write(fd, state->promised, state->len) != (ssize_t)state->len ||
	    close(fd))
		die_errno("--ack: %s", explore->ack);
}

static void write_bytes(int from, int fd)
{
	char *bytes = must_alloc(NULL, page_size());
	off_t pos = 0;
	ssize_t n;

	while ((pos = lseek(from, pos, SEEK_DATA)) >= 0) {
		pos -= pos % page_size();
		n = pread(from, bytes, page_size(), pos);
		if (n < 0 || pwrite(fd, bytes, n, pos) != n)
			die_errno("a copy of the buffer");
		pos += page_size();
	}
	if (fsync(fd))
		die_errno("a copy of the buffer");
	free(bytes);
}

/**
 * check_state() - run the check on a state
 * @explore: whose check
 * @state: is given up
 *
 * Return: whether it succeeds.
 */
bool check_state(struct explore *explore, struct state *state)
{
	struct buffer_options plain = explore->buffer;
	struct run run = { 0 };
	struct space space;
	bool good;

	plain.init = NULL;
	make_space(&space, &plain);
	write_bytes(state->file, space.fd);
	write_ack(explore, state);
	good = check_what_is_left(explore, space.path, &run, false);
	end_space(&space);
	free_state(state);
	return good;
}

void free_states(struct states *states)
{
	while (states->nr)
		free_state(&states->state[--states->nr]);
	free(states->state);
	*states = (struct states){ 0 };
}
