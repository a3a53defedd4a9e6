/*
 * This models the lane of docs/protocol/lane.md. Names and numbers such as P2 and T4 are those of
 * that page.
 *
 * Processes: a writer, and others that take over one after another when the writer before has left
 * or died; a reliable reader, which has a cursor; a best-effort reader, which has a pin, and with
 * HOLD a second pin for a message that it holds. The readers join at any time. Each process may
 * be killed at any step. The lane is empty at first. The writer reclaims slots before each
 * message; with LAZY only if it likes. So a slot is reused as soon as possible.
 *
 * Publishing: Generation and the three stores to the entry are separate steps. In Slot.Next of each
 * message the writer announces the slot of the next message. It then uses that slot, or another
 * one. Readers know the announced slot as their prediction. A message is published when its
 * Generation is stored in the predicted slot; in any other slot, when its entry has its Sequence.
 * A reader looks at the prediction first, and then at the entry. The next writer repairs the
 * entry of a message that is published by its Generation alone.
 *
 * Store buffers, as on amd64: others see a store without a fence later, and in order. Only the
 * reliable reader loads other words after such a store, which is that of its cursor. stored is the
 * cursor as the reader has stored it; cursor is what the others see. The writer loads words of
 * others only after a fence (W1, Waits, F2, E1, P6), so its buffer only makes it slower. Pins are
 * stored with a fence.
 *
 * Options:
 *   EVICT        the topic evicts: a writer that waits may evict the reader at any time, and the
 *                reader may look at a message for ever
 *   BATCH        P6 comes after as many messages as the writer likes
 *   IDLE         the reader may do nothing after it has joined
 *   REST         the writer that has published all messages stays; nobody hears from it again
 *   PREPIN       the best-effort reader pins the prediction before it looks, and looks only once
 *   SLEEP_ENTRY  before it sleeps, the reader looks at the entry only, unless Ends has changed; its
 *                death watch looks at the entry only
 *   LATE_F1      the writer does F1 only when it reclaims, as a cell does
 *   WRONG        a condition: when the writer may use another slot although the announced one is
 *                free
 *   WATCH        a watcher copies messages, in two steps; it has no pin, and nobody knows of it
 *   KILL         who may be killed: one bit for each process
 *
 * Sleeping: a ring is one step. With DEATHS a sleeper may look again by itself if what it waits
 * for has come, or if the member is dead on which it depends; reapers do not ring at all. waker.pml
 * checks the rest.
 *
 * Checked:
 *   1, 3 Nobody looks at a slot that is being written. What a reader looks at is the message of
 *        that number, and it is published.
 *   2, 4 From the reliable reader's position on, no entry is overwritten. A joiner finds the last
 *        depth messages. At the end, the reader has taken all messages.
 *   2    A reader that is told of the end of a stream has taken all messages that were published
 *        before that.
 *   5    When nothing can happen any more: no writer waits, except for a reader that is there and
 *        keeps its messages; a reader that sleeps has nothing to read, and was told of each writer
 *        that left or died.
 *   6    A best-effort reader that stops for ever is one that dies: its pins stay.
 *   7    There is always a free slot. SLOTS is N + 1 loan + pins (+ 1 with EVICT).
 *   A copy that the watcher does not throw away is of one message, of that number, and published.
 *   8    A writer that takes over begins with the first number that is not published.
 *
 * Left out: orders that are weaker than amd64's, hostile bytes, a second life of a member's slot,
 * several lanes, several loans at a time.
 *
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DWRONG=q==3
 * check: -DN=2 -DD=2 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DKILL=1 -DWRONG=me==0
 * check: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=1 -DDEATHS=2 -DWRITERS=3 -DNO_BEST -DKILL=3 -DREST -DWRONG=me==0
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=2 -DDEATHS=1 -DWRITERS=1
 * check: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=2 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DREST
 * check: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=2 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DREST -DSLEEP_ENTRY
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=1 -DWRITERS=2 -DNO_RELIABLE -DKILL=1
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_RELIABLE -DPREPIN
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DPREPIN
 * check: -DN=2 -DD=1 -DSLOTS=5 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DHOLD -DLAZY
 * check: -DN=2 -DD=1 -DSLOTS=5 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DHOLD -DLAZY -DLATE_F1
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DREST
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DREST -DSLEEP_ENTRY
 * check: -DN=3 -DD=2 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBATCH -DIDLE -DREST
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DEVICT -DKILL=1 -DWRONG=q==3
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DNO_BEST -DWATCH
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DNO_BEST -DWATCH -DLAZY -DLATE_F1
 * check: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_RELIABLE -DNO_BEST -DWATCH -DKILL=1
 * deep: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=1 -DWRITERS=2 -DNO_RELIABLE -DNO_BEST -DWATCH -DKILL=1
 *
 * spin must find an error with each "breaks:" line.
 *
 * The pin without a fence; Limit without a fence; generations zeroed after the scan, or without a
 * fence before it; entries that are not zeroed, with readers that look at the entry again and not
 * at the Generation; no J2; a cursor that is not stored again with a fence before sleeping.
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_PIN
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_PIN -DPREPIN
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_LIMIT
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_GEN
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_ENTRY -DBREAK_ZERO
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_J2
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_LAZY
 * The Generation: stored after the entry and its fence (a sleeper is lost); readers that do not
 * look at the entry (they wait for ever); a best-effort reader that looks before it pins, and not
 * again.
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DREST -DBREAK_ORDER
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_FALLBACK
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DBREAK_LOOK
 * Taking over: a writer that does not count a Generation in the announced slot (it uses a number
 * twice); slots that it does not zero (a best-effort reader looks at one while it is written).
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DBREAK_COUNT
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=1 -DWRITERS=2 -DNO_RELIABLE -DBREAK_STALE
 * A joiner that takes slot 0 as its prediction for a message other than 1 (it reads a message that
 * is not published); a joiner without a prediction, and a reader that looks at the entry only
 * before it reports Ends (they are told of a death before the last message).
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=5 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBREAK_JOINZERO
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=1 -DNO_BEST -DBREAK_JOINNONE
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=1 -DNO_BEST -DBREAK_ENDSLOOK
 * Eviction: T4 without a fence; a look at Evicted before T4 is done, before the Generation in the
 * predicted slot, between that and the entry, between Sequence and Slot, between Slot and
 * Generation (the slot that is kept for the reader loses its Generation), or only when there is a
 * message; J2 without a fence; no slot for the message that is kept.
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_T4
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICT
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICTFIRST
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICTENTRY
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICTSLOT
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICTGEN
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_EVICTVAIN
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT -DBREAK_JOIN
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DEVICT
 * No look at Waits after J2; a writer that waits in a batch and has rung nobody; the pin of a held
 * message looked at before Pin[0]; Owner freed before Ends; N = 1; a slot too few.
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DIDLE -DBREAK_JOIN
 * breaks: -DN=2 -DD=2 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_BEST -DBATCH -DBREAK_BATCH
 * breaks: -DN=2 -DD=1 -DSLOTS=5 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DHOLD -DBREAK_SCAN
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DBREAK_ENDS
 * breaks: -DN=1 -DD=1 -DSLOTS=2 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST
 * breaks: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=4 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE
 * A watcher that looks at the Generation before it has copied all; no F1.
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DNO_BEST -DWATCH -DBREAK_COPY
 * breaks: -DN=2 -DD=1 -DSLOTS=4 -DMSGS=6 -DDEATHS=0 -DWRITERS=1 -DNO_RELIABLE -DNO_BEST -DWATCH -DNO_F1
 *
 * These changes are harmless: spin finds no error. A writer that takes over counts a Generation in
 * any slot (no number is used twice, but the message then comes after its writer's end was
 * reported); slots that it does not zero, if all readers are reliable; a repair that rings nobody.
 * A best-effort reader keeps an old prediction when it misses messages: it goes on only with
 * messages that have had their entry, so no Generation of that number is of another message. All
 * runs with a best-effort reader check that. "check" runs none of these lines.
 * harmless: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DCOUNT_ANY
 * harmless: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=3 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DBREAK_STALE
 * harmless: -DN=2 -DD=1 -DSLOTS=3 -DMSGS=2 -DDEATHS=1 -DWRITERS=2 -DNO_BEST -DREST -DSLEEP_ENTRY -DQUIET_REPAIR
 */

