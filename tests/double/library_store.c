/* SPDX-License-Identifier: MIT */
/*
 * The double of libxenstore; see library.c.
 *
 * The descriptor that is polled has a byte in it while a watch has fired that
 * was not taken yet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#include "library.h"

static struct handle *of(struct xs_handle *xs)
{
	return (void *)xs;
}

/* A path that is too long is that of no node. */
static struct wire_request request_of(enum wire_call call, xs_transaction_t t,
				      const char *path)
{
	struct wire_request request = { .call = call, .in_transaction = t };

	strncpy(request.path, path, sizeof(request.path) - 1);
	return request;
}

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	return (void *)handle_open(WIRE_OPEN_STORE);
}

void xs_close(struct xs_handle *xs)
{
	if (xs)
		handle_close(of(xs));
}

int xs_fileno(struct xs_handle *xs)
{
	return of(xs)->fd;
}

bool xs_watch(struct xs_handle *xs, const char *path, const char *token)
{
	struct wire_request request = request_of(WIRE_WATCH, 0, path);

	strncpy(request.text, token, sizeof(request.text) - 1);
	return handle_call(of(xs), &request, NULL, NULL) == 0;
}

/* Two strings behind an array of both. */
static char **two_strings(const struct wire_reply *reply)
{
	size_t bytes = 2 * sizeof(char *);
	char **strings = malloc(bytes + reply->bytes);

	if (!strings)
		return NULL;
	strings[0] = (char *)strings + bytes;
	memcpy(strings[0], reply->text, reply->bytes);
	strings[1] = strings[0] + strlen(strings[0]) + 1;
	return strings;
}

char **xs_check_watch(struct xs_handle *xs)
{
	struct wire_request request = { .call = WIRE_CHECK_WATCH };
	struct wire_reply reply;
	char byte;

	if (handle_call(of(xs), &request, &reply, NULL))
		return NULL;
	if (!reply.value[0] && read(of(xs)->fd, &byte, 1) != 1)
		return NULL;
	return two_strings(&reply);
}

bool xs_is_domain_introduced(struct xs_handle *xs, unsigned int domid)
{
	struct wire_request request = { .call = WIRE_INTRODUCED,
					.domid = domid };
	struct wire_reply reply;

	return handle_call(of(xs), &request, &reply, NULL) == 0 &&
	       reply.value[0];
}

xs_transaction_t xs_transaction_start(struct xs_handle *xs)
{
	struct wire_request request = { .call = WIRE_BEGIN };

	return handle_call(of(xs), &request, NULL, NULL) ? XBT_NULL : 1;
}

bool xs_transaction_end(struct xs_handle *xs, xs_transaction_t t, bool cancel)
{
	struct wire_request request = { .call = WIRE_END };

	request.in_transaction = t;
	request.arg[0] = cancel;
	return handle_call(of(xs), &request, NULL, NULL) == 0;
}

/* The names behind an array of them, as it is freed. */
char **xs_directory(struct xs_handle *xs, xs_transaction_t t, const char *path,
		    unsigned int *n)
{
	struct wire_request request = request_of(WIRE_DIRECTORY_OF, t, path);
	struct wire_reply reply;
	char **names, *text;

	if (handle_call(of(xs), &request, &reply, NULL))
		return NULL;
	names = malloc((reply.n + 1) * sizeof(*names) + reply.bytes);
	if (!names)
		return NULL;
	text = (char *)(names + reply.n);
	memcpy(text, reply.text, reply.bytes);
	for (unsigned int i = 0; i < reply.n; i++) {
		names[i] = text;
		text += strlen(text) + 1;
	}
	*n = reply.n;
	return names;
}

void *xs_read(struct xs_handle *xs, xs_transaction_t t, const char *path,
	      unsigned int *length)
{
	struct wire_request request = request_of(WIRE_READ, t, path);
	struct wire_reply reply;
	char *value;

	if (handle_call(of(xs), &request, &reply, NULL))
		return NULL;
	value = malloc(reply.bytes + 1);
	if (!value)
		return NULL;
	memcpy(value, reply.text, reply.bytes);
	value[reply.bytes] = '\0';
	if (length)
		*length = reply.bytes;
	return value;
}

bool xs_write(struct xs_handle *xs, xs_transaction_t t, const char *path,
	      const void *data, unsigned int length)
{
	struct wire_request request = request_of(WIRE_WRITE, t, path);

	if (length >= sizeof(request.text)) {
		errno = E2BIG;
		return false;
	}
	memcpy(request.text, data, length);
	request.bytes = length;
	return handle_call(of(xs), &request, NULL, NULL) == 0;
}

bool xs_rm(struct xs_handle *xs, xs_transaction_t t, const char *path)
{
	struct wire_request request = request_of(WIRE_RM, t, path);

	return handle_call(of(xs), &request, NULL, NULL) == 0;
}
