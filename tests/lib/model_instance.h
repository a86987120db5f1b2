/* SPDX-License-Identifier: MIT */
/*
 * An instance as a watcher sees it: a process that takes the lock of its
 * guest's states, and ends when the guest is gone. It is the test program
 * itself, which the watcher executes; what the test wants of it lies in files
 * of the state directory:
 *
 *	vm.DOMID	the guest that is there; none: it is gone
 *	starts.DOMID	a byte for each start of an instance
 *	status		one that is started ends at once, with this status
 *	asked		a byte for each call of systemctl; likewise `refused`,
 *			which is an order: systemctl fails
 */
#ifndef MODEL_INSTANCE_H
#define MODEL_INSTANCE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * To be called first by main(): does not return where the program is to be an
 * instance, or the systemctl that starts one.
 */
void model_instance_main(int argc, char **argv);

/* A state directory for a test, also of the programs that it executes. */
void model_instance_begin(void);
/* Ends all instances. */
void model_instance_end(void);

const char *model_instance_dir(void);

/* Files in it: made, removed, and how long one is; 0 where it is not there. */
void model_instance_put(const char *name, const char *text);
void model_instance_take(const char *name);
unsigned int model_instance_bytes(const char *name);

unsigned int model_instance_starts(unsigned int domid);

/* Who serves the guest called `vm`; 0: nobody. */
pid_t model_instance_of(unsigned int domid, const char *vm);

#endif
