/* SPDX-License-Identifier: MIT */
/*
 * What the process gives up before it opens anything, so that less is lost with
 * it. What it may ask of the kernel afterwards is in program/sandbox.h.
 */
#ifndef PROGRAM_HARDENING_H
#define PROGRAM_HARDENING_H

/*
 * The tests' sanitizers call what they like, and trace their own process to
 * find leaks. Under them it stays traceable, and has no sandbox.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HARDENING_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HARDENING_SANITIZED 1
#elif !defined(HARDENING_SANITIZED)
#define HARDENING_SANITIZED 0
#endif

/*
 * Nothing that is executed has more rights than we have; no process of the same
 * user reads our memory, which is the guests', and no core file has it; no
 * message queues and no priority above others. In the only thread. What the
 * kernel does not do is said in the log, and no reason to end.
 */
void hardening_begin(void);

#endif
