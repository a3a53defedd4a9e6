/*
 * This models the life of the connections of docs/protocol/stream.md: dialers ask for them,
 * listeners accept them, each end leaves, and the last one takes a connection down. stream.pml
 * has the bytes. Names such as S2 are those of waker.md.
 *
 * Each dialer makes ROUNDS connections one after another, out of PLACES. It may write its own
 * number, waits for the answer or not, and closes. A listener accepts one connection at a time,
 * reads the number, and answers with it. It may close instead, and may stop listening (CLOSES).
 * Then, or if it dies, the next listener takes over. With LEAD a dialer has a goroutine of
 * another connection that leads, so the goroutine that dials follows: it is told only by a hint.
 *
 * A member may be killed at any step (KILL, a bit for each: first the dialers). Only a member
 * that depends on it repairs what it has left, and may die while it does so. Slots are not used
 * again: segment.md. N of State is modulo NUMBERS. STAY: an end does not close before it has its
 * answer.
 *
 * Checked:
 *   1  Nobody claims, clears, gives back or takes down a connection while an operation of an end
 *      of it runs, unless that end is dead. A connection is given back once for each claim.
 *   2  What an end reads was written for this connection.
 *   3  An end finds that the other one has left without Closed only if it has died.
 *   4  When nothing can happen any more, each dialer that lives has ended: it had its answer, an
 *      end, or an error. Without DEATHS there is no watch, and it must not be missed.
 *   5  Then all connections are Free if somebody listens or nobody has died.
 *
 * Left out: orders that are weaker than amd64's, hostile bytes.
 *
 * check: -DROUNDS=1
 * check: -DDIALERS=1 -DROUNDS=2 -DLISTENERS=2 -DCLOSES=1
 * check: -DDEATHS=1 -DDIALERS=1 -DSTAY
 *
 * These take longer.
 * deep: -DROUNDS=2
 * deep: -DLEAD=3 -DSTAY
 * deep: -DDEATHS=1 -DDIALERS=1
 *
 * spin must find an error with each "breaks:" line.
 *
 * States: a compare-and-swap that compares only the phase; Asked before the words are zero; an
 * end that leaves while an operation of it runs; a connection that is Free before its rings are
 * given back; Dialer loaded before the compare-and-swap, when N has come round.
 * breaks: -DBREAK_STORE
 * breaks: -DBREAK_DIALER
 * breaks: -DBREAK_USERS
 * breaks: -DBREAK_FREEFIRST
 * breaks: -DBREAK_PEER -DNUMBERS=1
 * Rings: a connection that becomes Free and rings nobody; a dialer that waits for one without
 * Held; a dialer that is refused and leaves without Closed, although a new listener may have
 * accepted it.
 * breaks: -DBREAK_ROOM
 * breaks: -DBREAK_WANT
 * breaks: -DDIALERS=1 -DLISTENERS=2 -DCLOSES=1 -DBREAK_REFUSED
 * A leader of a dialer clears the hint of a connection that the dialer does not have any more
 * (this was a fault of the code).
 * breaks: -DLEAD=3 -DSTAY -DBREAK_QUIET
 */

#ifndef DIALERS
#define DIALERS 2
#endif
#ifndef LISTENERS
#define LISTENERS 1
#endif
#ifndef PLACES
#define PLACES 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef KILL
#define KILL 15
#endif
#ifndef LEAD
#define LEAD 0       /* a bit for each dialer */
#endif
#ifndef NUMBERS
#define NUMBERS 3
#endif

#define bit(i) (1 << (i))
#define MEMBERS (DIALERS + LISTENERS)
#define LISTENER(l) (DIALERS + l)
#define NOBODY 0

/* Phases. */
#define FREE 0
#define CLAIMED 1
#define ASKED 2
#define OPEN 3
#define D 1
#define A 2

