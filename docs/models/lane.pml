/*
 * The lane of docs/protocol/lane.md: a writer, and a second one that takes over when
 * the first has left or died; a reliable reader (with a cursor), and a best-effort one
 * (with a pin, with HOLD also one for a message that it holds), which join at any
 * time; each may be killed at any step. It starts with an empty lane. The writer
 * reclaims before each message, or, with LAZY, as it likes: so slots come back at once.
 *
 * Store buffers, as on amd64: a store without a fence is seen by others later, in
 * order. Only the reliable reader loads other words after such a store, of its cursor:
 * stored is what it has stored, cursor what the others see. The writer loads no
 * other's word but after a fence (W1, Waits, F2, E1, P6), so that its buffer is
 * nothing but a slower writer; the pins are fenced.
 *
 * With EVICT the topic is one that evicts: the writer that waits may do so at any time,
 * and the reader may look at a message for ever. With BATCH P6 comes after as many
 * messages as the writer likes. With IDLE the reader may do nothing after joining.
 * Sleeping: a ring is one step; with DEATHS a sleeper may look again by itself
 * when what it waits for holds, or the member is dead that it depends on, and reapers
 * do not ring at all. The rest of it is waker.pml's.
 *
 * Checked (the numbers are those of lane.md):
 *   1, 3 a slot that is written is looked at by nobody, and what a reader looks at is the
 *        message of that number that was published;
 *   2, 4 no entry is overwritten from the reliable reader's position on; the last
 *        depth messages are there for a joiner; at the end it has come to the head;
 *   5    when nothing can happen any more, no writer waits, but for a reader that
 *        is there and keeps its messages; the reader that sleeps has nothing to
 *        read, and has been told that a writer has left or died;
 *   6    a best-effort reader that stops for ever is one that dies: its pins stay;
 *   7    there is always a free slot: SLOTS are N + 1 loan + pins (+ 1 with EVICT);
 *   8    a writer that takes over finds the head.
 *
 * Left out: weaker orders than amd64's, hostile bytes, a second life of a member's slot,
 * several lanes.
 *
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=3 -DDEATHS=1 -DWRITERS=1
 * check: -DN=2 -DD=2 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=1 -DWRITERS=2 -DNO_RELIABLE
 * check: -DN=2 -DD=1 -DSLOTS=5 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DHOLD -DLAZY
 * check: -DN=3 -DD=2 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBATCH -DIDLE
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DEVICT -DKILL=1
 *
 * Each of these must be found. The pin without a fence; Limit without a fence;
 * generations zeroed after the scan (or without a fence before it); entries that are
 * not zeroed, with readers that look at the entry again and not at the generation;
 * no J2; a cursor that is not stored again with a fence before sleeping.
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_PIN
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_LIMIT
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_GEN
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_ENTRY -DBREAK_ZERO
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_J2
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_LAZY
 * Eviction: T4 without a fence; a look at Evicted before T1, between T1 and T2, or only when
 * there is a message; J2 without a fence; no slot for the one that is kept.
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_T4
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICT
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICTSLOT
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICTVAIN
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_JOIN
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT
 * No look at Waits after J2; a writer that waits in a batch and has rung nobody; the
 * pin of a held message looked at before Pin[0]; Owner freed before Ends; N = 1; a slot
 * too few.
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DIDLE -DBREAK_JOIN
 * breaks: -DN=2 -DD=2 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBATCH -DBREAK_BATCH
 * breaks: -DN=2 -DD=1 -DSLOTS=5 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DHOLD -DBREAK_SCAN
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DBREAK_ENDS
 * breaks: -DN=1 -DD=1 -DSLOTS=2 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE
 */

#ifndef N
#define N 2       /* entries */
#define D 1       /* the writer looks at the cursors once in so many messages */
#define SLOTS 4
#define MSGS 4
#define DEATHS 1
#endif
#ifndef KILL
#define KILL 15
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#define NOBODY 0
#define bit(i) (1 << (i))
#define all ((1 << SLOTS) - 1)
#define at(q) ((q) % N)

