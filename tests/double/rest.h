/* SPDX-License-Identifier: MIT */
/* What is left behind where processes of the program have died. */
#ifndef DOUBLE_REST_H
#define DOUBLE_REST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* All of them as they were before, or something leaks. */
struct rest {
	unsigned int descriptors, mappings; /* of a process */
	unsigned int states, nodes, ranges; /* of the guest, the host */
};

/* As seen now; `pid` is of who has survived, 0: of this process. */
struct rest rest_look(pid_t pid, const char *state_dir);

/* Dies where `now` is not as `before`. */
void rest_compare(const struct rest *before, const struct rest *now,
		  const char *whose);

unsigned int rest_files(const char *directory);

/* Kilobytes of memory of a process that are its own. */
unsigned int rest_memory_kb(pid_t pid);

#endif
