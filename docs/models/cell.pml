/*
 * The cell of docs/protocol/lane.md: one latest value, written by two writers in
 * turn under a lease, read in place by two readers with a pin each. K = 1: only the
 * current value's slot is kept untouched. A reader that finds another generation
 * goes on when Current has changed: so one that could never go on is found.
 * Store buffers: a writer's stores are followed by fences before it loads (F2, the
 * lease), a reader's pin is fenced; BREAK_PIN puts the pin into a buffer.
 *
 * Checked:
 *   C1  a slot that is written is not looked at, and what a reader looks at is the
 *       value of that number which was published, not one of a writer that died;
 *   C2  a reader's values come in order;
 *   C3  there is always a free slot, and no writer waits for a reader;
 *   C4  nobody waits for ever: a value once published is always to be had.
 *
 * check: -DSLOTS=4 -DREADERS=2 -DWRITES=2 -DTAKES=2 -DDEATHS=0
 * check: -DSLOTS=4 -DREADERS=2 -DWRITES=1 -DTAKES=2 -DDEATHS=1
 * check: -DSLOTS=3 -DREADERS=1 -DWRITES=2 -DTAKES=2 -DDEATHS=1
 *
 * Each of these must be found: a pin without fence; generations zeroed after the
 * scan; Writer stored when the value is written, and not before; a writer that keeps
 * the largest generations, also those of values that were never published; a slot
 * too few.
 * breaks: -DSLOTS=4 -DREADERS=2 -DWRITES=2 -DTAKES=2 -DDEATHS=0 -DBREAK_PIN
 * breaks: -DSLOTS=4 -DREADERS=2 -DWRITES=2 -DTAKES=2 -DDEATHS=0 -DBREAK_GEN
 * breaks: -DSLOTS=3 -DREADERS=1 -DWRITES=2 -DTAKES=1 -DDEATHS=2 -DBREAK_MARK
 * breaks: -DSLOTS=4 -DREADERS=1 -DWRITES=2 -DTAKES=1 -DDEATHS=2 -DBREAK_KEEP
 * breaks: -DSLOTS=3 -DREADERS=2 -DWRITES=2 -DTAKES=2 -DDEATHS=0
 */

#ifndef SLOTS
#define SLOTS 4
#define WRITES 2 /* by each writer */
#define TAKES 2  /* by each reader */
#define DEATHS 1
#endif
#ifndef READERS
#define READERS 2
#endif
#define NOBODY 0
#define bit(i) (1 << (i))
#define all ((1 << SLOTS) - 1)

/* Cell: Current is one word, its sequence and its slot. */
byte sequence = 0;
byte slot = 0;
byte owner = NOBODY;       /* a writer + 1 */
byte mark = NOBODY;        /* Cell.Writer */
byte generation[SLOTS];
byte payload[SLOTS];       /* the value, or 0 while it is written, or was never published */
byte pin[2];               /* as others see it */
byte stored[2];            /* as the reader has stored it */

/* What is true, for the checks. */
byte looks[2];             /* slot + 1 that reader i looks at */
bool dead[4];              /* writers 0 and 1, readers 2 and 3 */
byte deaths = 0;

#define inUse(s) (looks[0] == s + 1 || looks[1] == s + 1)

#if DEATHS > 0
#define mortal unless { atomic { dead[me] -> reset } }
#else
#define mortal
#endif

#define zeroRetired \
	atomic { \
		do \
		:: c < SLOTS -> if :: retired & bit(c) -> generation[c] = 0 :: else fi; c++ \
		:: else -> c = 0; break \
		od \
	}