/* Who may die: writers 0 and 1, the reliable reader, the best-effort reader. */
#define RELIABLE_READER 2
#define BEST_READER 3

/* Lane. */
byte owner = NOBODY;       /* a writer + 1 */
byte ends = 0;
bool waits = false;
byte head = 1;
byte limit = 0;
byte sequence[N];
byte entry[N];             /* Entry.Slot */
byte generation[SLOTS];
byte payload[SLOTS];       /* the message, or 0 while it is written, or was never ended */

/* The reliable reader's words. stored is the cursor as the reader has stored it,
 * cursor as the others see it: the store buffer lies between. */
bool reader = false;       /* its bit in Readers */
byte cursor = 0;
byte stored = 0;
#define drain cursor = stored
bool evicted = false;
byte kept = 0;             /* the slot + 1 in Evicted */

/* The best-effort reader's: Pin[0], and Pin[1] for a message that it holds. */
byte pin[2];
#ifdef BREAK_PIN
byte pinStored = 0;
#endif
#ifdef BREAK_LIMIT
byte limitStored = 0;
#endif

/* Sleeping: Waker has moved since S1. */
bool writerMoved = false;
bool readerMoved = false;
bool sleeper = false;      /* the reader's bit in Sleepers */

/* What is true, for the checks. */
byte next = 1;             /* the first message that is not published */
byte position = 0;         /* the reliable reader may look at all from here on; 0: at none */
byte looks[3];             /* slot + 1 that the reliable reader, the best-effort one looks at; held */
byte told = 0;             /* Ends as the reliable reader has told it */
byte gone = 0;             /* writers that have left or died */
bool idle = false;         /* the reader does nothing any more, without having died */
bool asleep = false;       /* the writer */
bool dead[4];
byte deaths = 0;

#define inUse(s) (looks[0] == s + 1 || looks[1] == s + 1 || looks[2] == s + 1)

#if DEATHS > 0
#define mortal unless { atomic { dead[me] -> reset } }
#define writerWatch (deaths > 0 && (!reader || evicted || dead[RELIABLE_READER] || cursor + N > q))
#define readerWatch (deaths > 0 && (sequence[at(c)] == c || ends != told))
#else
#define mortal
#define writerWatch false
#define readerWatch false
#endif

/* E2: the slot of the message that the reader has come to. */
#define keep \
	atomic { c = cursor; \
		if \
		:: sequence[at(c)] == c -> kept = entry[at(c)] + 1 \
		:: else \
		fi; \
		c = 0 }

#define publishRing if :: sleeper -> readerMoved = true :: else fi

