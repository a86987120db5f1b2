/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=xs_read,--wrap=xs_write,--wrap=xs_rm,--wrap=xs_directory */
/* LDFLAGS: -Wl,--wrap=xs_transaction_start,--wrap=xs_transaction_end */
/* LDFLAGS: -Wl,--wrap=xen_device_open,--wrap=xen_device_close */
/* LDFLAGS: -Wl,--wrap=block_image_open,--wrap=block_engine_open */
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
	unsigned int devices, images;
	uint64_t base;
	uint32_t irq;
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
int __wrap_xen_device_open(struct xen_device *device,
			   struct ioreq_server *server,
			   struct virtio_device *dev, uint64_t base,
			   uint32_t irq);
void __wrap_xen_device_close(struct xen_device *device);
int __wrap_block_image_open(struct block_image *image,
			    const struct block_image_options *options,
			    char error[BLOCK_ERROR_MAX]);
int __real_block_image_open(struct block_image *image,
			    const struct block_image_options *options,
			    char error[BLOCK_ERROR_MAX]);
int __wrap_block_engine_open(struct block_engine **engine, const char *name,
			     struct block_image *image, unsigned int depth);
int __real_block_engine_open(struct block_engine **engine, const char *name,
			     struct block_image *image, unsigned int depth);

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

int __wrap_xen_device_open(struct xen_device *device,
			   struct ioreq_server *server,
			   struct virtio_device *dev, uint64_t base,
			   uint32_t irq)
{
	(void)device;
	(void)server;
	assert_non_null(dev);
	store_model.base = base;
	store_model.irq = irq;
	store_model.devices++;
	return 0;
}

void __wrap_xen_device_close(struct xen_device *device)
{
	(void)device;
}

int __wrap_block_image_open(struct block_image *image,
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
	return __real_block_image_open(image, &null, error);
}

int __wrap_block_engine_open(struct block_engine **engine, const char *name,
			     struct block_image *image, unsigned int depth)
{
	assert_non_null(name);
	return __real_block_engine_open(engine, "null", image, depth);
}

static void *map_ring(struct guest_memory *mem, uint64_t addr, uint64_t len)
{
	(void)mem;
	(void)addr;
	(void)len;
	return NULL;
}

static const struct guest_memory_ops no_memory = { .map_ring = map_ring };

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

static void serve(struct guest_disk *gd, struct store *store,
		  struct disk_options *over, unsigned int n)
{
	struct guest_memory mem = { .ops = &no_memory };
	struct loop loop;
	int r;

	assert_int_equal(loop_init(&loop), 0);
	r = guest_disk_open(gd, store, over, n, "web", &loop, NULL, &mem);
	if (r == 0) {
		assert_int_equal(gd->phase, GUEST_DISK_SERVED);
		assert_int_equal(store_model.devices, 1);
		assert_true(store_model.base != 0 && store_model.irq != 0);
		assert_string_equal(find(DIRECTORY "/state")->value, "2");
		guest_disk_begin_close(gd);
		assert_true(guest_disk_is_drained(gd));
		guest_disk_close(gd);
		assert_int_equal(guest_disk_closed(store, DIRECTORY), 0);
		assert_string_equal(find(DIRECTORY "/state")->value, "6");
		assert_true(guest_disk_is_unwanted(gd, store));
	} else {
		assert_int_equal(gd->phase, GUEST_DISK_NONE);
		assert_null(find(DIRECTORY "/state"));
		assert_non_null(find(DIRECTORY "/error"));
		assert_int_not_equal(find(DIRECTORY "/error")->value[0], '\0');
	}
	loop_finish(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_disk gd;
	struct fuzz_input in = { data, size };
	struct store store = { .xs = (void *)&store_model };
	struct disk_options over;
	unsigned int n;

	memset(&gd, 0, sizeof(gd));
	memset(&store_model, 0, sizeof(store_model));
	gd.devid = 51712;
	snprintf(gd.path, sizeof(gd.path), "%s", DIRECTORY);
	n = overrides(&in, &over);
	fill(&in);
	check_number(&store);
	if (guest_disk_state(&store, DIRECTORY) == XENBUS_INITIALISING)
		serve(&gd, &store, &over, n);
	keys_finish(&over);
	return 0;
}