#ifndef N
#define N 2       /* entries */
#define D 1       /* the writer looks at the cursors once in so many messages */
#define SLOTS 4
#define MSGS 4
#define DEATHS 1
#endif
#ifndef KILL
#define KILL 31
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRONG
#define WRONG 1   /* always */
#endif
#define NOBODY 0
#define bit(i) (1 << (i))
#define all ((1 << SLOTS) - 1)
#define at(q) ((q) % N)
#define NONE SLOTS         /* no prediction */

/* Who may die: writers 0 to 2, the reliable reader, the best-effort reader. */
#define RELIABLE_READER 3
#define BEST_READER 4

/* Lane. */
byte owner = NOBODY;       /* a writer + 1 */
byte ends = 0;
bool waits = false;
byte head = 1;
byte limit = 0;
byte sequence[N];
byte entry[N];             /* Entry.Slot */
byte generation[SLOTS + 1]; /* the last one stands for no prediction, and stays 0 */
byte nextSlot[SLOTS];      /* Slot.Next */
byte payload[SLOTS];       /* the message; 0: it is being written, or its writer died */

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
byte published = 1;        /* the first message that is not published */
bool early = false;        /* its predecessor is published by its Generation alone */
byte position = 0;         /* the reliable reader may look at all from here on; 0: at none */
byte looks[3];             /* slot + 1 that the reliable, the best-effort reader looks at; held */
byte told = 0;             /* Ends as the reliable reader has told it */
byte gone = 0;             /* writers that have left or died */
bool idle = false;         /* the reader does nothing any more, without having died */
bool asleep = false;       /* the writer */
bool rests = false;        /* the last writer has published all, and stays */
bool dead[5];
byte deaths = 0;

