/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=strdup */
/*
 * Configuration files: what they say, line by line, and that whatever is wrong
 * is told with file and line, and makes all of it count for nothing.
 */
#include "lib/model_memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config_files.h"
#include "config/key_text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char dir[] = "/tmp/config-files-XXXXXX";
static char path[64];
static char said[8192]; /* all lines of the log */

void __wrap_log_line(enum log_level level, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	size_t n = strlen(said);
	va_list args;

	if (level == LOG_LEVEL_DEBUG)
		return;
	va_start(args, format);
	vsnprintf(said + n, sizeof(said) - n, format, args);
	va_end(args);
	n = strlen(said);
	snprintf(said + n, sizeof(said) - n, "\n");
}

static unsigned int copies_left = -1u; /* then there is no memory */

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
	if (!copies_left)
		return NULL;
	copies_left--;
	return __real_strdup(text);
}

static void write_bytes(const char *name, const char *text, size_t bytes)
{
	FILE *to;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	to = fopen(path, "w");
	assert_non_null(to);
	assert_int_equal(fwrite(text, 1, bytes, to), bytes);
	assert_int_equal(fclose(to), 0);
}

static int read_text(struct config_file *file, const char *text,
		     enum key_place place)
{
	write_bytes("x.conf", text, strlen(text));
	said[0] = '\0';
	return config_file_read(file, path, place);
}

static void is_dump(const struct disk_options *options, const char *wanted)
{
	char *text = key_text_dump(options);

	assert_string_equal(text, wanted);
	free(text);
}

static void test_sections_and_their_keys(void **state)
{
	struct config_file file;

	(void)state;
	assert_int_equal(read_text(&file,
				   "\xef\xbb\xbf; a comment\r\n"
				   "# another one\n"
				   "\n"
				   "[disk xvda] ; the root\r\n"
				   "  cache = writeback ; for now\n"
				   "\treadonly=on\n"
				   "file = /srv/a,b c.img\n"
				   "serial =\n"
				   " [ disk  51728 ]\n"
				   "queues: 4\n"
				   "[disk xvdc]\n"
				   "[disk xvdd]\n"
				   "block-size = 4096",
				   PLACE_GUEST),
			 0);
	assert_string_equal(said, "");
	assert_int_equal(file.ndisks, 4);
	is_dump(&file.disk[0].options, "file=/srv/a,,b c.img,id=xvda,"
				       "readonly=on,cache=writeback,serial=");
	is_dump(&file.disk[1].options, "id=51728,queues=4");
	is_dump(&file.disk[2].options, "id=xvdc");
	is_dump(&file.disk[3].options, "id=xvdd,block-size=4096");
	assert_int_equal(file.disk[0].section, 4);
	assert_int_equal(file.disk[0].line[KEY_CACHE], 5);
	assert_int_equal(file.disk[0].line[KEY_READONLY], 6);
	assert_int_equal(file.disk[0].line[KEY_FILE], 7);
	assert_int_equal(file.disk[0].line[KEY_SERIAL], 8);
	assert_int_equal(file.disk[1].line[KEY_QUEUES], 10);
	assert_int_equal(file.disk[3].line[KEY_BLOCK_SIZE], 13);
	assert_string_equal(file.path, path);
	config_file_finish(&file);
	assert_int_equal(read_text(&file, "[defaults]\ncache=unsafe\n",
				   PLACE_DEFAULTS),
			 0);
	assert_int_equal(file.ndisks, 1);
	is_dump(&file.disk[0].options, "cache=unsafe");
	config_file_finish(&file);
	assert_int_equal(read_text(&file, "", PLACE_GUEST), 0);
	assert_int_equal(file.ndisks, 0);
	config_file_finish(&file);
}

struct fault {
	enum key_place place;
	const char *text;
	const char *says[2]; /* behind the path; or NULL */
};

