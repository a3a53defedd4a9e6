/*
 * The Mutex of docs/protocol/locks.md, on the members of segment.md: processes
 * join, lock and unlock once, and leave; each may be killed at any step, also
 * while it repairs for a dead one. There are fewer slots than processes, so that
 * slots are used again. Sleeping is waker.pml's: here a waiter just waits until
 * its condition holds, or the member dies that it depends on.
 *
 * Checked:
 *   M1  one owner at a time; so no reaper frees the lock of a living one;
 *   M2  who locks gets DIRTY exactly if an owner has died holding the lock, and
 *       nobody has called Consistent since;
 *   M3  with DIRTY comes the record of the one who died last, and no other;
 *   M4  one reaper at a time has a slot, and only a dead one's;
 *   M5  nobody waits for ever; when all have ended, the lock is still to be had.
 *
 * check: -DPROCS=3 -DSLOTS=2 -DLIVES=1 -DDEATHS=2
 * check: -DPROCS=2 -DSLOTS=2 -DLIVES=2 -DDEATHS=2
 * check: -DPROCS=3 -DSLOTS=1 -DLIVES=1 -DDEATHS=3
 *
 * Each of these must be found: a joiner or a reaper that does not look again when
 * it has the byte; a slot that is freed before the word; DIRTY forgotten; the
 * record written by a second reaper that finds the word repaired.
 * breaks: -DPROCS=3 -DSLOTS=2 -DLIVES=1 -DDEATHS=2 -DBREAK_JOIN
 * breaks: -DPROCS=3 -DSLOTS=2 -DLIVES=1 -DDEATHS=2 -DBREAK_REAPER
 * breaks: -DPROCS=3 -DSLOTS=2 -DLIVES=1 -DDEATHS=2 -DBREAK_ORDER
 * breaks: -DPROCS=3 -DSLOTS=2 -DLIVES=1 -DDEATHS=2 -DBREAK_DIRTY
 * breaks: -DPROCS=4 -DSLOTS=2 -DLIVES=1 -DDEATHS=3 -DBREAK_RECORD
 * breaks: -DPROCS=3 -DSLOTS=2 -DLIVES=1 -DDEATHS=2 -DBREAK_INCARNATION -DBREAK_REAPER
 */

#ifndef PROCS
#define PROCS 3
#define SLOTS 2
#define LIVES 1
#define DEATHS 2
#endif
#define NOBODY 0

/* Slots: the lock byte, by process + 1; Identity. */
byte taken[SLOTS];
bool inUse[SLOTS];
byte inc[SLOTS];

/* The owner word. A slot is its number + 1. */
byte oSlot = NOBODY;
byte oInc = 0;
bool dirty = false;

/* The record of who died: two words. */
byte recSlot = NOBODY;
byte recInc = 0;

/* What is true, for the checks. */
byte holder = NOBODY;      /* the process + 1 that has the lock */
bool poisoned = false;     /* an owner died, and nobody has declared the data consistent */
byte lastSlot = NOBODY;    /* the last owner that died */
byte lastInc = 0;
byte memberOf[SLOTS];      /* the living process + 1 that is this member */
bool dead[PROCS];
byte deaths = 0;
byte finished = 0;

/* Is slot s dead: in use, with nobody on its byte? */
#define isDead(s) (inUse[s] && taken[s] == 0)

/* The slot's kind of object, and the slot itself, put right by who holds byte s;
 * was is the incarnation that it read when it had the byte. */
#ifdef BREAK_INCARNATION
#define named (oSlot == s + 1)
#else
#define named (oSlot == s + 1 && oInc == was)
#endif
#ifdef BREAK_RECORD
#define record recSlot = s + 1; recInc = was
#else
#define record \
	if \
	:: named -> recSlot = s + 1; recInc = was \
	:: else \
	fi
#endif
#ifdef BREAK_DIRTY
#define markDirty skip
#else
#define markDirty dirty = true
#endif
#define freeWord \
	atomic { if \
	:: named -> \
		assert(holder == NOBODY);      /* M1 */ \
		oSlot = NOBODY; oInc = 0; markDirty \
	:: else \
	fi }
#define freeSlot atomic { assert(memberOf[s] == 0); inUse[s] = false; inc[s] = was } /* M4 */
#ifdef BREAK_ORDER
#define repair freeSlot; record; freeWord
#else
#define repair record; freeWord; freeSlot
#endif

