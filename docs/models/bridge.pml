/*
 * This models the policy wait of docs/protocol/bridge.md: a publishing bridge (the source) keeps
 * each envelope until all subscribing bridges (the sinks) have acknowledged it.
 *
 * The source publishes MSGS messages of each of TOPICS topics, one after another, and has room for
 * WINDOW envelopes that are kept. A topic still has its last HISTORY messages when a sink comes late.
 * The way loses LOSSES times: one envelope, one word of a sink, or all that is on its way to and
 * from a sink. Time passes EARLY times at any moment, and at the end when nothing else can happen. The
 * source may be killed and started again (RESTARTS), and a sink whose topic is over may forget what it
 * knew (FORGETS), as sinks that a pattern has made do. The source may take a sink for one that is not
 * heard any more, and wait for it no longer (SILENT). The last topic stays, or is over, too (ENDS).
 *
 * Checked:
 *   1  From its first message of a topic on, a sink gets each message in order; none is missing.
 *      Only if the source was killed, or has not heard the sink, there may be a gap.
 *   2  What is kept is not more than the window, and one description for each sink.
 *   3  When time has passed often enough after the last loss, each sink has the topic, and all of it.
 *      If the topic is over, nothing is kept any more: each sink has got all that was kept for it.
 *
 * Left out: envelopes that the server does not allow, what is in the messages.
 *
 * check: -DLOSSES=3 -DEARLY=2
 * check: -DTOPICS=2 -DFORGETS=1 -DEARLY=1
 * check: -DRESTARTS=1 -DEARLY=1
 * check: -DSILENT=1 -DHISTORY=1 -DEARLY=1
 * check: -DSINKS=2 -DMSGS=1
 * check: -DENDS=1 -DLOSSES=2 -DEARLY=1
 * check: -DENDS=1 -DFORGETS=1 -DSILENT=1 -DEARLY=1
 *
 * These take longer.
 * deep: -DSINKS=2 -DEARLY=1
 * deep: -DRESTARTS=1 -DTOPICS=2 -DEARLY=1
 * deep: -DTOPICS=2 -DFORGETS=1 -DSILENT=1 -DHISTORY=1 -DLOSSES=2 -DEARLY=1
 *
 * spin must find an error with each "breaks:" line.
 *
 * A sink begins with any description (this was a fault of the code); the window does not keep the
 * description; a sink that has forgotten what it knew is not answered, or begins with a description
 * that comes again, after which nothing is kept any more (so were these); a description is for all
 * sinks that are waited for.
 * breaks: -DBREAK_ANY
 * breaks: -DBREAK_ADMIT
 * breaks: -DTOPICS=2 -DMSGS=1 -DFORGETS=1 -DEARLY=1 -DBREAK_KNOWS
 * breaks: -DTOPICS=2 -DMSGS=1 -DFORGETS=1 -DEARLY=1 -DBREAK_BACK
 * breaks: -DSINKS=2 -DEARLY=1 -DBREAK_FOR
 * A sink that takes later envelopes before it has the missing one; a hole after which nothing is
 * sent again; a tick that says nothing of the last envelope.
 * breaks: -DBREAK_ORDER
 * breaks: -DBREAK_RESEND
 * breaks: -DBREAK_TICK
 * When the topic is over, nothing tells of the last envelope (so it was, too).
 * breaks: -DENDS=1 -DBREAK_OVER
 */

#ifndef SINKS
#define SINKS 1
#endif
#ifndef TOPICS
#define TOPICS 1
#endif
#ifndef MSGS
#define MSGS 2
#endif
#ifndef WINDOW
#define WINDOW 2
#endif
#ifndef HISTORY
#define HISTORY 0
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef EARLY
#define EARLY 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef FORGETS
#define FORGETS 0
#endif
#ifndef SILENT
#define SILENT 0
#endif
#ifndef ENDS
#define ENDS 0
#endif

#define bit(i) (1 << (i))
#define NUMBERS 24      /* of envelopes */
#define ROUNDS 5        /* times that are often enough */
#define ROOM 3          /* what is on its way in one direction */

