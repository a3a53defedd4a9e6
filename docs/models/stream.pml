/*
 * This models the bytes of one connection of docs/protocol/stream.md, with the sleeping of
 * waker.md. conn.pml has the life of connections. Names such as P4 and T3 are those of the pages.
 *
 * End 0 is the dialer, end 1 the acceptor. An end writes BYTES or BACK bytes, SIZE in each Write,
 * and then calls CloseWrite, or not. The other end reads them. Each end has a goroutine that
 * reads and one that writes, and perhaps one of another connection, which waits for ever (IDLE, a
 * bit for each end). One of them leads, the others follow. An end may be closed at any time
 * (CLOSES, a bit for each end), and killed (KILL). A piece is one byte.
 *
 * Sleeping: without DEATHS there is no watch, and it must not be missed. The reaper of an end
 * that has died may be any process, and may die itself. LATE: the connection is accepted late.
 *
 * Checked:
 *   1  A byte is read once and in order, and not before it is written. A writer never writes over
 *      bytes that are not read yet.
 *   2  After io.EOF nothing comes. A byte that Write has counted comes before it.
 *   3  ErrPeerDied is returned only if the other end has died, and after all that it has
 *      published.
 *   4  When nothing can happen any more, nobody waits whose condition holds, or whose other end
 *      is closed or dead. No byte that Write has counted is left unless the reader has ended.
 *   5  An end that is closed has left.
 *
 * Left out: orders that are weaker than amd64's, hostile bytes, deadlines (a wait that is given
 * up is as if the next call came at once: CANCELS), rings that are two steps (waker.pml).
 *
 * check: -DBYTES=4 -DSIZE=4
 * check: -DBYTES=4 -DSIZE=2 -DRING=4 -DCANCELS=1
 * check: -DBYTES=2 -DIDLE=2
 * check: -DBYTES=2 -DSIZE=2 -DCLOSES=1 -DLATE
 * check: -DBYTES=2 -DSIZE=2 -DCLOSES=2
 * check: -DBYTES=2 -DSIZE=2 -DDEATHS=1
 *
 * These take longer.
 * deep: -DBYTES=3 -DIDLE=3
 * deep: -DBYTES=3 -DSIZE=3 -DDEATHS=1
 * deep: -DBYTES=1 -DBACK=1
 * deep: -DBYTES=2 -DDEATHS=1 -DIDLE=2
 * deep: -DBYTES=2 -DDEATHS=1 -DCLOSES=1
 * deep: -DBYTES=2 -DSIZE=2 -DCLOSES=3 -DLATE
 *
 * spin must find an error with each "breaks:" line.
 *
 * Bytes: published before they are written; space given back before they are read.
 * breaks: -DBYTES=3 -DBREAK_PUBLISH
 * breaks: -DBYTES=3 -DBREAK_GIVEBACK
 * Rings: P4 that does not look at Consumed, so a ring for nothing uses up the ring of a wait
 * (this was a fault of the code); waits that have one number; ReadWaits loaded before P3; no P4
 * when half of the ring is full; a ring before its hint; a hint that is cleared after the look.
 * breaks: -DBYTES=2 -DBREAK_NOTHING
 * breaks: -DBYTES=2 -DBREAK_NUMBER
 * breaks: -DBYTES=2 -DBREAK_P
 * breaks: -DBYTES=3 -DSIZE=3 -DBREAK_HALF
 * breaks: -DBYTES=2 -DIDLE=2 -DBREAK_HINT
 * breaks: -DBYTES=2 -DIDLE=2 -DBREAK_CLEAR
 * Endings: io.EOF without another look at Produced; Closed loaded before State, so a close looks
 * like a death; a Read after io.EOF that looks again, and a Write that counts bytes beside a
 * Close (these three were faults of the code); a Close that does not tell its own goroutines,
 * that rings nobody, or that rings before it sets Closed.
 * breaks: -DBYTES=3 -DBREAK_EOF
 * breaks: -DBYTES=1 -DCLOSES=1 -DBREAK_ORDER
 * breaks: -DBYTES=2 -DCLOSES=1 -DBREAK_STICKY
 * breaks: -DBYTES=2 -DCLOSES=1 -DBREAK_ACK
 * breaks: -DBYTES=2 -DCLOSES=2 -DBREAK_AGAIN
 * breaks: -DBYTES=2 -DCLOSES=1 -DBREAK_SHUT
 * breaks: -DBYTES=2 -DCLOSES=1 -DBREAK_SHUTFIRST
 * Sleeping: a follower that looks before it is in the list; no death watch.
 * breaks: -DBYTES=2 -DIDLE=2 -DBREAK_FOLLOW
 * breaks: -DBYTES=2 -DDEATHS=1 -DBREAK_WATCH
 */

