// SPDX-License-Identifier: GPL-2.0-only
/*
 * host/serial.c against what a 16550A's driver relies on: probing as the stock 8250 driver does it,
 * interrupt conditions and their edges, loopback, a host that does not take output, input that
 * waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/serial.h"
#include "kselftest.h"
#include "lite/abi/platform.h"

static struct {
	struct loop *loop;
	struct chardev *cd;
	struct serial *s;
	struct bus_dev *dev;
	int in[2], out[2];
	int irq;
} u;

static void up(void)
{
	struct chardev_cfg cfg = {};

	signal(SIGPIPE, SIG_IGN);
	ksft_eq(pipe2(u.in, O_CLOEXEC), 0);
	ksft_eq(pipe2(u.out, O_CLOEXEC), 0);
	fcntl(u.out[1], F_SETFL, O_NONBLOCK);
	fcntl(u.out[1], F_SETPIPE_SZ, 4096);
	u.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ksft_eq(loop_create(&u.loop), 0);
	cfg.loop = u.loop;
	cfg.in_fd = u.in[0];
	cfg.out_fd = u.out[1];
	ksft_eq(chardev_create(&cfg, &u.cd), 0);
	ksft_eq(serial_create(u.cd, u.irq, &u.s), 0);
	u.dev = serial_bus_dev(u.s);
	ksft_eq(u.dev->base, 0x3f8);
	ksft_eq(u.dev->len, 8);
	ksft_eq(loop_start(u.loop, "io"), 0);
}

static void down(void)
{
	unsigned int i;

	serial_destroy(u.s);
	chardev_destroy(u.cd);
	loop_stop(u.loop);
	loop_destroy(u.loop);
	for (i = 0; i < 2; i++) {
		close(u.in[i]);
		close(u.out[i]);
	}
	close(u.irq);
}

static uint8_t in(unsigned int reg)
{
	uint8_t v = 0;

	u.dev->read(u.dev, reg, &v, 1);
	return v;
}

static void out(unsigned int reg, uint8_t v)
{
	u.dev->write(u.dev, reg, &v, 1);
}

/* Edges since the last look. */
static unsigned int edges(void)
{
	eventfd_t n = 0;

	eventfd_read(u.irq, &n);
	return n;
}

static void wait_edge(void)
{
	while (!edges())
		usleep(100);
}

static void type(const char *text)
{
	ksft_eq(write(u.in[1], text, strlen(text)), strlen(text));
}

static void wait_dr(void)
{
	while (!(in(UART_LSR)&UART_LSR_DR))
		usleep(100);
}