#define inUse(s) (looks[0] == s + 1 || looks[1] == s + 1 || looks[2] == s + 1)

#if DEATHS > 0
#define mortal unless { atomic { dead[me] -> reset } }
#define writerWatch (deaths > 0 && (!reader || evicted || dead[RELIABLE_READER] || cursor + N > q))
#ifdef SLEEP_ENTRY
#define readerWatch (deaths > 0 && (sequence[at(c)] == c || ends != told))
#else
#define readerWatch (deaths > 0 && (generation[p] == c || sequence[at(c)] == c || ends != told))
#endif
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

#ifdef BREAK_STALE
#define zeroed (retired & ~stale)
#else
#define zeroed retired
#endif

#ifdef QUIET_REPAIR
#define ringing !repair
#else
#define ringing true
#endif
#define publishRing if :: sleeper -> readerMoved = true :: else fi

proctype writer(byte me)
{
	byte q = 0;        /* the message to be published */
	byte p = 0;        /* the slot that was announced for it */
	byte lim = 0;      /* its own limit */
	byte free = 0;     /* slots, as bits */
	byte retired = 0;
	byte pinned = 0;
	byte s = 0;        /* the slot on loan */
	byte old = 0;      /* the slot + 1 that the entry named before */
	byte c = 0;
	bool quiet = false;
	bool repair = false;
#ifdef BREAK_STALE
	byte stale = 0;
#endif
#define reset q = 0; p = 0; lim = 0; free = 0; retired = 0; pinned = 0; s = 0; old = 0; c = 0; \
	quiet = false; repair = false
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
			if :: q > 0 -> p = nextSlot[entry[at(q)]] :: else fi;
			q++;
			c = 0;
#ifdef COUNT_ANY
			do
			:: c < SLOTS && generation[c] != q -> c++
			:: c < SLOTS && generation[c] == q -> repair = true; s = c; break
			:: else -> break
			od;
#else
#ifndef BREAK_COUNT
			if :: generation[p] == q -> repair = true; s = p :: else fi;
#endif
#endif
			assert(q + (repair && s == p) == published);
			c = N;
			retired = all;                                  /* O3 */
			do
			:: c > 0 -> c--; if :: sequence[c] != 0 -> retired = retired & ~bit(entry[c]) :: else fi
			:: else -> break
			od;
			if :: repair -> retired = retired & ~bit(s) :: else fi;
#ifdef BREAK_STALE
			stale = retired;
#endif
			lim = q;                                        /* O4 */
			if :: repair -> goto enter :: else fi
		};
