/* SPDX-License-Identifier: MIT */
/* How many descriptors this process may have. */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

/*
 * Allow ourselves what the administrator allows at most. The usual limit is for
 * programs that use select(), which nothing here does.
 */
void descriptors_raise(void);

/* What to do where there is none left, to stand behind strerror(); or "". */
const char *descriptors_advice(int error);

/* How many more can be opened. */
unsigned int descriptors_left(void);

#endif