proctype writer(byte me)
{
	byte q = 0;        /* the message to be published */
	byte lim = 0;      /* its own limit */
	byte free = 0;     /* slots, as bits */
	byte retired = 0;
	byte pinned = 0;
	byte s = 0;        /* the slot on loan */
	byte old = 0;      /* the slot + 1 that the entry named before */
	byte c = 0;
	bool quiet = false;
#define reset q = 0; lim = 0; free = 0; retired = 0; pinned = 0; s = 0; old = 0; c = 0; quiet = false
	{
		lim = 0;
end_owner:
		atomic { owner == NOBODY && gone >= me -> owner = me + 1 }; /* O1 */
		waits = false;                                          /* O2 */
		atomic {
			do
			:: c < N -> if :: sequence[c] >= q -> q = sequence[c] :: else fi; c++
			:: else -> break
			od;
			q++;
			assert(q == next);
			retired = all;                                  /* O3 */
			do
			:: c > 0 -> c--; if :: sequence[c] != 0 -> retired = retired & ~bit(entry[c]) :: else fi
			:: else -> break
			od;
			lim = q                                         /* O4 */
		};
#ifdef EVICT
		if
		:: atomic { evicted && reader && kept == 0 -> skip }; keep
		:: else
		fi;
#endif
again:
		if
		:: q > MSGS -> goto leave
		:: me + 1 < WRITERS -> goto leave
		:: q <= MSGS
		fi;
		if
		:: q < lim -> goto loan                                 /* P1 */
		:: else
		fi;
look:
#ifdef BREAK_LIMIT
		limitStored = q + D;
#else
		limit = q + D;                                          /* W1 */
#endif
		atomic { if                                             /* W2, W3 */
		:: reader && !evicted -> skip
		:: else -> lim = q + D; goto loan
		fi };
		atomic {
			lim = cursor + N;
			if :: lim > q + D -> lim = q + D :: else fi;
			if :: q < lim -> goto loan :: else fi
		};
#ifndef BREAK_BATCH
		if
		:: atomic { quiet -> quiet = false; publishRing }
		:: else
		fi;
#endif
		do
		:: writerMoved = false;
			waits = true;
			atomic { if
			:: !reader || evicted -> lim = q + D; break
			:: else
			fi };
			atomic {
				lim = cursor + N;
				if :: lim > q + D -> lim = q + D :: else fi;
				if :: q < lim -> break :: else -> asleep = true fi
			};
end_writer:
			if
			:: atomic { writerMoved || writerWatch -> asleep = false }
#ifdef EVICT
			:: atomic { asleep = false; evicted = true };   /* E1 */
				keep                                    /* E2 */
#endif
			fi;
		od;
		waits = false;
loan:
		if
#ifdef LAZY
		:: free != 0
#endif
		:: true ->
#ifndef BREAK_GEN
			atomic {                                        /* F1, F2 */
				do
				:: c < SLOTS -> if :: retired & bit(c) -> generation[c] = 0 :: else fi; c++
				:: else -> c = 0; break
				od
			};
#endif
#ifdef EVICT
			atomic { if :: reader && kept != 0 -> pinned = bit(kept - 1) :: else fi };
#endif
#ifdef HOLD
#ifdef BREAK_SCAN
			atomic { if :: pin[1] != 0 -> pinned = pinned | bit(pin[1] - 1) :: else fi };
			atomic { if :: pin[0] != 0 -> pinned = pinned | bit(pin[0] - 1) :: else fi };
#else
			atomic { if :: pin[0] != 0 -> pinned = pinned | bit(pin[0] - 1) :: else fi };
			atomic { if :: pin[1] != 0 -> pinned = pinned | bit(pin[1] - 1) :: else fi };
#endif
#else
			atomic { if :: pin[0] != 0 -> pinned = pinned | bit(pin[0] - 1) :: else fi };
#endif
#ifdef BREAK_GEN
			atomic {
				do
				:: c < SLOTS -> if :: retired & bit(c) -> generation[c] = 0 :: else fi; c++
				:: else -> c = 0; break
				od
			};
#endif
			atomic {                                        /* F3 */
				free = free | (retired & ~pinned); retired = retired & pinned; pinned = 0;
				assert(free != 0)
			}
		fi;
		atomic {
			do
			:: (free & bit(s)) -> break
			:: else -> s++
			od;
			free = free & ~bit(s);
			assert(!inUse(s));
			assert(generation[s] == 0);
			payload[s] = 0                                  /* P2 */
		};
		atomic { assert(!inUse(s)); payload[s] = q; generation[s] = q };
		atomic {                                                /* P3 */
			if
			:: sequence[at(q)] != 0 -> old = entry[at(q)] + 1;
				assert(evicted || position == 0 || position > sequence[at(q)])
			:: else -> old = 0
			fi;
#ifndef BREAK_ZERO
			sequence[at(q)] = 0
#endif
		};
		entry[at(q)] = s;                                       /* P4 */
		atomic {                                                /* P5 */
			sequence[at(q)] = q;
#ifdef BREAK_LIMIT
			limit = limitStored;
#endif
			q++; next = q; s = 0;
			if :: old != 0 -> retired = retired | bit(old - 1); old = 0 :: else fi
		};
#ifdef BATCH
		if
		:: quiet = true; goto again
		:: quiet = false
		fi;
#endif
		head = q;                                               /* P6 */
		atomic { publishRing; goto again };
leave:
#ifdef BATCH
		if
		:: atomic { quiet -> quiet = false; publishRing }
		:: else
		fi;
#endif
		atomic { ends++; gone++ };
		atomic { owner = NOBODY; reset };
		publishRing
	} mortal
#undef reset
}

