/* SPDX-License-Identifier: MIT */
/*
 * Plays a hostile driver on a real virtio-mmio block device: register accesses
 * that no driver makes, rings in places where no memory is, and chains that
 * break the rules. Runs as root in a guest whose own driver has let go of the
 * device: the registers by /dev/mem, the rings in locked pages of its own,
 * whose guest addresses /proc/self/pagemap tells.
 *
 *	ringplay BASE SECONDS
 *	ringplay BASE TURN
 *
 * Each case starts from a reset and ends as its row says: with that status and
 * used length, or with DEVICE_NEEDS_RESET. After each, a good request must work
 * again. The last part rewrites a ring at random for SECONDS while the device
 * reads it. Prints how many cases there were; exits 1 if one went wrong.
 *
 * With a word it asks for one read, which somebody holds in the store, and
 * resets the device: this processor stands still in that until the device lets
 * it go, when the read must be over. The device may be gone then and is not
 * touched.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	RING = 8, /* entries */
	WINDOW = 0x200,
	ANSWER_MS = 10000,
};

/* Registers, VIRTIO 1.3, section 4.2.2. */
enum {
	MAGIC = 0x000,
	DRIVER_FEATURES = 0x020,
	DRIVER_FEATURES_SEL = 0x024,
	QUEUE_SEL = 0x030,
	QUEUE_NUM_MAX = 0x034,
	QUEUE_NUM = 0x038,
	QUEUE_READY = 0x044,
	QUEUE_NOTIFY = 0x050,
	INTERRUPT_ACK = 0x064,
	STATUS = 0x070,
	QUEUE_DESC = 0x080,
	QUEUE_DRIVER = 0x090,
	QUEUE_DEVICE = 0x0a0,
	CONFIG = 0x100,
};

enum {
	S_ACKNOWLEDGE = 1,
	S_DRIVER = 2,
	S_DRIVER_OK = 4,
	S_FEATURES_OK = 8,
	S_NEEDS_RESET = 64
};

enum { N = 1, W = 2, I = 4 }; /* descriptor flags */

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8 };

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

/* Pages of ours, one for each purpose. */
enum page {
	P_DESC,
	P_AVAIL,
	P_USED,
	P_TABLE,
	P_HEADER,
	P_STATUS,
	P_DATA,
	P_DATA2,
	PAGES
};

/* Addresses at which a guest has no memory. */
#define NOWHERE UINT64_C(0xfffffffffffff000)
#define HOLE UINT64_C(0x0000003000000000)
#define OWN_WINDOW UINT64_C(0x0000000002000000)

static volatile uint8_t *window;
static uint8_t *page[PAGES];
static uint64_t guest_address[PAGES];
static unsigned int cases, wrong;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void complain(const char *name, const char *what, unsigned long got)
{
	printf("ringplay: %s: %s (%#lx)\n", name, what, got);
	wrong++;
}

/*
 * ---- registers
 *
 * Single plain loads and stores: the hypervisor cannot emulate the forms with
 * write-back that a compiler may choose.
 */

static uint64_t get(unsigned int offset, unsigned int size)
{
	volatile uint8_t *p = window + offset;
	uint64_t v = 0;

	switch (size) {
	case 1:
		__asm__ volatile("ldrb %w0, [%1]"
				 : "=r"(v)
				 : "r"(p)
				 : "memory");
		break;
	case 2:
		__asm__ volatile("ldrh %w0, [%1]"
				 : "=r"(v)
				 : "r"(p)
				 : "memory");
		break;
	case 4:
		__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(p) : "memory");
		break;
	default:
		__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(p) : "memory");
	}
	return v;
}

static void put(unsigned int offset, unsigned int size, uint64_t v)
{
	volatile uint8_t *p = window + offset;

	switch (size) {
	case 1:
		__asm__ volatile("strb %w0, [%1]"
				 :
				 : "r"(v), "r"(p)
				 : "memory");
		break;
	case 2:
		__asm__ volatile("strh %w0, [%1]"
				 :
				 : "r"(v), "r"(p)
				 : "memory");
		break;
	case 4:
		__asm__ volatile("str %w0, [%1]" : : "r"(v), "r"(p) : "memory");
		break;
	default:
		__asm__ volatile("str %0, [%1]" : : "r"(v), "r"(p) : "memory");
	}
}

