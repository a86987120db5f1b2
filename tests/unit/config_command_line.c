/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=strdup */
/*
 * The options of the program: what each does, the help, and the sentences of
 * what is wrong, which come in one line of the log.
 */
#include "lib/model_memory.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "config/key_text.h"
#include "config/command_line.h"
#include "config/option_table.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

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
	r = command_line_parse(o, argc, argv);
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

static bool no_memory;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
	return no_memory ? NULL : __real_strdup(text);
}

#define ARGS(...) ((const char *[]){ "virtio-disk", __VA_ARGS__, NULL })

static void test_each_option_is_taken(void **state)
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
	assert_string_equal(o.state_dir, "/run/virtio-disk");
	assert_int_equal(o.end, OPTIONS_LEAVE);
	command_line_finish(&o);
	assert_int_equal(
		run(&o, out, sizeof(out),
		    ARGS("-d", "web", "--state-dir", "/s", "--end", "detach")),
		-1);
	assert_string_equal(o.state_dir, "/s");
	assert_int_equal(o.end, OPTIONS_DETACH);
	command_line_finish(&o);
	assert_int_equal(
		run(&o, out, sizeof(out),
		    ARGS("--worker", "7", "--user", "disks", "--no-sandbox")),
		-1);
	assert_true(o.worker);
	assert_int_equal(o.worker_domid, 7);
	assert_string_equal(o.user, "disks");
	assert_true(o.no_sandbox);
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-k", "id=xvda,readonly=on", "--watch=units",
				  "--end", "detach")),
			 -1);
	assert_int_equal(o.watch, OPTIONS_WATCH_UNITS);
	assert_int_equal(o.watch_word, 3);
	assert_int_equal(o.watch_words, 1);
	assert_string_equal(o.state_dir, "/run/virtio-disk");
	assert_null(o.domain);
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-v", "--watch", "children", "--trace")),
			 -1);
	assert_int_equal(o.watch, OPTIONS_WATCH_CHILDREN);
	assert_int_equal(o.watch_word, 2);
	assert_int_equal(o.watch_words, 2);
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out), ARGS("--watch")), -1);
	assert_int_equal(o.watch, OPTIONS_WATCH_AUTO);
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out), ARGS("--domain=7")), -1);
	assert_int_equal(o.watch, OPTIONS_WATCH_NONE);
	assert_false(o.foreground);
	assert_null(o.user);
	assert_int_equal(o.poll_max_us, 1000);
	command_line_finish(&o);
}

static void test_help_and_version_are_printed(void **state)
{
	struct options o;
	char out[8192];

	(void)state;
	assert_int_equal(run(&o, out, sizeof(out), ARGS("--help")), 0);
	/* Of an option its names, its argument, and its sentences in a row. */
	assert_non_null(strstr(out, "\n  -d, --domain NAME|ID  the guest; "));
	assert_non_null(strstr(out, "\n      --fd N            the same on "));
	assert_non_null(strstr(out, "\n  -k, --disk KEY=VALUE,...\n"
				    "                        add to or "));
	assert_non_null(strstr(out, "id=;\n                        with "));
	assert_null(strstr(out, "socket-path"));
	assert_null(strstr(out, "--worker"));
	for (unsigned int i = 0; i < KEYS; i++) {
		char key[40];

		snprintf(key, sizeof(key), "\n  %s=", keys_name(i));
		assert_non_null(strstr(out, key));
	}
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out), ARGS("-V")), 0);
	assert_string_equal(out, "virtio-disk " VERSION "\n");
	command_line_finish(&o);
}

struct line {
	const char *args[8];
	const char *says; /* NULL: it is right */
};

/* Exit status 2 and one line, as the log has them; nothing is leaked. */
static void check_lines(const struct line *lines, size_t n)
{
	static const char prefix[] = "virtio-disk: error: ";
	struct options o;
	char out[8192];

	for (size_t i = 0; i < n; i++) {
		const char *args[ARGS_MAX] = { "virtio-disk" };

		memcpy(&args[1], lines[i].args, sizeof(lines[i].args));
		assert_int_equal(run(&o, out, sizeof(out), args),
				 lines[i].says ? 2 : -1);
		command_line_finish(&o);
		if (!lines[i].says) {
			assert_string_equal(out, "");
			continue;
		}
		assert_memory_equal(out, prefix, strlen(prefix));
		assert_ptr_equal(strchr(out, '\n') + 1, out + strlen(out));
		if (!strstr(out, lines[i].says))
			fail_msg("line %zu: \"%s\" does not say %s", i, out,
				 lines[i].says);
	}
}

