/* SPDX-License-Identifier: MIT */
/*
 * The command line: keys of a disk and their values, errors that name the key,
 * commas in values, sizes, and the options of the program.
 */
#include "lib/model_memory.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "block/engine.h"
#include "config/command_line.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char error[BLOCK_ERROR_MAX];

/* Parse into a new disk; it stays for the caller to look at. */
static int parse(struct disk_options *disk, const char *text)
{
	memset(disk, 0, sizeof(*disk));
	error[0] = '\0';
	return disk_options_parse(disk, text, error);
}

static void test_all_keys(void **state)
{
	struct disk_options d;

	(void)state;
	assert_int_equal(parse(&d, "file=/img,id=xvda,format=raw,readonly=on,"
				   "cache=writeback,engine=threads,serial=S1,"
				   "block-size=4096,queues=4,queue-size=128,"
				   "size=10M,discard=off,packed=on"),
			 0);
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
	assert_int_equal(d.size, 10 << 20);
	disk_options_finish(&d);
	assert_null(d.file);
}

struct good {
	const char *text;
	const char *file;
	const char *id;
};

/* A comma in a value is written twice; the last of a key counts. */
static void test_commas(void **state)
{
	static const struct good good[] = {
		{ "file=/a,,b", "/a,b", NULL },
		{ "file=/a,,,id=x", "/a,", "x" },
		{ "file=,,", ",", NULL },
		{ "file=,,,,", ",,", NULL },
		{ "file=,,,,,id=y", ",,", "y" },
		{ "file=/a,", "/a", NULL },
		{ "file=/a=b", "/a=b", NULL },
		{ "file=/a,file=/b", "/b", NULL },
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
		disk_options_finish(&d);
	}
}

struct bad {
	const char *text;
	const char *named; /* what the sentence has to name */
};

static void test_errors_name_the_key(void **state)
{
	static const struct bad bad[] = {
		{ "fil=/a", "\"fil\"" },
		{ "File=/a", "\"File\"" },
		{ "=x", "\"\"" },
		{ "file", "\"file\"" },
		{ ",file=/a", "\"\"" },
		{ "file=/a,,,,b", NULL },
		{ "id=a,bogus=1", "\"bogus\"" },
		{ "file=", "file=" },
		{ "file=/a,b", "\"b\"" },
		{ "format=qcow2", "format=qcow2" },
		{ "readonly=maybe", "on|off" },
		{ "readonly=", "readonly=" },
		{ "cache=fast", "cache=fast" },
		{ "cache=", "cache=" },
		{ "discard=maybe", "discard=" },
		{ "discard=", "discard=" },
		{ "serial=123456789012345678901", "1 to 20 bytes" },
		{ "serial=", "1 to 20 bytes" },
		{ "id=", "a name" },
		{ "file=", "a path" },
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
		{ "queue-size=100", "a power of two" },
		{ "queue-size=2048", "queue-size=2048" },
		{ "queue-size=65536", "queue-size=65536" },
		{ "size=", "size=" },
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

		disk_options_finish(&d);
		if (!bad[i].named) {
			assert_int_equal(r, 0);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		if (!strstr(error, bad[i].named))
			fail_msg("%s: \"%s\" does not say %s", bad[i].text,
				 error, bad[i].named);
	}
}

/* However long the value is, the sentence ends. */
static void test_errors_of_long_values(void **state)
{
	static char text[5000];
	struct disk_options d;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(parse(&d, text), -EINVAL);
	assert_in_range(strlen(error), 10, BLOCK_ERROR_MAX - 1);
	memcpy(text, "size=", 5);
	assert_int_equal(parse(&d, text), -EINVAL);
	assert_in_range(strlen(error), 10, BLOCK_ERROR_MAX - 1);
	text[6] = '\0';
	assert_int_equal(disk_options_set(&d, "queues", text + 5, error),
			 -EINVAL);
	disk_options_finish(&d);
}

static void test_sizes(void **state)
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
		disk_options_finish(&d);
	}
}

