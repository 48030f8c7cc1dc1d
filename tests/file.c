// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer as a regular file: what a program may do to a file.  How long it lives is
 * in `life`.
 */
#include <sys/inotify.h>
#include <sys/socket.h>
#include <linux/falloc.h>

#include "file_fixture.h"

TEST_F(file, fstat_knows_it)
{
	struct stat st = stat_of(self->fd), other;
	int fd;

	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_EQ(0600, st.st_mode & 07777);
	EXPECT_EQ(SIZE, st.st_size);
	EXPECT_EQ(0, st.st_blocks); /* more in `seeking` */
	EXPECT_EQ(geteuid(), st.st_uid);
	EXPECT_EQ(getegid(), st.st_gid);
	EXPECT_LT(0, st.st_mtime);
	put(self->map, 1);
	put(self->map + 3 * PAGE, 1);
	/* In units of 512 bytes: two pages, or the folio that both are in */
	EXPECT_EQ(whole_folios(self->fd, 2 * PAGE) / 512,
		  stat_of(self->fd).st_blocks);

	fd = create_buffer(0);
	ASSERT_GE(fd, 0);
	other = stat_of(fd);
	EXPECT_EQ(0, other.st_size);
	EXPECT_EQ(st.st_dev, other.st_dev);
	EXPECT_NE(st.st_ino, other.st_ino);
	close(fd);
}

TEST_F(file, times_move)
{
	const struct timespec past[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };

	ASSERT_EQ(0, futimens(self->fd, past));
	EXPECT_EQ(1, stat_of(self->fd).st_atime);
	EXPECT_EQ(2, stat_of(self->fd).st_mtime);
	/* By a mapping, by write, by ftruncate, by fallocate */
	put(self->map, 1);
	EXPECT_LT(2, stat_of(self->fd).st_mtime);
	ASSERT_EQ(0, futimens(self->fd, past));
	ASSERT_EQ(1, write(self->fd, "x", 1));
	EXPECT_LT(2, stat_of(self->fd).st_mtime);
	ASSERT_EQ(0, futimens(self->fd, past));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_LT(2, stat_of(self->fd).st_mtime);
	ASSERT_EQ(0, futimens(self->fd, past));
	ASSERT_EQ(0, fallocate(self->fd, 0, 0, PAGE));
	EXPECT_LT(2, stat_of(self->fd).st_mtime);
	ASSERT_EQ(0, fchmod(self->fd, 0640));
	EXPECT_EQ(0640, stat_of(self->fd).st_mode & 07777);
}

TEST_F(file, o_append)
{
	int fd = reopen(self->fd, O_WRONLY | O_APPEND);
	char back[6];

	ASSERT_GE(fd, 0);
	ASSERT_EQ(3, write(fd, "one", 3));
	ASSERT_EQ(3, write(fd, "two", 3));
	EXPECT_EQ(SIZE + 6, stat_of(self->fd).st_size);
	ASSERT_EQ(6, pread(self->fd, back, 6, SIZE));
	EXPECT_EQ(0, memcmp(back, "onetwo", 6));
	close(fd);
}

/* The last word of the line of /proc/self/maps on the VMA at p. */
static void name_in_maps(const void *p, char *name, size_t size)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start;
	char line[512];

	name[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-", &start) != 1 || start != (uintptr_t)p)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (strrchr(line, ' '))
			snprintf(name, size, "%s", strrchr(line, ' ') + 1);
	}
	if (f)
		fclose(f);
}

/*
 * Its name is no path, so that no program takes it for one, and tells buffers apart:
 * as those of pipes and sockets do.
 */
