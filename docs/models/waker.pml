/*
 * Sleeping and ringing, as docs/protocol/waker.md tells it: waiters take units
 * of n, setters add them, and each may be killed at any step.
 *
 * n is the condition: with MAX=1 the bit of an auto-reset event (Set on a set
 * event changes nothing, and rings nobody), with more a semaphore. With LOCK
 * it is a lock: n is 1 while it is free, and each waiter gives back what it took.
 * A ring is two steps, the add and the wake: a ringer may die between them. The
 * futex's look at the word and falling asleep are one step, as in the kernel.
 * Who is rung of several is any of them: no choice may matter. The watch is as
 * slow as it likes, but does come when nothing else happens.
 *
 * Checked, when nothing can happen any more:
 *   no living sleeper sleeps beside a condition that holds (invariant 1); without
 *   DEATHS the watch is left out, and must not be missed;
 *   each unit that was given was taken by one waiter, or is still there.
 *
 * check: -DWAITERS=3 -DSETTERS=2 -DMAX=1 -DDEATHS=0 -DCANCELS=1
 * check: -DWAITERS=2 -DSETTERS=2 -DSETS=2 -DMAX=1 -DDEATHS=0 -DCANCELS=1
 * check: -DWAITERS=3 -DSETTERS=2 -DMAX=4 -DDEATHS=0 -DCANCELS=1
 * check: -DWAITERS=3 -DSETTERS=0 -DMAX=1 -DDEATHS=0 -DCANCELS=1 -DLOCK
 * check: -DWAITERS=2 -DSETTERS=2 -DMAX=1 -DDEATHS=2 -DCANCELS=1
 * check: -DWAITERS=3 -DSETTERS=1 -DSETS=2 -DMAX=4 -DDEATHS=1 -DCANCELS=0
 *
 * Each of these must find a sleeper that nobody wakes:
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
byte given = 1;
#else
byte n = 0;
byte given = 0;
#endif
byte taken = 0;
byte sleepers = 0;
byte waker[WAITERS];
bool asleep[WAITERS];  /* in the kernel */
bool ended[WAITERS];   /* the waiter's context has ended */
bool lost[WAITERS];    /* the watch found a condition that held */
bool dead[ALL];
byte deaths = 0;

#define ring(i) waker[i]++; asleep[i] = false

/* R2 and R3, for one of the sleepers; the ringer's own bit is clear. */
#define ringOne \
	snap = sleepers; \
	if \
	:: snap == 0 -> k = WAITERS \
	:: snap & 1 -> k = 0 \
	:: snap & 2 -> k = 1 \
	:: snap & 4 -> k = 2 \
	fi; \
	if \
	:: k < WAITERS -> ring(k) \
	:: else \
	fi

/* R1 to R3 */
#ifdef BREAK_R
#define pick(s) if :: s == 0 -> k = WAITERS :: s & 1 -> k = 0 :: s & 2 -> k = 1 :: s & 4 -> k = 2 fi
#define give \
	snap = sleepers; \
	atomic { if :: n < MAX -> n++; given++; did = true :: else -> did = false fi }; \
	if :: did -> pick(snap); if :: k < WAITERS -> ring(k) :: else fi :: else fi
#else
#define give \
	atomic { if :: n < MAX -> n++; given++; did = true :: else -> did = false fi }; \
	if :: did -> ringOne :: else fi
#endif

#define take atomic { if :: n > 0 -> n--; taken++; did = true :: else -> did = false fi }

proctype waiter(byte me)
{
	byte v, snap, k;
	bool did = false;
	{
		take;                              /* without a bit, before S1 */
		if :: did -> goto have :: else fi;
again:
		v = waker[me];                     /* S1 */
#ifdef BREAK_S
		take;
		sleepers = sleepers | bit(me);
#else
		sleepers = sleepers | bit(me);     /* S2 */
		take;                              /* S3 */
#endif
		if
		:: did || ended[me] -> goto leave
		:: else
		fi;
#ifdef BREAK_V
		v = waker[me];
#endif
		atomic { if :: waker[me] == v -> asleep[me] = true :: else fi }; /* S4 */
end_sleep:
		!asleep[me];
		sleepers = sleepers & ~bit(me);    /* S5 */
		goto again;
leave:
		sleepers = sleepers & ~bit(me);
#ifndef BREAK_PASS
		/* A ring that was meant for another one, or came for one that goes:
		 * pass it on. */
		if
		:: n > 0 -> ringOne
		:: else
		fi;
#endif
		if
		:: lost[me] ->
			/* rings go to the dead: repair them, and wake all sleepers */
			lost[me] = false;
			k = 0;
			do
			:: k == WAITERS -> break
			:: else ->
				atomic { if :: dead[k] -> sleepers = sleepers & ~bit(k) :: else fi };
				k++
			od;
			snap = sleepers;
			k = 0;
			do
			:: k == WAITERS -> break
			:: else -> if :: snap & bit(k) -> ring(k) :: else fi; k++
			od
		:: else
		fi;
		if :: did -> goto have :: else -> goto out fi;
have:
#ifdef LOCK
		give;
#endif
out:
		skip
	} unless { dead[me] }
}

proctype setter(byte me)
{
	byte snap, k, left = SETS;
	bool did;
	{
		do
		:: left == 0 -> break
		:: else -> left--; give
		od
	} unless { dead[me] }
}

/* The context of one waiter ends: its process rings its own waker. */
proctype canceller(byte i)
{
	{
		ended[i] = true;
		ring(i)
	} unless { dead[i] }
}

/* A ring of a while ago, which comes now. */
proctype late()
{
	byte k = 0;
	do
	:: k + 1 < WAITERS -> k++
	:: break
	od;
	ring(k)
}

/* A kill takes a process out of the kernel's queue, and runs no code of ours. */
proctype killer()
{
	byte k;
	do
	:: deaths == DEATHS -> break
	:: deaths < DEATHS ->
		k = 0;
		do
		:: k + 1 < ALL -> k++
		:: break
		od;
		atomic {
			dead[k] = true;
			if :: k < WAITERS -> asleep[k] = false :: else fi;
			deaths++;
			k = 0
		}
	:: deaths < DEATHS -> break
	od
}

#define look(i) atomic { asleep[i] && !dead[i] && n > 0 -> waker[i]++; asleep[i] = false; lost[i] = true }

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
	od;
	assert(taken + n == given)
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
		run late();
#if DEATHS > 0
		run killer();
#ifndef BREAK_WATCH
		run watch();
#endif
#endif
		p = 0
	}
}
