/* SPDX-License-Identifier: MIT */
/*
 * A configuration file; see config/config_file.h.
 *
 *	; of all disks of all guests	; of the disk that xl calls xvda
 *	[defaults]			[disk xvda]
 *	cache = writeback		serial = web-root
 *
 * Happy path: inih cuts keys from values and leaves comments out; each key goes
 * the way of a key of --disk. What of a line inih takes in silence is looked at
 * before it sees the line: one that is longer than its buffer would be cut in
 * two, a key that is indented would be the rest of the value above it, and what
 * follows a section's bracket, or a carriage return, would be nothing.
 *
 * Failures: each line that is wrong is told, all in one go, and with one of
 * them the whole file counts for nothing: half of what somebody wanted may be
 * worse than neither. So is a file that is no file, is too large, or may be
 * written by everybody, and a link that leads to none.
 */
#include "config/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/layers.h"

enum {
	FILE_BYTES_MAX = 64 << 10,
	FAULTS_MAX = 20, /* that are told */
	SHOWN_MAX = 60,  /* bytes of a line in a sentence */
};

struct reading {
	struct config_file *file;
	enum key_place place;
	FILE *stream;
	char *text; /* of the line; owned */
	size_t room;
	unsigned int line;
	unsigned int faults;
	int error;                /* negative errno of a look that failed */
	bool begun;               /* there was a section, right or wrong */
	struct config_disk *disk; /* of a right one, or NULL */
};

/* ---- faults ---- */

