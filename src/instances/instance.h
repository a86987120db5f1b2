/* SPDX-License-Identifier: MIT */
/*
 * The instance of one guest: that there is one, as long as the guest wants it.
 * How it is made is its kind: a child, or a unit of systemd.
 */
#ifndef INSTANCES_INSTANCE_H
#define INSTANCES_INSTANCE_H

#include <stdbool.h>

#include "base/loop.h"
#include "instances/task.h"
#include "monitor/state_dir.h"

enum {
	INSTANCE_WORDS_MAX = 96, /* of a command, with the end */
	INSTANCE_WORD_MAX = 48,  /* bytes of one that has the number in it */
};

struct instance_command {
	char *argv[INSTANCE_WORDS_MAX];
	char word[INSTANCE_WORD_MAX];
};

struct instance_kind {
	const char *name;
	/* The process that is started for a domain. */
	void (*command)(struct instance_command *command, unsigned int domid,
			char *const *args);
	/*
	 * That process is the instance: when it has ended there is none. Else
	 * somebody else has the instance, who starts it anew where it fails.
	 */
	bool is_instance;
	unsigned int at_once; /* so many processes */
};

/* What all instances have in common. */
struct instance_host {
	const struct instance_kind *kind;
	struct loop *loop;
	const struct state_dir *dir;
	char *const *args;    /* of the program, but for those of the watcher */
	unsigned int started; /* processes that run */
	/* That process has ended, or there is an instance now. */
	void (*changed)(struct instance_host *host);
};

enum instance_state {
	INSTANCE_AWAITED, /* to be started; at once, or when `due` is */
	INSTANCE_STARTED, /* our process runs */
	INSTANCE_CHECKED, /* it is looked whether there is one: `due` */
	INSTANCE_OTHERS,  /* another process serves the guest */
	INSTANCE_DONE,    /* there is one, or it is given up */
};

struct instance {
	struct instance_host *host;
	unsigned int domid;
	const char *vm; /* what tells the guest; or NULL; the owner's */
	enum instance_state state;
	bool wanted;
	bool in_vain; /* it was started, and did not serve; said once */
	bool given_up;
	struct task task;
	struct loop_timer due;
	uint64_t started_ns, pause_ns;
};

void instance_init(struct instance *instance, struct instance_host *host,
		   unsigned int domid);

/*
 * The guest wants one, or the guest that has this number is another one now:
 * `vm` tells it, and stays the caller's.
 */
void instance_want(struct instance *instance, const char *vm);

/* The guest is gone: none is started any more, and one that runs ends. */
void instance_unwant(struct instance *instance);

/* Whether nothing of it is left. */
bool instance_is_over(const struct instance *instance);

/* Whether there is one, as far as that is known. */
bool instance_serves(const struct instance *instance);

/* Forget it; a process goes on. */
void instance_forget(struct instance *instance);

#endif