static void test_wrong_words_are_named(void **state)
{
	static char long_path[200];
	static const struct line lines[] = {
		{ { NULL }, "--domain, --watch or --vhost-user is needed" },
		{ { "--watch=web" }, "--watch=web: units or children" },
		{ { "--watch", "web" }, "--watch=web: units or children" },
		{ { "--watch", "--watch" }, "--watch is given twice" },
		{ { "--watch", "-d", "a" }, "--domain and --watch exclude" },
		{ { "--watch", "-s", "/x", "-k", "file=/z" },
		  "--watch and vhost-user exclude" },
		{ { "--watch", "--once" },
		  "--once is of no use with --watch: who serves" },
		{ { "--watch", "-k", "file=/z" }, "id=" },
		{ { "web" }, "web: there are no arguments" },
		{ { "-d", "a", "b" }, "b: there are no arguments" },
		{ { "-d", "a", "--", "-v" }, "-v: there are no arguments" },
		{ { "-d" }, "--domain needs NAME|ID" },
		{ { "--disk" }, "--disk needs KEY=VALUE,..." },
		{ { "-vd" }, "--domain needs NAME|ID" },
		{ { "--bogus" },
		  "unknown option --bogus (see virtio-disk "
		  "--help)\n" },
		{ { "--bogus=1" }, "unknown option --bogus=1" },
		{ { "-x" }, "unknown option -x" },
		{ { "-vx" }, "unknown option -x" },
		{ { "-:" }, "unknown option -:" },
		{ { "--once=yes" }, "--once takes no argument" },
		{ { "--v" },
		  "--v may be --vhost-user or --verbose or "
		  "--version" },
		{ { "--ver=1" }, "--ver=1 may be --verbose or --version" },
		{ { "-d", "" }, "--domain needs the name" },
		{ { "-d", "a", "-k", "file=/x" }, "id=" },
		{ { "-d", "a", "-k", "" }, "id=" },
		{ { "-d", "a", "-k", "id=x,file=/x,bogus=1" },
		  "--disk: unknown key \"bogus\"" },
		{ { "-d", "a", "-k", "id=x,queues=99" }, "1..16" },
		{ { "-d", "a", "-k", "id=x,legacy=maybe" }, "on|off" },
		{ { "-d", "a", "-k", "id=x,engine=foo" }, "engine=foo" },
		{ { "-d", "a", "-k", "id=x,queues=1,queues=1" },
		  "queues= is given twice" },
		{ { "-d", "a", "--poll-max-us", "100001" }, "0..100000" },
		{ { "-d", "a", "--poll-max-us", "x" }, "--poll-max-us=x" },
		{ { "-d", "a", "--poll-max-us=-1" }, "--poll-max-us=-1" },
		{ { "-d", "a", "--poll-max-us=1", "--poll-max-us=2" },
		  "--poll-max-us is given twice" },
		{ { "-d", "a", "-d", "a" }, "--domain is given twice" },
		{ { "-d", "a", "--domain=b" }, "--domain is given twice" },
		{ { "-s", "/x", "-s", "/y", "-k", "file=/z" },
		  "--vhost-user is given twice" },
		{ { "-s", "/x", "--socket-path=/y" },
		  "--vhost-user is given twice" },
		{ { "-s", "", "-k", "file=/z" }, "1 to 107 bytes" },
		{ { "-s", long_path, "-k", "file=/z" },
		  "...: the path of a socket has 1 to 107 bytes" },
		{ { "--fd=8", "--fd=9", "-k", "file=/z" }, "twice" },
		{ { "--fd=8", "--fd=8", "-k", "file=/z" }, "twice" },
		{ { "--fd=x", "-k", "file=/z" }, "--fd=x" },
		{ { "--fd=-1", "-k", "file=/z" }, "--fd=-1" },
		{ { "--fd=2147483648", "-k", "file=/z" }, "--fd=2147483648" },
		{ { "-d", "a", "-s", "/x", "-k", "file=/z" }, "exclude" },
		{ { "-d", "a", "--end=stay" }, "--end=stay: leave or detach" },
		{ { "-d", "a", "--end" }, "--end needs leave|detach" },
		{ { "-d", "a", "--end=leave", "--end=leave" }, "twice" },
		{ { "-d", "a", "--state-dir=" }, "--state-dir needs the path" },
		{ { "-d", "a", "--state-dir" }, "--state-dir needs DIR" },
		{ { "-d", "a", "--user=" }, "--user needs the name" },
		{ { "--worker=web" }, "--worker=web: the number of a domain" },
		{ { "--worker=32752" }, "--worker=32752: the number" },
		{ { "-d", "a", "-v", "-v" }, NULL },
		{ { "--dom", "a", "--poll=1" }, NULL },
	};

	(void)state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	check_lines(lines, COUNT(lines));
}

