/* SPDX-License-Identifier: MIT */
/*
 * The instance of one guest; see instances/instance.h.
 *
 *	state	  event				what is done		next
 *	AWAITED	  wanted, or the pause is over	is it served? start	STARTED
 *						a process
 *		  another process serves it	wait for its end	OTHERS
 *		  ... and is not ours to heed	-			DONE
 *		  no process can be made	a pause			AWAITED
 *	STARTED	  the instance has ended	a pause, if it was soon	AWAITED
 *		  ... with a wrong line		-			DONE
 *		  systemd was told		look, a second later	CHECKED
 *		  ... and would not		a pause			AWAITED
 *	CHECKED	  it is served			-			DONE
 *		  it is not			a pause			AWAITED
 *	OTHERS	  that process has ended	start			AWAITED
 *	any	  the guest is another one	as before, anew		AWAITED
 *
 * Who serves a guest has the lock of its states (monitor/state_look.h), so what
 * another watcher has left, or a person has started, is found, and none is
 * started beside it. Whoever comes second all the same ends by itself.
 *
 * The pauses grow, as long as what is started ends soon. Where a guest is
 * without states nobody knows whether systemd's instance serves it, and it is
 * asked for again and again, which changes nothing where it runs.
 */
#include "instances/instance.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "monitor/state_look.h"

/* Between two starts, and as long as an instance has to last. */
#define PAUSE_MIN_NS (100 * NS_PER_MS)
#define PAUSE_MAX_NS (10 * NS_PER_SECOND)
/* ... of those that were told to systemd. */
#define CHECK_MIN_NS NS_PER_SECOND
#define CHECK_MAX_NS (60 * NS_PER_SECOND)
/* Until other processes have ended. */
#define TURN_NS (50 * NS_PER_MS)

/* Exit status of an instance whose command line is wrong. */
enum { STATUS_WRONG = 2 };

static void enter(struct instance *i, enum instance_state state)
{
	i->state = state;
	i->host->changed(i->host);
}

static void enter_after(struct instance *i, enum instance_state state,
			uint64_t ns)
{
	loop_arm(i->host->loop, &i->due, ns);
	enter(i, state);
}

static uint64_t longer(uint64_t ns, uint64_t min, uint64_t max)
{
	return ns < min ? min : 2 * ns > max ? max : 2 * ns;
}

/* ---- starting ---- */

/* Whether there is one that we have not made; then it is waited for. */
static bool is_served(struct instance *i)
{
	pid_t pid;

	if (!state_look_serves(i->host->dir, i->domid, i->vm, &pid))
		return false;
	/* Of one that has died only the worker is left. */
	if (i->host->kind->is_instance)
		return task_follow(&i->task, pid) == 0;
	return pid > 0 && (kill(pid, 0) == 0 || errno != ESRCH);
}

static void start(struct instance *i)
{
	struct instance_host *host = i->host;
	struct instance_command command;
	int r;

	host->kind->command(&command, i->domid, host->args);
	r = task_start(&i->task, command.argv);
	i->started_ns = clock_ns();
	if (r == 0) {
		host->started++;
		if (!i->in_vain)
			log_info("domain %u has virtio disks: started %s",
				 i->domid, host->kind->name);
		enter(i, INSTANCE_STARTED);
		return;
	}
	i->pause_ns = longer(i->pause_ns, PAUSE_MIN_NS, PAUSE_MAX_NS);
	log_error("domain %u: %s cannot be executed: %s; once more in %u ms",
		  i->domid, command.argv[0], strerror(-r),
		  (unsigned int)(i->pause_ns / NS_PER_MS));
	enter_after(i, INSTANCE_AWAITED, i->pause_ns);
}

static void begin(struct instance *i)
{
	struct instance_host *host = i->host;

	loop_disarm(host->loop, &i->due);
	if (is_served(i)) {
		log_info("domain %u has virtio disks, and is served already",
			 i->domid);
		enter(i, host->kind->is_instance ? INSTANCE_OTHERS :
						   INSTANCE_DONE);
	} else if (host->kind->at_once &&
		   host->started >= host->kind->at_once) {
		enter_after(i, INSTANCE_AWAITED, TURN_NS);
	} else {
		start(i);
	}
}

