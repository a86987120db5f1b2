/* SPDX-License-Identifier: MIT */
/*
 * Layers of a disk's keys: a later one counts in either direction, defaults
 * fill the rest, and the whole is checked.
 */
#include "lib/model_memory.h"

#include <stdio.h>

#include "config/key_text.h"
#include "config/layers.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char error[BLOCK_ERROR_MAX];

static void parse(struct disk_options *disk, const char *text)
{
	memset(disk, 0, sizeof(*disk));
	if (keys_parse(disk, text, error))
		fail_msg("%s: %s", text, error);
}

/* Two layers, the later one last. */
static int settle(struct disk_options *disk, const char *below,
		  const char *above, enum disk_front front)
{
	struct disk_options layer[2];
	const struct disk_options *const layers[] = { &layer[0], &layer[1] };
	int r;

	parse(&layer[0], below);
	parse(&layer[1], above);
	error[0] = '\0';
	r = layers_settle(disk, layers, 2, front, error);
	/* What came of them is its own. */
	keys_finish(&layer[0]);
	keys_finish(&layer[1]);
	return r;
}

static void settles_to(const char *below, const char *above,
		       enum disk_front front, const char *wanted)
{
	struct disk_options disk;
	char *text;

	if (settle(&disk, below, above, front))
		fail_msg("%s; %s: %s", below, above, error);
	text = key_text_dump(&disk);
	assert_string_equal(text, wanted);
	free(text);
	keys_finish(&disk);
}

#define REST_OF_XEN \
	"block-size=4096,queues=1,queue-size=256,packed=off,legacy=off"