#ifndef BYTES
#define BYTES 2
#endif
#ifndef BACK
#define BACK 0
#endif
#ifndef SIZE
#define SIZE 1
#endif
#ifndef RING
#define RING 2
#endif
#ifndef QUARTER
#define QUARTER 1  /* the most room for which a writer waits */
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef IDLE
#define IDLE 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef KILL
#define KILL 3
#endif
#ifndef CANCELS
#define CANCELS 0
#endif

#define bit(i) (1 << (i))
#define READER(e) (2 * (e))      /* goroutines */
#define WRITER(e) (2 * (e) + 1)
#define NOWRITES 1
#define NOREADS 2

/* EndWords of the two ends. */
byte produced[2];
byte consumed[2];
byte readWaits[2];
byte writeWaits[2];
byte closed[2];
/* The ring into which end e writes. A byte has the value of Produced after it. */
typedef Ring { byte b[RING] };
Ring ring[2];
/* Other words: bit e belongs to end e. */
byte left = 0;       /* D and A of State */
bool open = false;   /* State is Open */
byte hint = 0;       /* ToDialer, ToAcceptor */
byte sleepers = 0;
byte moved = 0;      /* Waker, since S1 */

/* Within a process. */
byte turn = 0;       /* the ends that have a leader */
byte fol = 0;        /* goroutines that follow */
byte told = 0;       /* followers that are told */
byte shut = 0;       /* ends that were closed: conn.closed */
byte users[2];       /* conn.users */
byte want[2];        /* writer.want */

/* What is true, for the checks. */
byte sent[2];        /* bytes that Write has counted */
byte eof = 0;        /* ends that got io.EOF */
byte waits = 0;      /* goroutines that wait */
byte gone = 0;       /* goroutines that have ended */
byte dead = 0;
byte deaths = 0;
byte cancels = 0;

#define readable(e) (produced[1 - e] != consumed[e] || (closed[1 - e] & NOWRITES) || \
	(shut & bit(e)) || (left & bit(1 - e)))
#define writable(e) (consumed[1 - e] >= want[e] || (closed[1 - e] & NOREADS) || \
	(shut & bit(e)) || (left & bit(1 - e)))
#define holds ((writes && writable(e)) || (!writes && readable(e)))
#if DEATHS > 0 && !defined(BREAK_WATCH)
#define watched(c) (dead != 0 && (c))
#else
#define watched(c) false
#endif
#if DEATHS > 0
#define mortal unless { atomic { dead & bit(e) -> reset } }
#else
#define mortal
#endif

/* The leader of end e tells the followers of the connection whose condition holds. */
#define tell(e) \
	if :: (fol & bit(READER(e))) && readable(e) -> told = told | bit(READER(e)) :: else fi; \
	if :: (fol & bit(WRITER(e))) && writable(e) -> told = told | bit(WRITER(e)) :: else fi

/* The end of S3: the leader looks at the hint, and clears it before it looks at the conditions. */
#ifdef BREAK_CLEAR
#define tellFollowers \
	if \
	:: atomic { hint & bit(e) -> tell(e) }; hint = hint & ~bit(e) \
	:: atomic { !(hint & bit(e)) -> skip } \
	fi
#else
#define tellFollowers \
	if \
	:: atomic { hint & bit(e) -> hint = hint & ~bit(e) }; atomic { tell(e) } \
	:: atomic { !(hint & bit(e)) -> skip } \
	fi
#endif

#define announce(e) atomic { moved = moved & ~bit(e); sleepers = sleepers | bit(e) }

/* R2 and R3, for the other end. */
#define ringMember moved = moved | (sleepers & bit(1 - e))

/* segment.Handle.Again: this process has changed something. */
#define again(g, e) \
	if :: fol & bit(g) -> told = told | bit(g) :: else -> moved = moved | bit(e) fi

#define leave(e) \
	users[e]--; \
	if \
	:: users[e] == 0 -> left = left | bit(e); hint = hint | bit(1 - e) \
	:: else \
	fi

