// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 16550A; see serial.h. Registers as in the National Semiconductor data sheet, named as in
 * <linux/serial_reg.h>.
 *
 * Transmission: a byte goes straight to the chardev and the holding register is empty again at
 * once. When the chardev is full, up to FIFO_SIZE bytes are held and THRE stays clear until it has
 * room, so an interrupt-driven driver waits and a polling one (printk) runs into its own time-out.
 *
 * Reception: there is no receive FIFO between the chardev and the guest; the chardev's buffer is
 * the line. It is connected while the driver has the receive interrupt enabled. So what was typed
 * before the driver was ready survives its probing, which resets FIFOs and reads away what is in
 * them. Only loopback uses a FIFO of the UART's own.
 *
 * Interrupts: the line is an edge. `ip` holds the conditions that the guest could see in IIR. Every
 * condition that joins it writes irq_fd once; none is taken out of it except by a guest's access
 * that lets the guest know. So a set bit means an edge sent after the guest last looked, and a
 * driver that goes on until IIR says "nothing", or that gives up early, is interrupted again for
 * whatever it has not seen. A spare edge costs an empty look at IIR. OUT2 does not gate the line.
 *
 * One lock for everything. It nests inside the chardev's callback lock and around its ring lock.
 */
#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serial.h"
#include "util.h"
#include "lite/abi/platform.h"

#define FIFO_SIZE 16

/* struct serial.ip, by the enable bits of IER */
#define IP_RX	UART_IER_RDI
#define IP_THR	UART_IER_THRI
#define IP_LINE UART_IER_RLSI
#define IP_MSR	UART_IER_MSI
#define IP_ALL	(IP_RX | IP_THR | IP_LINE | IP_MSR)

#define MSR_LINES (UART_MSR_DCD | UART_MSR_RI | UART_MSR_DSR | UART_MSR_CTS)

struct serial {
	struct bus_dev dev;
	struct chardev *cd;
	int irq_fd;
	pthread_mutex_t lock;

	uint8_t ier, lcr, mcr, scr, dll, dlm;
	bool fifo_on;	   /* FCR bit 0 */
	bool overrun;	   /* LSR.OE */
	bool thr_pending;  /* THR became empty and IIR has not told yet */
	uint8_t msr_lines; /* upper half of MSR */
	uint8_t msr_delta; /* lower half */
	uint8_t ip;	   /* conditions in IIR's reach for which an edge was sent */

	uint8_t tx[FIFO_SIZE]; /* taken from the guest, not yet by the chardev */
	unsigned int ntx;
	uint8_t loop[FIFO_SIZE]; /* received in loopback */
	unsigned int nloop;
	unsigned int rx_run; /* bytes since the last edge for reception */

	uint64_t stat_tx, stat_rx, stat_lost, stat_irqs;
};

static bool serial_readable(struct serial *s)
{
	if (s->nloop)
		return true;
	return !(s->mcr & UART_MCR_LOOP) && s->ier & UART_IER_RDI && chardev_readable(s->cd);
}

/* Recompute ip. True: a condition has joined; the caller sends an edge after unlocking. */
static bool serial_update_locked(struct serial *s)
{
	uint8_t ip = 0, joined;

	if (s->ier & UART_IER_RDI && serial_readable(s))
		ip |= IP_RX;
	if (s->thr_pending)
		ip |= IP_THR;
	if (s->overrun)
		ip |= IP_LINE;
	if (s->msr_delta)
		ip |= IP_MSR;
	ip &= s->ier;
	joined = ip & ~s->ip;
	s->ip = ip;
	if (joined & IP_RX)
		s->rx_run = 0;
	s->stat_irqs += !!joined;
	return joined;
}

static void serial_edge(struct serial *s)
{
	uint64_t one = 1;

	if (write(s->irq_fd, &one, sizeof(one)) < 0)
		return; /* a saturated eventfd is a pending edge */
}

static void serial_flush_held_locked(struct serial *s)
{
	size_t n = chardev_write(s->cd, s->tx, s->ntx);

	memmove(s->tx, s->tx + n, s->ntx - n);
	s->ntx -= n;
	s->stat_tx += n;
	if (!s->ntx)
		s->thr_pending = true;
}

