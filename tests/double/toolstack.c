/* SPDX-License-Identifier: MIT */
/* The disk in xenstore; see toolstack.h. */
#include "toolstack.h"

#include "common.h"
#include "host.h"

const char *toolstack_node(const char *name)
{
	static char path[4][WIRE_PATH_MAX];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, WIRE_PATH_MAX, "backend/virtio_disk/%u/%u%s%s",
		 TOOLSTACK_DOMID, TOOLSTACK_DEVID, *name ? "/" : "", name);
	return p;
}

void toolstack_offer(const char *image)
{
	host_lock();
	tool_write(toolstack_node("params"), "%s", image);
	tool_write(toolstack_node("dev"), "xvda");
	tool_write(toolstack_node("mode"), "w");
	tool_write(toolstack_node("base"), "%u", TOOLSTACK_BASE);
	tool_write(toolstack_node("irq"), "%u", TOOLSTACK_IRQ);
	tool_write(toolstack_node("grant_usage"), "0");
	tool_write(toolstack_node("discard-enable"), "1");
	tool_write(toolstack_node("online"), "1");
	tool_write(toolstack_node("state"), "1");
	host_unlock();
}

void toolstack_wait(struct program *p, const char *name, const char *value)
{
	uint64_t until = clock_ns() + WAIT_NS;
	char log[256];

	program_log(p, log, sizeof(log));
	while (!tool_is(toolstack_node(name), value)) {
		if (clock_ns() > until)
			die("%s does not become %s, see %s", name, value, log);
		program_lives(p);
		pause_ns(NS_PER_MS);
	}
}

void toolstack_detach(struct program *p)
{
	host_lock();
	tool_write(toolstack_node("online"), "0");
	tool_write(toolstack_node("state"), "5");
	host_unlock();
	toolstack_wait(p, "state", "6");
	tool_remove(toolstack_node(""));
}