static uint32_t reg(unsigned int offset)
{
	return (uint32_t)get(offset, 4);
}

static void set(unsigned int offset, uint32_t value)
{
	__sync_synchronize();
	put(offset, 4, value);
}

static void set64(unsigned int offset, uint64_t value)
{
	set(offset, (uint32_t)value);
	set(offset + 4, (uint32_t)(value >> 32));
}

/* ---- the device's life -------------------------------------------------- */

static void reset(const char *name)
{
	set(STATUS, 0);
	if (reg(STATUS) != 0)
		complain(name, "a reset leaves a status", reg(STATUS));
	if (reg(MAGIC) != 0x74726976)
		complain(name, "the magic value is gone", reg(MAGIC));
}

static void negotiate(void)
{
	set(STATUS, S_ACKNOWLEDGE);
	set(STATUS, S_ACKNOWLEDGE | S_DRIVER);
	set(DRIVER_FEATURES_SEL, 0);
	set(DRIVER_FEATURES, 1u << 28 | 1u << 9); /* INDIRECT, FLUSH */
	set(DRIVER_FEATURES_SEL, 1);
	set(DRIVER_FEATURES, 1); /* VERSION_1 */
	set(STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
}

static void queue_up(uint64_t desc, uint64_t avail, uint64_t used,
		     uint32_t size)
{
	set(QUEUE_SEL, 0);
	set(QUEUE_NUM, size);
	set64(QUEUE_DESC, desc);
	set64(QUEUE_DRIVER, avail);
	set64(QUEUE_DEVICE, used);
	set(QUEUE_READY, 1);
	set(STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

static void start(const char *name)
{
	reset(name);
	for (int i = 0; i < PAGES; i++)
		memset(page[i], 0, PAGE);
	memset(page[P_STATUS], 0xee, PAGE);
	negotiate();
	queue_up(guest_address[P_DESC], guest_address[P_AVAIL],
		 guest_address[P_USED], RING);
}

static volatile uint16_t *avail(void)
{
	return (volatile uint16_t *)page[P_AVAIL];
}

static volatile uint16_t *used_idx(void)
{
	return (volatile uint16_t *)page[P_USED] + 1;
}

static volatile uint32_t *used_elem(unsigned int i)
{
	return (volatile uint32_t *)(page[P_USED] + 4) + 2 * i;
}

/* Make `head` available as number `i` since the start, and notify. */
static void offer(uint16_t head, uint16_t i)
{
	avail()[2 + i % RING] = head;
	__sync_synchronize();
	avail()[1] = (uint16_t)(i + 1);
	set(QUEUE_NOTIFY, 0);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

enum outcome { SILENT, ANSWERED, BROKEN };

/* Until `n` are used or the device gives up. */
static enum outcome wait_for(uint16_t n)
{
	uint64_t end = now_ms() + ANSWER_MS;

	do {
		if (reg(STATUS) & S_NEEDS_RESET)
			return BROKEN;
		__sync_synchronize();
		if (*used_idx() == n)
			return ANSWERED;
		usleep(200);
	} while (now_ms() < end);
	return SILENT;
}

/* ---- chains ------------------------------------------------------------- */

/* A descriptor of a row; one without a place is the table's end. */
struct piece {
	bool used;
	enum page at;
	uint64_t addr; /* instead of a page, if not 0 */
	uint32_t offset, len;
	uint16_t flags, next;
};

struct row {
	const char *name;
	uint32_t type;
	uint64_t sector;
	uint16_t head;
	bool needs_reset;
	uint8_t status;     /* 0xee: must not be written */
	uint32_t used;      /* length */
	uint32_t table_len; /* of an indirect table, if not as it is */
	struct piece piece[RING];
};

#define P(page_, offset_, len_, flags_, next_)                             \
	{                                                                  \
		.used = true, .at = page_, .offset = offset_, .len = len_, \
		.flags = flags_, .next = next_                             \
	}
#define AT(addr_, len_, flags_, next_)                                     \
	{                                                                  \
		.used = true, .addr = addr_, .len = len_, .flags = flags_, \
		.next = next_                                              \
	}
#define HEADER P(P_HEADER, 0, 16, N, 1)
#define DONE(next_) P(P_STATUS, 0, 1, W, next_)

static const struct row rows[] = {
	{ "read", T_IN, 0, .used = 513,
	  .piece = { HEADER, P(P_DATA, 0, 512, N | W, 2), DONE(0) } },
	{ "read in two odd pieces", T_IN, 0, .used = 513,
	  .piece = { HEADER, P(P_DATA, 1, 11, N | W, 2),
		     P(P_DATA2, 3, 501, N | W, 3), DONE(0) } },
	{ "get id", T_GET_ID, 0, .used = 21,
	  .piece = { HEADER, P(P_DATA, 0, 20, N | W, 2), DONE(0) } },
	{ "flush", T_FLUSH, 0, .used = 1, .piece = { HEADER, DONE(0) } },
	{ "unknown type", 0x1234, 0, .status = 2, .used = 1,
	  .piece = { HEADER, DONE(0) } },
	{ "unknown type with data", 99, 0, .status = 2,
	  .piece = { HEADER, P(P_DATA, 0, 512, N | W, 2), DONE(0) } },
	{ "read past the end", T_IN, UINT64_C(1) << 40, .status = 1,
	  .piece = { HEADER, P(P_DATA, 0, 512, N | W, 2), DONE(0) } },
	{ "sector whose byte overflows", T_IN, UINT64_C(0x80000000000000),
	  .status = 1,
	  .piece = { HEADER, P(P_DATA, 0, 512, N | W, 2), DONE(0) } },
	{ "last sector there can be", T_OUT, UINT64_MAX, .status = 1, .used = 1,
	  .piece = { HEADER, P(P_DATA, 0, 512, N, 2), DONE(0) } },
	{ "half a sector", T_IN, 0, .status = 1,
	  .piece = { HEADER, P(P_DATA, 0, 256, N | W, 2), DONE(0) } },
	{ "write of 513 bytes", T_OUT, 0, .status = 1, .used = 1,
	  .piece = { HEADER, P(P_DATA, 0, 513, N, 2), DONE(0) } },
	{ "no status byte", T_IN, 0, .status = 0xee,
	  .piece = { P(P_HEADER, 0, 16, 0, 0) } },
	{ "nothing readable", T_IN, 0, .status = 1, .used = 1,
	  .piece = { DONE(0) } },
	{ "header of 8 bytes", T_IN, 0, .status = 1, .used = 1,
	  .piece = { P(P_HEADER, 0, 8, N, 1), DONE(0) } },
	{ "empty descriptors", T_FLUSH, 0, .used = 1,
	  .piece = { P(P_HEADER, 0, 0, N, 1), P(P_HEADER, 0, 16, N, 2),
		     P(P_DATA, 0, 0, N | W, 3), DONE(0) } },
	{ "only empty descriptors", T_FLUSH, 0, .status = 0xee,
	  .piece = { P(P_HEADER, 0, 0, N, 1), P(P_DATA, 0, 0, W, 0) } },
	{ "header nowhere", T_IN, 0, .status = 1, .used = 1,
	  .piece = { AT(NOWHERE, 16, N, 1), DONE(0) } },
	{ "header at the end of addresses", T_IN, 0, .status = 1, .used = 1,
	  .piece = { AT(UINT64_MAX - 7, 16, N, 1), DONE(0) } },
	{ "data in a hole", T_IN, 0, .status = 1,
	  .piece = { HEADER, AT(HOLE, 512, N | W, 2), DONE(0) } },
	{ "write from a hole", T_OUT, 0, .status = 1, .used = 1,
	  .piece = { HEADER, AT(HOLE, 512, N, 2), DONE(0) } },
	{ "data in the device's window", T_IN, 0, .status = 1,
	  .piece = { HEADER, AT(OWN_WINDOW, 512, N | W, 2), DONE(0) } },
	{ "status nowhere", T_FLUSH, 0, .status = 0xee,
	  .piece = { HEADER, AT(NOWHERE, 1, W, 0) } },
	{ "data of 2 GiB", T_IN, 0, .status = 1,
	  .piece = { HEADER, P(P_DATA, 0, 0x80000000, N | W, 2), DONE(0) } },
	{ "more than 4 GiB", T_IN, 0, .needs_reset = true,
	  .piece = { HEADER, P(P_DATA, 0, UINT32_MAX, N | W, 2),
		     P(P_DATA, 0, UINT32_MAX, N | W, 3), DONE(0) } },
	{ "a loop", T_IN, 0, .needs_reset = true,
	  .piece = { HEADER, P(P_DATA, 0, 512, N | W, 1) } },
	{ "points to itself", T_IN, 0, .needs_reset = true,
	  .piece = { P(P_HEADER, 0, 16, N, 0) } },
	{ "next out of range", T_IN, 0, .needs_reset = true,
	  .piece = { P(P_HEADER, 0, 16, N, RING), DONE(0) } },
	{ "next far out of range", T_IN, 0, .needs_reset = true,
	  .piece = { P(P_HEADER, 0, 16, N, 0xffff), DONE(0) } },
	{ "readable after writable", T_IN, 0, .needs_reset = true,
	  .piece = { HEADER, P(P_STATUS, 0, 1, N | W, 2),
		     P(P_DATA, 0, 512, 0, 0) } },
};

/* Rows of which only one layout makes sense: the head, indirect tables. */
static const struct row direct_rows[] = {
	{ "head out of range", .head = RING, .needs_reset = true },
	{ "head far out of range", .head = 0xffff, .needs_reset = true },
	{ "table nowhere", .needs_reset = true,
	  .piece = { AT(NOWHERE, 32, I, 0) } },
	{ "table in a hole", .needs_reset = true,
	  .piece = { AT(HOLE, 32, I, 0) } },
	{ "empty table", .needs_reset = true,
	  .piece = { P(P_TABLE, 0, 0, I, 0) } },
	{ "table of a piece", .needs_reset = true,
	  .piece = { P(P_TABLE, 0, 17, I, 0) } },
	{ "table of 4 GiB", .needs_reset = true,
	  .piece = { P(P_TABLE, 0, 0xfffffff0, I, 0) } },
	{ "table and a next", .needs_reset = true,
	  .piece = { P(P_TABLE, 0, 32, I | N, 1), DONE(0) } },
};

static void lay_out(struct desc *table, const struct row *row)
{
	for (unsigned int i = 0; i < RING && row->piece[i].used; i++) {
		const struct piece *p = &row->piece[i];

		table[i] = (struct desc){
			.addr = p->addr ? p->addr :
					  guest_address[p->at] + p->offset,
			.len = p->len,
			.flags = p->flags,
			.next = p->next,
		};
	}
}

static uint32_t pieces(const struct row *row)
{
	uint32_t n = 0;

	while (n < RING && row->piece[n].used)
		n++;
	return n;
}

/* A request that every device must answer, on a ring of its own. */
static void good_request(const char *name)
{
	static const struct row good = {
		"good request", T_IN, 0, .used = 513,
		.piece = { HEADER, P(P_DATA, 0, 512, N | W, 2), DONE(0) }
	};

	start(name);
	lay_out((struct desc *)page[P_DESC], &good);
	offer(0, 0);
	if (wait_for(1) != ANSWERED || page[P_STATUS][0] != 0)
		complain(name, "no good request works after it",
			 page[P_STATUS][0]);
}

static void judge(const struct row *row, const char *layout)
{
	enum outcome outcome = wait_for(1);
	char name[80];

	snprintf(name, sizeof(name), "%s, %s", row->name, layout);
	cases++;
	if (outcome == SILENT) {
		complain(name, "no answer", reg(STATUS));
	} else if ((outcome == BROKEN) != row->needs_reset) {
		complain(name, "the other reaction", reg(STATUS));
	} else if (outcome == ANSWERED) {
		if (page[P_STATUS][0] != row->status)
			complain(name, "status", page[P_STATUS][0]);
		if (used_elem(0)[1] != row->used)
			complain(name, "used length", used_elem(0)[1]);
		if (used_elem(0)[0] != row->head)
			complain(name, "used id", used_elem(0)[0]);
	}
	/* Whatever it was: nothing but the status byte of that page. */
	for (unsigned int i = 1; i < PAGE; i++)
		if (page[P_STATUS][i] != 0xee) {
			complain(name, "wrote beyond the status", i);
			break;
		}
	good_request(name);
}

static void set_header(const struct row *row)
{
	const struct header header = { row->type, 0, row->sector };

	memcpy(page[P_HEADER], &header, sizeof(header));
}

static void play_direct(const struct row *row)
{
	start(row->name);
	set_header(row);
	lay_out((struct desc *)page[P_DESC], row);
	offer(row->head, 0);
	judge(row, "direct");
}

static void play_indirect(const struct row *row)
{
	const struct desc table = {
		.addr = guest_address[P_TABLE],
		.len = pieces(row) * (uint32_t)sizeof(struct desc),
		.flags = I,
	};

	start(row->name);
	set_header(row);
	lay_out((struct desc *)page[P_TABLE], row);
	memcpy(page[P_DESC], &table, sizeof(table));
	offer(0, 0);
	judge(row, "indirect");
}

static void play_rows(void)
{
	const unsigned int n = sizeof(rows) / sizeof(rows[0]);
	const unsigned int m = sizeof(direct_rows) / sizeof(direct_rows[0]);

	for (unsigned int i = 0; i < n; i++) {
		play_direct(&rows[i]);
		play_indirect(&rows[i]);
	}
	for (unsigned int i = 0; i < m; i++)
		play_direct(&direct_rows[i]);
}

/* ---- indexes and places of rings ---------------------------------------- */

static void play_index(const char *name, uint16_t idx)
{
	start(name);
	avail()[1] = idx;
	set(QUEUE_NOTIFY, 0);
	cases++;
	if (wait_for(0xaaaa) != BROKEN)
		complain(name, "was believed", reg(STATUS));
	good_request(name);
}

static void play_places(void)
{
	static const uint64_t bad[] = {
		NOWHERE,        HOLE,
		OWN_WINDOW,     0,
		UINT64_MAX,     UINT64_C(0x8000000000000000),
		UINT64_MAX - 15
	};

	for (unsigned int i = 0; i < 3 * sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t at[3] = { guest_address[P_DESC],
				   guest_address[P_AVAIL],
				   guest_address[P_USED] };
		const char *name = "a part of the ring where no memory is";

		reset(name);
		negotiate();
		at[i % 3] = bad[i / 3];
		queue_up(at[0], at[1], at[2], RING);
		set(QUEUE_NOTIFY, 0);
		cases++;
		if (wait_for(0xaaaa) != BROKEN)
			complain(name, "was believed", i);
		good_request(name);
	}
}

static void play_sizes(void)
{
	static const uint32_t bad[] = { 0,     3,       2048,      32768,
					65536, 0x10008, UINT32_MAX };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *name = "a bad size of the ring";

		reset(name);
		negotiate();
		queue_up(guest_address[P_DESC], guest_address[P_AVAIL],
			 guest_address[P_USED], bad[i]);
		set(QUEUE_NOTIFY, 0);
		cases++;
		if (wait_for(0xaaaa) != BROKEN)
			complain(name, "was believed", bad[i]);
		good_request(name);
	}
}

/* ---- registers ---------------------------------------------------------- */

static void play_offset(unsigned int offset, unsigned int size, bool up)
{
	static const uint64_t values[] = { 0, 1, 0x80000000, UINT64_MAX };
	const char *name = "a register of any size";

	/* Sizes that no register has: the extremes will do. */
	for (unsigned int i = size == 4 ? 0 : 3; i < 4; i++) {
		if (up)
			start(name);
		get(offset, size);
		put(offset, size, values[i]);
		put(QUEUE_SEL, 4, values[i]);
		put(offset, size, values[i]);
		get(offset, size);
	}
	cases++;
	set(QUEUE_SEL, 0);
	reset(name);
}

static void play_registers(void)
{
	for (unsigned int size = 1; size <= 8; size *= 2) {
		unsigned int step = size < 4 ? 4 : size;

		for (unsigned int at = 0; at < WINDOW; at += step) {
			play_offset(at, size, false);
			if (size == 4 && at < CONFIG)
				play_offset(at, size, true);
		}
	}
	good_request("registers");
}

/* ---- a ring that changes while it is read ------------------------------- */

static uint64_t random_state = 88172645463325252u;

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32) % below;
}

/* Only ever our own pages, or none: a device may write where it is told to. */
static void mutate(struct desc *table)
{
	static const uint32_t lens[] = { 0,  1,   15,  16,   17,
					 32, 511, 512, 1024, 4096 };
	struct desc *d = &table[draw(RING)];

	switch (draw(5)) {
	case 0:
		d->addr = draw(8) ? guest_address[P_HEADER +
						  draw(PAGES - P_HEADER)] :
				    HOLE;
		break;
	case 1:
		d->len = lens[draw(sizeof(lens) / sizeof(lens[0]))];
		break;
	case 2:
		d->flags = (uint16_t)draw(8);
		break;
	case 3:
		d->next = (uint16_t)draw(RING + 1);
		break;
	default:
		((struct header *)page[P_HEADER])->type = draw(14);
	}
}

static unsigned long play_mutation(unsigned int seconds)
{
	uint64_t end = now_ms() + seconds * 1000u;
	unsigned long rounds = 0;

	while (now_ms() < end) {
		start("mutation");
		for (uint16_t i = 0; i < 64; i++) {
			for (int j = 0; j < 64; j++) {
				int at = draw(4) ? P_DESC : P_TABLE;

				mutate((struct desc *)page[at]);
			}
			offer((uint16_t)draw(RING), i);
			if (reg(STATUS) & S_NEEDS_RESET)
				break;
		}
		rounds++;
	}
	cases++;
	good_request("mutation");
	return rounds;
}

/* ---- set-up ------------------------------------------------------------- */

static uint64_t address_of(int pagemap, const void *p)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry),
		  (off_t)((uintptr_t)p / PAGE * sizeof(entry))) !=
	    sizeof(entry))
		die("/proc/self/pagemap");
	if (!(entry >> 63))
		die("a page is not there");
	return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

