/* SPDX-License-Identifier: MIT */
/*
 * The keys of a disk: each value of each kind, errors that name the key, the
 * value and what is allowed, commas, sizes, and that what is dumped says the
 * same again.
 */
#include "lib/model_memory.h"

#include <stdio.h>

#include "block/engine.h"
#include "config/key_text.h"
#include "config/keys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char error[BLOCK_ERROR_MAX];

/* Parse into a new disk; it stays for the caller to look at. */
static int parse(struct disk_options *disk, const char *text)
{
	memset(disk, 0, sizeof(*disk));
	error[0] = '\0';
	return keys_parse(disk, text, error);
}

static void test_each_key_sets_its_member(void **state)
{
	struct disk_options d;

	(void)state;
	assert_int_equal(parse(&d,
			       "file=/img,id=xvda,format=raw,readonly=on,"
			       "cache=writeback,engine=threads,serial=S1,"
			       "block-size=4096,queues=4,queue-size=128,"
			       "size=10M,discard=off,packed=on,iothreads=3"),
			 0);
	assert_int_equal(d.format, DISK_FORMAT_RAW);
	assert_int_equal(d.discard, DISK_DISCARD_OFF);
	assert_true(d.packed);
	assert_false(d.legacy);
	assert_string_equal(d.file, "/img");
	assert_string_equal(d.id, "xvda");
	assert_true(d.readonly);
	assert_int_equal(d.cache, BLOCK_CACHE_WRITEBACK);
	assert_string_equal(d.engine, "threads");
	assert_string_equal(d.serial, "S1");
	assert_int_equal(d.block_size, 4096);
	assert_int_equal(d.queues, 4);
	assert_int_equal(d.queue_size, 128);
	assert_int_equal(d.iothreads, 3);
	assert_int_equal(d.size, 10 << 20);
	/* All but legacy. */
	assert_int_equal(d.given, (KEY_BIT(KEYS) - 1) & ~KEY_BIT(KEY_LEGACY));
	keys_finish(&d);
	assert_null(d.file);
	assert_int_equal(d.given, 0);
	assert_int_equal(parse(&d, "legacy=on"), 0);
	assert_true(d.legacy);
	assert_int_equal(d.given, KEY_BIT(KEY_LEGACY));
}

struct good {
	const char *text;
	const char *file;
	const char *id;
};

static void test_a_comma_in_a_value_is_written_twice(void **state)
{
	static const struct good good[] = {
		{ "file=/a,,b", "/a,b", NULL },
		{ "file=/a,,,id=x", "/a,", "x" },
		{ "file=,,", ",", NULL },
		{ "file=,,,,", ",,", NULL },
		{ "file=,,,,,id=y", ",,", "y" },
		{ "file=/a=b", "/a=b", NULL },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct disk_options d;

		assert_int_equal(parse(&d, good[i].text), 0);
		if (good[i].file)
			assert_string_equal(d.file, good[i].file);
		else
			assert_null(d.file);
		if (good[i].id)
			assert_string_equal(d.id, good[i].id);
		else
			assert_null(d.id);
		keys_finish(&d);
	}
}

struct bad {
	const char *text;
	const char *named; /* what the sentence has to name */
};