/* The legacy interface has no packed rings and is not for vhost-user. */
static void test_legacy_is_for_xen_guests(void **state)
{
	struct options o;
	char out[8192];

	(void)state;
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-d", "a", "-k", "id=x,legacy=on")),
			 -1);
	assert_true(o.disk[0].legacy);
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-d", "a", "-k", "id=x,packed=on,legacy=on")),
			 2);
	assert_non_null(strstr(out, "legacy=on and packed=on"));
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-s", "/x", "-k", "file=/y,legacy=on")),
			 2);
	assert_non_null(strstr(out, "legacy=on: not with vhost-user"));
	command_line_finish(&o);
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-s", "/x", "-k", "file=/y,legacy=off")),
			 -1);
	command_line_finish(&o);
}

static void test_sixteen_disks_and_no_more(void **state)
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
	command_line_finish(&o);
	args[n++] = "-k";
	args[n++] = text[DISKS_MAX];
	assert_int_equal(run(&o, out, sizeof(out), args), 2);
	assert_non_null(strstr(out, "16"));
	command_line_finish(&o);
}

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
		{ { "-s", "/x", "-k", "engine=null,size=1" }, "multiple" },
		{ { "-s", "/x" }, "one" },
		{ { "-d", "a", "-k", "id=x,readonly=on" }, NULL },
		{ { "-d", "a", "-k", "id=x,size=1G" }, "engine=null" },
		{ { "-d", "a", "-k", "id=x,size=1G,file=/y" }, "exclude" },
		{ { "-d", "a", "-k", "id=x,iothreads=1" }, "iothreads=" },
		{ { "-d", "a", "-k", "id=x,iothreads=0" }, NULL },
		{ { "-d", "a", "--once" }, "--once" },
		{ { "-d", "a", "--end=leave", "--state-dir=/s" }, NULL },
		{ { "-s", "/x", "-k", "file=/y", "--end=leave" },
		  "of no use with vhost-user: a front end keeps" },
		{ { "-s", "/x", "-k", "file=/y", "--state-dir=/s" },
		  "of no use with vhost-user: a front end keeps" },
		{ { "-d", "a", "--user=nobody" }, NULL },
		{ { "-d", "a", "--foreground" }, NULL },
		{ { "-d", "a", "--user=nobody", "--foreground" },
		  "--user is of no use with --foreground" },
		{ { "-d", "a", "--user=nobody", "--no-sandbox" },
		  "--user is of no use with --no-sandbox" },
		{ { "-s", "/x", "-k", "file=/y", "--user=nobody" }, NULL },
		{ { "-s", "/x", "-k", "file=/y", "--foreground" }, NULL },
		{ { "-s", "/x", "-k", "file=/y", "--user=a", "--no-sandbox" },
		  "--user is of no use with --no-sandbox" },
		{ { "--vhost-worker=0", "--user=nobody", "-v" }, NULL },
		{ { "--vhost-worker=0", "-s", "/x" }, "starts itself" },
		{ { "--worker=7", "--user=nobody", "-v" }, NULL },
		{ { "--worker=7", "--no-sandbox", "--poll-max-us=1" }, NULL },
		{ { "--worker=7", "-d", "a" }, "starts itself: use --domain" },
		{ { "--worker=7", "-s", "/x" }, "starts itself" },
		{ { "--worker=7", "-k", "id=x" }, "starts itself" },
		{ { "--worker=7", "--foreground" }, "starts itself" },
		{ { "-s", "/x", "-k", "file=/y", "--config=/z" },
		  "--config is of no use with vhost-user: of a" },
		{ { "--worker=7", "--config=/z" }, "starts itself" },
		{ { "--worker=7", "--check-config" }, "starts itself" },
		{ { "-d", "a", "--config=" }, "--config needs a directory" },
		{ { "-d", "a", "--config" }, "--config needs DIR|FILE" },
		{ { "-d", "a", "--config=/tmp" }, NULL },
		{ { "-d", "a", "--check-config", "b" }, "one guest is named" },
		{ { "-d", "a", "--show-config=b" }, "one guest is named" },
		{ { "--show-config" }, "--show-config needs GUEST" },
		{ { "--show-config=" }, "--show-config needs the name" },
		{ { "--check-config=" }, "--check-config needs the name" },
		{ { "--show-config=a", "--once" },
		  "--once is of no use with --show-config" },
		{ { "--show-config=a", "-k", "file=/x" }, "--disk needs id=" },
		{ { "--show-config=a", "-k", "id=x", "-v" }, NULL },
		{ { "--check-config", "--end=leave" },
		  "of no use with --check-config" },
		{ { "--check-config", "--trace" },
		  "--trace is of no use with --check-config" },
		{ { "--show-config=a", "--poll-max-us=1" },
		  "--poll-max-us is of no use with --show-config" },
		{ { "--worker=7", "--once" }, "starts itself" },
		{ { "--worker=7", "--fd=8" }, "starts itself" },
		{ { "--worker=7", "--end=leave" }, "starts itself" },
		{ { "--check-config", "-k", "id=x" },
		  "of no use with --check-config" },
		{ { "--check-config", "a", "b" }, "b: there are no arguments" },
		{ { "-d", "a", "-k", "id=x", "-k", "id=y" }, NULL },
		{ { "-d", "a", "-k", "id=x", "-k", "id=x" }, "id=x" },
	};

	(void)state;
	check_lines(lines, COUNT(lines));
}