/* Words of a connection. State is phase, by, left and number. Members are a slot + 1. */
byte phase[PLACES];
byte by[PLACES];
byte left[PLACES];
byte number[PLACES];
byte dialer[PLACES];
/* The words of the ends, as far as they matter here: Produced, Closed. And the rings. */
bool asks[PLACES];      /* From.Produced is 1 */
bool answers[PLACES];   /* To.Produced is 1 */
bool fromShut[PLACES];
bool toShut[PLACES];
byte up[PLACES];
byte down[PLACES];
/* Other words. */
byte owner = NOBODY;    /* who listens */
byte asked = 0;
byte toDialer = 0;
byte sleepers = 0;
byte moved = 0;         /* Waker, since S1 */
byte want = 0;          /* Held */
byte in = 0;            /* Identity: the member is in use */

/* Within the process of a dialer. */
byte turn = 0;
byte fol = 0;
byte told = 0;
byte mine[DIALERS];
byte looking = 0;       /* followers.mu is locked by a leader */

/* What a member waits for: the condition, and its connection. */
byte kind[MEMBERS];
byte at[MEMBERS];
#define ROOM 1
#define READ 2
#define ACCEPT 3

/* What is true, for the checks. */
byte byteOf[MEMBERS];   /* the reaper that holds the lock byte of a dead member */
byte conn[PLACES];      /* the number of the connection */
byte from[PLACES];      /* whose operation runs at the dialer's end */
byte to[PLACES];
byte done = 0;          /* dialers that have ended */
byte dead = 0;
byte deaths = 0;
byte closes = 0;

#if PLACES == 1
#define some(c) (c(0))
#else
#define some(c) (c(0) || c(1))
#endif
#define isFree(k) (phase[k] == FREE)
#define isAsked(k) (phase[k] == ASKED)
#define roomHolds (owner == NOBODY || some(isFree))
/* lost, for the dialer's end. */
#define diedFrom(k) (phase[k] == OPEN && (left[k] & A))
#define lostFrom(k) ((phase[k] == ASKED && owner == NOBODY) || diedFrom(k))
#define answerHolds(k) (answers[k] || toShut[k] || lostFrom(k))
#define requestHolds(k) (asks[k] || fromShut[k] || (left[k] & D))
#define holdsOf(m) ((kind[m] == ROOM && roomHolds) || (kind[m] == READ && answerHolds(at[m])))
#if DEATHS > 0
#define watched(c) (dead != 0 && (c))
#else
#define watched(c) false
#endif
#if DEATHS > 0
#define mortal(m) unless { atomic { dead & bit(m) -> reset } }
#else
#define mortal(m)
#endif

#define ring(m) moved = moved | (sleepers & bit(m))
#define ringAll moved = moved | sleepers
#define announce(m) atomic { moved = moved & ~bit(m); sleepers = sleepers | bit(m) } /* S1, S2 */

/* The member who leaves connection k, on its own or by its reaper r. */
#define leave(k, who, r) \
	more = true; \
	do \
	:: more -> \
		atomic { p = phase[k]; b = by[k]; l = left[k]; n = number[k] }; \
		atomic { \
			next = FREE; \
			if \
			:: p == CLAIMED && b == who + 1 -> next = CLAIMED \
			:: p == ASKED && dialer[k] == who + 1 -> next = CLAIMED \
			:: p == OPEN -> \
				f = l; \
				if :: dialer[k] == who + 1 -> f = f | D :: else fi; \
				if :: b == who + 1 -> f = f | A :: else fi; \
				if \
				:: f == l -> next = FREE \
				:: f != l && f == (D | A) -> next = CLAIMED \
				:: else -> next = OPEN \
				fi \
			:: else \
			fi; \
			if \
			:: next == FREE -> more = false \
			:: next != FREE && !same(k) -> skip \
			:: next == OPEN && same(k) -> left[k] = f; more = false \
			:: else -> phase[k] = CLAIMED; by[k] = r + 1; left[k] = 0; number[k] = (n + 1) % NUMBERS; more = false \
			fi; \
			p = 0; b = 0; l = 0; n = 0; \
			if :: !more && next == OPEN && f == A -> skip :: else -> f = 0 fi \
		} \
	:: else -> break \
	od; \
	if \
	:: atomic { next == CLAIMED -> next = 0 }; \
		takeDown(k, r) \
	:: atomic { next == OPEN -> next = 0; if :: f == A -> toDialer = toDialer | bit(k) :: else fi; f = 0 } \
	:: atomic { next == FREE -> skip } \
	fi
