/* SPDX-License-Identifier: MIT */
/*
 * Of the words that there are, the one that somebody may have meant.
 */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

struct nearest {
	const char *word;      /* what was said; not owned */
	const char *found;     /* one that is near to it, or NULL; not owned */
	unsigned int distance; /* letters to be changed between the two */
};

static inline struct nearest nearest_to(const char *word)
{
	return (struct nearest){ .word = word };
}

/* One of the words that there are: it is kept if none so far is nearer. */
void nearest_offer(struct nearest *nearest, const char *known);

#endif
