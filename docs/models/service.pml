/*
 * This models the calls of docs/protocol/service.md: clients call, workers answer, and both share
 * a pool of call slots. Names such as A2 and T3 are those of that page.
 *
 * Processes: callers, each of which makes CALLS calls one after another; for each client a
 * collector, a goroutine that waits for the end of calls that the client has given up; workers; a
 * reaper of dead workers. Each process may be killed at any step, and so may a reaper. The
 * steps of a call are: claim a slot (Owner), write the request, ask (State), collect (Reply),
 * release (Owner). A worker takes a call (State), runs it, and answers (Reply). Then it is bound to
 * the slot until it changes State back to Free. It may do that at once, or after any time. A
 * caller may find no room, and may give up its call or its wait for room at any time.
 *
 * A client that finds no room adopts slots whose owner is dead or has left: it changes Owner,
 * stores its own slot in Client, and goes on as if it had given up a call of its own. The reaper of
 * a client does nothing to the slots. A client may leave while its collector still waits.
 *
 * Call numbers are modulo NUMBERS, so they wrap. A handler hears from Cancel and from the death of
 * the owner only if it is one of those that would run for ever (HANGS).
 *
 * Options:
 *   BUSY    no worker ever sleeps, as if each one always found another call: it looks at the
 *           hints only
 *   SLEEPY  a worker that is not bound looks at the hints only when it sleeps
 *   RETURN  a bound worker may give a call back to take another one (U2)
 *   LATE    the workers join late
 *   LEAVES  a worker may leave when it sleeps
 *   PARTS   a worker stores a part of its response in Reply before the end
 *   NOTICED a dead worker is always repaired, also if no caller depends on it
 *   KILL    who may be killed: one bit for each member, first the clients
 *
 * Sleeping: a ring is one step. With DEATHS a sleeper may look again by itself if what it waits
 * for has come. A reaper repairs a dead worker at any time, or only when a caller depends on
 * it. waker.pml checks the rest.
 *
 * Checked:
 *   1  A call is executed by one worker. Another one executes it only if the first is dead and the
 *      call is idempotent, and only if no part was produced.
 *   2  No request is written while a worker executes its call. No response is written while a
 *      client reads it.
 *   3  A caller gets the response to its own call.
 *   4  A call ends in one way: answered; ErrPeerDied, if a worker that executed it is dead;
 *      withdrawn, and then nobody executes it. When nothing can happen any more, a caller waits
 *      only for a handler that runs for ever, or while all workers are in such handlers. No
 *      worker sleeps beside an asked call.
 *   5  Then a slot has an owner only if the owner waits as in 4, is dead or has left. Nobody waits
 *      for room if a slot is free or its owner is gone. No slot waits for a dead worker that
 *      was repaired already.
 *   6  A handler that runs for ever ends only if its caller has given up or is gone.
 *
 * Left out: orders that are weaker than amd64's, hostile bytes, the flow of streams, several
 * callers in a client.
 *
 * check: -DCALLS=4 -DNUMBERS=3 -DCANCELS=2 -DHANGS=1
 * check: -DCALLS=3 -DWORKERS=2 -DCANCELS=1
 * check: -DCALLS=2 -DWORKERS=2 -DLATE -DLEAVES
 * check: -DCALLS=2 -DWORKERS=2 -DDEATHS=1
 * check: -DCALLS=2 -DWORKERS=2 -DDEATHS=1 -DBUSY
 * check: -DWORKERS=2 -DDEATHS=1 -DIDEMPOTENT=1 -DCANCELS=1 -DPARTS
 * check: -DWORKERS=2 -DDEATHS=2 -DKILL=6 -DNOTICED
 * check: -DCLIENTS=2 -DDEATHS=1 -DHANGS=1
 * check: -DCLIENTS=2 -DWORKERS=2 -DCANCELS=1
 * check: -DCLIENTS=2 -DWORKERS=2 -DLEAVES
 * check: -DCLIENTS=2 -DSLOTS=2 -DCALLS=2 -DBUSY
 * check: -DCLIENTS=2 -DSLOTS=2 -DDEATHS=1 -DKILL=1
 * check: -DCLIENTS=2 -DSLOTS=2 -DMORE=1 -DRETURN -DCANCELS=1
 * check: -DCLIENTS=3 -DCANCELS=1
 *
 * This one takes longer than all others together.
 * deep: -DCLIENTS=2 -DSLOTS=2 -DWORKERS=2 -DHANGS=1
 *
 * spin must find an error with each "breaks:" line.
 *
 * Asking: a store instead of the compare-and-swap; a number that Reply has already; the Cancel of
 * an old call left in the slot.
 * breaks: -DCALLS=2 -DBREAK_ASK
 * breaks: -DCALLS=3 -DNUMBERS=3 -DCANCELS=2 -DBREAK_NUMBER
 * breaks: -DCALLS=4 -DNUMBERS=3 -DCANCELS=2 -DHANGS=1 -DBREAK_CANCEL
 * Taking: a hint that is cleared after the look; a bound worker that takes another call without
 * unbinding, that clears the hint before it unbinds, that unbinds by a store, or that gives a call
 * back and rings nobody.
 * breaks: -DCALLS=2 -DBUSY -DBREAK_HINT
 * breaks: -DCLIENTS=2 -DSLOTS=2 -DCALLS=2 -DBREAK_BOUND
 * breaks: -DCLIENTS=2 -DSLOTS=2 -DCALLS=2 -DBUSY -DBREAK_HINTFIRST
 * breaks: -DCALLS=2 -DBREAK_UNBIND
 * breaks: -DCLIENTS=2 -DSLOTS=2 -DWORKERS=2 -DMORE=1 -DRETURN -DHANGS=1 -DSLEEPY -DBREAK_RETURN
 * Answering: Reply before the response; Reply without a fence before the look at the sleepers;
 * Client loaded before Reply is stored.
 * breaks: -DBREAK_ANSWER
 * breaks: -DBREAK_FENCE
 * breaks: -DCLIENTS=2 -DCANCELS=1 -DBREAK_CLIENTFIRST
 * Collecting: no second look at Reply when State is Free; a part that counts as the answer; Owner
 * freed before the response is read.
 * breaks: -DBREAK_AGAIN
 * breaks: -DPARTS -DBREAK_FINAL
 * breaks: -DCLIENTS=2 -DBREAK_RELEASE
 * Giving up: a call withdrawn that a worker has taken; a collector that does not withdraw a call
 * that a reaper has asked again.
 * breaks: -DCALLS=2 -DCANCELS=1 -DBREAK_WITHDRAW
 * breaks: -DDEATHS=1 -DKILL=2 -DIDEMPOTENT=1 -DCANCELS=1 -DBREAK_COLLECT
 * Sleeping: rings that are not passed on, by a worker and by a client that waited for room; a
 * worker that leaves, and a client that leaves with calls, without a ring; no death watch.
 * breaks: -DCLIENTS=2 -DSLOTS=2 -DWORKERS=2 -DHANGS=1 -DBREAK_PASS
 * breaks: -DCLIENTS=3 -DCANCELS=1 -DBREAK_PASSROOM
 * breaks: -DLEAVES -DBREAK_LEAVE
 * breaks: -DCLIENTS=2 -DCANCELS=1 -DHANGS=1 -DBREAK_ORPHAN
 * breaks: -DWORKERS=2 -DDEATHS=1 -DKILL=2 -DBREAK_WATCH
 * Death of a worker: a reaper that does not look again when its compare-and-swap fails, that takes
 * each call for begun, or that asks again after a part; Begun stored after the execution has
 * begun; a caller that does not set a lost hint again, with busy workers, and with workers that
 * look at the hints only before they sleep.
 * breaks: -DCALLS=2 -DDEATHS=1 -DKILL=2 -DBREAK_LOOP
 * breaks: -DCALLS=2 -DDEATHS=1 -DKILL=2 -DBREAK_BEGUN
 * breaks: -DWORKERS=2 -DDEATHS=1 -DKILL=6 -DIDEMPOTENT=1 -DPARTS -DBREAK_PARTS
 * breaks: -DWORKERS=2 -DDEATHS=1 -DKILL=6 -DBREAK_BEGUNLATE
 * breaks: -DWORKERS=2 -DDEATHS=1 -DKILL=2 -DBUSY -DBREAK_REHINT
 * breaks: -DWORKERS=2 -DDEATHS=1 -DKILL=2 -DBREAK_REHINT -DBREAK_SCAN
 * Adopting: by a store; without a store to Client.
 * breaks: -DCLIENTS=3 -DDEATHS=1 -DKILL=1 -DBREAK_ADOPT
 * breaks: -DCLIENTS=2 -DCANCELS=1 -DBREAK_CLIENT
 *
 * This change is harmless: spin finds no error. A worker looks only at the hints before it sleeps,
 * because a caller sets a lost hint again.
 * harmless: -DWORKERS=2 -DDEATHS=1 -DKILL=6 -DBREAK_SCAN
 */

