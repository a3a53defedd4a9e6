// The limit of an uncontended lock that survives its owner: lock and unlock of a
// PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_ROBUST mutex in shared memory, in nanoseconds
// a pair. As plainmutex: the same without robustness.
//
//   robustmutex [-seconds S] [-rounds N] [-plain 1]
//
// With -seconds it measures one block of that length, of one kind; else N blocks of
// 0.2 s of each.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

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

static pthread_mutex_t *newMutex(int robust)
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	pthread_mutexattr_t at;
	check("mutexattr_init", pthread_mutexattr_init(&at));
	check("setpshared", pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED));
	if (robust)
		check("setrobust", pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST));
	check("mutex_init", pthread_mutex_init(m, &at));
	return m;
}

static double block(pthread_mutex_t *m, double length)
{
	double begun = now(), t;
	long n = 0;
	do {
		for (int i = 0; i < 10000; i++) {
			check("lock", pthread_mutex_lock(m));
			check("unlock", pthread_mutex_unlock(m));
		}
		n += 10000;
		t = now() - begun;
	} while (t < length);
	return t * 1e9 / n;
}

int main(int argc, char **argv)
{
	double seconds = 0;
	int rounds = 5, plain = 0;
	for (int i = 1; i < argc; i += 2) {
		const char *v = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "-seconds") == 0)
			seconds = atof(v);
		else if (strcmp(argv[i], "-rounds") == 0)
			rounds = atoi(v);
		else if (strcmp(argv[i], "-plain") == 0)
			plain = atoi(v);
		else
			return fprintf(stderr, "usage: %s [-seconds S] [-rounds N] [-plain 1]\n", argv[0]), 2;
	}
	pthread_mutex_t *m[2] = {newMutex(1), newMutex(0)};
	const char *name[2] = {"robustmutex", "plainmutex"};
	if (seconds > 0) {
		block(m[plain], seconds / 10); // warms up
		printf("%s %.2f ns\n", name[plain], block(m[plain], seconds));
		return 0;
	}
	for (int r = -1; r < rounds; r++)
		for (int k = 0; k < 2; k++) {
			double v = block(m[k], 0.2);
			if (r >= 0)
				printf("%s %.2f ns\n", name[k], v);
		}
	return 0;
}
