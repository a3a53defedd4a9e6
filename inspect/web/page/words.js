// The words of the page: numbers with units, and sentences about waits. The sentences are those of
// samepage top.

import { h, name, visible } from "./dom.js";

const space = "\u00a0"; // a number and its unit stay on one line

// three is a number with three significant digits, and all digits before the point.
function three(n) {
	return n >= 99.95 ? Math.round(n).toString() : Number(n.toPrecision(3)).toString();
}

export function size(n) {
	if (n === null || n === undefined) return "?";
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let i = 0;
	while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
	return `${three(n)}${space}${units[i]}`;
}

export function rate(n) {
	if (n === null || n === undefined) return "–";
	if (n >= 1e9) return `${three(n / 1e9)}${space}G/s`;
	if (n >= 1e6) return `${three(n / 1e6)}${space}M/s`;
	return `${three(n)}/s`;
}

// speed is a number of bytes in a second.
export function speed(n) {
	if (n === null || n === undefined) return "–";
	const units = ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"];
	let i = 0;
	while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
	return `${three(n)}${space}${units[i]}`;
}

export function number(n) {
	return n.toLocaleString("en");
}

export function count(n, one, many = one + "s") {
	return `${number(n)} ${n === 1 ? one : many}`;
}

// lasting is a number of milliseconds.
export function lasting(ms) {
	const s = Math.max(0, ms) / 1000;
	if (s < 100) return `${s < 10 ? s.toFixed(1) : Math.round(s)}${space}s`;
	if (s < 6000) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
	if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
	return `${Math.floor(s / 86400)} days`;
}

export function clock(time) {
	return time.toLocaleTimeString("en-GB");
}

export function when(text) {
	if (!text || text.startsWith("0001")) return "?";
	const t = new Date(text), day = t.toDateString() === new Date().toDateString();
	return day ? clock(t) : `${t.toLocaleDateString("sv")} ${clock(t)}`; // 2026-01-31
}

export function sum(all) {
	return (all ?? []).reduce((a, b) => a + b, 0);
}

// lag is how far a subscriber is behind, in words.
export function lag(m) {
	if (!m.behind) return "–";
	const n = sum(m.behind);
	return m.packs ? count(n, "pack") : number(n);
}

// title is the name of an object with its scope.
export function title(info) {
	return (info.scope === "global" ? "Global\\" : "") + info.name;
}

// process names the process of a member.
export function process(m) {
	return [
		`process ${m.pid}`, m.other_pid_namespace && " of another pid namespace", " (", name(m.name), ")",
		m.ended && ", which has ended: a descendant still has its descriptor",
	];
}

// untils say what ends a wait of a member for others.
const untils = {
	lock: "unlocks it", space: "lets go of messages", turn: "has written its value",
	answer: "answers", accept: "accepts the connection",
};

// reasons say what a member waits for.
const reasons = {
	lock: "a lock", event: "an event", unit: "a unit of a semaphore", space: "space", subscriber: "a subscriber",
	message: "a message", turn: "its turn", value: "a value", call: "a call", worker: "a worker", answer: "an answer",
	accept: "to be accepted", data: "data",
};

export function reason(w) {
	return reasons[w.for] ?? visible(w.for);
}

// processes names the processes of members, and only counts them if there are many.
function processes(members) {
	const few = 4, parts = [];
	members.slice(0, few).forEach((m, i) => {
		if (i > 0) parts.push(", ");
		parts.push(...process(m));
		if (m.stopped) parts.push(", ", h("strong", {}, "which is stopped"), ",");
	});
	if (members.length > few) parts.push(` and ${members.length - few} more`);
	return parts;
}

// sentences say who waits for whom at an object. Members that wait for the same members are in one
// sentence. at is the time of the snapshot. key changes if more than the time changes.
export function sentences(o, at) {
	const groups = new Map();
	for (const w of o.waits ?? []) {
		if (!w.on?.length) continue;
		const k = `${w.for} ${w.on}`;
		if (!groups.has(k)) groups.set(k, { wait: w, waiters: [], since: at, exact: true });
		const g = groups.get(k);
		g.waiters.push(o.members[w.member]);
		g.exact &&= w.exact;
		if (w.since && new Date(w.since) < g.since) g.since = new Date(w.since);
	}
	return [...groups.entries()].map(([k, g]) => {
		const on = g.wait.on.map(i => o.members[i]);
		const parts = [
			...processes(g.waiters), g.waiters.length > 1 ? " wait until " : " waits until ", on.length > 1 && "each of ",
			...processes(on), " ", untils[g.wait.for] ?? "goes on",
		];
		const stopped = on.some(m => m.stopped);
		const ids = list => list.map(m => `${m.pid}${m.stopped ? "!" : ""}`).join();
		return { key: `${k} ${ids(g.waiters)} ${ids(on)}`, parts, lasts: g.since < at ? `, for ${g.exact ? "" : "at least "}${lasting(at - g.since)}` : "", stopped };
	});
}

// state tells the state of an object, in a few words.
export function state(o) {
	if (o.error) return `unreadable: ${visible(o.error)}`;
	const s = o.state;
	if (!s) return "";
	const who = m => `process ${m.pid}`;
	switch (o.info.kind) {
	case "topic": {
		const by = s.lanes.filter(l => l.publisher).map(l => who(l.publisher));
		const subs = o.members.filter(m => m.role === "reliable" || m.role === "best-effort").length;
		return `${by.length ? "published by " + by.join(", ") : "no publisher"}, ${count(subs, "subscriber")}`;
	}
	case "cell":
		return s.generation ? `value ${number(s.generation)}` : "no value yet";
	case "service": {
		const workers = o.members.filter(m => m.role === "worker" && m.alive).length;
		return `${count(workers, "worker")}, ${count(s.in_flight, "call")} in flight`;
	}
	case "event":
		return `${s.set ? "set" : "not set"}, ${s.manual ? "manual-reset" : "auto-reset"}`;
	case "semaphore":
		return `${s.units ?? 0} of at most ${s.max ?? 0} units`;
	case "mutex": case "rwmutex": {
		const owner = o.members.find(m => m.owner), reads = sum(o.members.map(m => m.reads ?? 0));
		const held = owner ? `held by ${who(owner)}` : reads ? "locked for reading" : "free";
		return held + (s.dirty ? ", its owner died, and it was not declared consistent" : "");
	}
	}
	return "";
}

// facts about what findings of an object mean.
export const findings = {
	"dead-members": "Members died while they had the object open. The next member that finds one repairs what it held.",
	"dirty": "The owner of the lock died, and nobody has declared the data consistent since.",
	"full": "Living members have all places: nobody else can open the object.",
	"unreadable": "The object cannot be read.",
};