#ifdef BREAK_STORE
#define same(k) (phase[k] == p)
#else
#define same(k) (phase[k] == p && by[k] == b && left[k] == l && number[k] == n)
#endif
#define locals byte p = 0, b = 0, l = 0, n = 0, f = 0, next = 0; bool more = false
#define resetLocals p = 0; b = 0; l = 0; n = 0; f = 0; next = 0; more = false

#define punch(k) atomic { assert(from[k] == NOBODY && to[k] == NOBODY); up[k] = 0; down[k] = 0 }
#define giveBack(k, r) \
	atomic { \
		if \
		:: phase[k] == CLAIMED && by[k] == r + 1 -> \
			assert(from[k] == NOBODY && to[k] == NOBODY); \
			phase[k] = FREE; by[k] = 0 \
		:: else \
		fi \
	}
#ifdef BREAK_FREEFIRST
#define takeDown(k, r) giveBack(k, r); punch(k); ringRoom
#else
#define takeDown(k, r) punch(k); giveBack(k, r); ringRoom
#endif
#ifdef BREAK_ROOM
#define ringRoom skip
#else
#define ringRoom atomic { moved = moved | (sleepers & want) }
#endif

proctype dials(byte me)
{
	byte round = 0, k = 0;
	bool lost = false, refused = false;
	locals;
#define id (me * ROUNDS + round)
#define reset round = 0; k = 0; lost = false; refused = false; resetLocals
	{
		skip;
dial:
		atomic { if :: round == ROUNDS || owner == NOBODY -> goto out :: else -> round++ fi };
find:
		if
		:: atomic { isFree(0) -> k = 0; goto claim }
#if PLACES > 1
		:: atomic { isFree(1) -> k = 1; goto claim }
#endif
		:: atomic { !(some(isFree)) -> skip }
		fi;
#ifdef BREAK_WANT
		atomic { kind[me] = ROOM; goto sleep };
#else
		atomic { want = want | bit(me); kind[me] = ROOM; goto sleep };
#endif
claim:
		atomic {
			if :: phase[k] != FREE -> k = 0; goto find :: else fi;
			phase[k] = CLAIMED; by[k] = me + 1; number[k] = (number[k] + 1) % NUMBERS;
			left[k] = 0; want = want & ~bit(me); kind[me] = 0; at[me] = k;
			mine[me] = mine[me] | bit(k)
		};
#ifdef BREAK_DIALER
		atomic { phase[k] = ASKED; by[k] = 0 };
#endif
		atomic {
			assert(from[k] == NOBODY && to[k] == NOBODY);
			asks[k] = false; answers[k] = false; fromShut[k] = false; toShut[k] = false;
			conn[k] = id
		};
		dialer[k] = me + 1;
		atomic {
#ifndef BREAK_DIALER
			assert(phase[k] == CLAIMED && by[k] == me + 1);
			phase[k] = ASKED; by[k] = 0;
#endif
			from[k] = me + 1
		};
		asked = asked | bit(k);
		atomic {
			if
			:: owner != NOBODY -> ring(owner - 1)
#ifdef BREAK_REFUSED
			:: else -> goto exit
#else
			:: else -> goto close
#endif
			fi
		};
#ifndef STAY
		if
		:: goto close
		:: skip
		fi;
#endif
		atomic { assert(conn[k] == id && up[k] == 0); up[k] = id };
		asks[k] = true;
		atomic { if :: phase[k] == OPEN -> ring(by[k] - 1) :: else fi };
look:
		atomic { if :: answers[k] -> goto take :: else fi };
		atomic { lost = diedFrom(k); refused = (lostFrom(k) && !lost) };
		atomic {
			if
			:: lost || refused || toShut[k] -> skip
			:: else -> kind[me] = READ; goto sleep
			fi
		};
		atomic {
			if
			:: answers[k] -> lost = false; refused = false; goto take
			:: else -> assert(refused || toShut[k] || (dead & bit(by[k] - 1)))
			fi;
			lost = false; refused = false; goto close
		};
take:
		atomic { assert(conn[k] == id && down[k] == id) };
close:
		atomic { assert(conn[k] == id); fromShut[k] = true };
		atomic { if :: phase[k] == OPEN -> ring(by[k] - 1) :: else fi };
exit:
#ifdef BREAK_USERS
		atomic { mine[me] = mine[me] & ~bit(k) };
#else
#ifdef BREAK_QUIET
		atomic { from[k] = NOBODY; mine[me] = mine[me] & ~bit(k) };
#else
		atomic { !(looking & bit(me)) -> from[k] = NOBODY; mine[me] = mine[me] & ~bit(k) };
#endif
#endif
		leave(k, me, me);
#ifdef BREAK_USERS
		from[k] = NOBODY;
#endif
		atomic { k = 0; at[me] = 0; goto dial };

sleep:
		if
		:: atomic { !(turn & bit(me)) -> turn = turn | bit(me); goto lead }
		:: atomic { turn & bit(me) -> fol = fol | bit(me) }
		fi;
follow:
		atomic { if :: holdsOf(me) -> goto leaveList :: else fi };
end_follow:
		if
		:: atomic { !(turn & bit(me)) -> turn = turn | bit(me); fol = fol & ~bit(me); told = told & ~bit(me); goto lead }
		:: atomic { told & bit(me) -> told = told & ~bit(me); goto follow }
		:: atomic { watched(holdsOf(me)) -> goto leaveList }
		fi;
leaveList:
		atomic { fol = fol & ~bit(me); told = told & ~bit(me); goto woken };
lead:
		announce(me);
		atomic { if :: holdsOf(me) -> goto stop :: else fi };
end_lead:
		if
		:: atomic { moved & bit(me) -> skip }
		:: atomic { watched(holdsOf(me)) -> skip }
		fi;
		atomic { sleepers = sleepers & ~bit(me); goto lead };
stop:
		atomic { sleepers = sleepers & ~bit(me); turn = turn & ~bit(me) };
woken:
		atomic {
			if
			:: kind[me] == READ -> kind[me] = 0; goto look
			:: else
			fi;
			if
			:: owner == NOBODY -> want = want & ~bit(me); kind[me] = 0
			:: else -> goto find
			fi
		};
out:
		atomic { reset; done = done | bit(me) };
#if LEAD == 0
		in = in & ~bit(me)
#endif
	} mortal(me)
#undef reset
#undef id
}