static void serial_loop_put_locked(struct serial *s, uint8_t byte)
{
	if (s->nloop < (s->fifo_on ? FIFO_SIZE : 1)) {
		s->loop[s->nloop++] = byte;
		return;
	}
	/* With FIFOs the new byte is lost, without the old one. */
	s->overrun = true;
	if (!s->fifo_on)
		s->loop[0] = byte;
}

static void serial_thr_write_locked(struct serial *s, uint8_t byte)
{
	if (s->mcr & UART_MCR_LOOP) {
		serial_loop_put_locked(s, byte);
		s->thr_pending = !s->ntx;
		return;
	}
	if (!s->ntx && chardev_write(s->cd, &byte, 1)) {
		s->stat_tx++;
		s->thr_pending = true;
		return;
	}
	s->thr_pending = false;
	if (s->ntx < FIFO_SIZE)
		s->tx[s->ntx++] = byte;
	else
		s->stat_lost++;
}

static uint8_t serial_rbr_read_locked(struct serial *s)
{
	uint8_t byte = 0;

	if (s->nloop) {
		byte = s->loop[0];
		s->nloop--;
		memmove(s->loop, s->loop + 1, s->nloop);
		return byte;
	}
	if (!serial_readable(s) || !chardev_read(s->cd, &byte, 1))
		return 0;
	s->stat_rx++;
	/*
	 * A busy line may never fall silent, and a driver that gives up in the middle would get no
	 * edge again. One per FIFO's worth, as if the FIFO had run empty and filled up.
	 */
	if (++s->rx_run == FIFO_SIZE)
		s->ip &= ~IP_RX;
	return byte;
}

static uint8_t serial_iir_read_locked(struct serial *s)
{
	uint8_t iir = s->fifo_on ? 0xc0 : 0;

	if (s->ip & IP_LINE)
		return iir | UART_IIR_RLSI;
	if (s->ip & IP_RX)
		return iir | UART_IIR_RDI;
	if (s->ip & IP_THR) {
		s->thr_pending = false;
		return iir | UART_IIR_THRI;
	}
	if (s->ip & IP_MSR)
		return iir | UART_IIR_MSI;
	return iir | UART_IIR_NO_INT;
}

static uint8_t serial_lsr_read_locked(struct serial *s)
{
	uint8_t lsr = 0;

	if (serial_readable(s))
		lsr |= UART_LSR_DR;
	if (s->overrun)
		lsr |= UART_LSR_OE;
	if (!s->ntx)
		lsr |= UART_LSR_THRE | UART_LSR_TEMT;
	s->overrun = false;
	return lsr;
}

/* In loopback the outputs feed the inputs; else a peer is always there and ready. */
static void serial_update_msr_locked(struct serial *s)
{
	uint8_t lines = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS, changed;

	if (s->mcr & UART_MCR_LOOP) {
		lines = 0;
		lines |= s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0;
		lines |= s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0;
		lines |= s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0;
		lines |= s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0;
	}
	changed = (lines ^ s->msr_lines) & MSR_LINES;
	/* The ring indicator counts only when it goes away (TERI). */
	if (lines & UART_MSR_RI)
		changed &= ~UART_MSR_RI;
	s->msr_delta |= changed >> 4;
	s->msr_lines = lines;
}

static void serial_fcr_write_locked(struct serial *s, uint8_t val)
{
	bool on = val & UART_FCR_ENABLE_FIFO;

	/* Held output counts as being in the shift register, which no reset reaches. */
	if (on != s->fifo_on || val & UART_FCR_CLEAR_RCVR)
		s->nloop = 0;
	s->fifo_on = on;
}

