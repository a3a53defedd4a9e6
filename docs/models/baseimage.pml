/*
 * Pictures from a base program to an algorithm's, as docs/protocol/baseimage.md tells
 * it: A writes FRAMES of them, one over the other, heeding nobody; B takes what it can,
 * and must not take a torn one.
 *
 * A picture is two words of pixels, which A writes one after the other and B copies
 * one after the other: a copy of two numbers is torn. The header is its length, true
 * or marked, and its sides, which change with the length from frame to frame if SIDES:
 * then every second frame's length is what the other's is when it is marked. A looks
 * at nothing, so it needs no more than its stores in their order; B's look at the
 * length is atomic, and with its other loads in order.
 *
 * A may die at any step (DEATHS). B may be killed at any step, and another one takes
 * its place, which knows nothing of what was (KILLS); its mark stays. Settle comes to
 * its end only when A is idle or dead: that A is not stopped for longer is assumed.
 *
 * Checked:
 *   B1  B returns no torn picture, and no sides of another one;
 *   B2  when A has written its last frame, B returns that one, if B lives and did not
 *       leave in the middle of it;
 *   B3  B comes to an end: it does not wait for an A that has died.
 *
 * check: -DFRAMES=5 -DDEATHS=0 -DKILLS=0
 * check: -DFRAMES=3 -DDEATHS=1 -DKILLS=0
 * check: -DFRAMES=3 -DDEATHS=0 -DKILLS=2
 * check: -DFRAMES=4 -DDEATHS=1 -DKILLS=1
 * check: -DFRAMES=5 -DDEATHS=0 -DKILLS=0 -DSIDES
 * check: -DFRAMES=4 -DDEATHS=1 -DKILLS=1 -DSIDES
 *
 * Each of these must find a torn picture, or a lost one: no mark; the mark after the copy; nothing
 * more after the copy; no look at the event after the mark; in settling the event
 * looked at before the mark; a signal with the mark gone taken for that of an idle A; the
 * end of Settle without a look whether A lives, or seen only after the last look at the
 * mark; no look at the sides after the copy, or at the event after the second one.
 * breaks: -DFRAMES=3 -DDEATHS=0 -DKILLS=0 -DBREAK_MARK
 * breaks: -DFRAMES=3 -DDEATHS=0 -DKILLS=0 -DBREAK_LATE
 * breaks: -DFRAMES=3 -DDEATHS=0 -DKILLS=0 -DBREAK_SETTLE
 * breaks: -DFRAMES=4 -DDEATHS=0 -DKILLS=0 -DBREAK_DRAIN
 * breaks: -DFRAMES=3 -DDEATHS=0 -DKILLS=0 -DBREAK_ORDER
 * breaks: -DFRAMES=3 -DDEATHS=0 -DKILLS=0 -DBREAK_SIGNAL
 * breaks: -DFRAMES=3 -DDEATHS=1 -DKILLS=0 -DBREAK_ALONE
 * breaks: -DFRAMES=4 -DDEATHS=0 -DKILLS=0 -DBREAK_EXPIRY
 * breaks: -DFRAMES=4 -DDEATHS=0 -DKILLS=0 -DSIDES -DBREAK_SIDES
 * breaks: -DFRAMES=4 -DDEATHS=0 -DKILLS=0 -DSIDES -DBREAK_AGAIN
 */

#ifndef FRAMES
#define FRAMES 3
#define DEATHS 0
#define KILLS 0
#endif

/* Lengths: 2 is a picture's, 1 that when it is marked. With SIDES even frames have the
 * length 1, which is 0 when it is marked. */
byte length = 0;
byte side = 0;
byte p0 = 0, p1 = 0;
bool event = false;

bool midway = false; /* A is between the beginning of a frame and its signal */
bool idle = false;   /* A has written all */
bool dead = false;
bool busy = false;   /* B is in the middle of something */
byte taken = 0;      /* the frame that B returned last */
byte kills = 0;
bool left = false;   /* a B was killed with a signal that it had consumed */

#ifdef SIDES
#define sideOf(k) (1 + (k) % 2)
#else
#define sideOf(k) 2
#endif
#define lengthOf(k) sideOf(k)

#if DEATHS > 0
#define mayDie if :: true :: dead = true; goto over fi
#else
#define mayDie skip
#endif

active proctype A()
{
	byte k = 0;
	do
	:: k == FRAMES -> idle = true; break
	:: else ->
		k++;
		atomic { length = lengthOf(k); midway = true };
		mayDie;
		side = sideOf(k);
		mayDie;
		p0 = k;
		mayDie;
		p1 = k;
		mayDie;
		atomic { event = true; midway = false };
		mayDie
	od;
over:
	skip
}

