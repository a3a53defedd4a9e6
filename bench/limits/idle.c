// The limit of waiting: a process that only wakes up every 50 ms. The result is the
// share of one CPU that it uses, in percent.
#include "limit.h"

static double used(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "");
	for (int r = 0; r < p.rounds; r++) {
		double begun = now(), before = used();
		while (now() - begun < p.seconds) {
			struct timespec t = {0, 50 * 1000 * 1000};
			nanosleep(&t, NULL);
		}
		printf("idle %.6f %%\n", 100 * (used() - before) / (now() - begun));
	}
	return 0;
}