#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef CLIENTS
#define CLIENTS 1
#endif
#ifndef CALLS
#define CALLS 1   /* of each client */
#endif
#ifndef MORE
#define MORE 0    /* so many more calls of the first client */
#endif
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef HANGS
#define HANGS 0   /* so many handlers run until their call is cancelled */
#endif
#ifndef IDEMPOTENT
#define IDEMPOTENT 0
#endif
#ifndef KILL
#define KILL 31   /* who may die: a bit for each member, first the clients */
#endif
#ifndef NUMBERS
#define NUMBERS 4   /* call numbers are modulo this */
#endif

#define bit(i) (1 << (i))
#define WORKER(w) (CLIENTS + w)            /* members: first the clients */
#define COLLECTOR(c) (CLIENTS + c)         /* sleepers: calls, collectors, workers */
#define SERVER(w) (2 * CLIENTS + w)
#define NOBODY 0
#define NONE NUMBERS

/* The phases of State. */
#define FREE 0
#define ASKED 1
#define TAKEN 2

/* Words of a call slot. State is phase, by and number. */
byte owner[SLOTS];         /* a client + 1 */
byte phase[SLOTS];
byte by[SLOTS];
byte number[SLOTS];
byte client[SLOTS];        /* the header's Client */
byte cancel[SLOTS];        /* a number, or NONE */
byte reply[SLOTS];         /* the number in Reply */
bool final[SLOTS];         /* the status in Reply: the call is over, not only a part is there */
byte begun[SLOTS];         /* the worker and number that were begun last; 0: none */
byte died[SLOTS];          /* the worker + 1 that the reaper has written */
byte request[SLOTS];       /* the call; 0: it is being written, or its writer died */
byte response[SLOTS];

