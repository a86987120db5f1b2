/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=xs_read,--wrap=xs_write,--wrap=xs_rm,--wrap=xs_directory */
/* LDFLAGS: -Wl,--wrap=xs_transaction_start,--wrap=xs_transaction_end */
/* LDFLAGS: -Wl,--wrap=worker_attach,--wrap=worker_detach */
/* LDFLAGS: -Wl,--wrap=worker_awaits */
/* LDFLAGS: -Wl,--wrap=block_claim_open */
/*
 * The strings of xenstore: a disk's directory with values of any kind, from the
 * first look at it to the last state. No image is opened: the path is only
 * looked at.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "monitor/guest_disk.h"

enum { NODES_MAX = 16, VALUE_MAX = 96 };

struct node {
	char name[16];
	char value[VALUE_MAX + 1];
};

static struct {
	struct node node[NODES_MAX];
	unsigned int n;
	unsigned int attached, images;
} store_model;

#define DIRECTORY "backend/virtio_disk/5/51712"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_abort_on_failure();
	return 0;
}

static struct node *find(const char *path)
{
	assert_int_equal(strncmp(path, DIRECTORY "/", sizeof(DIRECTORY)), 0);
	path += sizeof(DIRECTORY);
	for (unsigned int i = 0; i < store_model.n; i++)
		if (!strcmp(store_model.node[i].name, path))
			return &store_model.node[i];
	return NULL;
}

static void set(const char *name, const char *value, size_t len)
{
	struct node *node = &store_model.node[store_model.n++];

	assert_true(store_model.n <= NODES_MAX);
	snprintf(node->name, sizeof(node->name), "%s", name);
	memcpy(node->value, value, len);
	node->value[len] = '\0';
}

xs_transaction_t __wrap_xs_transaction_start(struct xs_handle *h);
bool __wrap_xs_transaction_end(struct xs_handle *h, xs_transaction_t t,
			       bool abort);
void *__wrap_xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
		     unsigned int *len);
bool __wrap_xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
		     const void *data, unsigned int len);
bool __wrap_xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path);
char **__wrap_xs_directory(struct xs_handle *h, xs_transaction_t t,
			   const char *path, unsigned int *num);
void __wrap_worker_attach(struct worker *worker,
			  const struct worker_disk *disk);
void __wrap_worker_detach(struct worker *worker, uint64_t id);
bool __wrap_worker_awaits(const struct worker *worker, uint64_t id);
int __wrap_block_claim_open(struct block_claim *claim,
			    const struct block_image_options *options,
			    char error[BLOCK_ERROR_MAX]);
int __real_block_claim_open(struct block_claim *claim,
			    const struct block_image_options *options,
			    char error[BLOCK_ERROR_MAX]);
/* Nobody else is there: what is written is written. */
xs_transaction_t __wrap_xs_transaction_start(struct xs_handle *h)
{
	(void)h;
	return 1;
}

bool __wrap_xs_transaction_end(struct xs_handle *h, xs_transaction_t t,
			       bool abort)
{
	(void)h;
	(void)t;
	(void)abort;
	return true;
}

void *__wrap_xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
		     unsigned int *len)
{
	const struct node *node = find(path);

	(void)h;
	(void)t;
	assert_null(len);
	errno = ENOENT;
	return node ? strdup(node->value) : NULL;
}

bool __wrap_xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
		     const void *data, unsigned int len)
{
	struct node *node = find(path);

	(void)h;
	(void)t;
	if (!node && store_model.n < NODES_MAX) {
		set(path + sizeof(DIRECTORY), "", 0);
		node = find(path);
	}
	if (!node)
		return false;
	snprintf(node->value, sizeof(node->value), "%.*s", (int)len,
		 (const char *)data);
	return true;
}

bool __wrap_xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	struct node *node = find(path);

	(void)h;
	(void)t;
	if (!node)
		return false;
	*node = store_model.node[--store_model.n];
	return true;
}

char **__wrap_xs_directory(struct xs_handle *h, xs_transaction_t t,
			   const char *path, unsigned int *num)
{
	(void)h;
	(void)t;
	(void)path;
	*num = 0;
	return NULL;
}

void __wrap_worker_attach(struct worker *worker, const struct worker_disk *disk)
{
	(void)worker;
	assert_int_equal(disk->id, 51712);
	assert_true(disk->base != 0 && disk->irq != 0);
	assert_true(disk->options->serial[0] != '\0');
	assert_true(disk->part->facts.size != 0);
	block_part_close(disk->part);
	store_model.attached++;
}

/* No process was before this one. */
bool __wrap_worker_awaits(const struct worker *worker, uint64_t id)
{
	(void)worker;
	(void)id;
	return false;
}