rebuilt:
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
#if !defined(BREAK_GEN) && !defined(NO_F1)
			atomic {                                        /* F1, F2 */
				do
				:: c < SLOTS -> if :: zeroed & bit(c) -> generation[c] = 0 :: else fi; c++
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
				:: c < SLOTS -> if :: zeroed & bit(c) -> generation[c] = 0 :: else fi; c++
				:: else -> c = 0; break
				od
			};
#endif
			atomic {                                        /* F3 */
				free = free | (retired & ~pinned); retired = retired & pinned; pinned = 0;
#ifdef BREAK_STALE
				stale = 0;
#endif
				assert(free != 0)
			}
		fi;
		atomic {
			if                                              /* as announced, or not */
			:: free & bit(p) -> s = p
			:: (free & ~bit(p)) && (WRONG || !(free & bit(p))) ->
				do
				:: (free & ~bit(p)) & bit(s) -> break
				:: else -> s++
				od
			fi;
			free = free & ~bit(s);
			assert(!inUse(s));
#if !defined(BREAK_STALE) && !defined(NO_F1)
			assert(generation[s] == 0);
#endif
			payload[s] = 0;                                 /* P2 */
			do
			:: free == 0 -> c = entry[at(q)]; break
			:: free != 0 && (free & bit(c)) -> break
			:: else -> c++
			od;
			nextSlot[s] = c; c = 0
		};
		atomic {
			assert(!inUse(s));
			payload[s] = q;
#ifndef BREAK_ORDER
			generation[s] = q;                              /* P3: COMMIT, if s was announced */
			if :: s == p -> published = q + 1; early = true :: else fi
#endif
		};
enter:
		atomic {                                                /* P4 */
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
			sequence[at(q)] = q;                            /* COMMIT, if it was not */
#ifdef BREAK_LIMIT
			limit = limitStored;
#endif
			q++; published = q; early = false; p = nextSlot[s];
#ifndef BREAK_ORDER
			s = 0;
#endif
			if
			:: old != 0 -> retired = retired | bit(old - 1);
#if !defined(LATE_F1) && !defined(BREAK_GEN) && !defined(NO_F1)
				generation[old - 1] = 0;                /* F1 */
#endif
				old = 0
			:: else
			fi
		};
#ifdef BATCH
		if
		:: quiet = true; goto again
		:: quiet = false
		fi;
#endif
		head = q;                                               /* P6 */
#ifdef BREAK_ORDER
		publishRing;
		atomic { generation[s] = q - 1; s = 0; goto again };
#endif
		atomic {
			if :: ringing -> publishRing :: else fi;
			if :: repair -> repair = false; goto rebuilt :: else -> goto again fi
		};
leave:
#ifdef BATCH
		if
		:: atomic { quiet -> quiet = false; publishRing }
		:: else
		fi;
#endif
#ifdef REST
		if
		:: q > MSGS -> rests = true; end_rest: false
		:: else
		fi;
#endif
		atomic { ends++; gone++ };
		atomic { owner = NOBODY; reset };
		publishRing
	} mortal
