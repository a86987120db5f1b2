/* SPDX-License-Identifier: MIT */
/*
 * Loading a shared library; see base/library.h.
 *
 * Failure: a library that is not installed, or lacks a function, is named in
 * the log, with what the loader says of it.
 */
#include "base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"

int library_load(const char *soname, const struct library_function *functions,
		 size_t n)
{
	/* All of it now: later there is nobody to tell what is missing. */
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		log_error("cannot load a library, install it: %s", dlerror());
		return -ENOENT;
	}
	for (size_t i = 0; i < n; i++) {
		void *address = dlsym(library, functions[i].name);

		if (!address) {
			log_error("%s is too old: it has no %s", soname,
				  functions[i].name);
			return -ENOSYS;
		}
		memcpy(functions[i].where, &address, sizeof(address));
	}
	return 0;
}
