/* SPDX-License-Identifier: MIT */
/*
 * What the command line says.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>

#include "config/config_files.h"
#include "config/keys.h"

/* What the program is started for. */
enum options_task {
	OPTIONS_SERVE,
	OPTIONS_CHECK_CONFIG, /* which reading the line does */
	OPTIONS_SHOW_CONFIG,  /* of guest `domain` */
};

/* What becomes of a guest's disks where the program ends before it does. */
enum options_end {
	OPTIONS_LEAVE,  /* the next process goes on with them */
	OPTIONS_DETACH, /* the guest loses them */
};

/* Who starts the instances of a watcher. */
enum options_watch {
	OPTIONS_WATCH_NONE, /* it is no watcher */
	OPTIONS_WATCH_AUTO, /* systemd where it runs, else itself */
	OPTIONS_WATCH_UNITS,
	OPTIONS_WATCH_CHILDREN,
};

struct options {
	enum options_task task;
	char *domain; /* name or id; owned */
	char *config; /* where its files are; NULL: CONFIG_DIR; owned */
	struct config_files files; /* what they say */
	char *state_dir;           /* path, not with vhost-user; owned */
	enum options_end end;
	bool end_given;
	char *vhost_socket; /* path; owned */
	int vhost_fd;       /* inherited socket; or -1 */
	bool vhost;         /* serve vhost-user front ends, not a domain */
	bool once;          /* end with the first front end */
	/*
	 * With vhost-user the one disk, all of whose keys are settled; else a
	 * layer for each disk that it names by `id`.
	 */
	struct disk_options disk[DISKS_MAX];
	unsigned int ndisks;
	unsigned int poll_max_us; /* longest adaptive polling */
	bool poll_given;
	bool foreground; /* the worker is no process */
	char *user;      /* of that process; or NULL; owned */
	/* That process: of guest `worker_domid`; with `vhost` of front ends. */
	bool worker;
	unsigned int worker_domid;
	enum options_watch watch;
	/* Which words of the line say so: the first, and how many. */
	int watch_word, watch_words;
	bool no_sandbox; /* keep all rights, for debugging */
	bool trace;      /* each request, from the beginning */
	bool verbose;
};

#endif
