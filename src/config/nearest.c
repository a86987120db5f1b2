/* SPDX-License-Identifier: MIT */
/*
 * The nearest of some words; see config/nearest.h. How far two words are from
 * each other is how many letters have to be added, left out or replaced.
 *
 * Failure: a word that is far from all others, or longer than any of ours, has
 * no nearest one.
 */
#include "config/nearest.h"

#include <string.h>

enum { LETTERS_MAX = 32 }; /* of a word that can be meant */

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Row by row of what it takes from each beginning of `a` to each of `b`. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[LETTERS_MAX + 1];
	size_t n = strlen(b);

	for (unsigned int i = 0; i <= n; i++)
		row[i] = i;
	for (unsigned int line = 1; *a; a++, line++) {
		unsigned int diagonal = row[0];

		row[0] = line;
		for (size_t i = 1; i <= n; i++) {
			unsigned int replaced = diagonal + (*a != b[i - 1]);

			diagonal = row[i];
			row[i] = least(row[i] + 1, row[i - 1] + 1, replaced);
		}
	}
	return row[n];
}

void nearest_offer(struct nearest *nearest, const char *known)
{
	size_t letters = strlen(nearest->word);
	unsigned int n;

	if (letters > LETTERS_MAX || strlen(known) > LETTERS_MAX)
		return;
	n = distance(nearest->word, known);
	/* Of a short word most of it has to be the same. */
	if (n > 1 + letters / 4 || (nearest->found && n >= nearest->distance))
		return;
	nearest->found = known;
	nearest->distance = n;
}