/* A goroutine that reads or writes. */
proctype goroutine(byte e; bool writes)
{
	byte avail = 0;    /* bytes, or room, when it was last looked at */
	byte rungFor = 0;
	byte rest = 0;     /* bytes of this Write */
	byte w = 0;
	bool lost = false;
	bool half = false; /* P4 within a Write */
	bool over = false; /* no Write comes after this one */
#define me (2 * e + writes)
#define reset avail = 0; rungFor = 0; rest = 0; w = 0; lost = false; half = false; over = false
	{
		atomic { e == 0 || open -> skip };
		atomic {
			if
			:: shut & bit(e) -> gone = gone | bit(me); goto dead_end
			:: else -> users[e]++
			fi
		};
		if
		:: atomic { writes -> goto write }
		:: atomic { !writes -> skip }
		fi;

read:
		atomic { if :: shut & bit(e) -> goto out :: avail > 0 && !(shut & bit(e)) -> goto take :: else fi };
		atomic { avail = produced[1 - e] - consumed[e]; if :: avail > 0 -> goto take :: else fi }; /* T1 */
#ifdef BREAK_ORDER
		atomic { if :: closed[1 - e] & NOWRITES -> w = NOWRITES; goto ended :: else fi };
		atomic { if :: left & bit(1 - e) -> lost = true :: else -> goto waitToRead fi };
ended:
#else
#if CLOSES + DEATHS > 0
		atomic { lost = ((left & bit(1 - e)) != 0) };
#endif
		atomic {
			w = closed[1 - e] & NOWRITES;
			if :: w == 0 && !lost -> goto waitToRead :: else fi
		};
#endif
		atomic {
#ifndef BREAK_EOF
			avail = produced[1 - e] - consumed[e];
#endif
			if
			:: avail > 0 -> w = 0; lost = false; goto take
			:: avail == 0 && w != 0 ->
				assert(sent[1 - e] <= consumed[e]);
				eof = eof | bit(e)
			:: else ->
				assert(dead & bit(1 - e));
				assert(produced[1 - e] == consumed[e]);
			fi;
			w = 0; lost = false
		};
#ifdef BREAK_STICKY
		atomic { if :: produced[1 - e] != consumed[e] -> goto read :: else fi };
#endif
		goto out;
take:
#ifdef BREAK_GIVEBACK
		atomic { consumed[e]++; avail-- };
		atomic { assert(ring[1 - e].b[(consumed[e] - 1) % RING] == consumed[e]) };
#else
		atomic {                                                /* T2 */
			assert(!(eof & bit(e)));
			assert(ring[1 - e].b[consumed[e] % RING] == consumed[e] + 1)
		};
		atomic { consumed[e]++; avail-- };			/* T3 */
#endif
		atomic {						/* T4 */
			w = writeWaits[1 - e];
			if
			:: w != 0 && w != rungFor && consumed[e] >= w -> rungFor = w; w = 0; goto tellOther
			:: else -> w = 0; goto read
			fi
		};
waitToRead:
		atomic {
#ifdef BREAK_NUMBER
			readWaits[e] = 1;
#else
			readWaits[e]++;
#endif
			waits = waits | bit(me); goto sleep
		};

write:
		atomic { if :: rest == 0 -> rest = SIZE :: else fi };
space:
#if CLOSES + DEATHS > 0
		atomic { if :: shut & bit(e) -> over = true; goto wake :: else fi };
#ifdef BREAK_ORDER
		atomic { if :: closed[1 - e] & NOREADS -> over = true; goto wake :: else fi };
		atomic { lost = ((left & bit(1 - e)) != 0) };
#else
		atomic { lost = ((left & bit(1 - e)) != 0) };
		atomic { if :: closed[1 - e] & NOREADS -> lost = false; over = true; goto wake :: else fi };
#endif
		atomic {
			if
			:: lost -> assert(dead & bit(1 - e)); lost = false; over = true; goto wake
			:: else
			fi
		};
#endif
		atomic {						/* P1 */
			if :: avail == 0 -> avail = RING - (produced[e] - consumed[1 - e]) :: else fi;
			if
			:: avail > 0
			:: avail == 0 && rest < QUARTER -> want[e] = produced[e] - RING + rest; goto waitToWrite
			:: else -> want[e] = produced[e] - RING + QUARTER; goto waitToWrite
			fi
		};
#ifdef BREAK_P
		w = readWaits[1 - e];
#endif
#ifdef BREAK_PUBLISH
		atomic { produced[e]++; avail-- };
		atomic { ring[e].b[(produced[e] - 1) % RING] = produced[e] };
#else
		atomic {						/* P2 */
			assert(produced[e] - consumed[1 - e] < RING);
			ring[e].b[produced[e] % RING] = produced[e] + 1
		};
		atomic { produced[e]++; avail-- };			/* P3 */
#endif
		atomic {
			rest--;
#ifndef BREAK_ACK
			if :: shut & bit(e) -> over = true; goto wake :: else fi;
#endif
			sent[e]++;
			assert(!(eof & bit(1 - e)) || sent[e] <= consumed[1 - e])
		};
#ifndef BREAK_HALF
		atomic {
			if
			:: produced[e] - consumed[1 - e] >= RING / 2 -> half = (rest > 0)
			:: else -> if :: rest > 0 -> goto space :: else fi
			fi
		};
#else
		if :: rest > 0 -> goto space :: else fi;
#endif
wake:
#ifndef BREAK_P
		w = readWaits[1 - e];					/* P4 */
#endif
		atomic {
			if
#ifdef BREAK_NOTHING
			:: (w & 1) && w != rungFor -> rungFor = w; w = 0; goto tellOther
#else
			:: (w & 1) && w != rungFor && consumed[1 - e] != produced[e] -> rungFor = w; w = 0; goto tellOther
#endif
			:: else -> w = 0
			fi
		};
woke:
		atomic {
			if
			:: half -> half = false; goto space
			:: !half && !over && produced[e] < (e == 0 -> BYTES : BACK) -> rest = 0; goto write
			:: else -> rest = 0; avail = 0
			fi
		};
		if
		:: atomic { !over -> closed[e] = closed[e] | NOWRITES; half = true }; goto tellOther
		:: goto out
		fi;
waitToWrite:
		atomic { writeWaits[e] = want[e]; waits = waits | bit(me); goto sleep };

		/* conn.ring */
tellOther:
#ifdef LATE
		atomic { if :: e == 0 && !open -> goto rung :: else fi };
#endif
#ifdef BREAK_HINT
		atomic { ringMember };
		hint = hint | bit(1 - e);
#else
		hint = hint | bit(1 - e);
		atomic { ringMember };
#endif
rung:
		atomic {
			if
			:: !writes -> goto read
			:: writes && (closed[e] & NOWRITES) && half && rest == 0 -> half = false; goto out
			:: else -> goto woke
			fi
		};

		/* segment.Handle.Sleep */
sleep:
#ifdef BREAK_FOLLOW
		atomic { if :: holds -> goto woken :: else fi };
#endif
		if
		:: atomic { !(turn & bit(e)) -> turn = turn | bit(e); goto lead }
		:: atomic { turn & bit(e) -> fol = fol | bit(me) }	/* F1 */
		fi;
follow:
#ifndef BREAK_FOLLOW
		atomic { if :: holds -> goto leaveList :: else fi };	/* F2 */
#endif
end_follow:
		if							/* F3 */
		:: atomic { !(turn & bit(e)) -> turn = turn | bit(e); fol = fol & ~bit(me); told = told & ~bit(me); goto lead }
#ifdef BREAK_FOLLOW
		:: atomic { told & bit(me) -> goto leaveList }
#else
		:: atomic { told & bit(me) -> told = told & ~bit(me); goto follow }
#endif
		:: atomic { watched(holds) -> goto leaveList }
		:: atomic { cancels < CANCELS -> cancels++; goto leaveList }
		fi;
leaveList:
		atomic { fol = fol & ~bit(me); told = told & ~bit(me); goto woken };
lead:
		announce(e);						/* S1, S2 */
		atomic { if :: holds -> goto stop :: else fi };		/* S3 */
		tellFollowers;
end_lead:
		if							/* S4 */
		:: atomic { moved & bit(e) -> skip }
		:: atomic { watched(holds) -> skip }
		:: atomic { cancels < CANCELS -> cancels++; goto stop }
		fi;
		atomic { sleepers = sleepers & ~bit(e); goto lead };	/* S5 */
stop:
		atomic { sleepers = sleepers & ~bit(e); turn = turn & ~bit(e) };
woken:
		atomic {
			waits = waits & ~bit(me);
			if
			:: writes -> writeWaits[e] = 0; goto space
			:: else -> readWaits[e]++; goto read
			fi
		};
out:
		atomic { gone = gone | bit(me); leave(e) };
dead_end:
		atomic { reset }
	} mortal
#undef reset
#undef me
}

