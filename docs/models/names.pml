/*
 * The life of one name, as docs/protocol/names.md tells it: processes create,
 * open and close an object of lifetime "while used", and die at any step.
 *
 * An inode is a number from 1; 0 is no entry. shared[i] counts the processes that
 * hold the presence byte of inode i together, excl[i] says whether one holds
 * it alone. Each of the kernel's calls is one atomic step; a death drops the
 * locks of the dead in one step, too, and runs no code of ours.
 *
 * Checked:
 *   N1  while somebody uses an object, its name stands for it;
 *   N2  nobody uses an object that another one has replaced (follows from N1);
 *   N3  when all have ended without a death, no entry is left;
 *   N4  when all have ended, a creator still succeeds: nothing is in its way;
 *   N5  no lock is left.
 *
 * check: -DPROCS=3 -DROUNDS=1
 * check: -DPROCS=2 -DROUNDS=2
 */

#ifndef PROCS
#define PROCS 3
#define ROUNDS 1
#endif
#define INODES 6 /* PROCS * ROUNDS are made; 0 is none */

byte entry = 0;
byte shared[INODES];
bool excl[INODES];
byte made = 0;   /* inodes given out */
byte ended = 0;  /* processes that have come to their end */
bool died = false;

#define mayDie if :: true :: died = true; goto dead fi

/* tryExclusive; if it is had: still the same entry? then unlink; unlock. A
 * process may die between any two of them. */
#define unlinkIfUnused(i) \
	atomic { if \
	:: shared[i] == 0 && !excl[i] -> excl[i] = true; alone = i \
	:: else \
	fi }; \
	mayDie; \
	if \
	:: alone != 0 -> \
		if \
		:: entry == i -> \
			mayDie; \
			assert(entry == i); /* nobody exchanges it between look and unlink */ \
			entry = 0 \
		:: else \
		fi; \
		mayDie; \
		atomic { excl[i] = false; alone = 0 } \
	:: else \
	fi

proctype user()
{
	byte i = 0;      /* the inode that this process has open */
	byte mine = 0;   /* the inode whose byte it holds together with others */
	byte alone = 0;  /* the inode whose byte it holds alone */
	byte n = 0;      /* the inode that it has made */
	byte round = 0;
	bool creating = false;

	do
	:: round == ROUNDS -> break
	:: else ->
		round++;
		if :: creating = true :: creating = false fi;
look:
		mayDie;
		atomic { i = entry };
		if
		:: i == 0 && !creating -> goto next          /* no such name */
		:: i == 0 && creating -> goto make
		:: else
		fi;
		mayDie;
		/* F_OFD_GETLK */
		if
		:: atomic { excl[i] -> skip };  goto look    /* being taken away: look again */
		:: atomic { !excl[i] && shared[i] == 0 ->
			skip };
			unlinkIfUnused(i);
			if :: creating -> goto look :: else -> goto next fi
		:: atomic { !excl[i] && shared[i] > 0 -> skip }
		fi;
		if :: creating -> goto next :: else fi;      /* it exists */
		mayDie;
		/* F_OFD_SETLK, shared */
		atomic { if
		:: excl[i] -> skip
		:: else -> shared[i]++; mine = i
		fi };
		if :: mine == 0 -> goto look :: else fi;
		mayDie;
		/* is the entry still this file? */
		if
		:: entry != i ->
			atomic { shared[i]--; mine = 0 };
			goto look
		:: else -> goto use
		fi;
make:
		/* a file without a name, and the creator's presence on it */
		if
		:: n == 0 -> atomic { made++; n = made; assert(n < INODES); shared[n] = 1; mine = n }
		:: else
		fi;
		mayDie;
		/* linkat */
		atomic { if
		:: entry == 0 -> entry = n; i = n; n = 0
		:: else -> i = 0
		fi };
		if
		:: i == 0 ->
			/* somebody was faster; the file is kept for the next try. Its
			 * presence byte stays held. */
			i = entry;
			if
			:: i == 0 -> goto make
			:: else
			fi;
			mayDie;
			if
			:: atomic { excl[i] -> skip }; goto make
			:: atomic { !excl[i] && shared[i] == 0 -> skip };
				unlinkIfUnused(i);
				goto make
			:: atomic { !excl[i] && shared[i] > 0 -> skip };
				atomic { shared[n]--; mine = 0; n = 0 };
				goto next                        /* it exists */
			fi
		:: else
		fi;
use:
		assert(entry == mine);                       /* N1 */
		mayDie;
		assert(entry == mine);
		/* Close: leave first, then see whether that was the last one */
		atomic { i = mine; shared[i]--; mine = 0 };
		mayDie;
		unlinkIfUnused(i);
next:
		skip
	od;
	goto done;
dead:
	atomic {
		if :: mine != 0 -> shared[mine]--; mine = 0 :: else fi;
		if :: alone != 0 -> excl[alone] = false; alone = 0 :: else fi
	};
done:
	ended++
}

/* After all have ended: N3, and N4 with one more creator. */
active proctype last()
{
	byte k;
	ended == PROCS;
	assert(died || entry == 0);                          /* N3 */
	if
	:: entry != 0 ->
		assert(!excl[entry] && shared[entry] == 0);  /* N4: it is dead, and may be taken away */
		entry = 0
	:: else
	fi;
	k = 1;
	do
	:: k == INODES -> break
	:: else -> assert(shared[k] == 0 && !excl[k]); k++   /* no lock is left */
	od
}

init
{
	byte p = 0;
	atomic {
		do
		:: p == PROCS -> break
		:: else -> run user(); p++
		od
	}
}