static void take_pages(void)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	if (pagemap < 0)
		die("/proc/self/pagemap");
	for (int i = 0; i < PAGES; i++) {
		page[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED |
				       MAP_POPULATE,
			       -1, 0);
		if (page[i] == MAP_FAILED)
			die("memory");
		memset(page[i], 0, PAGE);
		guest_address[i] = address_of(pagemap, page[i]);
	}
	close(pagemap);
}

static void take_window(uint64_t base)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	uint64_t start = base & ~(uint64_t)(PAGE - 1);
	uint8_t *p;

	if (fd < 0)
		die("/dev/mem");
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 (off_t)start);
	if (p == MAP_FAILED)
		die("the device's registers");
	close(fd);
	window = p + (base - start);
}

/* Whether the read ended before the reset, and nothing is written after it. */
static int reset_while_held(const char *turn)
{
	static const struct row read = {
		"read", T_IN, 0,
		.piece = { HEADER, P(P_DATA, 0, 512, N | W, 2), DONE(0) }
	};

	start(read.name);
	lay_out((struct desc *)page[P_DESC], &read);
	/* Nobody can count on a guest that has a processor standing. */
	printf("@@GUEST held %s\n", turn);
	fflush(stdout);
	usleep(300000);
	offer(0, 0);
	set(STATUS, 0);
	if (page[P_STATUS][0] != 0) {
		printf("@@GUEST FAIL let go before the read was over\n");
		return 1;
	}
	for (int i = 0; i < PAGES; i++)
		memset(page[i], 0x5a, PAGE);
	sleep(1);
	for (int i = 0; i < PAGES; i++)
		for (unsigned int k = 0; k < PAGE; k++)
			wrong += page[i][k] != 0x5a;
	printf("@@GUEST let go, %u bytes written after it, %s\n", wrong, turn);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	unsigned long rounds;

	if (argc != 3) {
		fprintf(stderr, "usage: ringplay BASE SECONDS|TURN\n");
		return 2;
	}
	take_window(strtoull(argv[1], NULL, 0));
	take_pages();
	if (argv[2][0] > '9')
		return reset_while_held(argv[2]);
	good_request("nothing yet");
	play_registers();
	play_rows();
	play_index("available index one too far", RING + 1);
	play_index("available index behind", 0xffff);
	play_index("available index half way", 0x8000);
	play_places();
	play_sizes();
	rounds = play_mutation((unsigned int)atoi(argv[2]));
	reset("the end");
	printf("%u hostile cases, %lu rings rewritten while read, %u wrong\n",
	       cases, rounds, wrong);
	return wrong != 0;
}
