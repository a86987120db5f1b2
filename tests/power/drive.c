/* SPDX-License-Identifier: MIT */
/*
 * The driver: requests to a disk over vhost-user, and a journal of them.
 *
 * Writes, zeroes, discards and flushes at random, over several queues with
 * several requests each; some of them overlap others that are under way. It is
 * one thread, so that the journal tells what came before what: what is answered
 * before another is begun, on whatever queue, is older than that.
 *
 * With switch=N the driver chooses the other cache mode after each N requests,
 * under load. To write-through: what was answered before is made stable by the
 * device by itself, soon; there is no answer for that. So no flush is asked for
 * at that time, and the first one that the log has after it is the one. Where
 * there is none within a second the journal says nevertheless that all is
 * stable, and the replayer shows what is not. One that fails promises nothing.
 *
 * usage: drive SOCKET PROGRESS JOURNAL [queues=N] [depth=N] [ops=N] [seed=N]
 *	        [switch=N] [switches=N] [whole=1] [flushes=0] [percent_flush=N]
 *	        [align=N] [errors=1] [stall=1]
 *
 * switches=N: goes on until it has gone over to write-through so often.
 * whole=1: each write is stable when it is answered, as with a disk that is
 * write-through. flushes=0: the driver is one that cannot flush. errors=1: some
 * requests fail. stall=1: at first a flush, which takes the store long.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <unistd.h>

#define POWER_PROGRAM "drive"
#include "front.h"
#include "power.h"

enum {
	HOT = 256, /* sectors at the start that are written more often */
	RUN = 24,  /* sectors of most requests, at most */
	SETTLE_MS = 1000,
};

enum phase {
	BACK,     /* write-back, or as the disk is */
	LEAVING,  /* ... with no more flushes, and maybe nothing more */
	SETTLING, /* write-through: nothing is begun until all is stable */
	THROUGH,
};

struct slot {
	bool busy;
	uint8_t op;
	uint32_t id;
	uint32_t sector, sectors;
};

static unsigned int nqueues = 1, depth = 16, ops = 2000, seed = 1, switch_after,
		    whole, flushes = 1, percent_flush = 4, align = 1, errors,
		    switches_min, stall;
static struct front front;
static struct progress *progress;
static FILE *journal;
static struct slot slots[FRONT_QUEUES_MAX][FRONT_DEPTH_MAX];
static unsigned int in_flight, flushes_in_flight, failed;
static uint32_t begun, switches;
static uint64_t random_state;

static enum phase phase;
static bool quietly;         /* LEAVING with nothing in flight */
static uint32_t switched_at; /* requests begun */
static uint64_t flushes_before;

/* ---- journal ---- */

static void note(enum journal_event event, const struct slot *s, bool bad)
{
	struct journal_record r = {
		.event = (uint8_t)event,
		.bad = bad,
		.whole = phase >= SETTLING || whole || !flushes,
		.entries = atomic_load(&progress->entries),
	};

	if (s) {
		r.op = s->op;
		r.id = s->id;
		r.sector = s->sector;
		r.sectors = s->sectors;
	}
	if (fwrite(&r, sizeof(r), 1, journal) != 1)
		die("the journal", strerror(errno));
}

/* ---- requests ---- */

/* Whether there is more to do. On a busy machine a switch may take long. */
static bool goes_on(void)
{
	return begun < ops || (switches < switches_min && begun / 20 < ops);
}

static bool may_flush(void)
{
	return flushes && phase != LEAVING && phase != SETTLING;
}

static enum operation choose_op(void)
{
	unsigned int dice = pick(&random_state, 100);

	if (dice < percent_flush && may_flush())
		return FLUSH;
	if (dice >= 97)
		return DISCARD;
	return dice >= 92 ? ZERO : WRITE;
}

static void choose_range(struct slot *s)
{
	unsigned int limit = pick(&random_state, 20) ? RUN : RUN_MAX;
	unsigned int all = (unsigned int)front.sectors;
	unsigned int room = pick(&random_state, 2) ? HOT : all;

	s->sectors = 1 + pick(&random_state, limit / align) * align;
	s->sectors = (s->sectors + align - 1) / align * align;
	s->sector = pick(&random_state, room / align) * align;
	if (s->sector > all - s->sectors)
		s->sector = all - s->sectors;
}

static void fill(const struct slot *s, uint8_t *data)
{
	uint64_t words[SECTOR_WORDS];

	for (uint32_t i = 0; i < s->sectors; i++) {
		fill_sector(words, s->id, s->sector + i);
		memcpy(data + (size_t)i * SECTOR, words, SECTOR);
	}
}

static void begin_op(unsigned int q, unsigned int i, enum operation op)
{
	static const uint32_t types[] = {
		[WRITE] = VIRTIO_BLK_T_OUT,
		[ZERO] = VIRTIO_BLK_T_WRITE_ZEROES,
		[DISCARD] = VIRTIO_BLK_T_DISCARD,
		[FLUSH] = VIRTIO_BLK_T_FLUSH,
	};
	struct slot *s = &slots[q][i];

	*s = (struct slot){ .busy = true, .id = ++begun };
	s->op = (uint8_t)op;
	if (s->op != FLUSH)
		choose_range(s);
	if (s->op == WRITE)
		fill(s, front_data(&front, q, i));
	note(JOURNAL_SUBMIT, s, false);
	front_put(&front, q, i, types[s->op], s->sector, s->sectors,
		  s->op == ZERO && pick(&random_state, 2));
	in_flight++;
	flushes_in_flight += s->op == FLUSH;
}

