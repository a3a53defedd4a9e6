// The limit of a polling exchange between two cores: two processes pass a word to
// and fro in shared memory, each spinning with PAUSE until it is its turn. One way,
// in nanoseconds: half a round trip.
//
//   spinpingpong [-seconds S] [-rounds N] [-cpus A,B]
//
// With -seconds it measures one block of that length, else N blocks of 0.2 s.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
	_Alignas(128) _Atomic unsigned ping;
	_Alignas(128) _Atomic unsigned pong;
	_Alignas(128) _Atomic int stop;
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void pin(int cpu)
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

static void answer(struct shared *s)
{
	for (unsigned n = 1;; n++) {
		while (atomic_load_explicit(&s->ping, memory_order_acquire) != n) {
			if (atomic_load_explicit(&s->stop, memory_order_relaxed))
				return;
			relax();
		}
		atomic_store_explicit(&s->pong, n, memory_order_release);
	}
}

int main(int argc, char **argv)
{
	double seconds = 0;
	int rounds = 5, a = 0, b = 1;
	for (int i = 1; i < argc; i += 2) {
		const char *v = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "-seconds") == 0)
			seconds = atof(v);
		else if (strcmp(argv[i], "-rounds") == 0)
			rounds = atoi(v);
		else if (strcmp(argv[i], "-cpus") != 0 || sscanf(v, "%d,%d", &a, &b) != 2)
			return fprintf(stderr, "usage: %s [-seconds S] [-rounds N] [-cpus A,B]\n", argv[0]), 2;
	}
	if (seconds > 0)
		rounds = 1;
	else
		seconds = 0.2;
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		die("mmap");
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(b);
		answer(s);
		_exit(0);
	}
	pin(a);
	unsigned n = 0;
	for (int r = -1; r < rounds; r++) {
		double length = r < 0 ? seconds / 10 : seconds; // the first one warms up
		unsigned first = n;
		double begun = now(), t;
		do {
			for (int i = 0; i < 1000; i++) {
				atomic_store_explicit(&s->ping, ++n, memory_order_release);
				while (atomic_load_explicit(&s->pong, memory_order_acquire) != n)
					relax();
			}
			t = now() - begun;
		} while (t < length);
		if (r >= 0)
			printf("spinpingpong %.2f ns\n", t * 1e9 / (n - first) / 2);
	}
	atomic_store(&s->stop, 1);
	waitpid(child, NULL, 0);
	return 0;
}
