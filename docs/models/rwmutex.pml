/*
 * The RWMutex of docs/protocol/locks.md with the sleeping of waker.md: goroutine g
 * of member g % MEMBERS takes a read lock or the write lock, as it likes, and
 * gives it back. A kill takes a member with all its goroutines. Slots are not
 * used again; that is mutex.pml's. A ring is one step here; that is waker.pml's.
 *
 * Checked:
 *   W1  no reader beside a writer that holds, and one writer at a time;
 *   W2  who gets the lock gets DIRTY exactly if a writer has died holding it, and
 *       nobody has called Consistent since;
 *   W3  nobody waits for ever: no reader for a writer that is dead or has given
 *       up, no writer for a dead reader; without DEATHS there is no watch, and it
 *       must not be missed.
 *
 * check: -DMEMBERS=3 -DGOROUTINES=3 -DDEATHS=0 -DCANCELS=1
 * check: -DMEMBERS=2 -DGOROUTINES=3 -DROUNDS=2 -DDEATHS=0 -DCANCELS=0
 * check: -DMEMBERS=3 -DGOROUTINES=3 -DDEATHS=1 -DCANCELS=0
 * check: -DMEMBERS=2 -DGOROUTINES=2 -DDEATHS=1 -DCANCELS=1 -DROUNDS=2
 *
 * Each of these must be found: A1 and A2, or W1 and W2, in the other order; A3 that
 * rings the writer it has seen at A2; a writer that gives up in W2 and rings nobody;
 * a leader that does not look at its followers; a follower that looks before the leader
 * can see it; DIRTY lost.
 * breaks: -DMEMBERS=2 -DGOROUTINES=2 -DDEATHS=0 -DCANCELS=0 -DBREAK_A
 * breaks: -DMEMBERS=2 -DGOROUTINES=2 -DDEATHS=0 -DCANCELS=0 -DBREAK_W
 * breaks: -DMEMBERS=3 -DGOROUTINES=3 -DDEATHS=0 -DCANCELS=1 -DBREAK_A3
 * breaks: -DMEMBERS=3 -DGOROUTINES=3 -DDEATHS=0 -DCANCELS=1 -DBREAK_CANCEL
 * breaks: -DMEMBERS=3 -DGOROUTINES=4 -DDEATHS=0 -DCANCELS=0 -DBREAK_TELL
 * breaks: -DMEMBERS=2 -DGOROUTINES=3 -DROUNDS=2 -DDEATHS=0 -DCANCELS=0 -DBREAK_FOLLOW
 * breaks: -DMEMBERS=3 -DGOROUTINES=3 -DDEATHS=2 -DCANCELS=0 -DBREAK_DIRTY
 */

#ifndef MEMBERS
#define MEMBERS 3
#define GOROUTINES 3
#define DEATHS 1
#define CANCELS 0
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define NOBODY 0
#define bit(i) (1 << (i))

/* The owner word: a member's number + 1. */
byte owner = NOBODY;
bool ownerHolds = false;
bool dirty = false;

byte held[MEMBERS];
byte sleepers = 0;
bool moved[MEMBERS];     /* Waker, since S1 */
bool inUse[MEMBERS];
byte reaper[MEMBERS];   /* who has the byte of a dead one: a member + 1 */

/* Within a process: whether there is a leader, what each follower waits for (1: word, 2:
 * drain of member whom[g]), and whether it is told. */
bool turn[4];
byte follows[4];
byte whom[4];
bool told[4];

/* What is true, for the checks. */
byte readers[4];         /* read locks of the living */
byte writer = NOBODY;    /* the member + 1 that holds the lock for writing */
bool poisoned = false;
bool dead[MEMBERS];
byte deaths = 0;
byte cancels = 0;

#if MEMBERS == 3
#define anyReader (readers[0] + readers[1] + readers[2] > 0)
#else
#define anyReader (readers[0] + readers[1] > 0)
#endif

#define free(i) (dead[i] && reaper[i] == 0)
#define ownerIsDead (owner != NOBODY && free(owner - 1))

/* What a waiter waits for: that nobody has the word, or that member t has no read locks. */
#define holds ((kind == word && owner == NOBODY) || (kind == drain && held[t] == 0))
#define blocked ((kind == word && ownerIsDead) || (kind == drain && free(t)))
#if DEATHS > 0
#define watch (holds || blocked)
#define mortal unless { atomic { dead[m] -> k = 0; t = 0; w = 0; left = 0; kind = none; zero = false; follows[g] = 0; whom[g] = 0; told[g] = false } }
#else
#define watch false
#define mortal
#endif

