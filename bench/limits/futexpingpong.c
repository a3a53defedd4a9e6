// The limit of an exchange between two processes that sleep: each waits on a futex
// in shared memory, never spins, and is woken by the other one. The result is one way in
// nanoseconds: half a round trip. A wake on the same CPU costs much less than a wake on
// another CPU: this is a wake on another CPU.
//
//   futexpingpong [-size N]
//
// With -size N all N bytes of a message are written in place before each pass, and read
// after it.
#include "limit.h"
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>

struct shared {
	_Alignas(128) _Atomic unsigned ping;
	_Alignas(128) _Atomic unsigned pong;
};

static void sleepUntil(_Atomic unsigned *word, unsigned wanted)
{
	unsigned v;
	while ((v = atomic_load(word)) != wanted)
		syscall(SYS_futex, word, FUTEX_WAIT, v, NULL, NULL, 0);
}

static void ring(_Atomic unsigned *word, unsigned n)
{
	atomic_store(word, n);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
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
			sleepUntil(&s->ping, n);
			readLines(there, size);
			fill(back, size, n);
			ring(&s->pong, n);
		}
	unsigned n = 0;
	int batch = size < 65536 ? 50 : 1;
	PINGPONG("futexpingpong", p, batch, {
		fill(there, size, ++n);
		ring(&s->ping, n);
		sleepUntil(&s->pong, n);
		readLines(back, size);
	});
	end(child);
	return 0;
}