/* Kinds of envelopes. */
#define OPEN 1
#define MESSAGE 2
#define OVER 3
#define TICK 4
/* What a sink says. */
#define DONE 1
#define ASK 2
#define HOLE 3

/* kind, session, number, for, seq, topic; what, session, number */
chan data[SINKS] = [ROOM] of { byte, byte, byte, byte, byte, byte };
chan back[SINKS] = [ROOM] of { byte, byte, byte };

/* The source. Envelopes lo+1 to number are kept. */
byte session = 1;
byte number = 0;
byte lo = 0;
byte kinds[NUMBERS];
byte fors[NUMBERS];
byte seqs[NUMBERS];
byte topics[NUMBERS];
byte topic = 0;         /* 0: none */
byte begun = 0;
byte seq = 1;           /* the message that comes next */
byte first = 1;         /* of the topic */
byte in = 0;            /* the sinks that are waited for */
byte knows = 0;
byte from[SINKS];
byte acked[SINKS];
byte who = 0;           /* have asked */
byte answered = 0;
byte re = 0;            /* the envelope that is sent again; 0: none */
byte hist = 0;          /* the message that the topic had already, and is sent next; 0: none */
bool rested = true;     /* time has passed since all was sent again */
byte restarts = 0;
byte silent = 0;

/* The sinks. */
byte sess[SINKS];
byte num[SINKS];
byte has[SINKS];        /* the topic; 0: none */
byte last[SINKS];       /* the topic before */
byte next[SINKS];       /* the message that comes next */
byte asked = 0;         /* lately */
byte losses = 0;
byte forgets = 0;

#if SINKS == 1
#define free (nfull(data[0]))
#else
#define free (nfull(data[0]) && nfull(data[1]))
#endif

#define send(k, n, f, q, t) \
	data[0]!k, session, n, f, q, t; \
	if :: SINKS > 1 -> data[SINKS - 1]!k, session, n, f, q, t :: else fi

/* trim drops what all have. */
#define trim \
	if \
	:: in == 0 -> lo = number \
	:: else -> \
		m = number; \
		if :: (in & 1) && acked[0] < m -> m = acked[0] :: else fi; \
		if :: (in & 2) && acked[SINKS - 1] < m -> m = acked[SINKS - 1] :: else fi; \
		if :: m > lo -> lo = m :: else fi; \
		m = 0 \
	fi

#define put(k, f, q) \
	number++; \
	assert(number < NUMBERS); \
	kinds[number] = k; fors[number] = f; seqs[number] = q; topics[number] = topic; \
	send(k, number, f, q, topic); \
	trim; \
	assert(number - lo <= WINDOW + SINKS + 1)

#define admitOne(i, n) \
	if \
	:: !(in & bit(i)) -> in = in | bit(i); from[i] = n; acked[i] = n; knows = knows & ~bit(i) \
	:: else \
	fi
/* admit adds the sinks that have asked. f is who begins after envelope number. */
#ifdef BREAK_ADMIT
#define start (number + 1)
#else
#define start number
#endif
#define admit \
	if :: who & 1 -> admitOne(0, start) :: else fi; \
	if :: who & 2 -> admitOne(SINKS - 1, start) :: else fi; \
	who = 0; f = 0; \
	begins(0); begins(SINKS - 1)
#ifdef BREAK_FOR
#define begins(i) f = in
#else
#define begins(i) if :: (in & bit(i)) && from[i] == start -> f = f | bit(i) :: else fi
#endif

