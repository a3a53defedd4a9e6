// The limit of an uncontended lock that survives its owner: lock and unlock of a
// PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_ROBUST mutex in shared memory, in nanoseconds
// a pair.
//
//   robustmutex [-plain 1]
//
// With -plain 1 the mutex is not robust.
#include "limit.h"
#include <pthread.h>

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "-plain ");
	int plain = (int)option(argc, argv, "-plain", 0);
	pthread_mutex_t *m = sharedMemory(4096);
	pthread_mutexattr_t at;
	check("mutexattr_init", pthread_mutexattr_init(&at));
	check("setpshared", pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED));
	if (!plain)
		check("setrobust", pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST));
	check("mutex_init", pthread_mutex_init(m, &at));
	for (int r = -1; r < p.rounds; r++) {
		double begun = now(), t;
		long n = 0;
		do {
			for (int i = 0; i < 10000; i++) {
				check("lock", pthread_mutex_lock(m));
				check("unlock", pthread_mutex_unlock(m));
			}
			n += 10000;
			t = now() - begun;
		} while (t < lengthOf(&p, r));
		if (r >= 0)
			print(plain ? "plainmutex" : "robustmutex", t * 1e9 / n, NULL);
	}
	return 0;
}
