// The limit of a lock that two processes want: how fast a robust, process-shared
// pthread mutex goes from one to the other.
//
//   mutexhandover [-seconds S] [-rounds N] [-cpus A,B] [-baton 1]
//
// By default both lock and unlock one mutex as fast as they can, and what counts is
// how often the owner changes: handovers per second. With -baton 1 they walk behind
// each other round a ring of three mutexes, each taking the next one before it lets
// go of its own, so that every unlock is one that the other waits for: nanoseconds a
// handover.
//
// With -seconds it measures one block of that length, else N blocks of 0.2 s.
#define _GNU_SOURCE
#include <pthread.h>
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
	struct {
		_Alignas(128) pthread_mutex_t m;
	} ring[3];
	_Alignas(128) int owner;  // guarded by ring[0].m
	unsigned long handovers;  // the same
	_Alignas(128) _Atomic int ready;
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void check(const char *what, int err)
{
	if (err == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(err));
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0) {
		perror("sched_setaffinity");
		exit(1);
	}
}

static unsigned long contend(struct shared *s, int me)
{
	check("lock", pthread_mutex_lock(&s->ring[0].m));
	if (s->owner != me) {
		s->owner = me;
		s->handovers++;
	}
	unsigned long n = s->handovers;
	check("unlock", pthread_mutex_unlock(&s->ring[0].m));
	return n;
}

// step takes the mutex before the one at, and lets that go.
static void step(struct shared *s, unsigned *at)
{
	unsigned next = (*at + 1) % 3;
	check("lock", pthread_mutex_lock(&s->ring[next].m));
	check("unlock", pthread_mutex_unlock(&s->ring[*at].m));
	*at = next;
}

int main(int argc, char **argv)
{
	double seconds = 0;
	int rounds = 5, a = 0, b = 1, baton = 0;
	for (int i = 1; i < argc; i += 2) {
		const char *v = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "-seconds") == 0)
			seconds = atof(v);
		else if (strcmp(argv[i], "-rounds") == 0)
			rounds = atoi(v);
		else if (strcmp(argv[i], "-baton") == 0)
			baton = atoi(v);
		else if (strcmp(argv[i], "-cpus") != 0 || sscanf(v, "%d,%d", &a, &b) != 2)
			return fprintf(stderr, "usage: %s [-seconds S] [-rounds N] [-cpus A,B] [-baton 1]\n", argv[0]), 2;
	}
	if (seconds > 0)
		rounds = 1;
	else
		seconds = 0.2;
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	pthread_mutexattr_t at;
	check("mutexattr_init", pthread_mutexattr_init(&at));
	check("setpshared", pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED));
	check("setrobust", pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST));
	for (int i = 0; i < 3; i++)
		check("mutex_init", pthread_mutex_init(&s->ring[i].m, &at));

	unsigned mine = 0, theirs = 1;
	if (baton)
		check("lock", pthread_mutex_lock(&s->ring[mine].m));
	pid_t child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(b);
		if (baton)
			check("lock", pthread_mutex_lock(&s->ring[theirs].m));
		atomic_store(&s->ready, 1);
		for (;;)
			if (baton)
				step(s, &theirs);
			else
				contend(s, 2);
	}
	pin(a);
	while (!atomic_load(&s->ready))
		usleep(100);
	for (int r = -1; r < rounds; r++) {
		double length = r < 0 ? seconds / 10 : seconds; // the first one warms up
		unsigned long first = baton ? 0 : contend(s, 1), n = first;
		double begun = now(), t;
		do {
			for (int i = 0; i < 60; i++)
				if (baton) {
					step(s, &mine);
					n += 2; // one to this process, one to the other
				} else {
					n = contend(s, 1);
				}
			t = now() - begun;
		} while (t < length);
		if (r < 0)
			continue;
		if (baton)
			printf("mutexbaton %.0f ns\n", t * 1e9 / (n - first));
		else
			printf("mutexhandover %.0f handovers/s\n", (n - first) / t);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