/* take handles what sink i says. */
#ifdef BREAK_KNOWS
#define forgotten(i) false
#else
#define forgotten(i) (knows & bit(i))
#endif
#ifdef BREAK_BACK
#define wentBack(i) false
#else
#define wentBack(i) (n < acked[i])
#endif
#ifdef BREAK_RESEND
#define again false
#else
#define again (lo < number && rested)
#endif
#define anew(i) ((w == ASK && (s == session || forgotten(i))) || (w == HOLE && s == session && wentBack(i)))
#define take(i) \
	if \
	:: (in & bit(i)) && anew(i) -> \
		in = in & ~bit(i); trim; w = ASK \
	:: (in & bit(i)) && !anew(i) -> \
		if \
		:: s == session -> \
			knows = knows | bit(i); \
			if :: n > acked[i] -> acked[i] = n :: else fi; \
			trim \
		:: else \
		fi; \
		if :: (w == ASK || (s == session && w == HOLE)) && again -> re = lo + 1; rested = false :: else fi; \
		w = 0 \
	:: else -> w = ASK \
	fi; \
	if \
	:: w == ASK && topic == 0 -> admitOne(i, number) \
	:: w == ASK && topic != 0 && !(answered & bit(i)) -> answered = answered | bit(i); who = who | bit(i) \
	:: else \
	fi; \
	w = 0; s = 0; n = 0

active proctype source()
{
	byte m = 0, f = 0, w = 0, s = 0, n = 0;
end:
	do
	:: atomic { re == 0 && nempty(back[0]) -> back[0]?w, s, n; take(0) }
#if SINKS > 1
	:: atomic { re == 0 && nempty(back[1]) -> back[1]?w, s, n; take(1) }
#endif
	:: atomic { re != 0 && free ->
			send(kinds[re], re, fors[re], seqs[re], topics[re]);
			re++;
			if :: re > number -> re = 0 :: else fi
		}
	/* A topic begins. */
	:: atomic { re == 0 && topic == 0 && begun < TOPICS && free ->
			begun++; topic = begun; first = seq;
			admit; put(OPEN, f, seq); f = 0
		}
	/* The description for who has asked, and the messages that the topic still has. */
	:: atomic { re == 0 && topic != 0 && who != 0 && hist == 0 && free ->
			admit;
			hist = first;
			if :: seq - hist > HISTORY -> hist = seq - HISTORY :: else fi;
			put(OPEN, f, hist);
			if :: hist == seq -> hist = 0 :: else fi;
			f = 0
		}
	:: atomic { re == 0 && hist != 0 && number - lo < WINDOW && free ->
			put(MESSAGE, 0, hist);
			hist++;
			if :: hist == seq -> hist = 0 :: else fi
		}
	:: atomic { re == 0 && topic != 0 && hist == 0 && seq - first < MSGS && number - lo < WINDOW && free ->
			put(MESSAGE, 0, seq); seq++
		}
	/* The last topic stays, or ends with ENDS. */
	:: atomic { re == 0 && topic != 0 && hist == 0 && seq - first == MSGS && (begun < TOPICS || ENDS) && number - lo < WINDOW && free ->
			put(OVER, 0, seq); topic = 0
		}
	:: atomic { silent < SILENT && re == 0 && in != 0 ->
			silent++;
			if :: in & 1 -> in = in & 2 :: in & 2 -> in = in & 1 fi;
			trim
		}
	:: atomic { restarts < RESTARTS && session == 1 ->
			restarts++; session = 2; number = 0; lo = 0; in = 0; knows = 0; who = 0; answered = 0; re = 0; hist = 0; rested = true;
			if :: topic != 0 -> topic = 0; begun--; first = seq :: else fi
		}
	od
}

#define say(i, w) if :: nfull(back[i]) -> back[i]!w, sess[i], num[i] :: full(back[i]) fi
#define ask(i) if :: !(asked & bit(i)) -> asked = asked | bit(i); say(i, ASK) :: else fi

/* The description e is taken: of another topic, of another session, or again. */
#define open \
	if \
	:: has[me] == t && sess[me] == s \
	:: else -> \
		if \
		:: last[me] != t -> next[me] = q \
		:: last[me] == t && restarts > 0 && next[me] < q -> next[me] = q \
		:: else \
		fi; \
		has[me] = t; last[me] = t; sess[me] = s; num[me] = n; \
		say(me, DONE) \
	fi

#ifdef BREAK_ORDER
#define nextOne (k != TICK && n > num[me])
#else
#define nextOne (k != TICK && n == num[me] + 1)
#endif
#ifdef BREAK_ANY
#define mine true
#else
#define mine (f & bit(me))
#endif
#ifdef BREAK_TICK
#define tells (k != TICK)
#else
#define tells true
#endif