#undef reset
}

/* There is a message for a reader that looks at the entry only. */
#ifdef BREAK_ORDER
#define there (sequence[at(c)] == c && generation[entry[at(c)]] == c)
#else
#define there (sequence[at(c)] == c)
#endif

/* What a look in a topic that evicts has found. */
#define THERE 1
#define CHANGED 2          /* the slot that the entry named has another message */

/* A look at Evicted. */
#define LOOK if :: evicted -> goto close :: else fi
#if defined(BREAK_EVICT) || defined(BREAK_EVICTENTRY) || defined(BREAK_EVICTSLOT) || defined(BREAK_EVICTGEN)
#define LOOKED
#endif

proctype reliable(byte me)
{
	byte c = 0;        /* the message that it has come to */
	byte p = NONE;     /* its prediction */
	byte s = 0;
	byte l = 0;
	byte seen = 0;     /* published, when it looked at Ends */
#define reset c = 0; p = NONE; s = 0; l = 0; seen = 0
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
			assert(c <= 1 || c <= published);
			assert(c <= head || c + N <= published + D);
			/* invariant 4 */
			assert(evicted || c == published || sequence[at(c)] == c || (early && c + 1 == published));
			stored = c; l = 0; position = c
		};
#ifndef BREAK_JOIN
		drain;
		if
		:: waits -> writerMoved = true
		:: else
		fi;
#endif
		atomic { if                                             /* J3 */
		:: c == 1 -> p = 0; goto joined
#ifndef BREAK_JOINNONE
		:: c != 1 && sequence[at(c - 1)] == c - 1 -> skip
#endif
		:: else ->
#if !defined(BREAK_J2) && !defined(BREAK_JOIN) && !defined(BREAK_JOINNONE)
			assert(evicted || sequence[at(c)] == c);
#endif
			goto joined
		fi };
		s = entry[at(c - 1)];
		atomic { p = nextSlot[s]; s = 0 };
joined:
#ifdef BREAK_JOINZERO
		p = 0;
#endif
#ifdef IDLE
		if
		:: idle = true; goto out
		:: skip
		fi;
#endif
take:
#ifndef EVICT
		atomic { if                                             /* T1 */
		:: generation[p] == c -> s = p; goto found
		:: else
#ifdef BREAK_FALLBACK
			-> goto vain
#endif
		fi };
		atomic { if                                             /* T2: the entry stands */
		:: sequence[at(c)] == c -> s = entry[at(c)]
		:: else -> goto vain
		fi;
#ifdef BREAK_ORDER
		if :: generation[s] != c -> s = 0; goto vain :: else fi;
#else
		assert(generation[s] == c);
#endif
found:
		looks[0] = s + 1; assert(payload[s] == c && c < published) };
#else
#ifdef BREAK_EVICTFIRST
		LOOK;
#endif
		atomic { if                                             /* T1 */
		:: generation[p] == c -> s = p; l = THERE;
#ifdef BREAK_EVICTFIRST
			goto found
#else
			goto evictions
#endif
		:: else
		fi };
#ifdef BREAK_EVICTENTRY
		LOOK;
#endif
		atomic { if                                             /* T2 */
		:: sequence[at(c)] == c -> l = THERE
		:: else -> l = 0
#ifdef BREAK_EVICTVAIN
			; goto vain
#else
			; goto evictions
#endif
		fi };
#ifdef BREAK_EVICTSLOT
		LOOK;
#endif
		s = entry[at(c)];
#ifdef BREAK_EVICTGEN
		LOOK;
#endif
		atomic { if
		:: generation[s] == c
		:: else -> l = CHANGED
		fi };
evictions:
#ifndef LOOKED
		LOOK;
#endif
		atomic {
			assert(l != CHANGED);
			if
			:: l == 0 -> goto vain
			:: else
			fi;
found:
			l = 0; looks[0] = s + 1; assert(payload[s] == c && c < published)
		};
