/* SPDX-License-Identifier: MIT */
/*
 * Shared libraries that only some uses of the program need. Each costs a
 * process two pages of memory at least, also where none of it is called; so
 * these are not the program's when it starts, but loaded by who uses them.
 *
 * Their functions are called by their own names all the same: LIBRARY_CALL()
 * defines one as a call of what was loaded.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stddef.h>

struct library_function {
	const char *name;
	void *where; /* a pointer to a function is stored here */
};

/*
 * Load the library called `soname` with all of `functions`; one that is loaded
 * already stays. It is never unloaded. Returns 0, or a negative errno and a
 * line in the log.
 */
int library_load(const char *soname, const struct library_function *functions,
		 size_t n);

/*
 * Define `type name parameters` as a call of the library's. Weak, so that a
 * program which has a function of that name calls its own.
 */
#define LIBRARY_CALL(type, name, parameters, arguments) \
	static __typeof__(name) *loaded_##name;         \
	__attribute__((weak)) type name parameters      \
	{                                               \
		return loaded_##name arguments;         \
	}

/* The entry of `functions` for such a call. */
#define LIBRARY_FUNCTION(function)            \
	{                                     \
#function, &loaded_##function \
	}

#endif