#if IDLE > 0
/* A goroutine of another connection, which waits for ever. It may give the turn to another one
 * after a ring. */
proctype idle(byte e)
{
#define reset skip
	{
		skip;
end_turn:
		atomic { !(turn & bit(e)) -> turn = turn | bit(e) };
lead:
		announce(e);
		tellFollowers;
end_idle:
		if
		:: atomic { moved & bit(e) -> skip }
		fi;
		sleepers = sleepers & ~bit(e);
		if
		:: goto lead
		:: turn = turn & ~bit(e); goto end_turn
		fi
	} mortal
#undef reset
}
#endif

#if CLOSES > 0
/* Close, or not. */
proctype closer(byte e)
{
#define reset skip
	{
		atomic { e == 0 || open -> skip };
		if
		:: goto out
		:: shut = shut | bit(e)
		fi;
#ifdef BREAK_SHUTFIRST
		hint = hint | bit(1 - e);
		atomic { ringMember };
		closed[e] = NOWRITES | NOREADS;
#else
		closed[e] = NOWRITES | NOREADS;
#ifndef BREAK_SHUT
#ifdef LATE
		atomic { if :: e == 0 && !open -> goto rung :: else fi };
#endif
		hint = hint | bit(1 - e);
		atomic { ringMember };
rung:
#endif
#endif
#ifndef BREAK_AGAIN
		atomic { again(READER(e), e) };
		atomic { again(WRITER(e), e) };
#endif
		atomic { leave(e) };
out:
		skip
	} mortal
#undef reset
}
#endif