static void begin(unsigned int q, unsigned int i)
{
	begin_op(q, i, choose_op());
}

static void end(unsigned int q, unsigned int i, uint8_t status)
{
	struct slot *s = &slots[q][i];

	if (!s->busy)
		die("a request", "is answered twice");
	if (status && !errors)
		die("a request", "failed");
	failed += status != 0;
	note(JOURNAL_ANSWER, s, status != 0);
	s->busy = false;
	in_flight--;
	flushes_in_flight -= s->op == FLUSH;
}

static bool begin_all(void)
{
	bool any = false;

	if (phase == SETTLING || (phase == LEAVING && quietly))
		return false;
	for (unsigned int q = 0; q < nqueues; q++) {
		bool some = false;

		for (unsigned int i = 0; i < depth && goes_on(); i++)
			if (!slots[q][i].busy) {
				begin(q, i);
				some = true;
			}
		if (some)
			front_kick(&front, q);
		any |= some;
	}
	return any;
}

static bool end_all(void)
{
	bool any = false;

	for (unsigned int q = 0; q < nqueues; q++) {
		unsigned int i;
		uint8_t status;

		while (front_take(&front, q, &i, &status)) {
			end(q, i, status);
			any = true;
		}
	}
	return any;
}

/* ---- the cache mode ---- */

static void leave_write_back(void)
{
	flushes_before = atomic_load(&progress->flushes);
	front_choose_mode(&front, false);
	phase = SETTLING;
	note(JOURNAL_THROUGH, NULL, false);
}

static void settle(void)
{
	for (unsigned int i = 0; i < SETTLE_MS; i++) {
		if (atomic_load(&progress->flushes) > flushes_before ||
		    atomic_load(&progress->failures))
			break;
		usleep(1000);
	}
	/* Of a failure the driver hears by the next that is to be stable. */
	if (!atomic_load(&progress->failures))
		note(JOURNAL_SETTLED, NULL, false);
	phase = THROUGH;
	switches++;
	switched_at = begun;
}

static void return_to_write_back(void)
{
	phase = BACK;
	note(JOURNAL_BACK, NULL, false);
	front_choose_mode(&front, true);
	switched_at = begun;
}

static void think_of_mode(void)
{
	bool due = switch_after && begun - switched_at >= switch_after;

	switch (phase) {
	case BACK:
		if (!due)
			break;
		phase = LEAVING;
		quietly = pick(&random_state, 2);
		break;
	case LEAVING:
		if (!flushes_in_flight && (!quietly || !in_flight))
			leave_write_back();
		break;
	case SETTLING:
		if (!in_flight)
			settle();
		break;
	case THROUGH:
		if (due)
			return_to_write_back();
		break;
	}
}

/* ---- a flush that takes long ---- */

static void await_all(void)
{
	while (in_flight)
		if (!end_all())
			front_wait(&front);
}

/*
 * A write that comes while the store flushes, which takes the store a lock, has
 * to wait: it, and not the device. It answers before the flush has ended.
 */
static void look_at_stall(void)
{
	begin_op(0, 0, WRITE);
	front_kick(&front, 0);
	await_all();
	begin_op(0, 1, FLUSH);
	front_kick(&front, 0);
	for (unsigned int i = 0; !atomic_load(&progress->begun); i++) {
		if (i == SETTLE_MS * 20)
			die("the store", "is not told to flush");
		usleep(1000);
	}
	begin_op(0, 2, WRITE);
	front_kick(&front, 0);
	/* Where it takes the device longer, nothing is seen. */
	usleep(200000);
	front_ask(&front);
	if (atomic_load(&progress->flushes))
		die("the device", "stood still until its store had flushed");
	await_all();
}

/* ---- the program ---- */

static void open_files(const char *progress_path, const char *journal_path)
{
	int fd = open(progress_path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(progress_path, strerror(errno));
	progress = mmap(NULL, sizeof(*progress), PROT_READ, MAP_SHARED, fd, 0);
	journal = fopen(journal_path, "w");
	if (progress == MAP_FAILED || !journal)
		die(journal_path, strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct number_key keys[] = {
		{ "queues", &nqueues },
		{ "depth", &depth },
		{ "ops", &ops },
		{ "seed", &seed },
		{ "switch", &switch_after },
		{ "switches", &switches_min },
		{ "whole", &whole },
		{ "flushes", &flushes },
		{ "percent_flush", &percent_flush },
		{ "align", &align },
		{ "errors", &errors },
		{ "stall", &stall },
		{ NULL, NULL },
	};

	if (argc < 4)
		die("usage", "drive SOCKET PROGRESS JOURNAL [KEY=NUMBER]...");
	for (int i = 4; i < argc; i++)
		take_number(keys, argv[i]);
	if (nqueues > FRONT_QUEUES_MAX || depth > FRONT_DEPTH_MAX ||
	    align > RUN)
		die("queues, depth or align", "too large");
	random_state = seed;
	open_files(argv[2], argv[3]);
	front_connect(&front, argv[1], nqueues, flushes);
	if (front.sectors > DISK_MAX || front.sectors < 2 * HOT)
		die("the disk", "of another size than expected");
	if (stall)
		look_at_stall();
	while (goes_on() || in_flight || phase == SETTLING) {
		bool any = begin_all();

		any |= end_all();
		think_of_mode();
		if (!any && in_flight)
			front_wait(&front);
	}
	if (fclose(journal))
		die(argv[3], strerror(errno));
	printf("%u requests, %u failed\n", begun, failed);
	return 0;
}