TEST_F(file, name_in_proc)
{
	int node = open(NODE, O_RDWR | O_CLOEXEC), other = create_buffer(PAGE);
	int fds[] = { self->fd, reopen(self->fd, O_RDONLY), open_file_view(node),
		      create_with(VMADEMO_STORE_RAM, PAGE, 0), other };
	char link[5][64], path[64], want[64];

	for (int i = 0; i < 5; i++) {
		unsigned char *p;

		ASSERT_GE(fds[i], 0);
		memset(link[i], 0, sizeof(link[i]));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		EXPECT_LT(0, readlink(path, link[i], sizeof(link[i]) - 1));
		snprintf(want, sizeof(want), "vmademo:[%llu]",
			 (unsigned long long)stat_of(fds[i]).st_ino);
		EXPECT_STREQ(want, link[i]);
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[i], 0);
		ASSERT_NE(MAP_FAILED, p);
		name_in_maps(p, path, sizeof(path));
		EXPECT_STREQ(want, path);
		munmap(p, PAGE);
		/* Nothing is made by a program that opens the name */
		EXPECT_FAILS(ENOENT, open(link[i], O_RDWR));
	}
	EXPECT_STREQ(link[0], link[1]);
	for (int i = 2; i < 5; i++) {
		EXPECT_STRNE(link[0], link[i]);
	}
	for (int i = 1; i < 5; i++)
		close(fds[i]);
	close(node);
}

/* By its name in /proc it can be opened again, in any way. */
TEST_F(file, reopen)
{
	int ro, rw;

	put(self->map, 42);
	ro = reopen(self->fd, O_RDONLY);
	ASSERT_GE(ro, 0);
	EXPECT_EQ(stat_of(self->fd).st_ino, stat_of(ro).st_ino);
	EXPECT_FAILS(EINVAL, ftruncate(ro, 0));
	EXPECT_FAILS(EBADF, fallocate(ro, 0, 0, PAGE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, ro, 0));
	EXPECT_EQ(EACCES, errno);
	/* Positions are each one's own */
	ASSERT_EQ(5, lseek(ro, 5, SEEK_SET));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));

	rw = reopen(self->fd, O_RDWR | O_TRUNC);
	ASSERT_GE(rw, 0);
	EXPECT_EQ(0, stat_of(self->fd).st_size);
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	close(ro);
	close(rw);
}

/* Its mode is asked when another user opens it again. */
TEST_F(file, reopen_by_another_user)
{
	int fd;

	/* The file system's user only, so that /proc/self stays readable */
	ASSERT_EQ(0, fchmod(self->fd, 0600));
	syscall(SYS_setfsuid, 65534);
	EXPECT_FAILS(EACCES, reopen(self->fd, O_RDWR));
	/* What such a user makes is that user's */
	fd = open(NODE, O_RDWR);
	EXPECT_EQ(-1, fd);
	syscall(SYS_setfsuid, 0);
	fd = reopen(self->fd, O_RDWR);
	EXPECT_GE(fd, 0);
	close(fd);
}

/* A user who changes a program that runs as another takes that right from it. */
TEST_F(file, set_user_id_is_lost)
{
	struct vmademo_resize r = { .size = PAGE };
	struct vmademo_discard d = { .length = 10 };
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		int ok = 1;

		if (fchown(self->fd, 65534, 65533) || setuid(65534))
			_exit(1);
#define LOST_BY(call)                                   \
	(fchmod(self->fd, 04777) == 0 && (call) >= 0 && \
	 (stat_of(self->fd).st_mode & 04777) == 0777)
		ok &= LOST_BY(pwrite(self->fd, "x", 1, 0));
		ok &= LOST_BY(ftruncate(self->fd, 10 * PAGE));
		ok &= LOST_BY(fallocate(self->fd, 0, 0, PAGE));
		ok &= LOST_BY(ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
		ok &= LOST_BY(ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
		_exit(!ok);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Whoever only watches a buffer does not keep it. */
TEST_F(file, watched_and_gone)
{
	int watcher = inotify_init(), fd = create_buffer(4 * MIB);
	int64_t cached;
	char path[64];

	ASSERT_GE(fd, 0);
	if (watcher < 0)
		SKIP(return, "this kernel has no inotify");
	EXPECT_EQ(0, stat_of(fd).st_nlink);
	ASSERT_EQ(0, fallocate(fd, 0, 0, 4 * MIB));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ASSERT_LE(0, inotify_add_watch(watcher, path, IN_MODIFY));
	cached = meminfo("Cached");
	close(fd);
	EXPECT_GT(cached - 3 * (int64_t)MIB, meminfo("Cached"));
	close(watcher);
}

/* Whoever makes a buffer owns it, and may open it again. */
TEST_F(file, made_by_another_user)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, chmod(NODE, 0666));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		int fd;

		if (setgid(65533) || setuid(65534))
			_exit(1);
		fd = create_buffer(PAGE);
		if (fd < 0 || stat_of(fd).st_uid != 65534 ||
		    stat_of(fd).st_gid != 65533)
			_exit(2);
		if (reopen(fd, O_RDWR) < 0 || fchmod(fd, 0400) ||
		    reopen(fd, O_RDWR) >= 0 || errno != EACCES)
			_exit(3);
		/* The node's own buffer is root's all the same */
		fd = open(NODE, O_RDWR);
		fd = open_file_view(fd);
		if (fd < 0 || stat_of(fd).st_uid != 0 ||
		    reopen(fd, O_RDWR) >= 0 || errno != EACCES)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, chmod(NODE, 0600));
}