#if DEATHS > 0
/* Whoever repairs end e. It may die. */
proctype reaper(byte e)
{
end_reaper:
	atomic { (dead & bit(e)) && (waits & (3 << (2 * (1 - e)))) && !(left & bit(e)) -> left = left | bit(e) };
	if
	:: hint = hint | bit(1 - e); atomic { ringMember }
	:: hint = hint | bit(1 - e)
	:: skip
	fi
}

proctype killer()
{
	byte e = 0;
	do
	:: atomic { deaths < DEATHS ->
			if
			:: (KILL & 1) && !(dead & 1) -> e = 0
			:: (KILL & 2) && !(dead & 2) -> e = 1
			fi;
			deaths++; dead = dead | bit(e);
			turn = turn & ~bit(e);
			fol = fol & ~(3 << (2 * e)); told = told & ~(3 << (2 * e)); waits = waits & ~(3 << (2 * e));
			e = 0
		}
	:: break
	od
}
#endif

/* When nothing can happen any more. */
#define isOver(e) (gone & bit(READER(e)))
active proctype last()
{
	byte e = 0;
	timeout;
	do
	:: e == 2 -> break
	:: else ->
		if
		:: !(dead & bit(e)) ->
			assert(!(waits & bit(READER(e))) || !readable(e));
			assert(!(waits & bit(WRITER(e))) || !writable(e));
			assert(!(dead & bit(1 - e)) || !(waits & (3 << (2 * e))));
			assert(!(shut & bit(e)) || (left & bit(e)));
			assert(isOver(e) || sent[1 - e] == consumed[e] || produced[1 - e] == consumed[e])
		:: else
		fi;
		e++
	od
}

init
{
	atomic {
		users[0] = 1; users[1] = 1;
#ifndef LATE
		open = true;
#endif
		run goroutine(0, true);
		run goroutine(1, false);
#if BACK > 0
		run goroutine(1, true);
		run goroutine(0, false);
#else
		gone = bit(READER(0)) | bit(WRITER(1));
#endif
#if IDLE & 1
		run idle(0);
#endif
#if IDLE & 2
		run idle(1);
#endif
#if CLOSES & 1
		run closer(0);
#endif
#if CLOSES & 2
		run closer(1);
#endif
#if DEATHS > 0
		run reaper(0);
		run reaper(1);
		run killer()
#endif
	}
#ifdef LATE
	open = true
#endif
}
