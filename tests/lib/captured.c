/* SPDX-License-Identifier: MIT */
/* What this process writes to standard error; see lib/captured.h. */
#include "lib/captured.h"

#include <sys/mman.h>
#include <unistd.h>

#include "lib/test.h"

static int saved = -1, captured = -1;

void capture(void)
{
	saved = dup(STDERR_FILENO);
	captured = memfd_create("log", MFD_CLOEXEC);
	assert_true(saved >= 0 && captured >= 0);
	assert_int_equal(dup2(captured, STDERR_FILENO), STDERR_FILENO);
}

const char *release_into(char *text, size_t size)
{
	ssize_t n;

	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	n = pread(captured, text, size - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(saved);
	close(captured);
	return text;
}