#if KILLS > 0
#define mayBeKilled if :: true :: atomic { kills < KILLS -> kills++; left = left || busy; goto start } fi
#else
#define mayBeKilled skip
#endif

/* S0: the end of Settle, or not yet. It comes when A is not in the middle of the frame
 * that it was in when B marked, or has died there. */
#define expire atomic { if :: !midway || dead || length != l -> expired = true :: true fi }

active proctype B()
{
	byte l, s, c0, c1;
	bool sig, gone, changed, expired, died, again;
start:
	atomic { l = 0; s = 0; c0 = 0; c1 = 0; sig = false; gone = false; changed = false; again = false; expired = false; died = false; busy = false };
wait:
	if
	:: atomic { event -> event = false; busy = true }
	:: atomic { !event && (dead || idle) -> goto done }
	fi;
take:
	mayBeKilled;
	/* the header */
#ifdef BREAK_MARK
	atomic { l = length; s = side };
#else
#ifdef BREAK_LATE
	atomic { l = length; s = side };
#else
	atomic { l = length };
	s = side;
	mayBeKilled;
	/* M: the mark; or one that a reader has left, or this one itself */
	atomic { if
	:: l == s && length == l -> length = l - 1; l = l - 1
	:: l == s && length != l -> goto take        /* A has just begun */
	:: l == s - 1 && length == l -> skip
	:: l == s - 1 && length != l -> goto take
	:: else ->
		/* no header of a picture: A is writing it, or died there */
		if
		:: dead -> goto refused
		:: else -> goto take
		fi
	fi };
#endif
#endif
	mayBeKilled;
#ifndef BREAK_DRAIN
	/* D */
	atomic { if
	:: event -> event = false; goto take
	:: else
	fi };
#endif
	mayBeKilled;
copy:
	c0 = p0;
	c1 = p1;
	mayBeKilled;
#ifdef BREAK_LATE
	atomic { if
	:: length == l -> length = l - 1; l = l - 1
	:: else -> busy = false; goto wait
	fi };
#endif
#ifdef BREAK_MARK
	goto settle;
#endif
	/* C: the mark, then the sides */
	atomic { gone = length != l };
#ifdef BREAK_SIDES
	changed = false;
#else
	atomic { changed = side != s };
#endif
	if
	:: gone || changed -> atomic { busy = false; again = false; goto wait } /* A has begun: its signal comes */
	:: else
	fi;
#ifdef BREAK_SETTLE
	goto whole;
#endif
	if
	:: again ->
		/* E: a signal since S3 is that of another frame */
#ifndef BREAK_AGAIN
		atomic { if
		:: event -> event = false; again = false; goto take
		:: else
		fi };
#endif
		goto whole
	:: else
	fi;
	expired = false;
	died = false;
settle:
	mayBeKilled;
#ifndef BREAK_EXPIRY
	expire;
#endif
#ifdef BREAK_ORDER
	atomic { sig = event; event = false };
	atomic { gone = length != l };
	atomic { changed = side != s };
#else
	/* S1 */
	atomic { gone = length != l };
#ifdef BREAK_SIDES
	changed = false;
#else
	atomic { changed = side != s };
#endif
	/* S2 */
	atomic { sig = event; event = false };
#endif
	if
	:: gone && !sig -> goto whole
	:: !gone && changed && !sig -> atomic { busy = false; goto wait }
	:: sig ->
		/* S3 */
		atomic { gone = length != l };
		atomic { changed = side != s };
#ifdef BREAK_SIGNAL
		if :: gone -> goto whole :: else fi;
#endif
		if
		:: gone || changed -> goto take
		:: else -> again = true; goto copy
		fi
	:: !gone && !changed && !sig ->
#ifdef BREAK_EXPIRY
		expire;
#endif
		/* S5, at any time: who has died is looked at once more, for what it did before */
		atomic { if
		:: died -> goto refused
		:: !died && !expired && dead -> died = true; goto settle
		:: !died && !expired -> goto settle
		:: else
		fi };
		/* S4: whether A lives is looked at last, so it lived when Settle ended */
#ifndef BREAK_ALONE
		atomic { if
		:: dead -> goto refused
		:: else
		fi };
#endif
		goto whole
	fi;
whole:
	atomic {
		assert(c0 == c1);                            /* B1 */
		assert(s == sideOf(c0));
		taken = c0;
		busy = false;
		again = false;
		/* the true length, if the mark stands */
		if :: length == l && side == s -> length = l + 1 :: else fi;
		c0 = 0; c1 = 0; l = 0; s = 0
	};
	goto wait;
refused:
	assert(dead);
	goto over;
done:
	assert(dead || left || taken == FRAMES);             /* B2 */
over:
	skip
}