static void test_errors_name_the_key_and_what_is_allowed(void **state)
{
	static const struct bad bad[] = {
		{ "fil=/a", "\"fil\"" },
		{ "File=/a", "\"File\"" },
		{ "=x", "\"\"" },
		{ "file", "\"file\"" },
		{ ",file=/a", "\"\"" },
		{ "file=/a,", "\"\"" },
		{ "file=/a,,,", "written twice" },
		{ ",", "\"\"" },
		{ "id=a,bogus=1", "\"bogus\"" },
		{ "file=", "a path of 1 to 4095 bytes" },
		{ "file=/a,b", "\"b\"" },
		{ "format=qcow2", "format=qcow2: the value has to be raw" },
		{ "readonly=maybe", "on|off" },
		{ "readonly=", "readonly=" },
		{ "cache=fast", "cache=fast" },
		{ "cache=", "auto|none|writeback|writethrough|unsafe" },
		{ "discard=maybe", "discard=" },
		{ "discard=", "auto|on|off" },
		{ "serial=123456789012345678901", "1 to 20 bytes" },
		{ "serial=123456789012345678901", "or nothing" },
		{ "id=", "a name of 1 to 63 bytes" },
		{ "iothreads=17", "0..16" },
		{ "engine=", "threads|null" },
		{ "engine=foo", "threads|null" },
		{ "engine=thread", "engine=thread" },
		{ "engine=threads|null", "engine=threads|null" },
		{ "engine=auto|", "engine=auto|" },
		{ "engine=threadsx", "engine=threadsx" },
		{ "block-size=256", "block-size=256" },
		{ "block-size=513", "512|1024|2048|4096" },
		{ "block-size=3072", "block-size=3072" },
		{ "block-size=8192", "block-size=8192" },
		{ "block-size=1M", "block-size=1M" },
		{ "queues=0", "1..16" },
		{ "queues=17", "queues=17" },
		{ "queues=-1", "queues=-1" },
		{ "queues= 1", "queues= 1" },
		{ "queues=4294967297", "queues=" },
		{ "queue-size=1", "queue-size=1" },
		{ "queue-size=100", "a power of two, 2..1024" },
		{ "queue-size=2048", "queue-size=2048" },
		{ "queue-size=65536", "queue-size=65536" },
		{ "size=x", "size=x" },
		{ "size=1KB", "size=1KB" },
		{ "size=1kb", "size=1kb" },
		{ "size=1e3", "powers of 1024" },
		{ "size=k", "size=k" },
		{ "size=1 G", "size=1 G" },
		{ "size=-1", "size=-1" },
		{ "size=+1", "size=+1" },
		{ "size=18446744073709551616", "size=" },
		{ "size=16777216T", "size=16777216T" },
		{ "size=17179869184G", "size=" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct disk_options d;
		int r = parse(&d, bad[i].text);

		keys_finish(&d);
		assert_int_equal(r, -EINVAL);
		if (!strstr(error, bad[i].named))
			fail_msg("%s: \"%s\" does not say %s", bad[i].text,
				 error, bad[i].named);
	}
}

/* What somebody may have meant is named; but nothing for any odd word. */
static void test_the_nearest_key_is_named(void **state)
{
	static const struct bad bad[] = {
		{ "fil=/a", "is file= meant?" },
		{ "chache=none", "is cache= meant?" },
		{ "block_size=512", "is block-size= meant?" },
		{ "queue=1", "is queues= meant?" },
		{ "read-only=on", "is readonly= meant?" },
		{ "iothread=1", "is iothreads= meant?" },
		{ "bogus=1", "of a disk; --help" },
		{ "=1", "of a disk; --help" },
	};
	struct disk_options d;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(parse(&d, bad[i].text), -EINVAL);
		if (!strstr(error, bad[i].named))
			fail_msg("%s: \"%s\" does not say %s", bad[i].text,
				 error, bad[i].named);
	}
}

static void test_some_keys_stand_in_some_places_only(void **state)
{
	static const char *const one_disks[] = { "file", "id", "serial",
						 "size" };
	struct disk_options d = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(one_disks); i++) {
		assert_int_equal(keys_set(&d, PLACE_DEFAULTS, one_disks[i], "1",
					  error),
				 -EINVAL);
		assert_non_null(strstr(error, "not here: "));
	}
	assert_int_equal(keys_set(&d, PLACE_GUEST, "id", "x", error), -EINVAL);
	assert_non_null(strstr(error, "[disk NAME]"));
	assert_int_equal(d.given, 0);
	assert_int_equal(keys_set(&d, PLACE_GUEST, "file", "/x", error), 0);
	assert_int_equal(keys_set(&d, PLACE_GUEST, "size", "1G", error), 0);
	assert_int_equal(keys_set(&d, PLACE_DEFAULTS, "queues", "2", error), 0);
	keys_finish(&d);
}

/* Where no word says what the default is, an empty value does. */
static void test_an_empty_value_stands_for_the_default(void **state)
{
	struct disk_options d;
	char *text;

	(void)state;
	assert_int_equal(parse(&d, "serial=,block-size=,size="), 0);
	assert_null(d.serial);
	assert_int_equal(d.block_size, 0);
	assert_int_equal(d.size, 0);
	assert_int_equal(d.given, KEY_BIT(KEY_SERIAL) |
					  KEY_BIT(KEY_BLOCK_SIZE) |
					  KEY_BIT(KEY_SIZE));
	text = key_text_dump(&d);
	assert_string_equal(text, "serial=,block-size=,size=0");
	free(text);
	keys_finish(&d);
}