void __wrap_worker_detach(struct worker *worker, uint64_t id)
{
	(void)worker;
	assert_int_equal(id, 51712);
	assert_int_equal(store_model.attached, 1);
	store_model.attached--;
}

int __wrap_block_claim_open(struct block_claim *claim,
			    const struct block_image_options *options,
			    char error[BLOCK_ERROR_MAX])
{
	struct block_image_options null = *options;

	null.file = NULL;
	if (!options->file || options->file[0] == '!') {
		snprintf(error, BLOCK_ERROR_MAX, "%s cannot be opened",
			 options->file ? options->file : "nothing");
		return -ENOENT;
	}
	null.size = 1 << 20;
	store_model.images++;
	return __real_block_claim_open(claim, &null, error);
}

/* A directory: most nodes as libxl writes them, any of them with any value. */
static void fill(struct fuzz_input *in)
{
	static const char *const usual[][2] = {
		{ "state", "1" },  { "online", "1" },
		{ "mode", "w" },   { "params", "/dev/vg/web" },
		{ "dev", "xvda" }, { "base", "33554432" },
		{ "irq", "33" },   { "grant_usage", "0" },
	};
	uint16_t absent = fuzz_u16(in), odd = fuzz_u16(in);

	store_model.n = 0;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		char value[VALUE_MAX];
		size_t n;

		if (absent & 0x100 && absent & (1u << i))
			continue;
		if (!(odd & (1u << i))) {
			set(usual[i][0], usual[i][1], strlen(usual[i][1]));
			continue;
		}
		n = fuzz_below(in, VALUE_MAX);
		fuzz_copy(in, value, n);
		set(usual[i][0], value, n);
	}
}

static void check_number(struct store *store)
{
	uint64_t n;
	const struct node *node = find(DIRECTORY "/base");

	if (store_read_number(store, &n, "%s/base", DIRECTORY))
		return;
	assert_non_null(node);
	assert_true(node->value[0] >= '0' && node->value[0] <= '9');
}

static unsigned int overrides(struct fuzz_input *in, struct disk_options *o)
{
	char text[128], error[BLOCK_ERROR_MAX];
	size_t len = fuzz_below(in, sizeof(text));

	memset(o, 0, sizeof(*o));
	fuzz_copy(in, text, len);
	text[len] = '\0';
	if (keys_parse(o, text, error) || !o->id) {
		keys_finish(o);
		return 0;
	}
	return 1;
}

static void check_end(struct guest_disk *gd)
{
	assert_int_equal(store_model.attached, 1);
	assert_string_equal(find(DIRECTORY "/state")->value, "2");
	guest_disk_detach(gd);
	assert_int_equal(gd->state, GUEST_DISK_CLOSING);
	assert_int_equal(store_model.attached, 0);
	guest_disk_ended(gd);
	assert_int_equal(gd->state, GUEST_DISK_SETTLED);
	assert_string_equal(find(DIRECTORY "/state")->value, "6");
}

/* Look at it once, and end what comes of it. */
static void review(struct guest_disk *gd)
{
	int state = backend_state(gd->host->store, DIRECTORY);

	guest_disk_review(gd, false);
	if (gd->state == GUEST_DISK_ATTACHING)
		guest_disk_attached(gd, 0, "");
	if (gd->state == GUEST_DISK_SERVED) {
		assert_int_equal(state, XENBUS_INITIALISING);
		check_end(gd);
		return;
	}
	assert_int_equal(store_model.attached, 0);
	assert_int_equal(gd->claim.fd, -1);
	assert_true(gd->state == GUEST_DISK_SETTLED ||
		    gd->state == GUEST_DISK_FOREIGN);
	if (state != XENBUS_INITIALISING)
		return;
	assert_null(find(DIRECTORY "/state"));
	assert_non_null(find(DIRECTORY "/error"));
	assert_int_not_equal(find(DIRECTORY "/error")->value[0], '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_disk gd;
	struct fuzz_input in = { data, size };
	struct store store = { .xs = (void *)&store_model };
	struct disk_options over;
	struct loop loop;
	struct guest_disk_host host = {
		.store = &store,
		.loop = &loop,
		.overrides = &over,
		.guest = "web",
		.domid = 5,
	};

	memset(&store_model, 0, sizeof(store_model));
	assert_int_equal(loop_init(&loop), 0);
	host.noverrides = overrides(&in, &over);
	fill(&in);
	check_number(&store);
	guest_disk_init(&gd, &host, 51712);
	assert_string_equal(gd.path, DIRECTORY);
	review(&gd);
	guest_disk_finish(&gd);
	keys_finish(&over);
	loop_finish(&loop);
	return 0;
}