static void test_words(void **state)
{
	static const struct {
		const char *text;
		bool readonly;
	} words[] = {
		{ "readonly=on", true },
		{ "readonly=off", false },
		{ "readonly=yes", true },
		{ "readonly=no", false },
		{ "readonly=1", true },
		{ "readonly=0", false },
		{ "readonly=on,readonly=off", false },
	};
	struct disk_options d;

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		assert_int_equal(parse(&d, words[i].text), 0);
		assert_int_equal(d.readonly, words[i].readonly);
		disk_options_finish(&d);
	}
	assert_int_equal(parse(&d, "serial=12345678901234567890"), 0);
	assert_int_equal(strlen(d.serial), 20);
	disk_options_finish(&d);
	for (unsigned int n = 2; n <= 1024; n *= 2) {
		char text[40];

		snprintf(text, sizeof(text), "queue-size=%u", n);
		assert_int_equal(parse(&d, text), 0);
		assert_int_equal(d.queue_size, n);
		disk_options_finish(&d);
	}
}

static void test_fill(void **state)
{
	struct disk_options to, from;

	(void)state;
	assert_int_equal(parse(&to, "file=/mine,queues=2"), 0);
	assert_int_equal(parse(&from,
			       "file=/theirs,id=x,engine=null,serial=s,"
			       "readonly=on,cache=unsafe,block-size=512,"
			       "queue-size=8,queues=9,size=1M,discard=on,"
			       "packed=on,legacy=on"),
			 0);
	disk_options_fill(&to, &from);
	disk_options_finish(&from);
	assert_string_equal(to.file, "/mine");
	assert_int_equal(to.queues, 2);
	assert_string_equal(to.id, "x");
	assert_string_equal(to.engine, "null");
	assert_string_equal(to.serial, "s");
	assert_true(to.readonly);
	assert_true(to.packed);
	assert_true(to.legacy);
	assert_int_equal(to.cache, BLOCK_CACHE_UNSAFE);
	assert_int_equal(to.discard, DISK_DISCARD_ON);
	assert_int_equal(to.block_size, 512);
	assert_int_equal(to.queue_size, 8);
	assert_int_equal(to.size, 1 << 20);
	disk_options_finish(&to);
}

/* ---- the program's options ----------------------------------------------- */

enum { ARGS_MAX = 40 };

/* Parse a command line; what is printed goes to a file and is looked at. */
static int run(struct options *o, char *output, size_t room,
	       const char *const *args)
{
	int argc = 0, saved[2], fd = memfd_create("out", MFD_CLOEXEC), r;
	char *argv[ARGS_MAX + 1] = { NULL };
	ssize_t n;

	for (; args[argc]; argc++)
		argv[argc] = (char *)args[argc];
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		saved[i] = dup(i + 1);
		dup2(fd, i + 1);
	}
	optind = 0;
	r = options_parse(o, argc, argv);
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	n = pread(fd, output, room - 1, 0);
	output[n > 0 ? n : 0] = '\0';
	close(fd);
	return r;
}

#define ARGS(...) ((const char *[]){ "virtio-disk", __VA_ARGS__, NULL })

static void test_program_options(void **state)
{
	struct options o;
	char out[8192];

	(void)state;
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-d", "web", "--disk", "id=xvda,file=/a",
				  "-k", "id=1,readonly=on", "-v",
				  "--poll-max-us", "0")),
			 -1);
	assert_string_equal(out, "");
	assert_string_equal(o.domain, "web");
	assert_int_equal(o.ndisks, 2);
	assert_string_equal(o.disk[0].file, "/a");
	assert_true(o.disk[1].readonly);
	assert_true(o.verbose);
	assert_int_equal(o.poll_max_us, 0);
	options_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out), ARGS("--domain=7")), -1);
	assert_int_equal(o.poll_max_us, 1000);
	options_finish(&o);
}