proctype sink(byte me)
{
	byte k = 0, s = 0, n = 0, f = 0, q = 0, t = 0;
end:
	do
	:: atomic { data[me]?k, s, n, f, q, t ->
			if
			:: sess[me] != s -> /* it does not follow this session */
				if
				:: k == OPEN && mine -> open
				:: k == OVER && (has[me] != 0 || last[me] == t)
				:: else -> ask(me)
				fi
			:: sess[me] == s && (nextOne || (k == OPEN && (f & bit(me)) && n > num[me])) ->
				num[me] = n;
				if
				:: k == OPEN -> open
				:: k != OPEN && has[me] != t -> if :: k == OVER && last[me] == t :: else -> ask(me) fi
				:: k == MESSAGE && has[me] == t ->
					if
					:: q == next[me] -> next[me] = q + 1
					:: q < next[me] /* it has it */
					:: q > next[me] -> assert(silent > 0); next[me] = q + 1
					fi;
					say(me, DONE)
				:: k == OVER && has[me] == t ->
					assert(next[me] == q || silent > 0);
					has[me] = 0;
					say(me, DONE)
				fi
			:: else -> /* a tick, an envelope that has come already, or one after a hole */
				if
				:: n > num[me] && tells -> say(me, HOLE)
				:: n <= num[me] -> say(me, DONE)
				:: else
				fi
			fi;
			k = 0; s = 0; n = 0; f = 0; q = 0; t = 0
		}
	:: atomic { forgets < FORGETS && sess[me] != 0 && has[me] == 0 ->
			forgets++; sess[me] = 0; num[me] = 0; last[me] = 0; next[me] = 0
		}
	od
}

/* The way loses one of what is on it, or all. */
proctype loses()
{
	byte i = 0;
	do
	:: atomic { losses < LOSSES && nempty(data[i]) -> losses++; data[i]?_, _, _, _, _, _ }
	:: atomic { losses < LOSSES && nempty(back[i]) -> losses++; back[i]?_, _, _ }
	:: atomic { losses < LOSSES && (len(data[i]) > 1 || (nempty(data[i]) && nempty(back[i]))) ->
			losses++;
			do :: nempty(data[i]) -> data[i]?_, _, _, _, _, _ :: empty(data[i]) -> break od;
			do :: nempty(back[i]) -> back[i]?_, _, _ :: empty(back[i]) -> break od
		}
#if SINKS > 1
	:: atomic { losses < LOSSES -> i = 1 - i }
#endif
	:: break
	od
}

/* Time passes: sinks say where they are, or ask, and the source tells where it is. */
#define timeOf(i) if :: sess[i] == 0 -> ask(i) :: else -> say(i, DONE) fi
#define pass \
	asked = 0; answered = 0; rested = true; \
	timeOf(0); \
	if :: SINKS > 1 -> timeOf(SINKS - 1) :: else fi; \
	if :: (topic != 0 || owing) && re == 0 -> send(TICK, number, 0, seq, topic) :: else fi

/* When the topic is over, the source tells where it was as long as something is kept. */
#ifdef BREAK_OVER
#define owing false
#else
#define owing (lo < number)
#endif

#define whole(i) (has[i] == topic && next[i] == seq)

proctype time()
{
	byte rounds = 0;
	do
	:: atomic { rounds < EARLY && free -> rounds++; pass }
	:: atomic { rounds = 0; break }
	od;
	do
	:: atomic { timeout && rounds < ROUNDS -> rounds++; pass }
	:: atomic { timeout && rounds == ROUNDS -> break }
	od;
	if
	:: ENDS -> assert(begun == TOPICS && topic == 0 && lo == number)
	:: else -> assert(topic == TOPICS && whole(0) && whole(SINKS - 1))
	fi
}

init
{
	atomic {
		run sink(0);
#if SINKS > 1
		run sink(1);
#endif
		run loses();
		run time()
	}
}
