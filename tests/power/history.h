/* SPDX-License-Identifier: MIT */
/*
 * What happened: the requests of the driver's journal, and the entries of the
 * recorder's log with whose each sector is. See power.h for both files.
 */
#ifndef POWER_HISTORY_H
#define POWER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "power.h"

#define NEVER UINT64_MAX
#define TORN (UINT32_C(1) << 31) /* beside a request's number */

struct request {
	uint8_t op;
	bool bad, whole;
	uint32_t sector, sectors;
	uint64_t begun, answered; /* events; NEVER */
	uint64_t entries;         /* of the log, before it */
	uint64_t over;            /* ... and before its answer; NEVER */
	uint64_t promised;        /* ... and when it is stable; NEVER */
	/* Entries of the log: the first one by which all of it was written. */
	uint64_t written;
	uint64_t fua;                        /* ... by FUA entries; NEVER */
	uint64_t missing[2], missing_fua[2]; /* bits for the sectors */
};

struct entry {
	uint32_t sector, sectors;
	uint64_t flags;
	uint32_t *value; /* of each sector: a request's number, 0: zeroes */
	bool lost;       /* a mark */
};

/* Events count from 1 on; 1 is the new disk. Requests do, too. */
extern struct request *requests;
extern uint32_t nrequests;
extern struct entry *entries;
extern uint64_t nentries, *flushes; /* of the first n entries */
extern uint32_t nsectors;

/* Whether a mixture may be right; set before the log is read. */
extern unsigned int torn;
extern uint64_t torn_seen; /* mixtures that were taken */
extern uint64_t bad_data;  /* violations: sectors that are nobody's */

/* Memory of zeroes, n items and one more; ends the program without it. */
void *allocate(uint64_t n, size_t size);

/* A violation of a kind: whether it is to be told in full. */
bool complain(uint64_t *kind);

void *read_file(const char *path, size_t *size);

/* The journal first. Whatever does not fit ends the program. */
void read_journal(const struct journal_record *r, uint64_t n);
void read_log(const uint8_t *bytes, size_t size);

#endif