/* Other words. */
byte hints = 0;            /* Asked, the bitmap */
byte in = 0;               /* Identity: the member is in use */
byte want = 0;             /* Held: the client wants room */
byte sleepers = 0;
byte moved = 0;            /* sleepers that were rung since S1 */

/* Within the process of a client: slots that the collector waits for. */
byte given[CLIENTS];
byte done = 0;             /* clients that have made all their calls */

/* What is true, for the checks. */
byte dead = 0;             /* members */
byte deaths = 0;
byte cancels = 0;
byte hangs = 0;
byte hung = 0;             /* workers whose handler does not end by itself */
byte noticed = 0;          /* dead workers that a member repairs which does not depend on them */
byte running[SLOTS];       /* the worker + 1 that executes the call */
byte reader[SLOTS];        /* the client + 1 that reads the response */
byte fate[CLIENTS * (CALLS + MORE) + 1]; /* of a call: who has executed it (worker + 1), or OVER */
byte quit = 0;             /* calls whose callers have returned before their end, as bits */
#define OVER 15

#define living(m) ((in & bit(m)) && !(dead & bit(m)))
#define workers (((1 << WORKERS) - 1) << CLIENTS)
#define noWorker ((in & workers & ~dead) == 0)
#define ownerGone(k) (owner[k] != NOBODY && !living(owner[k] - 1))
#ifdef BREAK_FINAL
#define answered(k, n) (reply[k] == n)
#else
#define answered(k, n) (reply[k] == n && final[k])
#endif
#define mark(w, n) (w * NUMBERS + n + 1)
#if SLOTS == 1
#define each(c0) (c0(0))
#define some(c0) (c0(0))
#else
#define each(c0) (c0(0) && c0(1))
#define some(c0) (c0(0) || c0(1))
#endif
#ifdef BREAK_SCAN
#define isSeen(k) (hints & bit(k))
#else
#define isSeen(k) (phase[k] == ASKED)
#endif
#define isOwned(k) (owner[k] != NOBODY)
#define isRoom(k) (owner[k] == NOBODY)
#define isEnded(k, n) (answered(k, n) || phase[k] == FREE || (phase[k] == ASKED && noWorker))
#define isNear(k) (owner[k] == NOBODY || ownerGone(k))