static void probe(void)
{
	uint8_t status1, status2;

	up();
	/* Is anything there? */
	out(UART_IER, 0);
	ksft_eq(in(UART_IER)&0x0f, 0);
	out(UART_IER, 0x0f);
	ksft_eq(in(UART_IER)&0x0f, 0x0f);
	out(UART_IER, 0);
	/* Loopback of the modem lines. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	ksft_eq(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);
	/* No extended features behind LCR 0xbf that look like another chip. */
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	out(UART_EFR, 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	ksft_eq(in(UART_IIR) >> 6, 3);
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	ksft_check(in(UART_EFR) != 0);
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	ksft_check(in(UART_EFR) != 0);
	/* Not a National SuperIO: register 2 behind LCR 0xe0 does not mirror MCR.LOOP. */
	out(UART_LCR, 0);
	status1 = in(UART_MCR);
	out(UART_LCR, 0xe0);
	status2 = in(0x02);
	ksft_eq((status2 ^ status1) & UART_MCR_LOOP, 0);
	out(UART_LCR, 0);
	out(UART_MCR, status1 ^ UART_MCR_LOOP);
	out(UART_LCR, 0xe0);
	status2 = in(0x02);
	out(UART_LCR, 0);
	out(UART_MCR, status1);
	ksft_eq((status2 ^ status1) & UART_MCR_LOOP, 0);
	/* Not a 16750: no 64-byte FIFO. */
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	ksft_eq(in(UART_IIR) >> 5, 6);
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	ksft_eq(in(UART_IIR) >> 5, 6);
	out(UART_LCR, 0);
	/* Not an XScale: IER bit 6 does not stick. */
	out(UART_IER, UART_IER_UUE);
	ksft_eq(in(UART_IER), 0);
	/* Without FIFOs IIR does not claim any. */
	out(UART_FCR, 0);
	ksft_eq(in(UART_IIR), UART_IIR_NO_INT);
	down();
}

static void registers(void)
{
	uint8_t wide[8];

	up();
	out(UART_SCR, 0xa5);
	ksft_eq(in(UART_SCR), 0xa5);
	out(UART_LCR, UART_LCR_WLEN8);
	ksft_eq(in(UART_LCR), UART_LCR_WLEN8);
	out(UART_IER, UART_IER_RDI);
	out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(UART_DLL, 0x0c);
	out(UART_DLM, 0x01);
	ksft_eq(in(UART_DLL), 0x0c);
	ksft_eq(in(UART_DLM), 0x01);
	out(UART_LCR, UART_LCR_WLEN8);
	ksft_eq(in(UART_IER), UART_IER_RDI);
	ksft_eq(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	ksft_eq(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	/* Read-only ones stay as they are. */
	out(UART_LSR, 0xff);
	ksft_eq(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	u.dev->read(u.dev, 0, wide, sizeof(wide));
	ksft_eq(wide[UART_SCR], 0xa5);
	ksft_eq(wide[UART_LCR], UART_LCR_WLEN8);
	down();
}

static void transmit(void)
{
	char buf[5];
	unsigned int i;

	up();
	for (i = 0; i < 5; i++) {
		ksft_check(in(UART_LSR)&UART_LSR_THRE);
		out(UART_TX, "hello"[i]);
	}
	for (i = 0; i < 5;)
		i += read(u.out[0], buf + i, 5 - i);
	ksft_memeq(buf, "hello", 5);
	ksft_eq(edges(), 0); /* no interrupt was enabled */
	down();
}

/* The driver's start-up test: enabling the interrupt with THR empty raises it, every time anew. */
static void thre_reassert(void)
{
	unsigned int i;

	up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	for (i = 0; i < 3; i++) {
		out(UART_IER, UART_IER_THRI);
		ksft_eq(edges(), 1);
		ksft_eq(in(UART_IIR), 0xc0 | UART_IIR_THRI);
		/* Told once, IIR forgets it. */
		ksft_eq(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
		/* Writing the same value again is no new enabling. */
		out(UART_IER, UART_IER_THRI);
		ksft_eq(edges(), 0);
		ksft_eq(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
		out(UART_IER, 0);
	}
	/* Not looked at, the condition is gone from IIR while disabled, and back afterwards. */
	out(UART_IER, UART_IER_THRI);
	out(UART_IER, 0);
	ksft_eq(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
	edges();
	out(UART_IER, UART_IER_THRI);
	ksft_eq(edges(), 1);
	down();
}

static void thre_rearm(void)
{
	unsigned int i, round;

	up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_THRI);
	for (round = 0; round < 10; round++) {
		ksft_eq(edges(), 1);
		ksft_eq(in(UART_IIR)&0x0f, UART_IIR_THRI);
		/* A FIFO's worth in one go: one edge for all of it. */
		for (i = 0; i < 16; i++)
			out(UART_TX, 'a' + i);
	}
	ksft_eq(edges(), 1);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_THRI);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_NO_INT);
	ksft_eq(edges(), 0);
	down();
}

/* Write until THRE goes away; bytes accepted, or 0 if it never does. */
static size_t fill(void)
{
	size_t n;

	for (n = 0; n < 4 * CHARDEV_OUT_SIZE; n++) {
		if (!(in(UART_LSR)&UART_LSR_THRE)) {
			/* The loop may just have made room; ask again when it has settled. */
			usleep(20000);
			if (!(in(UART_LSR)&UART_LSR_THRE))
				return n;
		}
		out(UART_TX, n * 7 + n / 251);
	}
	return 0;
}

static void stuck_host(void)
{
	static uint8_t got[4 * CHARDEV_OUT_SIZE];
	size_t n, i, done = 0;
	unsigned int extra;
	char text[128] = "";
	ssize_t ret;
	FILE *f;

	up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	n = fill();
	ksft_check(n > CHARDEV_OUT_SIZE);
	ksft_check(!(in(UART_LSR)&UART_LSR_TEMT));
	/* No THR interrupt while it is full, even when newly enabled. */
	out(UART_IER, UART_IER_THRI);
	ksft_eq(edges(), 0);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_NO_INT);
	/* A driver that writes all the same has 15 more places, then loses bytes. */
	for (extra = 0; extra < 20; extra++)
		out(UART_TX, (n + extra) * 7 + (n + extra) / 251);
	f = fmemopen(text, sizeof(text) - 1, "w");
	serial_stats(u.s, f);
	fclose(f);
	ksft_check(strstr(text, "lost=5"));
	/* A FIFO reset loses nothing that was taken. */
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_XMIT | UART_FCR_CLEAR_RCVR);
	n += 15;
	while (done < n) {
		ret = read(u.out[0], got + done, n - done);
		ksft_check(ret > 0);
		done += ret;
	}
	wait_edge();
	ksft_check(in(UART_LSR)&UART_LSR_THRE);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_THRI);
	for (i = 0; i < n; i++)
		ksft_eq(got[i], (uint8_t)(i * 7 + i / 251));
	down();
}

static void flush_at_end(void)
{
	static uint8_t got[2 * CHARDEV_OUT_SIZE];
	size_t n, done = 0;
	ssize_t ret;

	up();
	n = fill();
	loop_stop(u.loop);
	/* Held bytes go out as well, and with nobody's loop running. */
	while (done < n) {
		chardev_flush(u.cd, 10);
		ret = read(u.out[0], got + done, n - done);
		ksft_check(ret > 0);
		done += ret;
	}
	ksft_check(chardev_flush(u.cd, 0));
	ksft_check(in(UART_LSR)&UART_LSR_TEMT);
	down();
}

static void receive(void)
{
	const char *p;

	up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI);
	ksft_eq(edges(), 0);
	type("hi");
	wait_edge();
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_RDI);
	for (p = "hi"; *p; p++) {
		ksft_check(in(UART_LSR)&UART_LSR_DR);
		ksft_eq(in(UART_RX), *p);
	}
	ksft_check(!(in(UART_LSR)&UART_LSR_DR));
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_NO_INT);
	ksft_eq(in(UART_RX), 0);
	/* The next one is an edge again. */
	edges();
	type("!");
	wait_edge();
	ksft_eq(in(UART_RX), '!');
	down();
}

