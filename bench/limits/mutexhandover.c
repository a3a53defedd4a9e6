// The limit of a lock that two processes want: how fast a robust, process-shared
// pthread mutex goes from one to the other.
//
//   mutexhandover [-baton 1]
//
// By default both lock and unlock one mutex as fast as they can, and each change of the
// owner counts. With -baton 1 they walk behind each other round a ring of three mutexes.
// Each takes the next mutex before it unlocks its own, so that the other process waits for
// every unlock. Both results are in nanoseconds a handover.
#include "limit.h"
#include <pthread.h>
#include <stdatomic.h>

struct shared {
	struct {
		_Alignas(128) pthread_mutex_t m;
	} ring[3];
	_Alignas(128) int owner; // guarded by ring[0].m
	unsigned long handovers; // the same
	_Alignas(128) _Atomic int ready;
};

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

// step locks the mutex after that of index at, unlocks that of index at, and moves at on.
static void step(struct shared *s, unsigned *at)
{
	unsigned next = (*at + 1) % 3;
	check("lock", pthread_mutex_lock(&s->ring[next].m));
	check("unlock", pthread_mutex_unlock(&s->ring[*at].m));
	*at = next;
}

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "-baton ");
	int baton = (int)option(argc, argv, "-baton", 0);
	struct shared *s = sharedMemory(sizeof *s);
	pthread_mutexattr_t at;
	check("mutexattr_init", pthread_mutexattr_init(&at));
	check("setpshared", pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED));
	check("setrobust", pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST));
	for (int i = 0; i < 3; i++)
		check("mutex_init", pthread_mutex_init(&s->ring[i].m, &at));

	unsigned mine = 0, theirs = 1;
	if (baton)
		check("lock", pthread_mutex_lock(&s->ring[mine].m));
	pid_t child = otherProcess(&p);
	if (child == 0) {
		if (baton)
			check("lock", pthread_mutex_lock(&s->ring[theirs].m));
		atomic_store(&s->ready, 1);
		for (;;)
			if (baton)
				step(s, &theirs);
			else
				contend(s, 2);
	}
	while (!atomic_load(&s->ready))
		usleep(100);
	for (int r = -1; r < p.rounds; r++) {
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
		} while (t < lengthOf(&p, r) || n == first);
		if (r >= 0)
			print(baton ? "mutexbaton" : "mutexhandover", t * 1e9 / (n - first), NULL);
	}
	end(child);
	return 0;
}