/* Each with its line; and more than one of them. */
static void test_faults_are_told_with_their_lines(void **state)
{
	static const struct fault faults[] = {
		{ PLACE_GUEST,
		  "[disk xvda]\n\nchache = none\n",
		  { ":3: unknown key \"chache\" of a disk; is cache=" } },
		{ PLACE_GUEST,
		  "[disk xvda]\nqueues = 99\nbogus = 1\ncache = none\n",
		  { ":2: queues=99: the value has to be a number, 1..16",
		    ":3: unknown key \"bogus\"" } },
		{ PLACE_GUEST,
		  "cache = none\n",
		  { ":1: cache: there is no section above it; add [disk" } },
		{ PLACE_DEFAULTS, "cache = none\n", { "add [defaults]" } },
		{ PLACE_GUEST,
		  "[xvda]\ncache = none\n",
		  { ":1: unknown section [xvda]; a guest's file has [disk" } },
		{ PLACE_GUEST, "[disk]\n", { ":1: unknown section [disk]" } },
		{ PLACE_GUEST, "[disks xvda]\n", { "section [disks xvda]" } },
		{ PLACE_GUEST,
		  "[disk xvda\ncache = none\n",
		  { ":1: a section has a line for itself, as [disk xvda]" } },
		{ PLACE_GUEST,
		  "[disk xvda] cache = none\n",
		  { ":1: a section has a line for itself" } },
		{ PLACE_DEFAULTS, "[\n", { ":1: a section has a line" } },
		{ PLACE_GUEST,
		  "[disk xvda]\n[disk xvdb]\n[disk xvda]\n",
		  { ":3: [disk xvda] stands in line 1 already" } },
		{ PLACE_GUEST,
		  "[disk xvda]\nqueues=1\n queues=2\n",
		  { ":3: queues=2: queues= is given twice" } },
		{ PLACE_GUEST,
		  "[disk xvda]\nid = xvdb\n",
		  { ":2: id=xvdb: not here: the section names" } },
		{ PLACE_GUEST,
		  "[disk xvda]\nreadonly\n",
		  { ":2: this is neither KEY = VALUE nor a [SECTION]" } },
		{ PLACE_GUEST,
		  "[disk xvda]\nreadonly\ncache = none\nunsafe\n",
		  { ":2: this is neither KEY", ":4: this is neither KEY" } },
		{ PLACE_GUEST,
		  "[disk xvda]\nwords ; a = b\n",
		  { ":2: this is neither KEY = VALUE nor a [SECTION]" } },
		{ PLACE_GUEST,
		  "[disk xvda]\ncache = none\rqueues = 2\n",
		  { ":2: there is a carriage return within it" } },
		{ PLACE_GUEST,
		  "; all of it is a comment\r[disk xvda]\rqueues = 2\r",
		  { ":1: there is a carriage return within it" } },
		{ PLACE_GUEST,
		  "[disk 12345678901234567890123456789012345678901234567890"
		  "12345678901234]\n",
		  { ":1: the name of a disk: id=", "1 to 63 bytes" } },
		{ PLACE_GUEST,
		  "[disk xvda]\nlegacy = on\npacked = on\n",
		  { ":1: legacy=on and packed=on exclude" } },
		{ PLACE_GUEST,
		  "[disk xvda]\niothreads = 2\n",
		  { ":1: iothreads=2: not with --domain" } },
		{ PLACE_DEFAULTS,
		  "[default]\n",
		  { ":1: unknown section [default]; this file has" } },
		{ PLACE_DEFAULTS, "[disk xvda]\n", { "in GUEST.conf" } },
		{ PLACE_DEFAULTS,
		  "[defaults]\n\n[defaults]\n",
		  { ":3: [defaults] stands in line 1 already" } },
		{ PLACE_DEFAULTS,
		  "[defaults]\nfile = /x\n",
		  { ":2: file=/x: not here: each disk has" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(faults); i++) {
		struct config_file file;
		char wanted[200];

		assert_int_equal(read_text(&file, faults[i].text,
					   faults[i].place),
				 -EINVAL);
		config_file_finish(&file);
		assert_memory_equal(said, path, strlen(path));
		for (int n = 0; n < 2 && faults[i].says[n]; n++) {
			snprintf(wanted, sizeof(wanted), "%s%s",
				 *faults[i].says[n] == ':' ? path : "",
				 faults[i].says[n]);
			if (!strstr(said, wanted))
				fail_msg("%s\"%s\" does not say %s",
					 faults[i].text, said, wanted);
		}
	}
}

/* inih would take the rest of a long line for another one. */
static void test_a_long_line_is_told(void **state)
{
	char text[600] = "[disk xvda]\nfile = ";
	struct config_file file;
	size_t n = strlen(text);

	(void)state;
	memset(text + n, 'x', 198 - 7);
	strcpy(text + n + 198 - 7, "\nqueues = 3\n");
	assert_int_equal(read_text(&file, text, PLACE_GUEST), 0);
	assert_int_equal(strlen(file.disk[0].options.file), 198 - 7);
	assert_int_equal(file.disk[0].line[KEY_QUEUES], 3);
	config_file_finish(&file);
	memset(text + n, 'x', 400);
	strcpy(text + n + 400, "readonly=off\nqueues = 3\nbogus = 1\n");
	assert_int_equal(read_text(&file, text, PLACE_GUEST), -EINVAL);
	assert_non_null(strstr(said, ":2: a line has at most 198 bytes; for "));
	assert_non_null(strstr(said, ":4: unknown key"));
	assert_null(strstr(said, ":3:"));
	config_file_finish(&file);
}

static void test_what_is_no_configuration(void **state)
{
	static const char zero[] = "[disk xvda]\nfile = /a\0b\n";
	static char large[(64 << 10) + 1];
	struct config_file file;

	(void)state;
	write_bytes("x.conf", zero, sizeof(zero) - 1);
	said[0] = '\0';
	assert_int_equal(config_file_read(&file, path, PLACE_GUEST), -EINVAL);
	assert_non_null(strstr(said, "x.conf:2: there is a zero byte"));
	config_file_finish(&file);
	memset(large, '\n', sizeof(large));
	write_bytes("x.conf", large, sizeof(large));
	assert_int_equal(config_file_read(&file, path, PLACE_GUEST), -EFBIG);
	config_file_finish(&file);
	write_bytes("x.conf", large, sizeof(large) - 1);
	assert_int_equal(config_file_read(&file, path, PLACE_GUEST), 0);
	config_file_finish(&file);
	said[0] = '\0';
	assert_int_equal(chmod(path, 0602), 0);
	assert_int_equal(config_file_read(&file, path, PLACE_GUEST), -EPERM);
	assert_non_null(strstr(said, "chmod o-w"));
	config_file_finish(&file);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(config_file_read(&file, path, PLACE_GUEST), -ENOENT);
	config_file_finish(&file);
	assert_int_equal(symlink("nowhere", path), 0);
	said[0] = '\0';
	assert_int_equal(config_file_read(&file, path, PLACE_GUEST), -ENOLINK);
	assert_non_null(strstr(said, "x.conf: a symbolic link that leads"));
	config_file_finish(&file);
	assert_int_equal(unlink(path), 0);
	/* Nobody writes into it: it must not be waited for. */
	assert_int_equal(mkfifo(path, 0600), 0);
	said[0] = '\0';
	assert_int_equal(config_file_read(&file, path, PLACE_GUEST), -EINVAL);
	assert_non_null(strstr(said, "no regular file"));
	config_file_finish(&file);
	assert_int_equal(unlink(path), 0);
}

/* The host's fault is not called one of the file: it may be tried again. */
static void test_no_memory_is_no_fault_of_the_file(void **state)
{
	static const char text[] = "[disk xvda]\nfile = /a\nserial = b\n";
	struct config_file file;
	int r = -1;

	(void)state;
	for (unsigned int n = 0; r; n++) {
		copies_left = n;
		r = read_text(&file, text, PLACE_GUEST);
		copies_left = -1u;
		assert_int_equal(r, n < 4 ? -ENOMEM : 0);
		if (r)
			assert_non_null(strstr(said, "emory"));
		config_file_finish(&file);
	}
}

static void test_sixteen_sections_and_no_more(void **state)
{
	char text[1024] = "";
	struct config_file file;

	(void)state;
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		snprintf(text + strlen(text), 40, "[disk x%u]\n", i);
	assert_int_equal(read_text(&file, text, PLACE_GUEST), 0);
	assert_int_equal(file.ndisks, DISKS_MAX);
	config_file_finish(&file);
	strcat(text, "[disk y]\n");
	assert_int_equal(read_text(&file, text, PLACE_GUEST), -EINVAL);
	assert_non_null(strstr(said, ":17: more than 16 disks"));
	config_file_finish(&file);
}

static void test_the_files_of_a_guest(void **state)
{
	struct config_files files;
	static const char defaults[] = "[defaults]\ncache = writeback\n";
	static const char guest[] = "[disk xvda]\nqueues = 2\n";

	(void)state;
	/* Neither has to be there, but the directory that is named. */
	assert_int_equal(config_files_read(&files, dir, "web"), 0);
	assert_null(files.defaults.path);
	assert_null(files.guest.path);
	config_files_finish(&files);
	assert_int_equal(config_files_read(&files, "/nowhere", "web"), -ENOENT);
	config_files_finish(&files);
	write_bytes("virtio-disk.conf", defaults, strlen(defaults));
	write_bytes("web.conf", guest, strlen(guest));
	assert_int_equal(config_files_read(&files, dir, "web"), 0);
	is_dump(&files.defaults.disk[0].options, "cache=writeback");
	is_dump(&files.guest.disk[0].options, "id=xvda,queues=2");
	config_files_finish(&files);
	/* One whose name is known later. */
	assert_int_equal(config_files_read(&files, dir, NULL), 0);
	assert_null(files.guest.path);
	assert_int_equal(config_files_read_guest(&files, dir, "web"), 0);
	is_dump(&files.guest.disk[0].options, "id=xvda,queues=2");
	/* What was there at the start holds. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(config_files_read_guest(&files, dir, "web"), 0);
	assert_int_equal(files.guest.ndisks, 1);
	config_files_finish(&files);
	/* A file that is named is the guest's, whatever that is called. */
	write_bytes("other", guest, strlen(guest));
	assert_int_equal(config_files_read(&files, path, NULL), 0);
	assert_null(files.defaults.path);
	assert_int_equal(files.guest.ndisks, 1);
	assert_true(files.guest_is_read);
	config_files_finish(&files);
	assert_int_equal(unlink(path), 0);
}

/* A name is none of a way through directories, nor that of the defaults. */
static void test_names_that_are_no_files(void **state)
{
	(void)state;
	assert_true(config_files_can_name("web"));
	assert_true(config_files_can_name("web 1.2"));
	assert_false(config_files_can_name(""));
	assert_false(config_files_can_name("."));
	assert_false(config_files_can_name(".."));
	assert_false(config_files_can_name("../web"));
	assert_false(config_files_can_name("a/b"));
	assert_false(config_files_can_name("virtio-disk"));
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "x.conf", "web.conf", "other",
					     "virtio-disk.conf" };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sections_and_their_keys),
		cmocka_unit_test(test_faults_are_told_with_their_lines),
		cmocka_unit_test(test_a_long_line_is_told),
		cmocka_unit_test(test_what_is_no_configuration),
		cmocka_unit_test(test_no_memory_is_no_fault_of_the_file),
		cmocka_unit_test(test_sixteen_sections_and_no_more),
		cmocka_unit_test(test_the_files_of_a_guest),
		cmocka_unit_test(test_names_that_are_no_files),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