TEST_F(file, mappings_outlive_descriptors)
{
	unsigned char *p;
	int fd = create_buffer(PAGE);

	ASSERT_GE(fd, 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	put(p, 5);
	ASSERT_EQ(0, msync(p, PAGE, MS_SYNC));
	EXPECT_EQ(5, touch(p));
	munmap(p, PAGE);
}

/* Sends a descriptor to another process, which has no other way to it. */
TEST_F(file, passed_to_another_process)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.space,
			      .msg_controllen = sizeof(control.space) };
	int pair[2], status, fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		unsigned char *p;

		munmap(self->map, 32 * PAGE);
		close(self->fd);
		if (recvmsg(pair[1], &msg, 0) != 1)
			_exit(1);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED || touch(p) != 11)
			_exit(2);
		put(p + 1, 22);
		_exit(0);
	}
	put(self->map, 11);
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.header), &self->fd, sizeof(int));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(22, touch(self->map + 1));
	close(pair[0]);
	close(pair[1]);
}

TEST_F(file, sync_file_range_writes_its_range)
{
	memset(self->map, 7, 16 * PAGE);
	ASSERT_EQ(0, sync_file_range(self->fd, 4 * PAGE, 4 * PAGE,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	EXPECT_EQ(in_folios(self->fd, 4 * PAGE),
		  fd_value(self->fd, "written_folios"));
	EXPECT_EQ(in_folios(self->fd, 16 * PAGE) - in_folios(self->fd, 4 * PAGE),
		  fd_value(self->fd, "dirty_folios"));
	ASSERT_EQ(0, syncfs(self->fd));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_folios"));
}

/* Between buffers the kernel copies; from other file systems it does not. */
TEST_F(file, copy_file_range_between_buffers)
{
	int to = create_buffer(0), memfd = syscall(SYS_memfd_create, "m", 0);
	off_t from = 100, at = PAGE + 3;
	char *back;

	ASSERT_GE(to, 0);
	ASSERT_GE(memfd, 0);
	for (size_t i = 0; i < 16 * PAGE; i++)
		self->map[i] = i * 7 / 3;
	for (size_t left = 9 * PAGE; left;) {
		ssize_t n = copy_file_range(self->fd, &from, to, &at, left, 0);

		ASSERT_LT(0, n);
		left -= n;
	}
	EXPECT_EQ(10 * PAGE + 3, stat_of(to).st_size);
	back = mmap(NULL, 11 * PAGE, PROT_READ, MAP_SHARED, to, 0);
	ASSERT_NE(MAP_FAILED, back);
	EXPECT_EQ(0, memcmp(back + PAGE + 3, self->map + 100, 9 * PAGE));
	EXPECT_EQ(0, back[PAGE + 2]);
	munmap(back, 11 * PAGE);

	ASSERT_EQ(0, ftruncate(memfd, PAGE));
	EXPECT_FAILS(EXDEV, copy_file_range(memfd, NULL, to, NULL, PAGE, 0));
	close(memfd);
	close(to);
}

TEST_F(file, seals_are_not_offered)
{
	EXPECT_FAILS(EINVAL, fcntl(self->fd, F_ADD_SEALS, F_SEAL_SHRINK));
	EXPECT_FAILS(EINVAL, fcntl(self->fd, F_GET_SEALS));
}

/* Locks as other files have them. */
TEST_F(file, record_locks)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 10 };
	int status;
	pid_t pid;

	if (fcntl(self->fd, F_SETLK, &lock) && errno == EACCES)
		SKIP(return, "this kernel has no file locks");
	ASSERT_EQ(0, fcntl(self->fd, F_SETLK, &lock));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(fcntl(self->fd, F_SETLK, &lock) != -1 || errno != EAGAIN);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(file, a_thousand_buffers)
{
	struct rlimit limit = { .rlim_cur = 1100, .rlim_max = 1100 };
	int64_t cached = meminfo("Cached");
	static int fds[1000];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < 1000; i++) {
		fds[i] = create_buffer(16 * PAGE);
		ASSERT_GE(fds[i], 0) TH_LOG("%d: %s", i, strerror(errno));
		ASSERT_EQ(4, pwrite(fds[i], &i, 4, 10 * PAGE));
	}
	EXPECT_LE(cached + 1000 * (int64_t)PAGE, meminfo("Cached"));
	for (int i = 0; i < 1000; i++) {
		int number = -1;

		ASSERT_EQ(4, pread(fds[i], &number, 4, 10 * PAGE));
		ASSERT_EQ(i, number);
		close(fds[i]);
	}
	/* Closed is gone; other programs may cache a little meanwhile */
	EXPECT_GT(cached + 500 * (int64_t)PAGE, meminfo("Cached"));
}

