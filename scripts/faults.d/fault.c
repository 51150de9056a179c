// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Makes the kernel that loads it fail in the way that FAULT names: the test material of
 * scripts/faults. Each failure is in a function of its own, so that titles can be compared.
 */
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/sched/signal.h>

#define FAULT_PANIC 1
#define FAULT_OOPS 2
#define FAULT_HANG 3
#define FAULT_RESET 4
#define FAULT_POWER_OFF 5
#define FAULT_CHANNEL 6

static noinline void fault_panic(void)
{
	panic("a panic on purpose");
}

static noinline void fault_oops(void)
{
	*(volatile int *)8 = 1;
}

/* No interrupt comes through any more: not even the stall detectors of the kernel run. */
static noinline void fault_hang(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

/* The agent in user space no longer answers, and nothing else happens. */
static noinline void fault_channel(void)
{
	struct task_struct *task;

	if (current->pid == 1)
		for (;;)
			msleep(1000);
	rcu_read_lock();
	for_each_process(task)
		if (task->pid != 1 && !strcmp(task->comm, "init"))
			send_sig(SIGSTOP, task, 1);
	rcu_read_unlock();
}

static int __init fault_init(void)
{
	switch (FAULT) {
	case FAULT_PANIC:
		fault_panic();
		break;
	case FAULT_OOPS:
		fault_oops();
		break;
	case FAULT_HANG:
		fault_hang();
		break;
	case FAULT_RESET:
		emergency_restart();
		break;
	case FAULT_POWER_OFF:
		kernel_power_off();
		break;
	case FAULT_CHANNEL:
		fault_channel();
		break;
	}
	return 0;
}

module_init(fault_init);
MODULE_DESCRIPTION("failures on purpose, for kbisect's tests");
MODULE_LICENSE("Dual MIT/GPL");