__attribute__((format(printf, 3, 4))) static void
complain(struct reading *r, unsigned int line, const char *format, ...)
{
	char text[BLOCK_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->faults++;
	if (r->faults <= FAULTS_MAX)
		log_error("%s:%u: %s", r->file->path, line, text);
	else if (r->faults == FAULTS_MAX + 1)
		log_error("%s: there are more faults", r->file->path);
}

static int cannot(const char *path, int r, const char *what)
{
	log_error("%s: %s", path, what);
	return r;
}

/* ---- sections ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char *skip(char *text)
{
	while (is_space(*text))
		text++;
	return text;
}

/* What stands between the brackets of a line; NULL: that is no section. */
static char *cut_section(char *text)
{
	char *name = skip(text + 1);
	char *end = strchr(name, ']');
	char *rest = end ? skip(end + 1) : NULL;

	if (!end || (*rest && !strchr(";#", *rest)))
		return NULL;
	while (end > name && is_space(end[-1]))
		end--;
	*end = '\0';
	return name;
}

static struct config_disk *add_disk(struct reading *r)
{
	struct config_disk *disk = &r->file->disk[r->file->ndisks++];

	disk->section = r->line;
	return disk;
}

static void begin_defaults(struct reading *r, const char *name)
{
	if (strcmp(name, "defaults") != 0)
		complain(
			r, r->line,
			"unknown section [%.*s]; this file has [defaults], and "
			"what is said of one disk stands in GUEST.conf",
			SHOWN_MAX, name);
	else if (r->file->ndisks)
		complain(r, r->line,
			 "[defaults] stands in line %u already: give its keys "
			 "in one section",
			 r->file->disk[0].section);
	else
		r->disk = add_disk(r);
}

static const struct config_disk *find(const struct config_file *file,
				      const char *id)
{
	for (unsigned int i = 0; i < file->ndisks; i++)
		if (file->disk[i].options.id &&
		    !strcmp(file->disk[i].options.id, id))
			return &file->disk[i];
	return NULL;
}

/* NULL: it is no [disk NAME]. */
static char *disk_name(char *name)
{
	static const char word[] = "disk";
	size_t n = sizeof(word) - 1;

	return !strncmp(name, word, n) && is_space(name[n]) ? skip(name + n) :
							      NULL;
}

static void begin_disk(struct reading *r, char *name)
{
	const char *id = disk_name(name);
	const struct config_disk *other = id ? find(r->file, id) : NULL;
	char error[BLOCK_ERROR_MAX];
	struct config_disk *disk;
	int result;

	if (!id) {
		complain(r, r->line,
			 "unknown section [%.*s]; a guest's file has [disk "
			 "NAME], as [disk xvda]",
			 SHOWN_MAX, name);
		return;
	}
	if (other || r->file->ndisks == DISKS_MAX) {
		if (other)
			complain(r, r->line,
				 "[disk %s] stands in line %u already: give "
				 "its keys in one section",
				 id, other->section);
		else
			complain(r, r->line, "more than %d disks", DISKS_MAX);
		return;
	}
	disk = add_disk(r);
	result = keys_set(&disk->options, PLACE_LINE, "id", id, error);
	if (result)
		complain(r, r->line, "the name of a disk: %s", error);
	else
		r->disk = disk;
	if (result == -ENOMEM)
		r->error = result;
}

static void begin_section(struct reading *r, char *text)
{
	char *name = cut_section(text);

	r->begun = true;
	r->disk = NULL;
	if (!name)
		complain(r, r->line, "a section has a line for itself, as [%s]",
			 r->place == PLACE_DEFAULTS ? "defaults" : "disk xvda");
	else if (r->place == PLACE_DEFAULTS)
		begin_defaults(r, name);
	else
		begin_disk(r, name);
}

/* ---- lines and keys ---- */

static void complain_of_words(struct reading *r, unsigned int line)
{
	complain(r, line,
		 "this is neither KEY = VALUE nor a [SECTION]; a comment "
		 "begins with ;");
}

/* What stands behind the end of a line, of which nothing would be seen. */
static bool has_more(const char *text)
{
	text += strcspn(text, "\r\n");
	text += strspn(text, "\r");
	return *text && *text != '\n';
}

/* The next line without what inih would misread; NULL: there is none. */
static char *next_text(struct reading *r, size_t max)
{
	ssize_t bytes = getline(&r->text, &r->room, r->stream);
	char *text;

	if (bytes < 0) {
		if (!feof(r->stream))
			r->error = -errno;
		return NULL;
	}
	text = r->text;
	if (r->line++ == 0 && !strncmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	text = skip(text);
	if (memchr(r->text, '\0', (size_t)bytes)) {
		complain(r, r->line, "there is a zero byte: is this a text?");
		*text = '\0';
	} else if (has_more(text)) {
		complain(r, r->line,
			 "there is a carriage return within it: a line ends "
			 "with a newline");
		*text = '\0';
	} else if (strcspn(text, "\r\n") > max) {
		complain(r, r->line,
			 "a line has at most %zu bytes; for a long path make a "
			 "symbolic link",
			 max);
		*text = '\0';
	}
	return text;
}

/* As inih wants it: like fgets(), with `stream` a struct reading. */
static char *next_line(char *to, int size, void *stream)
{
	struct reading *r = stream;
	/* Without the end of the line, and the byte behind it. */
	char *text = next_text(r, (size_t)size - 2);

	if (!text)
		return NULL;
	if (*text == '[') {
		begin_section(r, text);
		*text = '\0';
	} else if (*text && !strchr(";#", *text) && !strpbrk(text, "=:")) {
		/* inih tells one of these. */
		complain_of_words(r, r->line);
		*text = '\0';
	}
	snprintf(to, (size_t)size, "%.*s\n", (int)strcspn(text, "\r\n"), text);
	return to;
}

/* A key, of inih; what is wrong with it is said here. Returns nonzero. */
static int take_key(void *user, const char *section, const char *name,
		    const char *value)
{
	struct reading *r = user;
	char error[BLOCK_ERROR_MAX];
	int result;

	(void)section;
	if (!r->begun)
		complain(r, r->line,
			 "%.*s: there is no section above it; add %s",
			 SHOWN_MAX, name,
			 r->place == PLACE_DEFAULTS ? "[defaults]" :
						      "[disk NAME]");
	/* Of one that is wrong that was said. */
	if (!r->disk)
		return 1;
	result = keys_set(&r->disk->options, r->place, name, value, error);
	if (result)
		complain(r, r->line, "%s", error);
	else
		r->disk->line[keys_find(name)] = r->line;
	if (result == -ENOMEM)
		r->error = result;
	return 1;
}

/* ---- the file ---- */

/* What is wrong with a disk of which each line is right. */
static void check_disk(struct reading *r, const struct config_disk *disk)
{
	char error[BLOCK_ERROR_MAX];

	if (layers_check_top(&disk->options, DISK_FOR_XEN, error))
		complain(r, disk->section, "%s", error);
}

static int parse(struct reading *r)
{
	int wrong = ini_parse_stream(next_line, r, take_key, r);

	if (r->error == 0 && wrong == -2)
		r->error = -ENOMEM;
	if (r->error)
		return cannot(r->file->path, r->error, strerror(-r->error));
	if (wrong > 0)
		complain_of_words(r, (unsigned int)wrong);
	for (unsigned int i = 0; r->faults == 0 && i < r->file->ndisks; i++)
		check_disk(r, &r->file->disk[i]);
	return r->faults ? -EINVAL : 0;
}

/* A negative errno and a line of the log for what is no configuration. */
static int check_kind(const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return cannot(path, -errno, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cannot(path, -EINVAL, "this is no regular file");
	if (st.st_mode & S_IWOTH)
		return cannot(path, -EPERM,
			      "everybody may write it, so it is not read: "
			      "chmod o-w");
	if (st.st_size > FILE_BYTES_MAX)
		return cannot(path, -EFBIG,
			      "a configuration has at most 64 KiB");
	return 0;
}

/* Whoever has made a link wants what it leads to. */
static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static FILE *open_file(const char *path, int *error)
{
	/* Not to wait for whoever writes into a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	FILE *stream;

	*error = 0;
	if (fd < 0) {
		*error = errno == ENOTDIR ? -ENOENT : -errno;
		if (*error == -ENOENT && is_link(path))
			*error =
				cannot(path, -ENOLINK,
				       "a symbolic link that leads to nothing");
		else if (*error != -ENOENT)
			cannot(path, *error, strerror(errno));
		return NULL;
	}
	*error = check_kind(path, fd);
	stream = *error ? NULL : fdopen(fd, "r");
	if (stream)
		return stream;
	if (*error == 0)
		*error = cannot(path, -errno, strerror(errno));
	close(fd);
	return NULL;
}

int config_file_read(struct config_file *file, const char *path,
		     enum key_place place)
{
	struct reading r = { .file = file, .place = place };
	int result;

	memset(file, 0, sizeof(*file));
	r.stream = open_file(path, &result);
	if (!r.stream)
		return result;
	file->path = strdup(path);
	result = file->path ? parse(&r) :
			      cannot(path, -ENOMEM, "no memory to read it");
	fclose(r.stream);
	free(r.text);
	return result;
}

void config_file_finish(struct config_file *file)
{
	for (unsigned int i = 0; i < file->ndisks; i++)
		keys_finish(&file->disk[i].options);
	free(file->path);
	memset(file, 0, sizeof(*file));
}