#if LEAD > 0
/* A goroutine of another connection of a dialer, which waits for ever. */
proctype leader(byte me)
{
	byte set = 0;
#define reset set = 0
	{
		skip;
lead:
		announce(me);
		if
		:: atomic { toDialer & mine[me] -> looking = looking | bit(me); set = toDialer & mine[me] };
			toDialer = toDialer & ~set;
			atomic {
				if
				:: (fol & bit(me)) && kind[me] == ROOM && roomHolds -> told = told | bit(me)
				:: (fol & bit(me)) && kind[me] == READ && (set & bit(at[me])) && answerHolds(at[me]) -> told = told | bit(me)
				:: else
				fi;
				looking = looking & ~bit(me);
				set = 0
			}
		:: atomic { !(toDialer & mine[me]) ->
				if :: (fol & bit(me)) && kind[me] == ROOM && roomHolds -> told = told | bit(me) :: else fi
			}
		fi;
end_leader:
		if
		:: atomic { moved & bit(me) -> skip }
		fi;
		atomic { sleepers = sleepers & ~bit(me); goto lead }
	} mortal(me)
#undef reset
}
#endif

proctype listens(byte me)
{
	byte k = 0, peer = 0, id = 0;
	bool closing = false;
	locals;
#define reset k = 0; peer = 0; id = 0; closing = false; resetLocals
	{
		if
		:: atomic { me == LISTENER(0) -> goto accept }
		:: atomic { me != LISTENER(0) -> skip }
		fi;
end_listen:
		if
		:: atomic { owner == NOBODY -> owner = me + 1 }
		fi;
accept:
		atomic {
			kind[me] = ACCEPT;
			if
			:: asked & 1 -> k = 0; goto hinted
#if PLACES > 1
			:: asked & 2 -> k = 1; goto hinted
#endif
			:: else
			fi
		};
		announce(me);
		if
		:: atomic { isAsked(0) -> k = 0 }
#if PLACES > 1
		:: atomic { isAsked(1) -> k = 1 }
#endif
		:: atomic { !(some(isAsked)) -> goto end_accept }
		fi;
		atomic { sleepers = sleepers & ~bit(me) };
hinted:
		asked = asked & ~bit(k);
acceptAt:
#ifdef BREAK_PEER
		atomic { peer = dialer[k]; n = number[k]; p = phase[k] };
		atomic {
			if
			:: p == ASKED && phase[k] == ASKED && n == number[k] -> phase[k] = OPEN; by[k] = me + 1; to[k] = me + 1
#else
		atomic {
			if
			:: phase[k] == ASKED -> phase[k] = OPEN; by[k] = me + 1; to[k] = me + 1
#endif
			:: else ->
				p = 0; n = 0; peer = 0;
				if
				:: closing -> goto nextAsked
				:: else -> k = 0; goto accept
				fi
			fi;
			p = 0; n = 0; kind[me] = READ; at[me] = k
		};
		atomic {
#ifdef BREAK_PEER
			assert(peer == dialer[k]);
#endif
			peer = dialer[k];
			if :: closing -> goto close :: else fi
		};
#ifndef STAY
		if
		:: goto close
		:: skip
		fi;
#endif
read:
		atomic { if :: asks[k] -> goto take :: else fi };
		atomic { closing = ((left[k] & D) != 0) };
		atomic {
			if
			:: closing || fromShut[k] -> skip
			:: else -> goto sleep
			fi
		};
		atomic {
			if
			:: asks[k] -> closing = false; goto take
			:: else
			fi;
			assert(fromShut[k] || (dead & bit(peer - 1)));
			closing = false; goto close
		};
sleep:
		announce(me);
		atomic { if :: requestHolds(k) -> goto woken :: else fi };
end_read:
		if
		:: atomic { moved & bit(me) -> skip }
		:: atomic { watched(requestHolds(k)) -> skip }
		fi;
		atomic { sleepers = sleepers & ~bit(me); goto sleep };
woken:
		atomic { sleepers = sleepers & ~bit(me); goto read };
take:
		atomic { id = conn[k]; assert(up[k] == id && (id - 1) / ROUNDS + 1 == peer) };
		atomic { assert(conn[k] == id && down[k] == 0); down[k] = id; id = 0 };
		answers[k] = true;
		atomic { toDialer = toDialer | bit(k); ring(peer - 1) };
close:
		toShut[k] = true;
		atomic { toDialer = toDialer | bit(k); ring(peer - 1); to[k] = NOBODY };
		leave(k, me, me);
		atomic { at[me] = 0; peer = 0; if :: closing -> goto nextAsked :: else -> k = 0; goto accept fi };

end_accept:
		if
		:: atomic { moved & bit(me) -> skip }
		:: atomic { watched(some(isAsked)) -> skip }
		:: atomic { closes < CLOSES -> closes++; sleepers = sleepers & ~bit(me); closing = true; k = 0; goto stop }
		fi;
		atomic { sleepers = sleepers & ~bit(me); k = 0; goto accept };
stop:
		atomic { kind[me] = 0; owner = NOBODY; goto acceptAt };
nextAsked:
		atomic { kind[me] = 0; k++; if :: k < PLACES -> goto acceptAt :: else fi };
		atomic { ringAll };
		atomic { in = in & ~bit(me); reset }
	} mortal(me)
#undef reset
}

#if DEATHS > 0
/* The wait of member r depends on member m. */
#define dependsOn(r, m) (kind[r] == ROOM || kind[r] == ACCEPT || \
	(kind[r] == READ && phase[at[r]] == ASKED && owner == m + 1) || \
	(kind[r] == READ && phase[at[r]] == OPEN && (by[at[r]] == m + 1 || dialer[at[r]] == m + 1)) || \
	(r >= DIALERS && kind[r] == 0 && owner == m + 1))