/* Who adds an option says where it is of use. */
static void test_each_option_is_of_use_somewhere(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < option_rows; i++) {
		if (!option_table[i].with)
			fail_msg("--%s", option_table[i].name);
		assert_int_equal(option_table[i].with & ~OPTION_EVERYWHERE, 0);
	}
}

/* Of the one disk of vhost-user nothing else will be said. */
static void test_the_disk_of_vhost_user_is_settled(void **state)
{
	struct options o;
	char out[8192];
	char *text;

	(void)state;
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-s", "/x", "-k", "file=/y,queues=2")),
			 -1);
	text = key_text_dump(&o.disk[0]);
	assert_string_equal(text, "file=/y,format=raw,readonly=off,cache=auto,"
				  "discard=auto,engine=auto,queues=2,"
				  "queue-size=1024,packed=off,iothreads=0");
	free(text);
	command_line_finish(&o);
	/* A layer for a guest's. */
	assert_int_equal(run(&o, out, sizeof(out),
			     ARGS("-d", "a", "-k", "id=x,readonly=off")),
			 -1);
	text = key_text_dump(&o.disk[0]);
	assert_string_equal(text, "id=x,readonly=off");
	free(text);
	command_line_finish(&o);
}

/* The host's fault is not called one of the line: that would not be retried. */
static void test_no_memory_is_said(void **state)
{
	static const char *const options[] = { "--vhost-user", "--domain",
					       "--state-dir", "--disk",
					       "--config" };
	struct options o;
	char out[256];

	(void)state;
	for (unsigned int i = 0; i < COUNT(options); i++) {
		no_memory = true;
		assert_int_equal(
			run(&o, out, sizeof(out), ARGS(options[i], "/a")), 1);
		no_memory = false;
		assert_non_null(strstr(out, options[i]));
		assert_non_null(strstr(out, ": no memory\n"));
		command_line_finish(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_option_is_taken),
		cmocka_unit_test(test_help_and_version_are_printed),
		cmocka_unit_test(test_wrong_words_are_named),
		cmocka_unit_test(test_legacy_is_for_xen_guests),
		cmocka_unit_test(test_sixteen_disks_and_no_more),
		cmocka_unit_test(test_what_goes_together),
		cmocka_unit_test(test_each_option_is_of_use_somewhere),
		cmocka_unit_test(test_the_disk_of_vhost_user_is_settled),
		cmocka_unit_test(test_no_memory_is_said),
	};

	return cmocka_run_group_tests_name("config_command_line", tests, NULL,
					   NULL);
}