/* ---- the view of the node's buffer -------------------------------------- */

TEST(the_nodes_own_buffer)
{
	int node = open(NODE, O_RDWR), fd, ro;
	off_t size = node_value("size");
	unsigned char *p, *q;
	struct stat st;

	ASSERT_GE(node, 0);
	fd = open_file_view(node);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_EQ(size, st.st_size);

	/* One memory, by either */
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	q = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	put(p, 12);
	EXPECT_EQ(12, touch(q));
	put(q + PAGE, 13);
	EXPECT_EQ(13, touch(p + PAGE));
	EXPECT_EQ(2, node_value("mappings"));
	EXPECT_EQ(2, fd_value(fd, "mappings"));

	/* One size: cut by the file, the node is shorter too, and mapped so */
	ASSERT_EQ(0, ftruncate(fd, PAGE + 1));
	EXPECT_EQ(PAGE + 1, lseek(node, 0, SEEK_END));
	EXPECT_EQ(PAGE + 1, node_value("size"));
	EXPECT_EQ(SIGBUS, touch_signal(p + 2 * PAGE, 0));
	EXPECT_FAILS(ENOSPC, pwrite(node, "x", 1, PAGE + 1));
	ASSERT_EQ(0, ftruncate(fd, size));
	EXPECT_EQ(0, touch(p + 2 * PAGE));
	EXPECT_EQ(12, touch(p));

	/* It may do what the node's descriptor may, and no more */
	ro = open(NODE, O_RDONLY);
	ASSERT_GE(ro, 0);
	close(fd);
	fd = open_file_view(ro);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_FAILS(EBADF, write(fd, "x", 1));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	close(fd);
	close(ro);
	munmap(p, 4 * PAGE);
	munmap(q, 4 * PAGE);
	/* What was written stays when the view is closed */
	EXPECT_EQ(1, pread(node, &st, 1, PAGE));
	close(node);
}

/* Times that somebody sets back are set anew by the next write of a mapping, at once. */
TEST_F(file, times_set_back)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				self->fd, 0);
	struct stat st;

	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < 100; i++) {
		put(p, i);
		ASSERT_EQ(0, futimens(self->fd, old));
		ASSERT_EQ(0, msync(p, PAGE, MS_SYNC));
		put(p, i);
		ASSERT_EQ(0, fstat(self->fd, &st));
		ASSERT_LT(1000, st.st_mtim.tv_sec) TH_LOG("%d", i);
		ASSERT_EQ(0, msync(p, PAGE, MS_SYNC));
	}
	munmap(p, PAGE);
}

TEST_HARNESS_MAIN