/* What comes before the driver is ready survives its probing. */
static void early_input(void)
{
	unsigned int i;

	up();
	type("early");
	while (!chardev_readable(u.cd))
		usleep(100);
	out(UART_IER, 0x0f);
	out(UART_IER, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	for (i = 0; i < 3; i++) {
		ksft_check(!(in(UART_LSR)&UART_LSR_DR));
		in(UART_RX);
		in(UART_IIR);
		in(UART_MSR);
	}
	edges();
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	ksft_eq(edges(), 1);
	for (i = 0; i < 5; i++)
		ksft_eq(in(UART_RX), "early"[i]);
	down();
}

/* An edge per FIFO's worth, so that a handler that gives up half way is called again. */
static void busy_line(void)
{
	char text[257];
	unsigned int i;

	up();
	memset(text, 'x', 256);
	text[256] = '\0';
	out(UART_IER, UART_IER_RDI);
	type(text);
	wait_edge();
	wait_dr();
	usleep(10000);
	edges();
	for (i = 0; i < 32; i++)
		ksft_eq(in(UART_RX), 'x');
	ksft_eq(edges(), 2);
	down();
}

static void loopback(void)
{
	unsigned int i;

	up();
	type("outside");
	while (!chardev_readable(u.cd))
		usleep(100);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	/* Cut off from the line both ways. */
	ksft_check(!(in(UART_LSR)&UART_LSR_DR));
	edges();
	for (i = 0; i < 16; i++)
		out(UART_TX, 'A' + i);
	ksft_eq(edges(), 1);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_RDI);
	/* One too many: overrun, the FIFO's contents stay. */
	out(UART_TX, 'Z');
	ksft_eq(edges(), 1);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_RLSI);
	ksft_check(in(UART_LSR)&UART_LSR_OE);
	ksft_check(!(in(UART_LSR)&UART_LSR_OE));
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_RDI);
	for (i = 0; i < 16; i++)
		ksft_eq(in(UART_RX), 'A' + i);
	ksft_check(!(in(UART_LSR)&UART_LSR_DR));
	/* A receiver reset empties it. */
	out(UART_TX, 'B');
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	ksft_check(!(in(UART_LSR)&UART_LSR_DR));
	/* Without FIFOs there is one place, and the newer byte wins. */
	out(UART_FCR, 0);
	out(UART_TX, 'C');
	out(UART_TX, 'D');
	ksft_check(in(UART_LSR)&UART_LSR_OE);
	ksft_eq(in(UART_RX), 'D');
	/* The line is back. */
	out(UART_MCR, 0);
	wait_dr();
	ksft_eq(in(UART_RX), 'o');
	down();
}