/* The death watch. */
#if DEATHS > 0 && !defined(BREAK_WATCH)
#define watched(c) (dead != 0 && (c))
#else
#define watched(c) false
#endif
#if DEATHS > 0
#define mortal(m) unless { atomic { dead & bit(m) -> reset } }
#else
#define mortal(m)
#endif

/* R2 and R3. */
#define ringMember(c) moved = moved | (sleepers & (bit(c) | bit(COLLECTOR(c))))
#define ringAll moved = moved | sleepers
#define awake(i) (moved & bit(i))
#if WORKERS == 1
#define ringWorker moved = moved | (sleepers & bit(SERVER(0)))
#else
#define ringWorker \
	if \
	:: sleepers & bit(SERVER(0)) -> moved = moved | bit(SERVER(0)) \
	:: sleepers & bit(SERVER(1)) -> moved = moved | bit(SERVER(1)) \
	:: else \
	fi
#endif
#if CLIENTS == 1
#define ringRoom moved = moved | (sleepers & want)
#else
#define ringRoom \
	if \
	:: sleepers & want & bit(0) -> moved = moved | bit(0) \
	:: sleepers & want & bit(1) -> moved = moved | bit(1) \
	:: sleepers & want & bit(2) -> moved = moved | bit(2) \
	:: else \
	fi
#endif
#define announce(i) atomic { sleepers = sleepers | bit(i); moved = moved & ~bit(i) } /* S1, S2 */
#define clear(i) sleepers = sleepers & ~bit(i); moved = moved & ~bit(i)

/* Asked(n) -> Free(n). */
#define withdraw(k) \
	phase[k] = FREE; \
	assert(request[k] != 0 && fate[request[k]] != OVER); \
	assert(fate[request[k]] == 0 || (dead & bit(WORKER(fate[request[k]] - 1)))); \
	fate[request[k]] = OVER