/* A look at Evicted. */
#define LOOK if :: evicted -> goto close :: else fi

proctype reliable(byte me)
{
	byte c = 0;        /* the message that it has come to */
	byte s = 0;
	byte l = 0;
#define reset c = 0; s = 0; l = 0
	{
		if
		:: c = 1
		:: c = head
		fi;
		atomic { stored = c; drain };                           /* J1 */
		reader = true;
		l = limit;                                              /* J2 */
		atomic {
#ifndef BREAK_J2
			if :: l > N && l - N > c -> c = l - N :: else fi;
#endif
			assert(c <= 1 || c <= next);
			assert(c <= head || c + N <= next + D);
			assert(evicted || c == next || sequence[at(c)] == c);    /* invariant 4 */
			stored = c; l = 0; position = c
		};
#ifndef BREAK_JOIN
		drain;
		if
		:: waits -> writerMoved = true
		:: else
		fi;
#endif
#ifdef IDLE
		if
		:: idle = true; goto out
		:: skip
		fi;
#endif
take:
#ifndef EVICT
		atomic { if                                             /* T1, T2: the entry stands */
		:: sequence[at(c)] == c -> s = entry[at(c)]
		:: else -> goto vain
		fi;
		looks[0] = s + 1; assert(payload[s] == c) };
#else
		atomic { if                                             /* T1 */
		:: sequence[at(c)] == c -> l = 1
		:: else -> l = 0
		fi };
#ifdef BREAK_EVICTSLOT
		LOOK;
#endif
		if
		:: l == 1 -> s = entry[at(c)]                           /* T2 */
#ifdef BREAK_EVICTVAIN
		:: atomic { l == 0 -> goto vain }
#else
		:: l == 0
#endif
		fi;
#if !defined(BREAK_EVICT) && !defined(BREAK_EVICTSLOT)
		LOOK;
#endif
		atomic { if
		:: l == 1 -> l = 0; looks[0] = s + 1; assert(payload[s] == c)
		:: l == 0 -> goto vain
		fi };
#endif
#ifdef EVICT
		if
		:: idle = true; goto out
		:: skip
		fi;
#endif
		atomic { assert(payload[s] == c); looks[0] = 0; c++; stored = c; position = c; s = 0 }; /* T3, T4 */
#ifdef EVICT
#ifndef BREAK_T4
		drain;
#endif
#ifdef BREAK_EVICT
		LOOK;
#endif
#endif
		if                                                      /* T5 */
		:: atomic { waits -> drain }; writerMoved = true
		:: else
		fi;
		if
		:: goto take
		:: goto close
		fi;
vain:
#ifndef BREAK_LAZY
		drain;
#endif
		if
		:: waits -> writerMoved = true
		:: else
		fi;
		do
		:: readerMoved = false;                                 /* S1 */
			atomic { sleeper = true;
#ifndef BREAK_LAZY
				drain
#endif
			};                                              /* S2 */
			l = ends;                                       /* S3 */
			if
			:: atomic { sequence[at(c)] == c -> l = 0; break }
			:: atomic { sequence[at(c)] != c -> told = l; l = 0 }
			fi;
#if defined(EVICT) && !defined(BREAK_EVICTVAIN)
			LOOK;
#endif
end_reader:
			atomic { readerMoved || readerWatch -> sleeper = false }
		od;
		sleeper = false;
		goto take;
close:
		atomic { position = 0; c = 0; s = 0; l = 0; sleeper = false; drain; reader = false };
		if
		:: waits -> writerMoved = true
		:: else
		fi;
out:
		skip
	} mortal
#undef reset
}