#endif
#ifdef EVICT
		if
		:: idle = true; goto out
		:: skip
		fi;
#endif
		atomic {                                                /* T3, T4 */
			assert(payload[s] == c);
			p = nextSlot[s]; looks[0] = 0; c++; stored = c; position = c; s = 0
		};
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
			atomic { l = ends; seen = published };          /* S3 */
#ifndef BREAK_ENDSLOOK
			atomic { if
#ifdef SLEEP_ENTRY
			:: l != told && generation[p] == c -> l = 0; seen = 0; break
#else
			:: generation[p] == c -> l = 0; seen = 0; break
#endif
			:: else
			fi };
#endif
#ifdef BREAK_FALLBACK
			atomic { told = l; l = 0; seen = 0 };
#else
			if
			:: atomic { there -> l = 0; seen = 0; break }
			:: atomic { !there -> assert(l == told || c >= seen || evicted); told = l; l = 0; seen = 0 }
			fi;
#endif
#if defined(EVICT) && !defined(BREAK_EVICTVAIN)
			LOOK;
#endif
end_reader:
			atomic { readerMoved || readerWatch -> sleeper = false }
		od;
		sleeper = false;
		goto take;
close:
		atomic { position = 0; c = 0; p = NONE; s = 0; l = 0; sleeper = false; drain; reader = false };
		if
		:: waits -> writerMoved = true
		:: else
		fi;
out:
		skip
	} mortal
#undef reset
}

/* The entry of message w is being overwritten: w + 1 is published already. */
#define overtaken (sequence[at(w)] == 0 && sequence[at(w + 1)] > w)