proctype writer(byte me)
{
	byte q = 0;        /* the number of the value to be written */
	byte free = 0;     /* slots, as bits */
	byte retired = 0;
	byte pinned = 0;
	byte s = 0;
	byte c = 0;
	byte left = 0;
#define reset q = 0; free = 0; retired = 0; pinned = 0; s = 0; c = 0; left = 0
	{
		left = WRITES;
again:
		atomic { owner == NOBODY -> owner = me + 1 };
		if
		:: atomic { mark == me + 1 -> skip }
		:: atomic { mark != me + 1 -> skip };
			atomic {
#ifndef BREAK_MARK
				mark = me + 1;
#endif
				free = 0; retired = all;
#ifdef BREAK_KEEP
				s = 0;
				do
				:: c < SLOTS -> if :: generation[c] > generation[s] -> s = c :: else fi; c++
				:: else -> c = 0; break
				od;
				if :: generation[s] != 0 -> retired = all & ~bit(s) :: else fi;
				s = 0
#else
				if :: sequence != 0 -> retired = all & ~bit(slot) :: else fi
#endif
			}
		fi;
		q = sequence + 1;
#ifndef BREAK_GEN
		zeroRetired;                                            /* F1, F2 */
#endif
		atomic { if :: pin[0] != 0 -> pinned = bit(pin[0] - 1) :: else fi };
#if READERS > 1
		atomic { if :: pin[1] != 0 -> pinned = pinned | bit(pin[1] - 1) :: else fi };
#endif
#ifdef BREAK_GEN
		zeroRetired;
#endif
		atomic {                                                /* F3 */
			free = free | (retired & ~pinned); retired = retired & pinned; pinned = 0;
			assert(free != 0);
			do
			:: (free & bit(s)) -> break
			:: else -> s++
			od;
			free = free & ~bit(s);
			assert(!inUse(s));
			assert(generation[s] == 0);
			payload[s] = 0
		};
		atomic { assert(!inUse(s)); payload[s] = q };
		generation[s] = q;
		atomic {
			if :: sequence != 0 -> retired = retired | bit(slot) :: else fi;
			sequence = q; slot = s; q = 0; s = 0
		};
#ifdef BREAK_MARK
		mark = me + 1;
#endif
		owner = NOBODY;
		atomic { left--; if :: left > 0 -> goto again :: else fi };
		reset
	} mortal
#undef reset
}

proctype reader(byte me; byte i)
{
	byte q = 0;
	byte s = 0;
	byte last = 0;
	byte left = 0;
#define reset q = 0; s = 0; last = 0; left = 0
	{
		left = TAKES;
end_reader:
		sequence != 0;
again:
		atomic { q = sequence; s = slot; assert(q >= last) };   /* C1 */
		atomic { stored[i] = s + 1; looks[i] = 0;               /* C2 */
#ifndef BREAK_PIN
			pin[i] = stored[i]
#endif
		};
		if                                                      /* C3 */
		:: atomic { generation[s] == q -> looks[i] = s + 1; assert(payload[s] == q); last = q }
		:: atomic { generation[s] != q -> skip };
			atomic { sequence != q -> q = 0; s = 0; goto again }
		fi;
		atomic {
			assert(payload[s] == q);
			q = 0; s = 0; left--;
			if :: left > 0 -> goto again :: else fi
		};
		reset
	} mortal
#undef reset
}

proctype cpu()
{
end_cpu:
	do
	:: atomic { pin[0] != stored[0] -> pin[0] = stored[0] }
	:: atomic { pin[1] != stored[1] -> pin[1] = stored[1] }
	od
}

#if DEATHS > 0
proctype reaper()
{
end_reaper:
	do
	:: atomic { owner != NOBODY && dead[owner - 1] -> owner = NOBODY }
	od
}

/* A kill runs no code of ours. A dead reader's pin is nobody's business here. */
#define may(k) (deaths < DEATHS && !dead[k])

proctype killer()
{
	byte k = 0;
end_killer:
	do
	:: atomic { may(0) && owner == 1 -> k = 0; goto writerDies }
	:: atomic { may(1) && owner == 2 -> k = 1;
writerDies:
			deaths++; dead[k] = true; k = 0;
			do
			:: k < SLOTS -> if :: payload[k] > sequence -> payload[k] = 0 :: else fi; k++
			:: else -> k = 0; break
			od
		}
	:: atomic { may(2) && pin[0] -> deaths++; dead[2] = true; looks[0] = 0 }
	:: atomic { may(3) && pin[1] -> deaths++; dead[3] = true; looks[1] = 0 }
	od
}
#endif

init
{
	atomic {
		run writer(0);
		run writer(1);
		run reader(2, 0);
#if READERS > 1
		run reader(3, 1);
#endif
		run cpu();
#if DEATHS > 0
		run reaper();
		run killer();
#endif
	}
}