/* The leader tells follower i, if it is one of its own and its condition holds. */
#define tell(i) \
	if \
	:: i % MEMBERS == m && ((follows[i] == 1 && owner == NOBODY) || (follows[i] == 2 && held[whom[i]] == 0)) -> told[i] = true \
	:: else \
	fi

/* Only a member whose bit is set is rung. */
#define ring(i) if :: sleepers & bit(i) -> moved[i] = true :: else fi

/* R2 and R3, for all sleepers: the look, and each ring, is a step. */
#define ringAll \
	w = sleepers; \
	do \
	:: atomic { w & 1 -> moved[0] = true; w = w & ~1 } \
	:: atomic { w & 2 -> moved[1] = true; w = w & ~2 } \
	:: atomic { (w & 4) && MEMBERS > 2 -> moved[MEMBERS - 1] = true; w = w & ~4 } \
	:: atomic { w == 0 -> break } \
	od

/* B2, and the same in A3: ring the one that the word names now. */
#define ringOwner \
	atomic { zero -> zero = false; \
		if \
		:: owner != NOBODY -> ring(owner - 1) \
		:: else \
		fi }

mtype = { none, word, drain };

proctype goroutine(byte g; byte m)
{
	byte k = 0, t = 0, w = 0, left = 0;
	mtype kind = none;
	bool zero = false;
	{
		left = ROUNDS;
again:
		if
		:: goto read
		:: goto write
		fi;

		/* RLock */
read:
#ifdef BREAK_A
		atomic { if :: owner == NOBODY -> t = 1 :: else -> t = 0 fi };
		held[m]++;
		atomic { if :: t == 1 -> t = 0; readers[m]++; assert(writer == NOBODY); goto reading :: else fi };
#else
		held[m]++;                                            /* A1 */
#ifdef BREAK_A3
		w = owner;
#endif
		atomic {                                              /* A2 */
			if
			:: owner == NOBODY ->
				readers[m]++;
				assert(writer == NOBODY);             /* W1 */
				assert(dirty == poisoned);            /* W2 */
				w = 0;
				goto reading
			:: else
			fi
		};
#endif
		atomic { held[m]--; zero = (held[m] == 0) };          /* A3 */
		if
#ifdef BREAK_A3
		:: atomic { zero -> zero = false; if :: w != NOBODY -> ring(w - 1) :: else fi; w = 0 }
#else
		:: ringOwner
#endif
		:: atomic { !zero -> skip }
		fi;
		atomic { kind = word; t = 0; goto sleep };
reading:
		assert(writer == NOBODY);
		/* RUnlock */
		atomic { held[m]--; readers[m]--; zero = (held[m] == 0) }; /* B1 */
		if
		:: ringOwner                                          /* B2 */
		:: atomic { !zero -> skip }
		fi;
		goto next;

		/* Lock */
write:
#ifdef BREAK_W
		atomic { k = 0;
			do
			:: k == MEMBERS -> break
			:: k < MEMBERS && held[k] == 0 -> k++
			:: else -> goto write
			od
		};
		atomic { if :: owner == NOBODY -> owner = m + 1; goto holding :: else -> k = 0; kind = word; goto sleep fi };
#endif
		atomic {                                              /* W1 */
			if
			:: owner == NOBODY -> owner = m + 1; k = 0
			:: else -> kind = word; t = 0; goto sleep
			fi
		};
draining:
		atomic {                                              /* W2 */
			if
			:: k == MEMBERS -> k = 0
			:: k < MEMBERS && held[k] == 0 -> k++; goto draining
			:: else -> kind = drain; t = k; goto sleep
			fi
		};
#ifdef BREAK_W
holding:
#endif
		atomic {                                              /* W3 */
			k = 0;
			assert(owner == m + 1 && writer == NOBODY);
			assert(!anyReader);                           /* W1 */
			assert(dirty == poisoned);                    /* W2 */
			ownerHolds = true; writer = m + 1
		};
		if
		:: atomic { dirty -> dirty = false; poisoned = false } /* Consistent */
		:: skip
		fi;
		assert(!anyReader);
		atomic { owner = NOBODY; ownerHolds = false; writer = NOBODY };
		ringAll;
		goto next;

		/* Sleeping: the first goroutine of a member leads, the others follow. */
sleep:
#ifdef BREAK_FOLLOW
		if
		:: atomic { holds -> goto woken }
		:: atomic { !holds -> skip }
		fi;
#endif
		if
		:: atomic { !turn[m] -> turn[m] = true; goto lead }
		:: atomic { turn[m] -> whom[g] = t; if :: kind == word -> follows[g] = 1 :: else -> follows[g] = 2 fi }
		fi;
		do
#ifndef BREAK_FOLLOW
		:: if
			:: atomic { holds -> break }
			:: atomic { !holds && blocked -> break }
			:: atomic { !holds && !blocked -> skip }
			:: atomic { cancels < CANCELS -> cancels++; zero = true; break }
			fi;
#else
		::
#endif
			if
			:: atomic { !turn[m] -> turn[m] = true; follows[g] = 0; whom[g] = 0; told[g] = false; goto lead }
#ifdef BREAK_FOLLOW
			:: atomic { told[g] || watch -> break }
#else
			:: atomic { told[g] -> told[g] = false }
			:: atomic { !told[g] && watch -> skip }
#endif
			fi
		od;
		atomic { follows[g] = 0; whom[g] = 0; told[g] = false; goto woken };
lead:
		do
		:: moved[m] = false;                                  /* S1 */
			sleepers = sleepers | bit(m);                 /* S2 */
			if                                            /* S3 */
			:: atomic { holds -> break }
			:: atomic { !holds && blocked -> break }
			:: atomic { !holds && !blocked -> skip }
			:: atomic { cancels < CANCELS -> cancels++; zero = true; break }
			fi;
#ifndef BREAK_TELL
			/* A member has one follower at most here, so this is one look. */
			atomic { tell(0); tell(1); tell(2); tell(3) };
#endif
			moved[m] || watch;                            /* S4 */
			sleepers = sleepers & ~bit(m)                 /* S5 */
		od;
		atomic { sleepers = sleepers & ~bit(m) };
		turn[m] = false;
woken:
		atomic {
			if
			:: zero && kind == drain -> goto giveUp
			:: zero && kind != drain -> kind = none; zero = false; goto next
			:: else
			fi
		};
		/* repair what blocks, if it is dead */
		atomic {
			if
			:: kind == word && ownerIsDead -> t = owner - 1
			:: kind == drain && free(t) -> skip
			:: else -> goto back
			fi;
			reaper[t] = m + 1
		};
		if
		:: atomic { !inUse[t] -> reaper[t] = 0; goto back }
		:: atomic { inUse[t] -> skip }
		fi;
		atomic {
			if
			:: owner == t + 1 ->
				assert(writer == NOBODY);
#ifdef BREAK_DIRTY
				dirty = ownerHolds;
#else
				dirty = dirty || ownerHolds;
#endif
				owner = NOBODY; ownerHolds = false
			:: else
			fi
		};
		held[t] = 0;
		sleepers = sleepers & ~bit(t);
		inUse[t] = false;
		reaper[t] = 0;
		ringAll;
back:
		atomic {
			t = 0;
			if
			:: kind == drain -> kind = none; goto draining
			:: else -> kind = none
			fi;
			/* which of the two it was the choice at again does not tell any
			 * more; a waiter for the word may as well try the other one */
			if
			:: goto read
			:: goto write
			fi
		};

		/* A writer that gives up in W2 lets the readers in again. */
giveUp:
		atomic { owner = NOBODY; kind = none; zero = false; k = 0; t = 0 };
#ifndef BREAK_CANCEL
		ringAll;
#endif
next:
		atomic { left--; if :: left > 0 -> goto again :: else fi }
	} mortal
}

/* A kill runs no code of ours. */
proctype killer()
{
	byte i = 0;
	do
	:: deaths == DEATHS -> break
	:: atomic { deaths < DEATHS ->
			i = 0;
			do
			:: i + 1 < MEMBERS -> i++
			:: break
			od;
			deaths++;
			if
			:: !dead[i] ->
				dead[i] = true;
				readers[i] = 0;
				if :: writer == i + 1 -> writer = NOBODY; poisoned = true :: else fi;
				if :: reaper[0] == i + 1 -> reaper[0] = 0 :: else fi;
				if :: reaper[1] == i + 1 -> reaper[1] = 0 :: else fi;
				if :: reaper[MEMBERS - 1] == i + 1 -> reaper[MEMBERS - 1] = 0 :: else fi
			:: else
			fi;
			i = 0
		}
	:: deaths < DEATHS -> break
	od
}

init
{
	byte p = 0;
	atomic {
		do
		:: p == MEMBERS -> break
		:: p < MEMBERS -> inUse[p] = true; p++
		od;
		p = 0;
		do
		:: p == GOROUTINES -> break
		:: p < GOROUTINES -> run goroutine(p, p % MEMBERS); p++
		od;
		run killer();
		p = 0
	}
}
