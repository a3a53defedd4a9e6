// The limit of a one-way stream. One process writes messages into a ring in shared memory.
// It writes each message completely and publishes it by itself. The other process reads them
// in place. In nanoseconds a message.
//
//   stream [-size N] [-depth D]
//
// Messages have 64 bytes by default, in a ring of 1024. Larger messages are in a ring of 8,
// so that a block is still in the cache when it is used again. Of a small message all is
// read; of a large one a word of each cache line, which moves all of it. The depth matters:
// with 8 slots the two wait for each other, and a message costs a quarter of a spinning
// exchange. From 64 slots on the lines in between hide that.
//
// The writer owns head, the reader tail. Each word is on a line of its own. Each side has a
// copy of the other's word, and reads the word again only if the copy says full or empty.
#include "limit.h"
#include <stdatomic.h>

struct shared {
	_Alignas(128) _Atomic unsigned long head; // messages published
	_Alignas(128) _Atomic unsigned long tail; // messages read
};

struct line {
	unsigned long w[8];
};

static void writeAll(struct shared *s, char *ring, size_t size, unsigned long depth)
{
	unsigned long tail = 0;
	for (unsigned long head = 0;; head++) {
		while (head - tail == depth) {
			// ACQUIRE: the slot has been read. Pairs with the release in readAll.
			tail = atomic_load_explicit(&s->tail, memory_order_acquire);
			if (head - tail == depth)
				relax();
		}
		char *slot = ring + (head & (depth - 1)) * size;
		if (size == sizeof(struct line)) {
			struct line *l = (struct line *)slot;
			for (int i = 0; i < 8; i++)
				l->w[i] = head;
		} else {
			memset(slot, (int)head, size);
		}
		// RELEASE: publishes the message.
		atomic_store_explicit(&s->head, head + 1, memory_order_release);
	}
}

// readAll reads n messages from *tail on.
static void readAll(struct shared *s, char *ring, size_t size, unsigned long depth, unsigned long *at, unsigned long n)
{
	static unsigned long head;
	unsigned long tail = *at;
	for (; n > 0; n--) {
		while (head == tail) {
			head = atomic_load_explicit(&s->head, memory_order_acquire);
			if (head == tail)
				relax();
		}
		char *slot = ring + (tail & (depth - 1)) * size;
		if (size == sizeof(struct line)) {
			struct line *l = (struct line *)slot;
			unsigned long sum = 0;
			for (int i = 0; i < 8; i++)
				sum += l->w[i];
			keep(sum);
		} else {
			readLines(slot, size);
		}
		atomic_store_explicit(&s->tail, ++tail, memory_order_release);
	}
	*at = tail;
}

int main(int argc, char **argv)
{
	struct plan p = planOf(argc, argv, "-size -depth ");
	size_t size = (size_t)option(argc, argv, "-size", 64);
	unsigned long depth = (unsigned long)option(argc, argv, "-depth", size == 64 ? 1024 : 8);
	if (size == 0 || size % 64 || depth == 0 || depth & (depth - 1))
		return fprintf(stderr, "want lines of 64 bytes, and a power of two of slots\n"), 2;
	struct shared *s = sharedMemory(sizeof *s);
	char *ring = sharedMemory(size * depth);
	pid_t child = otherProcess(&p);
	if (child == 0)
		writeAll(s, ring, size, depth);
	unsigned long at = 0, batch = size < 65536 ? 10000 : 10;
	for (int r = -1; r < p.rounds; r++) {
		unsigned long first = at;
		double begun = now(), t;
		do {
			readAll(s, ring, size, depth, &at, batch);
			t = now() - begun;
		} while (t < lengthOf(&p, r));
		if (r >= 0)
			print("stream", t * 1e9 / (at - first), NULL);
	}
	end(child);
	return 0;
}