#define isDead(m) ((m) < MEMBERS && (dead & in & bit(m)) && byteOf[m] == NOBODY && dependsOn(me, m))

/* Member me, which repairs what others have left. */
proctype reaper(byte me)
{
	byte m = 0, k = 0;
	locals;
#define reset m = 0; k = 0; resetLocals
	{
		skip;
end_reaper:
		atomic {
			if
			:: isDead(0) -> m = 0
			:: isDead(1) -> m = 1
#if MEMBERS > 2
			:: isDead(2) -> m = 2
#endif
#if MEMBERS > 3
			:: isDead(3) -> m = 3
#endif
			fi;
			byteOf[m] = me + 1
		};
		if
		:: atomic { owner == m + 1 -> skip };
			do
			:: atomic { k < PLACES ->
					if
					:: phase[k] == ASKED -> phase[k] = OPEN; by[k] = m + 1
					:: else
					fi;
					k++
				}
			:: atomic { k == PLACES -> k = 0; owner = NOBODY; break }
			od
		:: atomic { owner != m + 1 -> skip }
		fi;
		do
		:: k < PLACES -> leave(k, m, me); k++
		:: else -> break
		od;
		atomic { sleepers = sleepers & ~bit(m); want = want & ~bit(m); in = in & ~bit(m); byteOf[m] = NOBODY };
		atomic { ringAll; reset; goto end_reaper }
	} mortal(me)
#undef reset
}