proctype caller(byte me)
{
	byte j = 0;        /* calls made */
	byte id = 0;       /* the call */
	byte k = 0, n = 0; /* its slot and number */
#define reset j = 0; id = 0; k = 0; n = 0
	{
		skip;
next:
		atomic {
			if
			:: j == CALLS + (me == 0 -> MORE : 0) -> goto out
			:: else -> j++; id = me * (CALLS + MORE) + j; k = 0; n = 0
			fi
		};
		if
		:: atomic { owner[0] == NOBODY -> owner[0] = me + 1; k = 0; goto ask } /* C1 */
#if SLOTS > 1
		:: atomic { owner[1] == NOBODY -> owner[1] = me + 1; k = 1; goto ask }
#endif
		:: atomic { each(isOwned) -> skip }
		fi;
		want = want | bit(me);
room:
		announce(me);
		k = 0;
look:
		atomic {
			if
			:: k == SLOTS -> k = 0; goto end_crowded
			:: k < SLOTS && owner[k] == NOBODY -> owner[k] = me + 1; goto have
#ifdef BREAK_ADOPT
			:: k < SLOTS && ownerGone(k) -> skip
#else
			:: k < SLOTS && ownerGone(k) -> owner[k] = me + 1 /* O1 */
#endif
			:: else -> k++; goto look
			fi
		};
#ifdef BREAK_ADOPT
		owner[k] = me + 1;
#endif
#ifndef BREAK_CLIENT
		client[k] = me;					/* O2 */
#endif
		atomic {
			if
			:: phase[k] == ASKED -> withdraw(k); goto have
			:: phase[k] == TAKEN && !answered(k, number[k]) ->
				cancel[k] = number[k];
				given[me] = given[me] | bit(k);
				goto room
			:: else -> goto have
			fi
		};
end_crowded:
		if
		:: atomic { awake(me) || watched(some(isNear)) -> goto room }
		:: atomic { cancels < CANCELS -> cancels++; clear(me); want = want & ~bit(me) };
#ifndef BREAK_PASSROOM
			atomic { if :: some(isRoom) -> ringRoom :: else fi };
#endif
			goto next
		fi;
have:
		atomic { clear(me); want = want & ~bit(me) };
#ifndef BREAK_PASSROOM
		atomic { if :: some(isRoom) -> ringRoom :: else fi };
#endif
ask:
		atomic { assert(running[k] == NOBODY && reader[k] == NOBODY); request[k] = 0 }; /* A1 */
		atomic { assert(running[k] == NOBODY); request[k] = id; client[k] = me;
#ifndef BREAK_CANCEL
			cancel[k] = NONE
#endif
		};
#ifdef BREAK_ASK
		if
		:: atomic { phase[k] == TAKEN -> n = (number[k] + 1) % NUMBERS };
			atomic { phase[k] = TAKEN; number[k] = n; goto collect }
		:: phase[k] == FREE
		fi;
#endif
		atomic {
			if
			:: phase[k] == FREE ->
				n = (number[k] + 1) % NUMBERS;
#ifndef BREAK_NUMBER
				if :: n == reply[k] -> n = (n + 1) % NUMBERS :: else fi;
#endif
				phase[k] = ASKED; number[k] = n	/* A2 */
			:: else ->
				assert(phase[k] == TAKEN && answered(k, number[k]));
				n = (number[k] + 1) % NUMBERS; number[k] = n;
				goto collect
			fi
		};
		hints = hints | bit(k);
		atomic { ringWorker };
collect:
		if
		:: atomic { answered(k, n) -> goto got }
		:: skip
		fi;
sleep:
		announce(me);
		atomic { if :: answered(k, n) -> goto got :: else fi };
		atomic {
			if
			:: phase[k] == FREE -> skip		/* E2 */
			:: phase[k] == ASKED && noWorker -> goto retract
			:: else -> goto end_waits
			fi
		};
		atomic {
			if
#ifndef BREAK_AGAIN
			:: answered(k, n) -> goto got
#endif
			:: else ->                                      /* ErrPeerDied */
				assert(fate[id] != 0 && fate[id] != OVER);
				assert(dead & bit(WORKER(fate[id] - 1)) && died[k] == fate[id]);
				fate[id] = OVER;
				goto release
			fi
		};
end_waits:
		if
		:: atomic { awake(me) || watched(isEnded(k, n)) -> goto sleep }
#if DEATHS > 0 && !defined(BREAK_REHINT)
		:: atomic { dead != 0 && phase[k] == ASKED && !(hints & bit(k)) -> hints = hints | bit(k) };
			atomic { ringWorker; goto sleep }
#endif
		:: atomic { cancels < CANCELS -> cancels++ };
			atomic {
				if
				:: phase[k] == ASKED -> withdraw(k); goto release /* W1 */
#ifdef BREAK_WITHDRAW
				:: else -> phase[k] = FREE; goto release
#else
				:: else -> cancel[k] = n; quit = quit | bit(id) /* W2 */
#endif
				fi
			};
			atomic { clear(me); given[me] = given[me] | bit(k); goto next }
		fi;
retract:
		atomic {                                                /* ErrPeerNotStarted */
			if
			:: phase[k] == ASKED -> withdraw(k); goto release
			:: else -> goto sleep
			fi
		};
got:
#ifdef BREAK_RELEASE
		owner[k] = NOBODY;
#endif
		atomic { assert(response[k] == id); reader[k] = me + 1 }; /* E1 */
		atomic { assert(response[k] == id); reader[k] = NOBODY };
release:
		atomic { clear(me); owner[k] = NOBODY };	/* R1 */
		atomic { ringRoom; goto next };
out:
		atomic { done = done | bit(me); reset }
	} mortal(me)
#undef reset
}

/* A goroutine of a client that waits for the end of calls that nobody waits for any more. At the
 * end it may leave them to others. */
#ifdef BREAK_COLLECT
#define isOver(k) (phase[k] == FREE || answered(k, number[k]))
#else
#define isOver(k) (phase[k] != TAKEN || answered(k, number[k]))
#endif