proctype user(byte me)
{
	byte s = 0;        /* the slot that it looks at */
	byte was = 0;      /* that one's incarnation */
	byte slot = 0;     /* its own slot + 1, and incarnation */
	byte mine = 0;
	byte left = 0;
	bool flag = false;
	{
		left = LIVES;
join:
		atomic {
			if
			:: !inUse[0] && taken[0] == 0 -> s = 0
			:: isDead(0) && (SLOTS == 1 || inUse[SLOTS - 1]) -> s = 0
#if SLOTS > 1
			:: !inUse[1] && taken[1] == 0 -> s = 1
			:: isDead(1) && inUse[0] -> s = 1
#endif
			:: else -> goto out            /* ErrTooManyMembers */
			fi;
			flag = inUse[s]
		};
		atomic {
			if
			:: taken[s] == 0 -> taken[s] = me + 1
			:: else -> goto join
			fi
		};
#ifndef BREAK_JOIN
		atomic { flag = inUse[s]; was = inc[s] };
#endif
		if
		:: atomic { flag -> flag = false }; repair
		:: else
		fi;
		/* Identity; the incarnation is one more than the byte's holder finds. */
		atomic {
			mine = inc[s] + 1; slot = s + 1;
			inc[s] = mine; inUse[s] = true; memberOf[s] = me + 1
		};
lock:
		atomic {
			s = 0; was = 0;
			if
			:: oSlot == NOBODY ->                            /* L1 */
				assert(holder == NOBODY);                /* M1 */
				assert(dirty == poisoned);               /* M2 */
				oSlot = slot; oInc = mine; holder = me + 1;
				goto critical
			/* L2, or it has seen by chance that a member is dead */
			:: isDead(0) -> s = 0; was = inc[0]
#if SLOTS > 1
			:: isDead(1) -> s = 1; was = inc[1]
#endif
			fi
		};
		atomic {
			if
			:: taken[s] == 0 -> taken[s] = me + 1
			:: else -> goto lock
			fi
		};
#ifndef BREAK_REAPER
		atomic {
			if
			:: inUse[s] -> was = inc[s]
			:: else -> taken[s] = 0; goto lock
			fi
		};
#endif
		repair;
		atomic { taken[s] = 0; goto lock };
critical:
		if
		:: dirty ->
			assert(recSlot == lastSlot);                     /* M3 */
			assert(recInc == lastInc);
			if
			:: atomic { dirty = false; poisoned = false }    /* Consistent */
			:: skip
			fi
		:: else
		fi;
		atomic {
			assert(oSlot == slot && oInc == mine && holder == me + 1);
			oSlot = NOBODY; oInc = 0; holder = NOBODY        /* U1 */
		};
		/* leave */
		atomic { inUse[slot - 1] = false; memberOf[slot - 1] = 0 };
		atomic {
			taken[slot - 1] = 0; slot = 0; mine = 0; left--;
			if
			:: left > 0 -> goto join
			:: else
			fi
		};
out:
		skip
	} unless { atomic { dead[me] -> s = 0; was = 0; slot = 0; mine = 0; left = 0; flag = false } };
	finished++
}

/* A kill lets go of the locks of the dead, and runs no code of ours. */
proctype killer()
{
	byte k = 0, i = 0;
	do
	:: deaths == DEATHS -> break
	:: atomic { deaths < DEATHS ->
			do
			:: k + 1 < PROCS -> k++
			:: break
			od;
			deaths++;
			if
			:: !dead[k] ->
				dead[k] = true;
				do
				:: i == SLOTS -> i = 0; break
				:: else ->
					if :: taken[i] == k + 1 -> taken[i] = 0 :: else fi;
					if :: memberOf[i] == k + 1 -> memberOf[i] = 0 :: else fi;
					i++
				od;
				if
				:: holder == k + 1 -> holder = NOBODY; poisoned = true; lastSlot = oSlot; lastInc = oInc
				:: else
				fi
			:: else
			fi;
			k = 0
		}
	:: deaths < DEATHS -> break
	od
}

/* After all have ended: M5. */
active proctype last()
{
	finished == PROCS;
	assert(holder == NOBODY);
	assert(oSlot == NOBODY || (isDead(oSlot - 1) && inc[oSlot - 1] == oInc))
}

init
{
	byte p = 0;
	atomic {
		do
		:: p == PROCS -> break
		:: p < PROCS -> run user(p); p++
		od;
		run killer();
		p = 0
	}
}
