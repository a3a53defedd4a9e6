/*
 * This models how a topic is retired, and Follow: the sections "Becoming the writer" and "Retiring" of
 * docs/protocol/lane.md. Names and numbers such as O1 and R2 are those of that page.
 *
 * Processes: publishers, each of which becomes the owner of the lane, looks at Retired, publishes up to
 * MSGS messages, ends its stream, and leaves; retirers; a reader, which takes messages, and leaves when it
 * is told that the topic is retired. A publisher or retirer may die at any step (DEATHS in all); a reaper
 * then frees the lane, as laneseg does for whoever waits. Each step is atomic: all words here are stored
 * with a full fence.
 *
 * Checked:
 *   1  Nobody publishes after R2.
 *   2  A reader that is told ErrRetired has taken all messages that were ever published.
 *   3  A topic with a living publisher is not retired.
 *   4  When nothing can happen any more and the topic is retired, the reader has left, so the name is free.
 *
 * check: -DPUBLISHERS=2 -DRETIRERS=1 -DMSGS=2 -DDEATHS=1
 * check: -DPUBLISHERS=2 -DRETIRERS=2 -DMSGS=1 -DDEATHS=2
 *
 * spin must find an error with each "breaks:" line: R2 without the lane; a publisher that does not look at
 * Retired; one that looks before O1; a reader that does not look for a message after it has seen Retired.
 * breaks: -DPUBLISHERS=1 -DRETIRERS=1 -DMSGS=2 -DDEATHS=0 -DBREAK_LANE
 * breaks: -DPUBLISHERS=1 -DRETIRERS=1 -DMSGS=2 -DDEATHS=0 -DBREAK_LOOK
 * breaks: -DPUBLISHERS=1 -DRETIRERS=1 -DMSGS=2 -DDEATHS=0 -DBREAK_EARLY
 * breaks: -DPUBLISHERS=1 -DRETIRERS=1 -DMSGS=2 -DDEATHS=0 -DBREAK_READER
 */

#ifndef PUBLISHERS
#define PUBLISHERS 2
#define RETIRERS 1
#define MSGS 2
#define DEATHS 1
#endif

#define FREE 255

byte owner = FREE;
bool dead[8];
bit retired;
byte published;  /* number of messages */
byte taken;
bool gone;       /* the reader has left */
byte deaths;

/* die: the process may end here, and leaves what it has. */
#define die() if :: deaths < DEATHS -> deaths++; dead[me] = true; goto end :: true fi

proctype publisher(byte me)
{
	byte n;
	bit early;
	early = retired;
	if  /* O1 */
	:: atomic { owner == FREE -> owner = me }
	:: goto end
	fi;
	die();
#ifdef BREAK_LOOK
	skip;
#else
	if
#ifdef BREAK_EARLY
	:: early -> goto leave
	:: !early
#else
	:: retired -> goto leave
	:: !retired
#endif
	fi;
#endif
	do
	:: n < MSGS ->
		atomic { assert(!retired); published++; n++ }  /* P3; invariants 1 and 3 */
		die()
	:: break
	od;
leave:
	owner = FREE;
end:
	skip
}

proctype retirer(byte me)
{
#ifndef BREAK_LANE
	if  /* R1 */
	:: atomic { owner == FREE -> owner = me }
	:: goto end
	fi;
	die();
#endif
	retired = 1;  /* R2 */
	die();
#ifndef BREAK_LANE
	owner = FREE;  /* R3 */
#endif
end:
	skip
}

/* reaper frees the lane of a dead owner. */
active proctype reaper()
{
end:
	do
	:: atomic { owner != FREE && dead[owner] -> owner = FREE }
	od
}

active proctype reader()
{
end:
	do
	:: atomic { taken < published -> taken++ }
#ifdef BREAK_READER
	:: taken == published ->
		if
		:: retired -> break
		:: else
		fi
#else
	:: retired ->
		if  /* it looks for a message once more */
		:: atomic { taken < published -> taken++ }
		:: taken == published -> break
		fi
#endif
	od;
	assert(taken == published);  /* 2 */
	gone = true
}

init {
	byte i;
	atomic {
		for (i : 1 .. PUBLISHERS) { run publisher(i) }
		for (i : 1 .. RETIRERS) { run retirer(PUBLISHERS + i) }
	}
	/* 4: at the end the reader is told. */
	timeout -> assert(!retired || gone)
}