proctype collector(byte me)
{
	byte k = 0;
#define reset k = 0
	{
		skip;
end_given:
		atomic {
			if
			:: given[me] & 1 -> k = 0
#if SLOTS > 1
			:: given[me] & 2 -> k = 1
#endif
			fi
		};
sleep:
		announce(COLLECTOR(me));
		atomic {
			if
#ifdef BREAK_COLLECT
			:: phase[k] == ASKED -> skip
#else
			:: phase[k] == ASKED -> withdraw(k); goto release
#endif
			:: phase[k] == TAKEN && !answered(k, number[k]) -> skip
			:: else -> goto release
			fi
		};
end_collector:
		if
		:: atomic { awake(COLLECTOR(me)) || watched(isOver(k)) -> goto sleep }
#if CLIENTS > 1
		:: atomic { done & bit(me) -> clear(COLLECTOR(me)); in = in & ~bit(me); k = 0 };
#ifdef BREAK_ORPHAN
			goto out
#else
			atomic { moved = moved | (sleepers & want); goto out }
#endif
#endif
		fi;
release:
		atomic { clear(COLLECTOR(me)); given[me] = given[me] & ~bit(k); owner[k] = NOBODY; k = 0 };
		atomic { ringRoom; goto end_given };
out:
		skip
	} mortal(me)
#undef reset
}

proctype worker(byte me)
{
	byte k = 0, n = 0; /* slot and number of its call */
	byte id = 0;
#define reset k = 0; n = 0; id = 0
	{
#ifdef LATE
		in = in | bit(WORKER(me));
		goto sleep;
#else
		skip;
#endif
idle:
#ifdef BUSY
end_idle:
#endif
		if
#ifndef SLEEPY
		:: atomic { hints & 1 -> k = 0 }
#if SLOTS > 1
		:: atomic { hints & 2 -> k = 1 }
#endif
#endif
#ifndef BUSY
		:: goto sleep
#endif
		fi;
#ifndef BREAK_HINT
		hints = hints & ~bit(k);
#endif
take:
		atomic {
			if
			:: phase[k] == ASKED -> phase[k] = TAKEN; by[k] = me; n = number[k]; goto taken /* T3 */
			:: else
			fi
		};
#ifdef BREAK_HINT
		hints = hints & ~bit(k);
#endif
		atomic { k = 0; goto idle };
sleep:
		announce(SERVER(me));
scan:
		atomic {
			if
			:: k == SLOTS -> k = 0; goto end_asleep
			:: k < SLOTS && isSeen(k) -> clear(SERVER(me)) /* T4 */
			:: else -> k++; goto scan
			fi
		};
		hints = hints & ~bit(k);
		atomic {
			if
			:: phase[k] == ASKED -> phase[k] = TAKEN; by[k] = me; n = number[k]
			:: else -> n = NONE
			fi
		};
#ifndef BREAK_PASS
		atomic { if :: hints != 0 -> ringWorker :: else fi };   /* S6 */
#endif
		atomic {
			if
			:: n == NONE -> n = 0; k = 0; goto idle
			:: else -> goto begin
			fi
		};
end_asleep:
		if
		:: atomic { awake(SERVER(me)) || watched(some(isSeen)) -> goto sleep }
#ifdef LEAVES
		:: clear(SERVER(me));
			atomic { if :: hints != 0 -> ringWorker :: else fi };
			in = in & ~bit(WORKER(me));
#ifndef BREAK_LEAVE
			ringAll;
#endif
			goto out
#endif
		fi;
taken:
		skip; /* the end of the step */
begin:
		atomic {
#ifndef BREAK_BEGUNLATE
			begun[k] = mark(me, n);
#endif
			id = request[k];			/* B1 */
			assert(!(reply[k] == n && !final[k]));
			assert(id != 0 && running[k] == NOBODY && reader[k] == NOBODY);
			assert(fate[id] == 0 || (IDEMPOTENT && fate[id] != OVER && (dead & bit(WORKER(fate[id] - 1)))));
			fate[id] = me + 1; running[k] = me + 1
		};
#ifdef BREAK_BEGUNLATE
		begun[k] = mark(me, n);
#endif
#if HANGS > 0
		if
		:: skip
		:: atomic { hangs < HANGS -> hangs++; hung = hung | bit(me) };
end_hung:
			atomic { cancel[k] == n || ownerGone(k) ->
				assert((quit & bit(id)) || ownerGone(k) || !living((id - 1) / (CALLS + MORE)));
				hung = hung & ~bit(me)
			}
		fi;
#endif
		atomic { assert(request[k] == id && reader[k] == NOBODY); response[k] = 0 }; /* P1 */
#ifdef PARTS
		atomic { reply[k] = n; final[k] = false };
#endif
#ifdef BREAK_ANSWER
		goto answer;
#endif
		atomic {
			assert(request[k] == id && reader[k] == NOBODY && running[k] == me + 1);
			response[k] = id; id = 0; running[k] = NOBODY
		};
#ifdef BREAK_ANSWER
answer:
#endif
#ifdef BREAK_FENCE
		atomic { id = sleepers & (bit(client[k]) | bit(COLLECTOR(client[k]))) };
		atomic { reply[k] = n; final[k] = true };
		atomic { moved = moved | (sleepers & id); id = 0 };
#else
#ifdef BREAK_CLIENTFIRST
		id = client[k];
		atomic { reply[k] = n; final[k] = true };
		atomic { ringMember(id); id = 0 };
#else
		atomic { reply[k] = n; final[k] = true };
		ringMember(client[k]);				/* P2 */
#endif
#endif
#ifdef BREAK_ANSWER
		atomic { response[k] = id; id = 0; running[k] = NOBODY };
#endif
		if
		:: atomic { number[k] != n -> n = number[k]; goto begin } /* T1 */
#ifdef BREAK_UNBIND
		:: atomic { number[k] == n -> skip };
			atomic { phase[k] = FREE; number[k] = n; k = 0; n = 0; goto idle }
#else
		:: atomic { number[k] == n -> phase[k] = FREE; k = 0; n = 0; goto idle } /* U1 */
#endif
#ifdef RETURN
		:: atomic { number[k] != n && (hints & bit(1 - k)) -> phase[k] = ASKED }; /* U2 */
			hints = hints | bit(k);
			atomic { k = 1 - k; hints = hints & ~bit(k) };
			atomic {
				if
				:: phase[k] == ASKED -> phase[k] = TAKEN; by[k] = me; n = number[k]
				:: else -> n = NONE
				fi
			};
#ifndef BREAK_RETURN
			atomic { ringWorker };
#endif
			atomic {
				if
				:: n == NONE -> n = 0; k = 0; goto idle
				:: else -> goto begin
				fi
			}
#endif
#ifdef BREAK_BOUND
		:: atomic { hints & 1 -> k = 0; n = 0; goto idle }
		:: atomic { hints & 2 -> k = 0; n = 0; goto idle }
#endif
#ifdef BREAK_HINTFIRST
		:: atomic { k == 0 && (hints & 2) -> hints = hints & ~2 };
			atomic {
				if
				:: number[k] != n -> n = number[k]; goto begin
				:: else -> phase[k] = FREE; n = 0; k = 1; goto take
				fi
			}
#endif
		fi;
#ifdef LEAVES
out:
		skip
#endif
	} mortal(WORKER(me))
#undef reset
}

