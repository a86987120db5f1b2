/* SPDX-License-Identifier: MIT */
/*
 * The directory with what of the guests' devices outlives the process:
 *
 *	DIR/DOMID/server	of the guest's IOREQ server; locked by who
 *				serves the guest
 *	DIR/DOMID/vm		which guest that is; another one may have
 *				its number later
 *	DIR/DOMID/boot		which boot of the host; only where DIR outlives
 *				one
 *	DIR/DOMID/pid		who serves it, for people
 *	DIR/DOMID/DEVID		of one disk
 *	DIR/DOMID/DEVID.image	which image that has
 *
 * What is in `server` and in the disks' files is the worker's, who sizes them.
 * It lies on tmpfs, best: nothing of it is to outlive the host, after whose
 * next boot another guest has the number. Elsewhere what is of another boot is
 * removed.
 */
#ifndef MONITOR_STATE_DIR_H
#define MONITOR_STATE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "block/part.h"

enum {
	STATE_DIR_VM_MAX = 128,  /* bytes of what tells a guest, with its NUL */
	STATE_DIR_BOOT_MAX = 40, /* ... a boot of the host */
	STATE_DIR_DISKS_MAX = 64,  /* files that state_dir_list() looks at */
	STATE_DIR_FILE_MAX = 4096, /* bytes of an image's name, with its NUL */
};

struct state_dir {
	const char *path; /* DIR, not owned */
	int root_fd;      /* of it; or -1 */
	int fd;           /* of a guest's, or -1: it has none */
	int server_fd;    /* of the file in it, locked; or -1 */
	unsigned int domid;
	/* The host's boot, where that has to be looked at; or "". */
	char boot[STATE_DIR_BOOT_MAX];
};

/* One that is closed, or was never opened. */
#define STATE_DIR_CLOSED \
	((struct state_dir){ .root_fd = -1, .fd = -1, .server_fd = -1 })

/*
 * Open DIR, which is made if it is not there. 0, or a negative errno and a
 * sentence; then there are no states, and no call but state_dir_close() is
 * allowed. A closed one is allowed where it says so.
 */
int state_dir_open(struct state_dir *dir, const char *path,
		   char error[BLOCK_ERROR_MAX]);

/* Leave all as it is, and let go of the lock. A closed one is allowed. */
void state_dir_close(struct state_dir *dir);

/*
 * Remove what is left of guests that are no more: of those that nobody serves
 * and for which `gone` says so. Nothing is locked while that is asked: it may
 * take as long as it likes, and another process take the guest meanwhile.
 */
void state_dir_sweep(const struct state_dir *dir,
		     bool (*gone)(void *arg, unsigned int domid,
				  const char *vm),
		     void *arg);

/*
 * Take the states of a guest, which `vm` tells from others of its number: those
 * of another one, or of another boot of the host, are removed. 0, or a negative
 * errno and a sentence: -EBUSY if another process serves it, else it cannot
 * have states. Waits for a process that is ending, and for the worker
 * that is left of one, for five seconds.
 */
int state_dir_take(struct state_dir *dir, unsigned int domid, const char *vm,
		   char error[BLOCK_ERROR_MAX]);

/* The guest is gone: remove all of it. One without states is allowed. */
void state_dir_remove(struct state_dir *dir);

/* Whether the guest has states. A closed one is allowed: it has none. */
bool state_dir_has_guest(const struct state_dir *dir);

/*
 * Whether the next process will find them: false where somebody has removed the
 * directory, or the guest has no states.
 */
bool state_dir_can_be_found(const struct state_dir *dir);

/*
 * The file of a disk, to be closed by the caller: one that is there already, or
 * with `make` an empty one. Or a negative errno and a sentence. Where somebody
 * has removed the directory the empty one has no name, which is logged: it ends
 * with the process.
 */
int state_dir_open_disk(const struct state_dir *dir, uint64_t devid, bool make,
			char error[BLOCK_ERROR_MAX]);

/*
 * Note which image a disk has, for a process that is not told so by anybody
 * else; and read it, 0 or -ENOENT: there is no note. Or another negative errno.
 */
int state_dir_note_image(const struct state_dir *dir, uint64_t devid,
			 const char *file, bool readonly);
int state_dir_read_image(const struct state_dir *dir, uint64_t devid,
			 char file[STATE_DIR_FILE_MAX], bool *readonly);

/* The disk has ended; also one without a file. */
void state_dir_remove_disk(const struct state_dir *dir, uint64_t devid);

/* The disks that there are files of: their number. */
unsigned int state_dir_list(const struct state_dir *dir,
			    uint64_t devid[STATE_DIR_DISKS_MAX]);

#endif
