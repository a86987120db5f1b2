/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line */
/*
 * Who counts of those that say something of a disk: the file with defaults, the
 * toolstack, the guest's file, --disk; each over the ones before it, and back.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "config/key_text.h"
#include "config/layers.h"
#include "monitor/disk_said.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char error[BLOCK_ERROR_MAX];
static char said[1024]; /* the last line of the log */

void __wrap_log_line(enum log_level level, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

/* NULL: it says nothing. */
struct who {
	const char *defaults, *mode, *file, *line;
};

struct host {
	struct config_file defaults, file;
	struct backend backend;
	struct disk_options line;
	struct disk_said said;
};

static void parse(struct disk_options *to, const char *text)
{
	if (text && keys_parse(to, text, error))
		fail_msg("%s: %s", text, error);
}

static void open_host(struct host *h, const struct who *who)
{
	memset(h, 0, sizeof(*h));
	h->defaults.ndisks = !!who->defaults;
	parse(&h->defaults.disk[0].options, who->defaults);
	h->file.ndisks = !!who->file;
	h->file.path = strdup("/etc/web.conf");
	h->file.disk[0].line[KEY_READONLY] = 7;
	parse(&h->file.disk[0].options, who->file);
	/* As toolstack/backend.c makes it. */
	h->backend.base = 0x2000000;
	h->backend.irq = 33;
	parse(&h->backend.options, "file=/tool,id=xvda");
	parse(&h->backend.options,
	      !strcmp(who->mode, "w") ? "readonly=off" : "readonly=on");
	parse(&h->line, who->line);
	h->said = (struct disk_said){
		.devid = 51712,
		.path = "backend/virtio_disk/5/51712",
		.backend = &h->backend,
		.defaults = &h->defaults,
		.file = &h->file,
		.overrides = &h->line,
		.noverrides = !!who->line,
	};
	said[0] = '\0';
	error[0] = '\0';
}

static void close_host(struct host *h)
{
	config_file_finish(&h->defaults);
	config_file_finish(&h->file);
	keys_finish(&h->backend.options);
	keys_finish(&h->line);
}

static void test_who_counts(void **state)
{
	static const struct {
		struct who who;
		const char *after;
		enum disk_key key;
		int origin;
	} cases[] = {
		/* Each alone, ... */
		{ { NULL, "w", NULL, NULL }, "cache=auto", KEY_CACHE, -1 },
		{ { "cache=none", "w", NULL, NULL },
		  "cache=none",
		  KEY_CACHE,
		  SAID_BY_DEFAULTS },
		{ { NULL, "w", NULL, NULL },
		  "file=/tool,",
		  KEY_FILE,
		  SAID_BY_TOOLSTACK },
		{ { NULL, "w", "id=xvda,cache=unsafe", NULL },
		  "cache=unsafe",
		  KEY_CACHE,
		  SAID_BY_GUEST },
		{ { NULL, "w", NULL, "id=xvda,cache=unsafe" },
		  "cache=unsafe",
		  KEY_CACHE,
		  SAID_BY_LINE },
		/* ... over the one before it, ... */
		{ { "readonly=on", "w", NULL, NULL },
		  "readonly=off",
		  KEY_READONLY,
		  SAID_BY_TOOLSTACK },
		{ { "readonly=off", "r", NULL, NULL },
		  "readonly=on",
		  KEY_READONLY,
		  SAID_BY_TOOLSTACK },
		{ { NULL, "w", "id=xvda,readonly=on", NULL },
		  "readonly=on",
		  KEY_READONLY,
		  SAID_BY_GUEST },
		{ { NULL, "w", "id=51712,file=/conf", NULL },
		  "file=/conf,",
		  KEY_FILE,
		  SAID_BY_GUEST },
		{ { NULL, "w", "id=xvda,file=/conf", "id=xvda,file=/line" },
		  "file=/line,",
		  KEY_FILE,
		  SAID_BY_LINE },
		{ { NULL, "r", NULL, "id=xvda,readonly=off" },
		  "readonly=off",
		  KEY_READONLY,
		  SAID_BY_LINE },
		/* ... and back to what it was. */
		{ { "cache=unsafe", "w", "id=xvda,cache=auto", NULL },
		  "cache=auto",
		  KEY_CACHE,
		  SAID_BY_GUEST },
		{ { "packed=on", "w", NULL, "id=xvda,packed=off" },
		  "packed=off",
		  KEY_PACKED,
		  SAID_BY_LINE },
		{ { NULL, "w", "id=xvda,readonly=on", "id=xvda,readonly=off" },
		  "readonly=off",
		  KEY_READONLY,
		  SAID_BY_LINE },
		{ { "block-size=4096", "w", "id=xvda,block-size=", NULL },
		  "block-size=,",
		  KEY_BLOCK_SIZE,
		  SAID_BY_GUEST },
		{ { NULL, "w", "id=xvda,serial=a", "id=xvda,serial=" },
		  "serial=,",
		  KEY_SERIAL,
		  SAID_BY_LINE },
		/* Another disk's. */
		{ { "queues=2", "w", "id=xvdb,queues=3", "id=xvdc,queues=4" },
		  "queues=2",
		  KEY_QUEUES,
		  SAID_BY_DEFAULTS },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct said_layers layers;
		struct disk_options whole;
		struct host h;
		char *text;

		open_host(&h, &cases[i].who);
		if (disk_said_settle(&h.said, &whole, error))
			fail_msg("%zu: %s", i, error);
		text = key_text_dump(&whole);
		if (!strstr(text, cases[i].after))
			fail_msg("%zu: %s is not in %s", i, cases[i].after,
				 text);
		/* The id names it, and is what the guest reads as serial. */
		assert_string_equal(whole.id, "xvda");
		free(text);
		keys_finish(&whole);
		assert_int_equal(disk_said_layers(&h.said, &layers, error), 0);
		assert_int_equal(layers_origin(layers.by, SAID_BYS,
					       cases[i].key),
				 cases[i].origin);
		close_host(&h);
	}
}

/* Only «w» of the toolstack does, or who starts the program. */
static void test_a_file_makes_nothing_writable(void **state)
{
	static const struct who file = { NULL, "r", "id=xvda,readonly=off",
					 NULL };
	static const struct who odd = { "readonly=off", "rw",
					"id=xvda,readonly=off", NULL };
	static const struct who line = { NULL, "r", "id=xvda,readonly=off",
					 "id=xvda,readonly=off" };
	static const struct {
		const struct who *who;
		bool readonly;
	} cases[] = { { &file, true }, { &odd, true }, { &line, false } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct disk_options whole;
		struct host h;

		open_host(&h, cases[i].who);
		assert_int_equal(disk_said_settle(&h.said, &whole, error), 0);
		assert_int_equal(whole.readonly, cases[i].readonly);
		keys_finish(&whole);
		disk_said_warn(&h.said, "web/xvda");
		if (cases[i].readonly)
			assert_non_null(strstr(said, "web/xvda: /etc/web.conf:"
						     "7: readonly=off does"));
		else
			assert_string_equal(said, "");
		close_host(&h);
	}
}

static void test_two_sections_about_one_disk(void **state)
{
	static const struct who who = { NULL, "w", "id=xvda,queues=2", NULL };
	struct disk_options whole;
	struct host h;

	(void)state;
	open_host(&h, &who);
	parse(&h.file.disk[1].options, "id=51712,queues=3");
	h.file.ndisks = 2;
	assert_int_equal(disk_said_settle(&h.said, &whole, error), -EINVAL);
	assert_non_null(strstr(error, "/etc/web.conf: two sections are about "
				      "it, [disk xvda] and [disk 51712]"));
	close_host(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_counts),
		cmocka_unit_test(test_a_file_makes_nothing_writable),
		cmocka_unit_test(test_two_sections_about_one_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
