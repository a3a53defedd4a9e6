// What the limits and the peers in C++ share: arguments, the clock, two processes
// bound to CPUs, shared memory, and the line that each prints.
//
// Every program takes
//
//   -seconds S   measure one block of that length, else blocks of 0.2 s
//   -rounds N    measure this many blocks, 5 by default
//   -cpus A,B    bind its two processes to these CPUs, by default 0 and 1
//
// and the options that the head of its own file names. It prints a line for each block: a
// name, the mean of the block and its unit. If single operations can be timed, the line also
// has their p50 and p99. They are measured after the block, and each includes a clock reading.
#ifndef LIMIT_H
#define LIMIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void check(const char *what, int err)
{
	if (err == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(err));
	exit(1);
}

static inline void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		die("sched_setaffinity");
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

static inline void *sharedMemory(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

// keep makes the compiler believe that v is used.
static inline void keep(unsigned long v) { __asm__ volatile("" : : "r"(v)); }

// readLines reads one word of each cache line.
static inline void readLines(const void *p, size_t n)
{
	unsigned long sum = 0;
	for (size_t i = 0; i < n; i += 64)
		sum += *(const unsigned long *)((const char *)p + i);
	keep(sum);
}

// fill writes all bytes of a message, if it has any.
static inline void fill(void *p, size_t n, unsigned v)
{
	if (n)
		memset(p, (int)v, n);
}

struct plan {
	double seconds; // of each block
	int rounds;     // blocks
	int cpus[2];
};

// option is the number that follows name in the arguments, or the default.
static inline double option(int argc, char **argv, const char *name, double without)
{
	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], name) == 0)
			return atof(argv[i + 1]);
	return without;
}

// planOf reads the arguments that all programs have, and refuses all others except those in
// others, a list like "-size -depth ".
static inline struct plan planOf(int argc, char **argv, const char *others)
{
	struct plan p = {option(argc, argv, "-seconds", 0), (int)option(argc, argv, "-rounds", 5), {0, 1}};
	for (int i = 1; i < argc; i += 2) {
		char name[32];
		snprintf(name, sizeof name, "%s ", argv[i]);
		int known = i + 1 < argc && (strstr("-seconds -rounds -cpus ", name) || strstr(others, name));
		if (known && strcmp(argv[i], "-cpus") == 0)
			known = sscanf(argv[i + 1], "%d,%d", &p.cpus[0], &p.cpus[1]) == 2;
		if (!known) {
			fprintf(stderr, "usage: %s [-seconds S] [-rounds N] [-cpus A,B] %s\n", argv[0], others);
			exit(2);
		}
	}
	if (p.seconds > 0)
		p.rounds = 1;
	else
		p.seconds = 0.2;
	return p;
}

// length of round r; round -1 warms up.
static inline double lengthOf(const struct plan *p, int r) { return r < 0 ? p->seconds / 10 : p->seconds; }

// otherProcess forks. It returns 0 in the child, which is bound to the second CPU and ends
// with its parent. The parent is bound to the first CPU.
static inline pid_t otherProcess(const struct plan *p)
{
	pid_t parent = getpid(), child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent) // the parent has already died
			_exit(1);
		pin(p->cpus[1]);
	} else {
		pin(p->cpus[0]);
	}
	return child;
}

static inline void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

// Single operations, timed one by one.
enum { singles = 4096 };

struct single {
	double ns[singles];
	int n;
};

static inline int byValue(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static inline void print(const char *name, double ns, struct single *s)
{
	if (s == NULL || s->n == 0) {
		printf("%s %.3f ns\n", name, ns);
	} else {
		qsort(s->ns, s->n, sizeof s->ns[0], byValue);
		printf("%s %.3f ns %.3f %.3f\n", name, ns, s->ns[s->n / 2], s->ns[s->n * 99 / 100]);
	}
	fflush(stdout);
}

// PINGPONG runs trip, which is one round trip, in blocks, and prints how long one way
// takes. It reads the clock after each batch of trips. It is a macro, so that trip is
// compiled into the loop.
#define PINGPONG(name, plan, batch, trip)                                                            \
	do {                                                                                         \
		static struct single timed_;                                                         \
		for (int r_ = -1; r_ < (plan).rounds; r_++) {                                        \
			long n_ = 0;                                                                 \
			double begun_ = now(), t_;                                                   \
			do {                                                                         \
				for (int i_ = 0; i_ < (batch); i_++)                                 \
					trip;                                                        \
				n_ += (batch);                                                       \
				t_ = now() - begun_;                                                 \
			} while (t_ < lengthOf(&(plan), r_));                                        \
			if (r_ < 0)                                                                  \
				continue;                                                            \
			double last_ = now(), until_ = last_ + (plan).seconds / 4;                   \
			for (timed_.n = 0; timed_.n < singles && last_ < until_; timed_.n++) {       \
				trip;                                                                \
				double at_ = now();                                                  \
				timed_.ns[timed_.n] = (at_ - last_) * 1e9 / 2;                       \
				last_ = at_;                                                         \
			}                                                                            \
			print(name, t_ * 1e9 / n_ / 2, &timed_);                                     \
		}                                                                                    \
	} while (0)

#endif