static void test_help_and_version(void **state)
{
	static const char *const keys[] = {
		"file=",       "id=",      "format=", "readonly=",   "cache=",
		"engine=",     "discard=", "serial=", "block-size=", "queues=",
		"queue-size=", "packed=",  "legacy=", "size="
	};
	struct options o;
	char out[8192];

	(void)state;
	assert_int_equal(run(&o, out, sizeof(out), ARGS("--help")), 0);
	for (size_t i = 0; i < COUNT(keys); i++)
		assert_non_null(strstr(out, keys[i]));
	options_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out), ARGS("-V")), 0);
	assert_string_equal(out, "virtio-disk " VERSION "\n");
	options_finish(&o);
}

/* Exit status 2 and a sentence; nothing is leaked. */
static void test_wrong_command_lines(void **state)
{
	static const char *const lines[][8] = {
		{ "virtio-disk" },
		{ "virtio-disk", "web" },
		{ "virtio-disk", "-d" },
		{ "virtio-disk", "--bogus" },
		{ "virtio-disk", "-d", "" },
		{ "virtio-disk", "-d", "a", "b" },
		{ "virtio-disk", "-d", "a", "-k", "file=/x" },
		{ "virtio-disk", "-d", "a", "-k", "" },
		{ "virtio-disk", "-d", "a", "-k", "id=x,file=/x,bogus=1" },
		{ "virtio-disk", "-d", "a", "-k", "id=x,queues=99" },
		{ "virtio-disk", "-d", "a", "-k", "id=x,legacy=maybe" },
		{ "virtio-disk", "-d", "a", "--poll-max-us", "100001" },
		{ "virtio-disk", "-d", "a", "--poll-max-us", "x" },
		{ "virtio-disk", "-d", "a", "--poll-max-us=-1" },
		{ "virtio-disk", "-d", "a", "-k", "id=x,engine=foo" },
		{ "virtio-disk", "-d", "a", "-d", "a" },
		{ "virtio-disk", "-d", "a", "--domain=b" },
		{ "virtio-disk", "-s", "/x", "-s", "/y", "-k", "file=/z" },
		{ "virtio-disk", "-s", "", "-k", "file=/z" },
		{ "virtio-disk", "--fd=8", "--fd=9", "-k", "file=/z" },
		{ "virtio-disk", "--fd=8", "--fd=8", "-k", "file=/z" },
		{ "virtio-disk", "--fd=x", "-k", "file=/z" },
		{ "virtio-disk", "-d", "a", "-s", "/x", "-k", "file=/z" },
	};
	struct options o;
	char out[8192];

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		assert_int_equal(run(&o, out, sizeof(out), lines[i]), 2);
		assert_true(strlen(out) > 10);
		options_finish(&o);
	}
}

/* The legacy interface has no packed rings and is not for vhost-user. */
static void test_legacy(void **state)
{
	struct options o;
	char out[8192];

	(void)state;
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-d", "a", "-k", "id=x,legacy=on")),
			 -1);
	assert_true(o.disk[0].legacy);
	options_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-d", "a", "-k", "id=x,packed=on,legacy=on")),
			 2);
	assert_non_null(strstr(out, "legacy=on and packed=on"));
	options_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-s", "/x", "-k", "file=/y,legacy=on")),
			 2);
	assert_non_null(strstr(out, "--domain"));
	options_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-s", "/x", "-k", "file=/y,legacy=off")),
			 -1);
	options_finish(&o);
}

static void test_too_many_disks(void **state)
{
	static char text[DISKS_MAX + 1][40];
	const char *args[ARGS_MAX] = { "virtio-disk", "-d", "a" };
	struct options o;
	char out[8192];
	int n = 3;

	(void)state;
	for (int i = 0; i <= DISKS_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "id=x%d,file=/y", i);
		if (i == DISKS_MAX)
			break;
		args[n++] = "-k";
		args[n++] = text[i];
	}
	assert_int_equal(run(&o, out, sizeof(out), args), -1);
	assert_int_equal(o.ndisks, DISKS_MAX);
	options_finish(&o);
	args[n++] = "-k";
	args[n++] = text[DISKS_MAX];
	assert_int_equal(run(&o, out, sizeof(out), args), 2);
	assert_non_null(strstr(out, "16"));
	options_finish(&o);
}