proctype best(byte me)
{
	byte w = 0;
	byte p = NONE;
	byte s = 0;
#define reset w = 0; p = NONE; s = 0
	{
		if
		:: atomic { w = 1; p = 0 }
		:: w = head;
			atomic { if
			:: w == 1 -> p = 0; goto take
			:: w != 1 && sequence[at(w - 1)] == w - 1 -> skip
			:: else -> goto take
			fi };
			s = entry[at(w - 1)];
			atomic { p = nextSlot[s]; s = 0 }
		fi;
take:
#ifdef PREPIN
		atomic { if
		:: p != NONE -> pin[0] = p + 1; looks[1] = 0
		:: else
		fi };
		atomic { if
		:: generation[p] == w -> s = p; goto found
		:: else
		fi };
#else
		atomic { if                                             /* B1 */
		:: generation[p] == w -> s = p;
#ifdef BREAK_LOOK
			goto unlooked
#else
			goto pinning
#endif
		:: else
		fi };
#endif
		if                                                      /* B2 */
		:: atomic { sequence[at(w)] == w -> skip }
		:: atomic { sequence[at(w)] > w -> w++; goto take }
		:: atomic { sequence[at(w)] > w -> w = sequence[at(w)]; goto take }
		:: atomic { sequence[at(w)] < w -> skip };
end_best:
			atomic { generation[p] == w || sequence[at(w)] >= w || overtaken ->
				if
				:: generation[p] != w && sequence[at(w)] == 0 -> w++
				:: else
				fi;
				goto take }
		fi;
		s = entry[at(w)];
pinning:
#ifdef BREAK_PIN
		atomic { pinStored = s + 1; looks[1] = 0 };
#else
		atomic { pin[0] = s + 1; looks[1] = 0 };                /* B3 */
#endif
#ifdef BREAK_ENTRY
		atomic { if :: sequence[at(w)] == w -> skip :: else -> s = 0; w++; goto take fi;
#else
		atomic {                                                /* B4 */
			if
			:: generation[s] == w -> skip
			:: else -> s = 0; w++; goto take
			fi;
#endif
found:
			looks[1] = s + 1; assert(payload[s] == w && w < published)
		};
#ifdef HOLD
		if
		:: atomic { pin[1] == 0 -> pin[1] = s + 1; looks[2] = s + 1 }
		:: atomic { pin[1] != 0 -> looks[2] = 0; pin[1] = 0 }
		:: skip
		fi;
#endif
done:
		atomic { assert(payload[s] == w); p = nextSlot[s]; s = 0; w++; goto take };
#ifdef BREAK_LOOK
unlooked:
		atomic { pin[0] = s + 1; looks[1] = s + 1; goto done }
#endif
	} mortal
#undef reset
}

#ifdef WATCH
/* It takes a message like the best-effort reader, but sets no pin. */
proctype watcher()
{
	byte w = 0;
	byte p = NONE;
	byte s = 0;
	byte half = 0;     /* what it has copied first */
	byte rest = 0;
	if
	:: atomic { w = 1; p = 0 }
	:: w = head;
		atomic { if
		:: w == 1 -> p = 0; goto take
		:: w != 1 && sequence[at(w - 1)] == w - 1 -> skip
		:: else -> goto take
		fi };
		s = entry[at(w - 1)];
		atomic { p = nextSlot[s]; s = 0 }
	fi;
take:
	atomic { if                                                     /* B1 */
	:: generation[p] == w -> s = p; goto next
	:: else
	fi };
	if                                                              /* B2 */
	:: atomic { sequence[at(w)] == w -> skip }
	:: atomic { sequence[at(w)] > w -> w = sequence[at(w)]; goto take }
	:: atomic { sequence[at(w)] < w -> skip };
end_watcher:
		atomic { generation[p] == w || sequence[at(w)] >= w -> goto take }
	fi;
	s = entry[at(w)];
	atomic { if                                                     /* B4 */
	:: generation[s] == w -> skip
	:: else -> s = 0; w++; goto take
	fi };
next:
	p = nextSlot[s];                                                /* B5 */
	half = payload[s];                                              /* V1 */
#ifdef BREAK_COPY
	atomic { if :: generation[s] == w -> skip :: else -> goto missed fi };
	atomic { rest = payload[s]; assert(half == w && rest == w); half = 0; rest = 0; s = 0; w++; goto take };
#else
	rest = payload[s];
	atomic {                                                        /* V3 */
		if
		:: generation[s] == w -> assert(half == w && rest == w && w < published)
		:: else -> goto missed
		fi;
		half = 0; rest = 0; s = 0; w++; goto take
	};
#endif
missed:
	atomic { p = NONE; half = 0; rest = 0; s = 0; w++; goto take }
}
#endif

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
	:: atomic { owner != NOBODY && may(owner - 1) ->
			k = owner - 1;
			deaths++; dead[k] = true; gone++; asleep = false; k = 0;
#ifndef COUNT_ANY
			do
			:: k < SLOTS -> if :: payload[k] >= published -> payload[k] = 0 :: else fi; k++
			:: else -> k = 0; break
			od
#endif
		}
	:: atomic { may(RELIABLE_READER) && (stored || sleeper) ->
			deaths++; dead[RELIABLE_READER] = true; drain; looks[0] = 0; position = 0 }
	:: atomic { may(BEST_READER) && pin[0] ->
			deaths++; dead[BEST_READER] = true; looks[1] = 0; looks[2] = 0 }
	od
}
#endif

/* When nothing can happen any more. */
#define blocked (idle && !dead[RELIABLE_READER] && reader && stored + N <= published && !evicted)

active proctype last()
{
	timeout;
	assert(owner == NOBODY || (rests && !dead[owner - 1]) || blocked);
	if
	:: !dead[RELIABLE_READER] && reader && !idle ->
		assert(stored == published && cursor == stored);
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
#if WRITERS > 2
		run writer(2);
#endif
#ifndef NO_RELIABLE
		run reliable(RELIABLE_READER);
#endif
#ifndef NO_BEST
		run best(BEST_READER);
#endif
#ifdef WATCH
		run watcher();
#endif
		run cpu();
#if DEATHS > 0
		run reaper();
		run killer();
#endif
	}
}
