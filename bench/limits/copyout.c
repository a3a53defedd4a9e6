// The least that a read of a shared value can cost: a plain memcpy of it from shared
// memory. In nanoseconds a copy. It does not detect torn values, and nothing that does
// can be faster.
//
//   copyout [-size N] [-writer 1]
//
// With -writer 1 another process rewrites the value as fast as it can, and the result is
// the time for each new value that a copy found. A copy that finds the value of the copy
// before costs almost nothing, so it is no unit. The share of copies with a new value
// follows, as "fresh 0.5".
#include "limit.h"
#include <stdatomic.h>

struct value {
	_Alignas(128) _Atomic unsigned long count; // the first word of the value itself
	char rest[];
};

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "-size -writer ");
	size_t size = (size_t)option(argc, argv, "-size", 64);
	int writer = (int)option(argc, argv, "-writer", 0);
	if (size < 8 || size > 1 << 20)
		return fprintf(stderr, "want a size of 8 bytes to 1 MiB\n"), 2;
	struct value *v = sharedMemory(sizeof *v + size);
	static char out[1 << 20];
	pid_t child = writer ? otherProcess(&p) : 0;
	if (writer && child == 0)
		for (unsigned long n = 1;; n++) {
			atomic_store_explicit(&v->count, n, memory_order_release);
			memset(v->rest, (int)n, size - sizeof v->count);
			relax();
		}
	if (!writer)
		pin(p.cpus[0]);
	for (int r = -1; r < p.rounds; r++) {
		unsigned long n = 0, fresh = 0, last = 0, found;
		double begun = now(), t;
		do {
			for (int i = 0; i < 1000; i++) {
				__asm__ volatile("" : : : "memory"); // makes the compiler copy again
				memcpy(out, v, size);
				memcpy(&found, out, sizeof found);
				fresh += found != last;
				last = found;
			}
			n += 1000;
			t = now() - begun;
		} while (t < lengthOf(&p, r));
		if (r >= 0 && writer)
			printf("copyout %.3f ns fresh %.6f\n", t * 1e9 / (fresh ? fresh : 1), (double)fresh / n);
		else if (r >= 0)
			print("copyout", t * 1e9 / n, NULL);
	}
	if (writer)
		end(child);
	return 0;
}
