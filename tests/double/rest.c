/* SPDX-License-Identifier: MIT */
/* Counting what is left behind; see rest.h. */
#include "rest.h"

#include <dirent.h>
#include <errno.h>

#include "common.h"
#include "host.h"
#include "toolstack.h"

unsigned int rest_files(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned int n = 0;
	struct dirent *e;

	if (!dir)
		die("%s: %s", directory, strerror(errno));
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static unsigned int count_lines(const char *path, const char *with)
{
	FILE *f = fopen(path, "re");
	unsigned int n = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, with) != NULL;
	if (f)
		fclose(f);
	return n;
}

static unsigned int count_nodes(void)
{
	unsigned int n = 0;

	host_lock();
	for (const struct store_node *s = host.nodes; s; s = s->next)
		n++;
	host_unlock();
	return n;
}

struct rest rest_look(pid_t pid, const char *state_dir)
{
	char states[128], descriptors[64] = "/proc/self/fd";
	char maps[64] = "/proc/self/maps";

	snprintf(states, sizeof(states), "%s/%u", state_dir, TOOLSTACK_DOMID);
	if (pid) {
		snprintf(descriptors, sizeof(descriptors), "/proc/%d/fd", pid);
		snprintf(maps, sizeof(maps), "/proc/%d/maps", pid);
	}
	return (struct rest){
		.descriptors = rest_files(descriptors),
		/* Of this process only those that are the guest's. */
		.mappings = count_lines(maps, pid ? "" : "memfd:"),
		.states = rest_files(states),
		.nodes = count_nodes(),
		.ranges = host.server.nranges,
	};
}

void rest_compare(const struct rest *before, const struct rest *now,
		  const char *whose)
{
	if (!memcmp(before, now, sizeof(*now)))
		return;
	die("left behind, %s: %u descriptors, %u mappings, %u files of state, "
	    "%u nodes, %u ranges; before it was %u, %u, %u, %u, %u",
	    whose, now->descriptors, now->mappings, now->states, now->nodes,
	    now->ranges, before->descriptors, before->mappings, before->states,
	    before->nodes, before->ranges);
}

unsigned int rest_memory_kb(pid_t pid)
{
	char path[64], line[256];
	unsigned int kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_Dirty: %u", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}