/* Of two one would be forgotten, also where they say the same. */
static void test_a_key_is_given_once(void **state)
{
	static const struct bad bad[] = {
		{ "file=/a,file=/b", "file=/b: file= is given twice" },
		{ "readonly=on,id=x,readonly=off", "readonly=off:" },
		{ "queues=1,queues=1", "queues=1:" },
		{ "cache=auto,cache=none", "cache=none:" },
		{ "size=0,size=1G", "size=1G:" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct disk_options d;

		assert_int_equal(parse(&d, bad[i].text), -EINVAL);
		assert_non_null(strstr(error, bad[i].named));
		assert_non_null(strstr(error, "given twice"));
		keys_finish(&d);
	}
}

/* However long the value is, the sentence says what is allowed, and ends. */
static void test_a_long_value_leaves_room_for_the_sentence(void **state)
{
	static const char *const keys[] = { "size", "queues", "serial",  "id",
					    "file", "engine", "readonly" };
	static char text[20000];
	struct disk_options d;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(parse(&d, text), -EINVAL);
	assert_in_range(strlen(error), 10, BLOCK_ERROR_MAX - 1);
	assert_non_null(strstr(error, "KEY=VALUE"));
	for (size_t i = 0; i < COUNT(keys); i++) {
		assert_int_equal(keys_set(&d, PLACE_LINE, keys[i], text, error),
				 -EINVAL);
		assert_in_range(strlen(error), 10, BLOCK_ERROR_MAX - 1);
		assert_non_null(strstr(error, "...: the value has to be"));
	}
	assert_int_equal(keys_set(&d, PLACE_LINE, text, "1", error), -EINVAL);
	assert_non_null(strstr(error, "--help"));
	/* The longest that are taken. */
	text[4095] = '\0';
	assert_int_equal(keys_set(&d, PLACE_LINE, "file", text, error), 0);
	text[63] = '\0';
	assert_int_equal(keys_set(&d, PLACE_LINE, "id", text, error), 0);
	text[20] = '\0';
	assert_int_equal(keys_set(&d, PLACE_LINE, "serial", text, error), 0);
	keys_finish(&d);
}

static void test_sizes_with_their_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} sizes[] = {
		{ "size=0", 0 },
		{ "size=1", 1 },
		{ "size=512", 512 },
		{ "size=1K", 1024 },
		{ "size=3M", 3 << 20 },
		{ "size=1k", 1024 },
		{ "size=3m", 3 << 20 },
		{ "size=2g", UINT64_C(2) << 30 },
		{ "size=4t", UINT64_C(4) << 40 },
		{ "size=5G", UINT64_C(5) << 30 },
		{ "size=2T", UINT64_C(2) << 40 },
		{ "size=16777215T", UINT64_C(16777215) << 40 },
		{ "size=18446744073709551615", UINT64_MAX },
		{ "size=0x10M", 16 << 20 },
		/* A leading zero is no octal number to anybody. */
		{ "size=010", 10 },
		{ "size=08K", 8192 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct disk_options d;

		print_message("# %s\n", sizes[i].text);
		assert_int_equal(parse(&d, sizes[i].text), 0);
		assert_int_equal(d.size, sizes[i].size);
		keys_finish(&d);
	}
}

static void test_words_for_on_and_off(void **state)
{
	static const struct {
		const char *text;
		bool readonly;
	} words[] = {
		{ "readonly=on", true },  { "readonly=off", false },
		{ "readonly=yes", true }, { "readonly=no", false },
		{ "readonly=1", true },   { "readonly=0", false },
	};
	struct disk_options d;

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		assert_int_equal(parse(&d, words[i].text), 0);
		assert_int_equal(d.readonly, words[i].readonly);
		assert_int_equal(d.given, KEY_BIT(KEY_READONLY));
		keys_finish(&d);
	}
}