static uint8_t serial_reg_read_locked(struct serial *s, unsigned int reg)
{
	uint8_t val;

	switch (reg) {
	case UART_RX:
		return s->lcr & UART_LCR_DLAB ? s->dll : serial_rbr_read_locked(s);
	case UART_IER:
		return s->lcr & UART_LCR_DLAB ? s->dlm : s->ier;
	case UART_IIR:
		return serial_iir_read_locked(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return serial_lsr_read_locked(s);
	case UART_MSR:
		val = s->msr_lines | s->msr_delta;
		s->msr_delta = 0;
		return val;
	default:
		return s->scr;
	}
}

static void serial_reg_write_locked(struct serial *s, unsigned int reg, uint8_t val)
{
	switch (reg) {
	case UART_TX:
		if (s->lcr & UART_LCR_DLAB)
			s->dll = val;
		else
			serial_thr_write_locked(s, val);
		break;
	case UART_IER:
		if (s->lcr & UART_LCR_DLAB) {
			s->dlm = val;
			break;
		}
		/* Enabling the interrupt while THR is empty raises it, told before or not. */
		if (val & ~s->ier & UART_IER_THRI && !s->ntx)
			s->thr_pending = true;
		s->ier = val & IP_ALL;
		break;
	case UART_FCR:
		serial_fcr_write_locked(s, val);
		break;
	case UART_LCR:
		s->lcr = val;
		break;
	case UART_MCR:
		s->mcr = val & (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 |
				UART_MCR_LOOP);
		serial_update_msr_locked(s);
		break;
	case UART_SCR:
		s->scr = val;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

/* Wider accesses are the ISA bus's: so many single bytes. */
static void serial_read(struct bus_dev *d, uint64_t off, void *data, unsigned int len)
{
	struct serial *s = container_of(d, struct serial, dev);
	uint8_t *p = data;
	unsigned int i;
	bool edge;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < len; i++)
		p[i] = serial_reg_read_locked(s, (off + i) % LODGE_UART_LEN);
	edge = serial_update_locked(s);
	pthread_mutex_unlock(&s->lock);
	if (edge)
		serial_edge(s);
}

static void serial_write(struct bus_dev *d, uint64_t off, const void *data, unsigned int len)
{
	struct serial *s = container_of(d, struct serial, dev);
	const uint8_t *p = data;
	unsigned int i;
	bool edge;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < len; i++)
		serial_reg_write_locked(s, (off + i) % LODGE_UART_LEN, p[i]);
	edge = serial_update_locked(s);
	pthread_mutex_unlock(&s->lock);
	if (edge)
		serial_edge(s);
}

static void serial_rx_ready(void *arg)
{
	struct serial *s = arg;
	bool edge;

	pthread_mutex_lock(&s->lock);
	edge = serial_update_locked(s);
	pthread_mutex_unlock(&s->lock);
	if (edge)
		serial_edge(s);
}

static void serial_tx_ready(void *arg)
{
	struct serial *s = arg;
	bool edge;

	pthread_mutex_lock(&s->lock);
	if (s->ntx)
		serial_flush_held_locked(s);
	edge = serial_update_locked(s);
	pthread_mutex_unlock(&s->lock);
	if (edge)
		serial_edge(s);
}

static const struct chardev_client serial_client = {
	.rx_ready = serial_rx_ready,
	.tx_ready = serial_tx_ready,
};

int serial_create(struct chardev *cd, int irq_fd, struct serial **out)
{
	struct serial *s;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->dev = (struct bus_dev){
		.name = "serial",
		.base = LODGE_PORT_UART,
		.len = LODGE_UART_LEN,
		.read = serial_read,
		.write = serial_write,
	};
	s->cd = cd;
	s->irq_fd = irq_fd;
	s->dll = 1; /* 115200 */
	s->msr_lines = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	pthread_mutex_init(&s->lock, NULL);
	chardev_attach(cd, &serial_client, s);
	*out = s;
	return 0;
}

struct bus_dev *serial_bus_dev(struct serial *s)
{
	return &s->dev;
}

void serial_stats(struct serial *s, FILE *out)
{
	pthread_mutex_lock(&s->lock);
	fprintf(out, "tx=%llu rx=%llu lost=%llu irqs=%llu", (unsigned long long)s->stat_tx,
		(unsigned long long)s->stat_rx, (unsigned long long)s->stat_lost,
		(unsigned long long)s->stat_irqs);
	pthread_mutex_unlock(&s->lock);
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	chardev_detach(s->cd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