static void modem_lines(void)
{
	up();
	out(UART_MCR, UART_MCR_LOOP);
	in(UART_MSR);
	edges();
	out(UART_IER, UART_IER_MSI);
	ksft_eq(edges(), 0);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT1);
	ksft_eq(edges(), 1);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_MSI);
	/* The ring indicator counts when it goes away. */
	ksft_eq(in(UART_MSR), UART_MSR_DSR | UART_MSR_RI | UART_MSR_DDSR);
	ksft_eq(in(UART_IIR)&0x0f, UART_IIR_NO_INT);
	ksft_eq(in(UART_MSR), UART_MSR_DSR | UART_MSR_RI);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR);
	ksft_eq(in(UART_MSR), UART_MSR_DSR | UART_MSR_TERI);
	/* Bits of MCR that do not exist stay zero. */
	out(UART_MCR, 0xe0);
	ksft_eq(in(UART_MCR), 0);
	down();
}

static void priority(void)
{
	up();
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_IER, 0x0f);
	out(UART_TX, 'a');
	out(UART_TX, 'b'); /* overrun: no FIFO */
	ksft_eq(in(UART_IIR), UART_IIR_RLSI);
	in(UART_LSR);
	ksft_eq(in(UART_IIR), UART_IIR_RDI);
	in(UART_RX);
	ksft_eq(in(UART_IIR), UART_IIR_THRI);
	ksft_eq(in(UART_IIR), UART_IIR_MSI);
	in(UART_MSR);
	ksft_eq(in(UART_IIR), UART_IIR_NO_INT);
	down();
}

/*
 * A driver in a thread, woken by edges only, which looks until IIR has nothing: if an edge were
 * ever lost it would sleep for good with bytes left.
 */
#define STREAM 200000

static void *guest(void *arg)
{
	size_t *got = arg;
	uint8_t iir;

	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI);
	while (*got < STREAM) {
		if (!edges()) {
			usleep(50);
			continue;
		}
		while (!((iir = in(UART_IIR)) & UART_IIR_NO_INT))
			while (*got < STREAM && in(UART_LSR)&UART_LSR_DR)
				ksft_eq(in(UART_RX), (uint8_t)((*got)++ % 253));
	}
	return NULL;
}

static void stream(void)
{
	size_t got = 0, sent = 0, i, n;
	uint8_t buf[97];
	pthread_t t;

	up();
	ksft_eq(pthread_create(&t, NULL, guest, &got), 0);
	while (sent < STREAM) {
		n = sizeof(buf) < STREAM - sent ? sizeof(buf) : STREAM - sent;
		for (i = 0; i < n; i++)
			buf[i] = (sent + i) % 253;
		ksft_eq(write(u.in[1], buf, n), n);
		sent += n;
	}
	pthread_join(t, NULL);
	ksft_eq(got, STREAM);
	down();
}

int main(int argc, char **argv)
{
	ksft_case("probing finds a 16550A", probe);
	ksft_case("scratch, divisor, read-only and wide registers", registers);
	ksft_case("transmit", transmit);
	ksft_case("THR interrupt: enabling raises it anew", thre_reassert);
	ksft_case("THR interrupt: one edge per batch, re-armed by IIR", thre_rearm);
	ksft_case("a host that takes nothing holds THRE off", stuck_host);
	ksft_case("held output is flushed at the end", flush_at_end);
	ksft_case("receive", receive);
	ksft_case("input before the driver is kept", early_input);
	ksft_case("a busy line sends an edge per FIFO", busy_line);
	ksft_case("loopback and overrun", loopback);
	ksft_case("modem lines", modem_lines);
	ksft_case("interrupt priorities", priority);
	ksft_case("a long stream by edges alone", stream);
	return ksft_run(argc, argv);
}
