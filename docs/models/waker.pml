/*
 * Sleeping and ringing, as docs/protocol/waker.md tells it: waiters take units
 * of n, setters add them, and each may be killed at any step.
 *
 * n is the condition: with MAX=1 the bit of an auto-reset event (Set on a set
 * event changes nothing, and rings nobody), with more a semaphore. With LOCK
 * it is a lock: n is 1 while it is free, and each waiter gives back what it took.
 * A ring is two steps, the add and the wake: a ringer may die between them. The
 * futex's look at the word and falling asleep are one step, as in the kernel.
 * Of Waker only this matters: has it moved since the sleeper's S1? Who is rung of
 * several is any of them: no choice may matter. The watch is as slow as it
 * likes, but does come when nothing else happens.
 *
 * Checked: when nothing can happen any more, no living sleeper sleeps beside a
 * condition that holds (invariant 1). Without DEATHS the watch is left out, and must
 * not be missed. That one unit passes one waiter is so by the CAS.
 *
 * check: -DWAITERS=2 -DSETTERS=2 -DSETS=2 -DMAX=1 -DDEATHS=0 -DCANCELS=1
 * check: -DWAITERS=3 -DSETTERS=2 -DMAX=4 -DDEATHS=0 -DCANCELS=0
 * check: -DWAITERS=3 -DSETTERS=0 -DMAX=1 -DDEATHS=0 -DCANCELS=2 -DLOCK -DLATE
 * check: -DWAITERS=2 -DSETTERS=1 -DSETS=2 -DMAX=1 -DDEATHS=2 -DCANCELS=0
 * check: -DWAITERS=2 -DSETTERS=1 -DMAX=1 -DDEATHS=1 -DCANCELS=1
 * check: -DWAITERS=3 -DSETTERS=1 -DMAX=4 -DDEATHS=1 -DCANCELS=0
 *
 * Each of these must find a sleeper that nobody wakes: S2 and S3, or R1 and R2, in
 * the other order; S1 after S3; deaths without the watch; no S6.
 * breaks: -DWAITERS=2 -DSETTERS=1 -DMAX=1 -DDEATHS=0 -DCANCELS=0 -DBREAK_S
 * breaks: -DWAITERS=2 -DSETTERS=1 -DMAX=1 -DDEATHS=0 -DCANCELS=0 -DBREAK_R
 * breaks: -DWAITERS=2 -DSETTERS=1 -DMAX=1 -DDEATHS=0 -DCANCELS=0 -DBREAK_V
 * breaks: -DWAITERS=2 -DSETTERS=1 -DMAX=1 -DDEATHS=1 -DCANCELS=0 -DBREAK_WATCH
 * breaks: -DWAITERS=2 -DSETTERS=2 -DMAX=1 -DDEATHS=0 -DCANCELS=0 -DBREAK_PASS
 * breaks: -DWAITERS=2 -DSETTERS=1 -DMAX=1 -DDEATHS=0 -DCANCELS=1 -DBREAK_PASS
 * breaks: -DWAITERS=3 -DSETTERS=2 -DMAX=4 -DDEATHS=0 -DCANCELS=0 -DBREAK_PASS
 * breaks: -DWAITERS=3 -DSETTERS=0 -DMAX=1 -DDEATHS=0 -DCANCELS=1 -DLOCK -DBREAK_PASS
 */

#ifndef WAITERS
#define WAITERS 2
#define SETTERS 2
#define MAX 1
#define DEATHS 2
#define CANCELS 1
#endif
#ifndef SETS
#define SETS 1 /* by each setter */
#endif
#define ALL (WAITERS + SETTERS)
#define bit(i) (1 << (i))

#ifdef LOCK
byte n = 1;
#else
byte n = 0;
#endif
byte sleepers = 0;
bool moved[4];   /* Waker, since S1; the last one is nobody's */
bool asleep[4];  /* in the kernel */
bool ended[WAITERS];   /* the waiter's context has ended */
bool lost[WAITERS];    /* the watch found a condition that held */
bool dead[ALL];
byte deaths = 0;

#define ring(i) moved[i] = true; asleep[i] = false

/* Any of the bits of s; WAITERS if there is none. */
#define choose(s) \
	if \
	:: s == 0 -> k = WAITERS \
	:: s & 1 -> k = 0 \
	:: s & 2 -> k = 1 \
	:: s & 4 -> k = 2 \
	fi

/* R2 and R3, for one of the sleepers; the ringer's own bit is clear. */
#define ringOne \
	atomic { choose(sleepers) }; \
	if \
	:: atomic { k < WAITERS -> moved[k] = true }; \
		atomic { asleep[k] = false; k = 0 } \
	:: atomic { else -> k = 0 } \
	fi

