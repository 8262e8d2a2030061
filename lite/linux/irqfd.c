// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event channels of the VMM's, as eventfds. A signal of an irqfd raises its port in the guest from
 * whatever context it comes in; a send of the guest's signals the port's ioeventfd (env_port_send).
 *
 * An irqfd goes away in three ways: deassigned, when its eventfd is closed (EPOLLHUP, in the
 * eventfd's wait queue: only a work item can take it from there), and with the VM. Who takes it off
 * lodge_vm.irqfds, under irqfd_lock, queues the work; that happens once. The work frees it.
 */
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "vm.h"

struct irqfd {
	struct lodge_vm *lv;
	u32 port;
	struct eventfd_ctx *ctx;
	wait_queue_entry_t wait;
	poll_table pt;
	struct work_struct shutdown;
	struct list_head link;
};

static struct workqueue_struct *irqfd_wq;

static void irqfd_shutdown(struct work_struct *work)
{
	struct irqfd *q = container_of(work, struct irqfd, shutdown);
	u64 count;

	/* No wake-up runs after this: it takes the queue's lock. */
	eventfd_ctx_remove_wait_queue(q->ctx, &q->wait, &count);
	eventfd_ctx_put(q->ctx);
	kfree(q);
}

static void irqfd_deactivate_locked(struct irqfd *q)
{
	list_del_init(&q->link);
	queue_work(irqfd_wq, &q->shutdown);
}

static int irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *q = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	unsigned long flags;
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(q->ctx, &count);
		lite_port_raise(&q->lv->vm, q->port);
	}
	if (events & EPOLLHUP) {
		spin_lock_irqsave(&q->lv->irqfd_lock, flags);
		/* Otherwise somebody else has queued the work. */
		if (!list_empty(&q->link))
			irqfd_deactivate_locked(q);
		spin_unlock_irqrestore(&q->lv->irqfd_lock, flags);
	}
	return 0;
}

static void irqfd_queue_proc(struct file *file, wait_queue_head_t *head, poll_table *pt)
{
	struct irqfd *q = container_of(pt, struct irqfd, pt);

	add_wait_queue_priority(head, &q->wait);
}

static struct irqfd *irqfd_find_locked(struct lodge_vm *lv, u32 port)
{
	struct irqfd *q;

	list_for_each_entry(q, &lv->irqfds, link)
		if (q->port == port)
			return q;
	return NULL;
}

static int irqfd_assign(struct lodge_vm *lv, u32 port, int fd)
{
	struct irqfd *q;
	struct fd f = fdget(fd);
	int err;

	if (!f.file)
		return -EBADF;
	err = -ENOMEM;
	q = kzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT);
	if (!q)
		goto out_fd;
	q->lv = lv;
	q->port = port;
	INIT_WORK(&q->shutdown, irqfd_shutdown);
	init_waitqueue_func_entry(&q->wait, irqfd_wakeup);
	init_poll_funcptr(&q->pt, irqfd_queue_proc);
	q->ctx = eventfd_ctx_fileget(f.file);
	if (IS_ERR(q->ctx)) {
		err = PTR_ERR(q->ctx);
		goto out_free;
	}

	/* lodge_vm.lock keeps others from adding. On the list first: EPOLLHUP looks there. */
	spin_lock_irq(&lv->irqfd_lock);
	err = irqfd_find_locked(lv, port) ? -EEXIST : 0;
	if (!err)
		list_add_tail(&q->link, &lv->irqfds);
	spin_unlock_irq(&lv->irqfd_lock);
	if (err)
		goto out_ctx;

	/* The descriptor is held until after this, so that q cannot be shut down meanwhile. */
	if (vfs_poll(f.file, &q->pt) & EPOLLIN)
		lite_port_raise(&lv->vm, port);
	fdput(f);
	return 0;

out_ctx:
	eventfd_ctx_put(q->ctx);
out_free:
	kfree(q);
out_fd:
	fdput(f);
	return err;
}

static int irqfd_deassign(struct lodge_vm *lv, u32 port, int fd)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(fd);
	struct irqfd *q;
	int err = -ENOENT;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	spin_lock_irq(&lv->irqfd_lock);
	q = irqfd_find_locked(lv, port);
	if (q && q->ctx == ctx) {
		irqfd_deactivate_locked(q);
		err = 0;
	}
	spin_unlock_irq(&lv->irqfd_lock);
	eventfd_ctx_put(ctx);
	/* When this returns, @fd raises nothing any more. */
	flush_workqueue(irqfd_wq);
	return err;
}

static int port_check(const struct lodge_vm *lv, const struct lodge_port *p)
{
	if (p->flags & ~LODGE_PORT_DEASSIGN || p->reserved)
		return -EINVAL;
	if (!p->port || p->port >= LODGE_PORTS_MAX)
		return -EINVAL;
	/* Before LODGE_PV_SET, how many there are is not known. */
	return lv->started && p->port >= lv->vm.ports_host ? -EINVAL : 0;
}

int lodge_irqfd(struct lodge_vm *lv, const struct lodge_port *p)
{
	int err = port_check(lv, p);

	if (err)
		return err;
	if (p->flags & LODGE_PORT_DEASSIGN)
		return irqfd_deassign(lv, p->port, p->fd);
	return irqfd_assign(lv, p->port, p->fd);
}

int lodge_ioeventfd(struct lodge_vm *lv, const struct lodge_port *p)
{
	struct eventfd_ctx *ctx, *old;
	int err = port_check(lv, p);

	if (err)
		return err;
	ctx = eventfd_ctx_fdget(p->fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	old = rcu_dereference_protected(lv->out[p->port], lockdep_is_held(&lv->lock));
	if (!(p->flags & LODGE_PORT_DEASSIGN)) {
		if (old) {
			eventfd_ctx_put(ctx);
			return -EEXIST;
		}
		rcu_assign_pointer(lv->out[p->port], ctx);
		return 0;
	}
	if (old == ctx) {
		RCU_INIT_POINTER(lv->out[p->port], NULL);
		synchronize_rcu(); /* pairs with env_port_send() */
		eventfd_ctx_put(old);
	} else {
		err = -ENOENT;
	}
	eventfd_ctx_put(ctx);
	return err;
}

void lodge_ports_release(struct lodge_vm *lv)
{
	struct irqfd *q, *next;
	u32 i;

	spin_lock_irq(&lv->irqfd_lock);
	list_for_each_entry_safe(q, next, &lv->irqfds, link)
		irqfd_deactivate_locked(q);
	spin_unlock_irq(&lv->irqfd_lock);
	/* Also those that EPOLLHUP has queued: they know the VM. */
	flush_workqueue(irqfd_wq);

	for (i = 0; i < LODGE_PORTS_MAX; i++) {
		struct eventfd_ctx *ctx = rcu_dereference_protected(lv->out[i], 1);

		if (ctx)
			eventfd_ctx_put(ctx);
	}
}

int lodge_irqfd_init(void)
{
	irqfd_wq = alloc_workqueue("lodge-irqfd", 0, 0);
	return irqfd_wq ? 0 : -ENOMEM;
}

void lodge_irqfd_exit(void)
{
	destroy_workqueue(irqfd_wq);
}
