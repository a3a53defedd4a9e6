// The words of the page: numbers with units. The server makes the sentences about waits, and the
// words for the state of an object.

import { visible } from "./dom.js";

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

// reasons say what a member waits for.
const reasons = {
	lock: "a lock", event: "an event", unit: "a unit of a semaphore", space: "space", subscriber: "a subscriber",
	message: "a message", turn: "its turn", value: "a value", call: "a call", worker: "a worker", answer: "an answer",
	accept: "to be accepted", data: "data",
};

export function reason(w) {
	return reasons[w.for] ?? visible(w.for);
}

// lasts is for how long the members of a sentence wait.
export const lasts = s => (s.lasts ? `, ${s.lasts}` : "");

// facts about what findings of an object mean.
export const findings = {
	"dead-members": "Members died while they had the object open. The next member that finds one repairs what it held.",
	"dirty": "The owner of the lock died, and nobody has declared the data consistent since.",
	"full": "Living members have all places: nobody else can open the object.",
	"unreadable": "The object cannot be read.",
};