#define add(whenFull) if :: n < MAX -> n++ :: else -> whenFull fi
#define take if :: n > 0 -> n--; did = true :: else fi

#if DEATHS > 0
#define mortal unless { atomic { dead[me] -> k = 0 } }
#else
#define mortal
#endif

proctype waiter(byte me)
{
	byte k = 0;
	bool did = false;
	{
		atomic { take; if :: did -> goto have :: else fi }; /* without a bit, before S1 */
again:
		moved[me] = false;                     /* S1 */
#ifdef BREAK_S
		atomic { take; };
		sleepers = sleepers | bit(me);
		atomic { if :: did || ended[me] -> goto leave :: else fi };
#else
		sleepers = sleepers | bit(me);         /* S2 */
		atomic { take; if :: did -> goto leave :: else fi }; /* S3 */
		atomic { if :: ended[me] -> goto leave :: else fi };
#endif
#ifdef BREAK_V
		moved[me] = false;
#endif
		atomic { if :: !moved[me] -> asleep[me] = true :: else fi }; /* S4 */
end_sleep:
		atomic { !asleep[me] -> sleepers = sleepers & ~bit(me); goto again }; /* S5 */
leave:
		sleepers = sleepers & ~bit(me);
#ifndef BREAK_PASS
		/* S6: a ring that was meant for another one, or came for one that
		 * goes, is passed on. */
		if
		:: n > 0 -> ringOne
		:: else
		fi;
#endif
		if
		:: atomic { lost[me] -> lost[me] = false };
			/* rings go to the dead: repair them, and wake all sleepers */
			atomic {
				do
				:: k < WAITERS -> if :: dead[k] -> sleepers = sleepers & ~bit(k) :: else fi; k++
				:: else -> k = 0; break
				od
			};
			atomic {
				do
				:: k < WAITERS -> if :: sleepers & bit(k) -> ring(k) :: else fi; k++
				:: else -> k = 0; break
				od
			}
		:: else
		fi;
		atomic { if :: did -> goto have :: else -> goto out fi };
have:
		did = false;
#ifdef LOCK
		atomic { assert(n == 0); n++ };
		ringOne;
#endif
out:
		skip
	} mortal
}

proctype setter(byte me)
{
	byte k = 0, left = 0;
	{
		left = SETS;
again:
#ifdef BREAK_R
		atomic { choose(sleepers) };
		atomic { add(goto next) };
		if
		:: k < WAITERS -> ring(k)
		:: else
		fi;
#else
		atomic { add(goto next) };             /* R1 */
		ringOne;
#endif
next:
		atomic { k = 0; left--; if :: left > 0 -> goto again :: else fi }
	} mortal
}

/* The context of one waiter ends: its process rings its own waker. */
proctype canceller(byte me)
{
	byte k = 0;
	{
		ended[me] = true;
		moved[me] = true;
		asleep[me] = false
	} mortal
}

/* A ring of a while ago, which comes now. */
proctype late()
{
	if
	:: atomic { ring(0) }
	:: atomic { ring(1) }
	fi
}

/* A kill takes a process out of the kernel's queue, and runs no code of ours. */
proctype killer()
{
	byte k = 0;
	do
	:: deaths == DEATHS -> break
	:: atomic { deaths < DEATHS ->
			do
			:: k + 1 < ALL -> k++
			:: break
			od;
			dead[k] = true;
			if :: k < WAITERS -> asleep[k] = false :: else fi;
			deaths++;
			k = 0
		}
	:: deaths < DEATHS -> break
	od
}

#define look(i) atomic { asleep[i] && !dead[i] && n > 0 -> moved[i] = true; asleep[i] = false; lost[i] = true }

proctype watch()
{
end_watch:
	do
	:: look(0)
	:: look(1)
#if WAITERS > 2
	:: look(2)
#endif
	od
}

active proctype last()
{
	byte k = 0;
	timeout;
	do
	:: k == WAITERS -> break
	:: else ->
		assert(dead[k] || !asleep[k] || n == 0);
		k++
	od
}

init
{
	byte p = 0;
	atomic {
		do
		:: p == ALL -> break
		:: p < WAITERS -> run waiter(p); p++
		:: p >= WAITERS && p < ALL -> run setter(p); p++
		od;
		p = 0;
		do
		:: p == CANCELS -> break
		:: else -> run canceller(p); p++
		od;
#ifdef LATE
		run late();
#endif
#if DEATHS > 0
		run killer();
#ifndef BREAK_WATCH
		run watch();
#endif
#endif
		p = 0
	}
}
