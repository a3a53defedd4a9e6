// The limit of a polling exchange between two cores: two processes pass a word to
// and fro in shared memory. Each spins with PAUSE until it is its turn. The result is one
// way in nanoseconds: half a round trip.
//
//   spinpingpong [-size N]
//
// Messages of any size are compared with the plain exchange: to pass a message by reference
// means to move a word and to touch one line, however long the message is. With -size N all
// N bytes are written in place before each pass, and read after it. That is the cost of a
// payload that is new each time, and no transport can avoid it.
#include "limit.h"
#include <stdatomic.h>

struct shared {
	_Alignas(128) _Atomic unsigned ping;
	_Alignas(128) _Atomic unsigned pong;
};

static inline void pass(_Atomic unsigned *to, unsigned n) { atomic_store_explicit(to, n, memory_order_release); }

static inline void await(_Atomic unsigned *from, unsigned n)
{
	while (atomic_load_explicit(from, memory_order_acquire) != n)
		relax();
}

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "-size ");
	size_t size = (size_t)option(argc, argv, "-size", 0);
	struct shared *s = sharedMemory(sizeof *s + 2 * size);
	char *there = (char *)(s + 1), *back = there + size;
	pid_t child = otherProcess(&p);
	if (child == 0)
		for (unsigned n = 1;; n++) {
			await(&s->ping, n);
			readLines(there, size);
			fill(back, size, n);
			pass(&s->pong, n);
		}
	unsigned n = 0;
	int batch = size < 65536 ? 1000 : 1;
	PINGPONG("spinpingpong", p, batch, {
		fill(there, size, ++n);
		pass(&s->ping, n);
		await(&s->pong, n);
		readLines(back, size);
	});
	end(child);
	return 0;
}
