/* SPDX-License-Identifier: MIT */
/*
 * Directories that are not served; see monitor/settled.h. A list is enough:
 * they are looked through when the toolstack has changed something.
 */
#include "monitor/settled.h"

#include <stdlib.h>

struct settled *settled_find(struct settled *list, uint64_t devid)
{
	while (list && list->devid != devid)
		list = list->next;
	return list;
}

struct settled *settled_add(struct settled **list, uint64_t devid)
{
	struct settled *s = settled_find(*list, devid);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		s->devid = devid;
		s->next = *list;
		*list = s;
	}
	s->seen = true;
	return s;
}

void settled_unsee(struct settled *list)
{
	for (; list; list = list->next)
		list->seen = false;
}

void settled_forget_unseen(struct settled **list)
{
	while (*list) {
		struct settled *s = *list;

		if (s->seen) {
			list = &s->next;
			continue;
		}
		*list = s->next;
		free(s);
	}
}

void settled_forget_all(struct settled **list)
{
	settled_unsee(*list);
	settled_forget_unseen(list);
}