static void test_powers_of_two(void **state)
{
	struct disk_options d;

	(void)state;
	for (unsigned int n = 2; n <= 1024; n *= 2) {
		char text[40];

		snprintf(text, sizeof(text), "queue-size=%u", n);
		assert_int_equal(parse(&d, text), 0);
		assert_int_equal(d.queue_size, n);
		keys_finish(&d);
	}
}

/* Each engine of this build can be asked for; the error names the others. */
static void test_engines_of_this_build(void **state)
{
	static const char *const all[] = { "io_uring", "libaio", "threads",
					   "null" };
	struct disk_options d;

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		bool built = false;
		char text[40];

		for (int n = 0; block_engines[n]; n++)
			built |= !strcmp(block_engines[n]->name, all[i]);
		snprintf(text, sizeof(text), "engine=%s", all[i]);
		assert_int_equal(parse(&d, text), built ? 0 : -EINVAL);
		if (!built)
			assert_non_null(strstr(error, "this build"));
		keys_finish(&d);
	}
}

/* The words of the table are those of the store. */
static void test_caches_are_those_of_the_store(void **state)
{
	static const char *const words[] = { "auto", "none", "writeback",
					     "writethrough", "unsafe" };

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		struct disk_options d = { 0 };

		assert_int_equal(
			keys_set(&d, PLACE_LINE, "cache", words[i], error), 0);
		assert_string_equal(block_cache_name(d.cache), words[i]);
	}
}

static void test_a_dump_says_the_same_again(void **state)
{
	static const char *const texts[] = {
		"",
		"file=/a",
		"readonly=off",
		"size=0",
		"file=/a,,b=c,id=x,,,format=raw,readonly=off,cache=unsafe,"
		"discard=on,engine=null,serial=,,,,,block-size=2048,queues=16,"
		"queue-size=2,packed=on,legacy=off,iothreads=0,"
		"size=18446744073709551615",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct disk_options d;
		char *text;

		/* The last one's serial is two commas, and so on. */
		if (parse(&d, texts[i]))
			fail_msg("%s: %s", texts[i], error);
		text = key_text_dump(&d);
		assert_string_equal(text, texts[i]);
		free(text);
		keys_finish(&d);
	}
}

/* Of each key its name, and what it may be, as the errors say it. */
static void test_help_lists_each_key(void **state)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	(void)state;
	key_text_help(to);
	fclose(to);
	for (unsigned int i = 0; i < KEYS; i++) {
		char line[40];

		snprintf(line, sizeof(line), "  %s=", keys_name(i));
		assert_non_null(strstr(text, line));
	}
	assert_non_null(strstr(text, "=auto|io_uring|libaio|threads|null  "
				     "[auto]\n"));
	assert_non_null(strstr(text, "  queues=1..16  [1; with vhost-user "
				     "16]\n"));
	assert_non_null(strstr(text,
			       "  block-size=512|1024|2048|4096  [that of the "
			       "store]\n"));
	assert_non_null(strstr(text, "  legacy=on|off  [off; with --domain "
				     "only]\n"));
	assert_non_null(strstr(text, "  iothreads=0..16  [0; with vhost-user "
				     "only]\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_key_sets_its_member),
		cmocka_unit_test(test_a_comma_in_a_value_is_written_twice),
		cmocka_unit_test(test_errors_name_the_key_and_what_is_allowed),
		cmocka_unit_test(test_the_nearest_key_is_named),
		cmocka_unit_test(test_some_keys_stand_in_some_places_only),
		cmocka_unit_test(test_an_empty_value_stands_for_the_default),
		cmocka_unit_test(test_a_key_is_given_once),
		cmocka_unit_test(
			test_a_long_value_leaves_room_for_the_sentence),
		cmocka_unit_test(test_sizes_with_their_units),
		cmocka_unit_test(test_words_for_on_and_off),
		cmocka_unit_test(test_powers_of_two),
		cmocka_unit_test(test_engines_of_this_build),
		cmocka_unit_test(test_caches_are_those_of_the_store),
		cmocka_unit_test(test_a_dump_says_the_same_again),
		cmocka_unit_test(test_help_lists_each_key),
	};

	return cmocka_run_group_tests_name("config_keys", tests, NULL, NULL);
}