proctype best(byte me)
{
	byte w = 0;
	byte s = 0;
#define reset w = 0; s = 0
	{
		if
		:: w = 1
		:: w = head
		fi;
take:
		if                                                      /* B1 */
		:: atomic { sequence[at(w)] == w -> skip }
		:: atomic { sequence[at(w)] > w -> w++; goto take }
		:: atomic { sequence[at(w)] > w -> w = sequence[at(w)]; goto take }
		:: atomic { sequence[at(w)] < w -> skip };
end_best:
			atomic { sequence[at(w)] >= w || (sequence[at(w)] == 0 && sequence[at(w + 1)] > w) ->
				if
				:: sequence[at(w)] == 0 -> w++
				:: else
				fi;
				goto take }
		fi;
		s = entry[at(w)];                                       /* B2 */
#ifdef BREAK_PIN
		atomic { pinStored = s + 1; looks[1] = 0 };
#else
		atomic { pin[0] = s + 1; looks[1] = 0 };                /* B3 */
#endif
#ifdef BREAK_ENTRY
		atomic { if :: sequence[at(w)] == w -> looks[1] = s + 1; assert(payload[s] == w) :: else -> s = 0; w++; goto take fi };
#else
		atomic {                                                /* B4 */
			if
			:: generation[s] == w -> looks[1] = s + 1; assert(payload[s] == w)
			:: else -> s = 0; w++; goto take
			fi
		};
#endif
#ifdef HOLD
		if
		:: atomic { pin[1] == 0 -> pin[1] = s + 1; looks[2] = s + 1 }
		:: atomic { pin[1] != 0 -> looks[2] = 0; pin[1] = 0 }
		:: skip
		fi;
#endif
		atomic { assert(payload[s] == w); s = 0; w++; goto take }
	} mortal
#undef reset
}

/* Store buffers. */
proctype cpu()
{
end_cpu:
	do
	:: atomic { cursor != stored -> drain }
#ifdef BREAK_PIN
	:: atomic { pin[0] != pinStored -> pin[0] = pinStored }
#endif
#ifdef BREAK_LIMIT
	:: atomic { limit != limitStored -> limit = limitStored }
#endif
	od
}

#if DEATHS > 0
proctype reaper()
{
end_reaper:
	do
	:: atomic { owner != NOBODY && dead[owner - 1] -> skip };
#ifdef BREAK_ENDS
		owner = NOBODY;
		if
		:: ends++
		:: skip                                         /* this reaper died */
		fi
#else
		ends++;
		if
		:: atomic { ends == gone -> skip }              /* this reaper died */
		:: owner = NOBODY
		fi
#endif
	:: atomic { dead[RELIABLE_READER] && reader && asleep -> cursor = 0; stored = 0 };
		reader = false
	od
}

/* A kill runs no code of ours. The stores of the dead are seen. */
#define may(k) (deaths < DEATHS && (KILL & bit(k)) && !dead[k])

proctype killer()
{
	byte k = 0;
end_killer:
	do
	:: atomic { may(0) && owner == 1 -> k = 0; goto writerDies }
	:: atomic { may(1) && owner == 2 -> k = 1;
writerDies:
			deaths++; dead[k] = true; gone++; asleep = false; k = 0;
			do
			:: k < SLOTS -> if :: payload[k] >= next -> payload[k] = 0 :: else fi; k++
			:: else -> k = 0; break
			od
		}
	:: atomic { may(RELIABLE_READER) && (stored || sleeper) ->
			deaths++; dead[RELIABLE_READER] = true; drain; looks[0] = 0; position = 0 }
	:: atomic { may(BEST_READER) && pin[0] ->
			deaths++; dead[BEST_READER] = true; looks[1] = 0; looks[2] = 0 }
	od
}
#endif

/* When nothing can happen any more. */
active proctype last()
{
	timeout;
	assert(owner == NOBODY || (idle && !dead[RELIABLE_READER] && reader && stored + N <= next && !evicted));
	if
	:: !dead[RELIABLE_READER] && reader && !idle ->
		assert(stored == next && cursor == stored);
		assert(told == ends && ends >= gone)
	:: else
	fi
}

init
{
	atomic {
		run writer(0);
#if WRITERS > 1
		run writer(1);
#endif
#ifndef NO_RELIABLE
		run reliable(RELIABLE_READER);
#endif
#ifndef NO_BEST
		run best(BEST_READER);
#endif
		run cpu();
#if DEATHS > 0
		run reaper();
		run killer();
#endif
	}
}