/* ---- ending ---- */

static void say_ended(const struct instance *i, int status)
{
	const char *name = i->host->kind->name;

	if (WIFSIGNALED(status))
		log_error("domain %u: %s was killed by signal %d (%s)",
			  i->domid, name, WTERMSIG(status),
			  strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		log_error("domain %u: %s has ended with status %d", i->domid,
			  name, WEXITSTATUS(status));
	else
		log_debug("domain %u: %s has ended", i->domid, name);
}

static void pause_after(struct instance *i)
{
	bool lasted = clock_ns() - i->started_ns >= PAUSE_MAX_NS;

	i->pause_ns = lasted ? 0 :
			       longer(i->pause_ns, PAUSE_MIN_NS, PAUSE_MAX_NS);
	enter_after(i, INSTANCE_AWAITED, i->pause_ns);
}

static void process_ended(struct instance *i, int status)
{
	bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	say_ended(i, status);
	if (!i->wanted) {
		enter(i, INSTANCE_DONE);
	} else if (i->host->kind->is_instance && WIFEXITED(status) &&
		   WEXITSTATUS(status) == STATUS_WRONG) {
		log_error("domain %u: not started again", i->domid);
		i->given_up = true;
		enter(i, INSTANCE_DONE);
	} else if (i->host->kind->is_instance || !done) {
		pause_after(i);
	} else {
		i->pause_ns = longer(i->pause_ns, CHECK_MIN_NS, CHECK_MAX_NS);
		enter_after(i, INSTANCE_CHECKED, i->pause_ns);
	}
}

static void task_ended(struct task *task, int status)
{
	struct instance *i = container_of(task, struct instance, task);

	if (i->state == INSTANCE_STARTED) {
		i->host->started--;
		process_ended(i, status);
	} else if (i->wanted) {
		begin(i);
	} else {
		enter(i, INSTANCE_DONE);
	}
}

static void due(struct loop_timer *timer)
{
	struct instance *i = container_of(timer, struct instance, due);

	if (i->state == INSTANCE_CHECKED && is_served(i)) {
		enter(i, INSTANCE_DONE);
		return;
	}
	if (i->state == INSTANCE_CHECKED && !i->in_vain) {
		log_warning("domain %u: %s was started and does not serve it; "
			    "it is started again and again, see systemctl "
			    "status virtio-disk@%u",
			    i->domid, i->host->kind->name, i->domid);
		i->in_vain = true;
	}
	begin(i);
}

/* ---- what the guest wants ---- */

void instance_init(struct instance *instance, struct instance_host *host,
		   unsigned int domid)
{
	*instance = (struct instance){
		.host = host,
		.domid = domid,
		.state = INSTANCE_DONE,
		.due.due = due,
	};
	task_init(&instance->task, host->loop, task_ended);
}

void instance_want(struct instance *i, const char *vm)
{
	i->vm = vm;
	i->wanted = true;
	i->in_vain = false;
	i->given_up = false;
	i->pause_ns = 0;
	/* What runs for the guest before has to end first. */
	if (i->state != INSTANCE_STARTED && i->state != INSTANCE_OTHERS)
		begin(i);
}

void instance_unwant(struct instance *i)
{
	i->wanted = false;
	i->vm = NULL;
	loop_disarm(i->host->loop, &i->due);
	if (i->state == INSTANCE_OTHERS)
		task_forget(&i->task);
	if (i->state != INSTANCE_STARTED)
		i->state = INSTANCE_DONE;
}

bool instance_is_over(const struct instance *i)
{
	return !i->wanted && i->state == INSTANCE_DONE;
}

bool instance_serves(const struct instance *i)
{
	return i->wanted && !i->given_up &&
	       (i->state == INSTANCE_DONE || i->state == INSTANCE_OTHERS ||
		(i->state == INSTANCE_STARTED && i->host->kind->is_instance));
}

void instance_forget(struct instance *i)
{
	loop_disarm(i->host->loop, &i->due);
	task_forget(&i->task);
}