/* Each kind of value, there and back. */
static void test_the_later_layer_counts_in_either_direction(void **state)
{
	static const struct {
		const char *below, *above;
		const char *after; /* as the dump has it */
	} cases[] = {
		{ "readonly=on", "readonly=off", "readonly=off" },
		{ "readonly=off", "readonly=on", "readonly=on" },
		{ "readonly=on", "queues=2", "readonly=on" },
		{ "cache=unsafe", "cache=auto", "cache=auto" },
		{ "cache=auto", "cache=unsafe", "cache=unsafe" },
		{ "discard=off", "discard=auto", "discard=auto" },
		{ "discard=off", "discard=on", "discard=on" },
		{ "discard=off", "", "discard=off" },
		{ "engine=threads", "engine=auto", "engine=auto" },
		{ "packed=on", "packed=off", "packed=off" },
		{ "legacy=on", "legacy=off", "legacy=off" },
		{ "queues=9", "queues=1", "queues=1" },
		{ "queue-size=8", "queue-size=256", "queue-size=256" },
		{ "block-size=4096", "block-size=512", "block-size=512" },
		{ "serial=a", "serial=b", "serial=b" },
		{ "serial=a", "serial=", "serial=," },
		{ "serial=", "serial=b", "serial=b" },
		{ "block-size=4096", "block-size=", "block-size=," },
		{ "size=1G", "size=", "size=0" },
		{ "id=a", "id=b", "id=b" },
		{ "", "file=/b", "file=/b" },
		{ "file=/b", "", "file=/b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct disk_options disk;
		char below[80];
		char *text;

		/* So that it is whole. */
		snprintf(below, sizeof(below), "%s%s%s", cases[i].below,
			 *cases[i].below ? "," : "",
			 strstr(cases[i].below, "file=") ? "queues=3" :
							   "file=/a");
		if (settle(&disk, below, cases[i].above, DISK_FOR_XEN))
			fail_msg("%s; %s: %s", below, cases[i].above, error);
		text = key_text_dump(&disk);
		if (!strstr(text, cases[i].after))
			fail_msg("%s; %s: %s is not in %s", below,
				 cases[i].above, cases[i].after, text);
		free(text);
		keys_finish(&disk);
	}
}

static void test_defaults_fill_the_rest(void **state)
{
	(void)state;
	settles_to("file=/mine,queues=2",
		   "id=x,engine=null,serial=s,readonly=on,cache=unsafe,"
		   "block-size=512,queue-size=8,queues=9,discard=on,"
		   "packed=on",
		   DISK_FOR_XEN,
		   "file=/mine,id=x,format=raw,readonly=on,cache=unsafe,"
		   "discard=on,engine=null,serial=s,block-size=512,queues=9,"
		   "queue-size=8,packed=on,legacy=off");
	settles_to("", "file=/a", DISK_FOR_XEN,
		   "file=/a,format=raw,readonly=off,cache=auto,discard=auto,"
		   "engine=auto,queues=1,queue-size=256,packed=off,"
		   "legacy=off");
	settles_to("file=/a", "", DISK_FOR_VHOST,
		   "file=/a,format=raw,readonly=off,cache=auto,discard=auto,"
		   "engine=auto,queues=16,queue-size=1024,packed=off,"
		   "iothreads=0");
}

struct check {
	const char *keys;
	const char *says; /* NULL: it is right */
};

/* Whatever layer it comes from. */
static void test_the_whole_is_checked(void **state)
{
	static const struct check checks[] = {
		{ "file=/a", NULL },
		{ "engine=null,size=1G", NULL },
		{ "engine=null,file=/a", NULL },
		{ "", "file= is missing" },
		{ "engine=threads", "file= is missing" },
		{ "size=1G", "engine=null" },
		{ "size=0", "file= is missing" },
		{ "engine=null", "needs size=" },
		{ "engine=null,size=0", "needs size=" },
		{ "file=/a,engine=null,size=1G", "exclude" },
		{ "file=/a,engine=null,size=0", NULL },
		{ "file=/a,block-size=,size=,serial=", NULL },
		{ "file=/a,packed=on,legacy=on", "legacy=on" },
		{ "engine=null,size=1", "size=1: the value has to be a "
					"multiple of block-size=512" },
		{ "engine=null,size=1536", NULL },
		{ "engine=null,size=1536,block-size=1024", "block-size=1024" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(checks); i++) {
		for (int above = 0; above < 2; above++) {
			const char *keys = checks[i].keys;
			struct disk_options disk;
			int r = settle(&disk, above ? "" : keys,
				       above ? keys : "", DISK_FOR_XEN);

			print_message("# %s: %s\n", keys, error);
			assert_int_equal(r, checks[i].says ? -EINVAL : 0);
			if (checks[i].says)
				assert_non_null(strstr(error, checks[i].says));
			keys_finish(&disk);
		}
	}
}

/* What two layers say together, neither of them alone. */
static void test_layers_contradict_each_other(void **state)
{
	struct disk_options disk;

	(void)state;
	assert_int_equal(settle(&disk, "file=/a,packed=on", "legacy=on",
				DISK_FOR_XEN),
			 -EINVAL);
	assert_non_null(strstr(error, "legacy=on and packed=on"));
	assert_int_equal(settle(&disk, "file=/a", "engine=null,size=1M",
				DISK_FOR_XEN),
			 -EINVAL);
	assert_non_null(strstr(error, "exclude"));
	/* ... and one may take back what would. */
	settles_to("file=/a,packed=on,block-size=4096", "packed=off",
		   DISK_FOR_XEN,
		   "file=/a,format=raw,readonly=off,cache=auto,discard=auto,"
		   "engine=auto," REST_OF_XEN);
}

/* A key that asks for nothing is right anywhere. */
static void test_keys_of_use_over_one_front_only(void **state)
{
	static const struct {
		struct check check;
		enum disk_front front;
	} cases[] = {
		{ { "file=/a,legacy=on", NULL }, DISK_FOR_XEN },
		{ { "file=/a,legacy=on", "legacy=on: not with vhost-user" },
		  DISK_FOR_VHOST },
		{ { "file=/a,legacy=off", NULL }, DISK_FOR_VHOST },
		{ { "file=/a,iothreads=2", NULL }, DISK_FOR_VHOST },
		{ { "file=/a,iothreads=2", "iothreads=2: not with --domain" },
		  DISK_FOR_XEN },
		{ { "file=/a,iothreads=0", NULL }, DISK_FOR_XEN },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct check *check = &cases[i].check;
		struct disk_options disk;

		assert_int_equal(settle(&disk, "", check->keys, cases[i].front),
				 check->says ? -EINVAL : 0);
		if (check->says)
			assert_non_null(strstr(error, check->says));
		keys_finish(&disk);
	}
}

/* What a top layer shows alone; what is missing may come from below. */
static void test_the_top_layer_is_checked_alone(void **state)
{
	static const struct check checks[] = {
		{ "id=x", NULL },
		{ "id=x,engine=null", NULL },
		{ "id=x,legacy=on", NULL },
		{ "id=x,legacy=on,packed=on", "exclude" },
		{ "id=x,size=1G", "engine=null" },
		{ "id=x,size=1G,file=/a", "exclude" },
		{ "id=x,size=3,engine=null", "multiple" },
		{ "id=x,iothreads=1", "iothreads=1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(checks); i++) {
		struct disk_options layer;

		parse(&layer, checks[i].keys);
		assert_int_equal(layers_check_top(&layer, DISK_FOR_XEN, error),
				 checks[i].says ? -EINVAL : 0);
		if (checks[i].says)
			assert_non_null(strstr(error, checks[i].says));
		keys_finish(&layer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_the_later_layer_counts_in_either_direction),
		cmocka_unit_test(test_defaults_fill_the_rest),
		cmocka_unit_test(test_the_whole_is_checked),
		cmocka_unit_test(test_layers_contradict_each_other),
		cmocka_unit_test(test_keys_of_use_over_one_front_only),
		cmocka_unit_test(test_the_top_layer_is_checked_alone),
	};

	return cmocka_run_group_tests_name("config_layers", tests, NULL, NULL);
}