#if DEATHS > 0
#define needs(k, w) \
	(phase[k] == TAKEN && by[k] == w && !answered(k, number[k]) && owner[k] != NOBODY && !ownerGone(k))
#if SLOTS == 1
#define needed(w) needs(0, w)
#else
#define needed(w) (needs(0, w) || needs(1, w))
#endif
#define isDead(w) ((dead & in & bit(WORKER(w))) && ((noticed & bit(w)) || needed(w)))

/* A call that has begun goes to another worker. */
#ifdef BREAK_PARTS
#define again (IDEMPOTENT && cancel[k] != n)
#else
#define again (IDEMPOTENT && cancel[k] != n && reply[k] != n)
#endif

/* Holds the lock byte of a dead worker. */
proctype reaper()
{
	byte w = 0, k = 0, n = 0;
	byte to = 0;
other:
	atomic { w = 0; k = 0; n = 0; to = 0 };
end_reaper:
	atomic {
		if
		:: isDead(0) -> w = 0
#if WORKERS > 1
		:: isDead(1) -> w = 1
#endif
		fi
	};
slot:
	atomic {
		if
		:: k == SLOTS -> goto repaired
		:: k < SLOTS && phase[k] == TAKEN && by[k] == w -> n = number[k]
		:: else -> k++; goto slot
		fi
	};
	atomic {
		if
		:: answered(k, n) -> to = FREE			/* D1 */
#ifndef BREAK_BEGUN
		:: !answered(k, n) && begun[k] != mark(w, n) -> to = ASKED /* D2 */
#endif
		:: !answered(k, n) && begun[k] == mark(w, n) && again -> to = ASKED
		:: else -> to = FREE; died[k] = w + 1		/* D3 */
		fi
	};
	atomic {
		if
		:: phase[k] == TAKEN && by[k] == w && number[k] == n -> phase[k] = to
#ifdef BREAK_LOOP
		:: else -> k++; goto slot
#else
		:: else -> goto slot
#endif
		fi
	};
	if
	:: to == ASKED ->
		if
		:: hints = hints | bit(k)
		:: goto other                   /* this reaper died */
		fi;
		if
		:: atomic { ringWorker }
		:: goto other
		fi
	:: else
	fi;
	goto slot;
repaired:
	in = in & ~bit(WORKER(w));
	if
	:: ringAll
	:: skip
	fi;
	goto other
}

