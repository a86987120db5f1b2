/* SPDX-License-Identifier: MIT */
/*
 * A flush that failed is not forgotten: neither when the store works again, nor
 * by the next daemon.
 *
 * For each kill: a driver writes, a flush of it fails; the store works again;
 * flushes go on failing, before the kill and after it. Then another driver
 * comes, with whom none of that has happened: its flushes are good.
 *
 * usage: lost program=FILE socket=PATH file=FILE control=FILE disk=KEYS
 *	       [KEY=VALUE]...
 *
 *	file, control	as of slow_store
 *	kills=N seed=N packed=1
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "load.h"
#include "store.h"

#define PAUSE_NS NS_PER_MS

struct lost {
	struct daemon daemon;
	struct front front;
	struct load load;
	struct store_control *store;
	const char *file, *control;
	unsigned int kills, seed, packed;
	uint32_t nsectors;
};

static void reach(struct lost *t)
{
	uint64_t until = clock_ns() + WAIT_NS;

	for (;;) {
		if (!daemon_is_alive(&t->daemon))
			daemon_start(&t->daemon);
		if (front_connect(&t->front) == 0) {
			if (front_begin(&t->front) == 0)
				return;
			front_disconnect(&t->front);
		}
		if (clock_ns() > until)
			die("no session");
		pause_ns(PAUSE_NS);
	}
}

static void finish(struct lost *t)
{
	uint64_t until = clock_ns() + WAIT_NS;

	while (load_busy(&t->load)) {
		load_kick(&t->load);
		front_wait(&t->front, PAUSE_NS);
		load_take(&t->load);
		if (clock_ns() > until || front_is_left(&t->front))
			die("requests do not complete");
	}
}

static void flush(struct lost *t, uint8_t status)
{
	t->load.flush_status = status;
	load_begin(&t->load, 0, LOAD_FLUSH, 0, 0);
	finish(t);
}

static void write_some(struct lost *t)
{
	for (unsigned int i = 0; i < 8; i++)
		load_begin(&t->load, 0, LOAD_WRITE,
			   chance_below(&t->load.chance, t->nsectors - 8), 8);
	finish(t);
}

static void new_driver(struct lost *t, unsigned int number)
{
	uint64_t features = load_features();

	if (t->packed)
		features |= VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	front_init(&t->front, t->daemon.path, 1, features, load_bytes(1));
	load_init(&t->load, &t->front, t->nsectors, t->seed * 1000 + number);
}

static void one_kill(struct lost *t, unsigned int number)
{
	new_driver(t, number);
	reach(t);
	write_some(t);
	flush(t, VIRTIO_BLK_S_OK);
	write_some(t);
	store_set(&t->store->fail, 1);
	flush(t, VIRTIO_BLK_S_IOERR);
	store_set(&t->store->fail, 0);
	/* At once, or after one more. */
	if (number % 2)
		flush(t, VIRTIO_BLK_S_IOERR);
	daemon_kill(&t->daemon);
	front_disconnect(&t->front);
	reach(t);
	flush(t, VIRTIO_BLK_S_IOERR);
	flush(t, VIRTIO_BLK_S_IOERR);
	load_finish(&t->load);
	front_finish(&t->front);
}

static void open_store(struct lost *t)
{
	int fd = open(t->control, O_RDWR | O_CLOEXEC);
	struct stat st;

	t->store = fd < 0 ? MAP_FAILED :
			    mmap(NULL, sizeof(*t->store),
				 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t->store == MAP_FAILED || stat(t->file, &st))
		die("%s, %s: %s", t->control, t->file, strerror(errno));
	close(fd);
	t->nsectors = (uint32_t)(st.st_size / SECTOR);
}

int main(int argc, char **argv)
{
	static struct lost t = { .kills = 20, .seed = 1 };
	const struct key keys[] = {
		{ "program", NULL, &t.daemon.program },
		{ "socket", NULL, &t.daemon.socket },
		{ "disk", NULL, &t.daemon.disk },
		{ "file", NULL, &t.file },
		{ "control", NULL, &t.control },
		{ "kills", &t.kills, NULL },
		{ "seed", &t.seed, NULL },
		{ "packed", &t.packed, NULL },
		{ "foreground", &t.daemon.foreground, NULL },
	};

	signal(SIGPIPE, SIG_IGN);
	take_keys(keys, sizeof(keys) / sizeof(keys[0]), argc, argv);
	if (!t.daemon.program || !t.daemon.socket || !t.daemon.disk ||
	    !t.file || !t.control)
		die("lost: program=, socket=, file=, control=, disk= are "
		    "needed");
	open_store(&t);
	for (unsigned int i = 0; i < t.kills; i++)
		one_kill(&t, i);
	printf("%u kills; %u starts, %u of them refused\n", t.kills,
	       t.daemon.starts, t.daemon.refusals);
	daemon_end_all();
	return 0;
}