struct line {
	const char *args[8];
	const char *says; /* NULL: it is right */
};

/* Nothing that is said is ignored, and nothing that matters may be left out. */
static void test_what_goes_together(void **state)
{
	static const struct line lines[] = {
		{ { "-s", "/x", "-k", "file=/y" }, NULL },
		{ { "-s", "/x", "-k", "readonly=on" }, "file= is missing" },
		{ { "-s", "/x", "-k", "engine=threads" }, "file= is missing" },
		{ { "-s", "/x", "-k", "size=1G" }, "engine=null" },
		{ { "-s", "/x", "-k", "size=1G,engine=auto" }, "engine=null" },
		{ { "-s", "/x", "-k", "file=/y,size=1G" }, "exclude" },
		{ { "-s", "/x", "-k", "file=/y,size=1G,engine=null" },
		  "exclude" },
		{ { "-s", "/x", "-k", "engine=null" }, "size=" },
		{ { "-s", "/x", "-k", "engine=null,size=0" }, "size=" },
		{ { "-s", "/x", "-k", "engine=null,size=1G" }, NULL },
		{ { "-s", "/x", "-k", "engine=null,file=/y" }, NULL },
		{ { "-s", "/x", "-k", "file=/y,iothreads=2" }, NULL },
		{ { "-s", "/x", "-k", "file=/y", "--once" }, NULL },
		{ { "-s", "/x", "-k", "file=/y", "-k", "file=/z" }, "one" },
		{ { "-d", "a", "-k", "id=x,readonly=on" }, NULL },
		{ { "-d", "a", "-k", "id=x,size=1G" }, "engine=null" },
		{ { "-d", "a", "-k", "id=x,size=1G,file=/y" }, "exclude" },
		{ { "-d", "a", "-k", "id=x,iothreads=1" }, "iothreads=" },
		{ { "-d", "a", "-k", "id=x,iothreads=0" }, NULL },
		{ { "-d", "a", "--once" }, "--once" },
		{ { "-d", "a", "-k", "id=x", "-k", "id=y" }, NULL },
		{ { "-d", "a", "-k", "id=x", "-k", "id=x" }, "id=x" },
	};
	struct options o;
	char out[8192];

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		const char *args[ARGS_MAX] = { "virtio-disk" };

		memcpy(&args[1], lines[i].args, sizeof(lines[i].args));
		assert_int_equal(run(&o, out, sizeof(out), args),
				 lines[i].says ? 2 : -1);
		if (lines[i].says && !strstr(out, lines[i].says))
			fail_msg("line %zu: \"%s\" does not say %s", i, out,
				 lines[i].says);
		options_finish(&o);
	}
}

/* As xenstore and --disk say them, together. */
static void test_check_of_a_whole_disk(void **state)
{
	static const struct bad disks[] = {
		{ "file=/a", NULL },
		{ "engine=null,size=1G", NULL },
		{ "", "file= is missing" },
		{ "size=1G", "engine=null" },
		{ "file=/a,engine=null,size=1G", "exclude" },
		{ "file=/a,packed=on,legacy=on", "legacy=on" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(disks); i++) {
		struct disk_options d;

		assert_int_equal(parse(&d, disks[i].text), 0);
		assert_int_equal(disk_options_check(&d, error),
				 disks[i].named ? -EINVAL : 0);
		if (disks[i].named)
			assert_non_null(strstr(error, disks[i].named));
		disk_options_finish(&d);
	}
}

/* Each engine of this build can be asked for; the error names the others. */
static void test_engines(void **state)
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
		disk_options_finish(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_commas),
		cmocka_unit_test(test_errors_name_the_key),
		cmocka_unit_test(test_errors_of_long_values),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_program_options),
		cmocka_unit_test(test_help_and_version),
		cmocka_unit_test(test_wrong_command_lines),
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_too_many_disks),
		cmocka_unit_test(test_what_goes_together),
		cmocka_unit_test(test_check_of_a_whole_disk),
		cmocka_unit_test(test_engines),
	};

	return cmocka_run_group_tests_name("config_keys", tests, NULL, NULL);
}