/* A kill runs no code of ours. */
proctype killer()
{
	byte m = 0, k = 0;
end_killer:
	do
	:: atomic { deaths < DEATHS ->
			m = 0;
			do
			:: m + 1 < CLIENTS + WORKERS -> m++
			:: break
			od;
			if
			:: (KILL & bit(m)) && living(m) ->
				deaths++; dead = dead | bit(m); k = 0;
				if
				:: m >= CLIENTS ->
					hung = hung & ~bit(m - CLIENTS);
					if
					:: noticed = noticed | bit(m - CLIENTS)
#ifndef NOTICED
					:: skip
#endif
					fi
				:: else
				fi;
				do
				:: k < SLOTS ->
					if :: running[k] == m - CLIENTS + 1 -> running[k] = NOBODY :: else fi;
					if :: reader[k] == m + 1 -> reader[k] = NOBODY :: else fi;
					k++
				:: else -> k = 0; break
				od
			:: else
			fi;
			m = 0
		}
	od
}
#endif

/* When nothing can happen any more. */
#define hanging(w) (living(WORKER(w)) && (hung & bit(w)))
#if WORKERS == 1
#define allHang (hanging(0) || !living(WORKER(0)))
#else
#define allHang ((hanging(0) || !living(WORKER(0))) && (hanging(1) || !living(WORKER(1))))
#endif

active proctype last()
{
	byte k = 0, c = 0;
	timeout;
	do
	:: k == SLOTS -> break
	:: else ->
		/* an asked call has no worker, or all workers are in other calls */
#ifdef BUSY
		assert(phase[k] != ASKED || allHang || ownerGone(k));
#else
		assert(phase[k] != ASKED || allHang);
#endif
		/* nobody is left to repair what a reaper has left */
		assert(phase[k] != TAKEN || (in & bit(WORKER(by[k]))));
		if
		:: owner[k] != NOBODY && !ownerGone(k) ->
			assert((phase[k] == TAKEN && hanging(by[k])) || (phase[k] == ASKED && !noWorker))
		:: else ->
			assert(phase[k] != TAKEN || (dead & bit(WORKER(by[k]))))
		fi;
		k++
	od;
	k = 0;
	do
	:: c == CLIENTS -> break
	:: c < CLIENTS && (!living(c) || (done & bit(c))) -> c++
	:: c < CLIENTS && living(c) && !(done & bit(c)) ->
		if
		:: want & bit(c) -> assert(!(some(isNear)))
#if SLOTS == 1
		:: else -> assert(owner[0] == c + 1)
#else
		:: else -> assert(owner[0] == c + 1 || owner[1] == c + 1)
#endif
		fi;
		c++
	od
}

init
{
	byte k = 0;
	atomic {
#ifdef LATE
		in = (1 << CLIENTS) - 1;
#else
		in = (1 << (CLIENTS + WORKERS)) - 1;
#endif
		do
		:: k < SLOTS -> cancel[k] = NONE; final[k] = true; k++
		:: else -> k = 0; break
		od;
		run worker(0);
#if WORKERS > 1
		run worker(1);
#endif
		run caller(0);
		run collector(0);
#if CLIENTS > 1
		run caller(1);
		run collector(1);
#endif
#if CLIENTS > 2
		run caller(2);
		run collector(2);
#endif
#if DEATHS > 0
		run reaper();
		run killer();
#endif
	}
}