#define forget(m, k) \
	if :: from[k] == m + 1 -> from[k] = NOBODY :: else fi; \
	if :: to[k] == m + 1 -> to[k] = NOBODY :: else fi

proctype killer()
{
	byte m = 0;
	do
	:: atomic { deaths < DEATHS ->
			if
			:: (KILL & ~dead & in & 1) -> m = 0
			:: (KILL & ~dead & in & 2) -> m = 1
			:: (KILL & ~dead & in & 4) -> m = 2
			:: (KILL & ~dead & in & 8) -> m = 3
			:: else -> break
			fi;
			deaths++; dead = dead | bit(m);
			turn = turn & ~bit(m); fol = fol & ~bit(m); told = told & ~bit(m); looking = looking & ~bit(m);
			kind[m] = 0; at[m] = 0;
			if :: byteOf[0] == m + 1 -> byteOf[0] = NOBODY :: else fi;
			if :: byteOf[1] == m + 1 -> byteOf[1] = NOBODY :: else fi;
			if :: byteOf[MEMBERS - 1] == m + 1 -> byteOf[MEMBERS - 1] = NOBODY :: else fi;
#if MEMBERS > 3
			if :: byteOf[2] == m + 1 -> byteOf[2] = NOBODY :: else fi;
#endif
			forget(m, 0);
#if PLACES > 1
			forget(m, 1);
#endif
			m = 0
		}
	:: break
	od
}
#endif

/* When nothing can happen any more. */
active proctype last()
{
	byte k = 0;
	timeout;
	assert((done | dead) % bit(DIALERS) == bit(DIALERS) - 1);
	do
	:: k == PLACES -> break
	:: else ->
		assert(phase[k] == FREE || (deaths > 0 && (owner == NOBODY || (dead & bit(owner - 1)))));
		k++
	od
}

init
{
	atomic {
		in = bit(MEMBERS) - 1;
		owner = LISTENER(0) + 1;
		turn = LEAD;
		run dials(0);
#if DIALERS > 1
		run dials(1);
#endif
#if LEAD & 1
		run leader(0);
#endif
#if LEAD & 2
		run leader(1);
#endif
		run listens(LISTENER(0));
#if LISTENERS > 1
		run listens(LISTENER(1));
#endif
#if DEATHS > 0
		run reaper(0);
		run reaper(1);
#if MEMBERS > 2
		run reaper(2);
#endif
#if MEMBERS > 3
		run reaper(3);
#endif
		run killer()
#endif
	}
}
