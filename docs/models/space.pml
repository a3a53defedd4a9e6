/*
 * Who reserves the slots of a lane, as docs/protocol/lane.md tells it (Space): members
 * keep messages, publishers come and go, and each may be killed at any step.
 *
 * A publisher needs BASE slots, and one more for each pin that stands on a slot that is not
 * in the ring. space is how many slots the system has reserved: it only grows. A reservation
 * of more than that succeeds or not, as the system likes. Members look at Keeps one by one.
 * The pins are counted all at once: a publisher that looks at them one by one may count two
 * that do not stand at the same time, so it looks again before it reports that there is no space.
 *
 * One slot, old, has just left the ring. A member that has found its generation after it has
 * pinned it reads it. The publisher takes the generation away, and then looks at Keeps and
 * pins (F1 to F3); it leaves out the pins of members whose Keeps is 0.
 *
 * Checked: a publisher that has got through G1 never needs a slot that is not reserved; so the
 * error is always that of the member that comes. No slot is reused while somebody reads it.
 *
 * check: -DMEMBERS=2 -DWRITERS=2 -DTURNS=1 -DDEATHS=1
 * check: -DMEMBERS=2 -DWRITERS=1 -DTURNS=2 -DDEATHS=1
 *
 * Each of these must be found: H1 after H2; O1 after G1; the pin before H1; Keeps is cleared
 * before the pin, by a member that leaves or by a reaper.
 * breaks: -DMEMBERS=2 -DWRITERS=1 -DTURNS=1 -DDEATHS=0 -DBREAK_H
 * breaks: -DMEMBERS=2 -DWRITERS=1 -DTURNS=1 -DDEATHS=0 -DBREAK_O
 * breaks: -DMEMBERS=1 -DWRITERS=1 -DTURNS=1 -DDEATHS=0 -DBREAK_PIN
 * breaks: -DMEMBERS=2 -DWRITERS=2 -DTURNS=1 -DDEATHS=0 -DBREAK_LEAVE
 */

#ifndef MEMBERS
#define MEMBERS 2
#define WRITERS 2
#define TURNS 1
#define DEATHS 1
#endif
#define BASE 1

byte keeps[MEMBERS];
bit pin[MEMBERS];
bit reading[MEMBERS];
bit old = 1;   /* the generation of the slot old is that of its message */
byte owner;    /* 0, or 1 + the publisher */
byte space;
byte deaths;

/* reserve n slots; ok says whether that was possible */
inline reserve(n, ok)
{
	if
	:: atomic { n <= space -> ok = 1 }
	:: atomic { n > space -> space = n; ok = 1 }
	:: atomic { n > space -> ok = 0 }
	fi
}

inline sum(n, i)
{
	n = BASE;
	i = 0;
	do
	:: i < MEMBERS -> n = n + keeps[i]; i++
	:: else -> break
	od
}

proctype member(byte me)
{
	byte turn, n, i;
	bit ok, hasOwner;

	do
	:: turn == TURNS -> break
	:: else ->
		turn++;
#ifdef BREAK_H
		hasOwner = owner != 0;
#endif
#ifdef BREAK_PIN
		pin[me] = 1;
		if
		:: old -> reading[me] = 1
		:: else
		fi;
#endif
		keeps[me] = 1;                  /* H1 */
#ifndef BREAK_H
		hasOwner = owner != 0;          /* H2 */
#endif
		ok = 1;
		if
		:: hasOwner -> sum(n, i); reserve(n, ok)
		:: else
		fi;
		if
		:: !ok -> keeps[me] = 0         /* the member gets the error */
		:: else ->
			pin[me] = 1;            /* H3, B3 */
			if
			:: old -> reading[me] = 1 /* B4 */
			:: else
			fi;
			if
			:: deaths < DEATHS -> deaths++; reading[me] = 0 /* its reaper does the rest */
			:: reading[me] = 0
			fi;
#ifdef BREAK_LEAVE
			keeps[me] = 0;
			pin[me] = 0
#else
			pin[me] = 0;
			keeps[me] = 0
#endif
		fi
	od
}

proctype writer(byte me)
{
	byte n, i, need;
	bit ok;

#ifdef BREAK_O
	sum(n, i);
#endif
	if
	:: atomic { owner == 0 -> owner = me + 1 }      /* O1 */
	:: else -> goto out
	fi;
#ifndef BREAK_O
	sum(n, i);                                      /* G1 */
#endif
	reserve(n, ok);
	if
	:: !ok -> goto left
	:: else
	fi;

	old = 0;                                        /* F1, F2 */
	i = 0;
	do                                              /* F3 */
	:: i == MEMBERS -> break
	:: i < MEMBERS ->
		if
		:: keeps[i] == 0 -> assert(!reading[i])
		:: else ->
			if
			:: pin[i]
			:: else -> assert(!reading[i])
			fi
		fi;
		i++
	od;
	atomic {                                        /* G3 */
		need = BASE;
		i = 0;
		do
		:: i < MEMBERS -> need = need + pin[i]; i++
		:: else -> break
		od;
		assert(need <= space)
	}
left:	owner = 0;                                      /* it leaves, or its reaper does this */
out:	skip
}

init {
	byte k;
	atomic {
		k = 0;
		do
		:: k < MEMBERS -> run member(k); k++
		:: else -> break
		od;
		k = 0;
		do
		:: k < WRITERS -> run writer(k); k++
		:: else -> break
		od
	}
}
