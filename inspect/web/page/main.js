// The page: it takes what the server sends once a second, and shows the view that is chosen.

import { h, name, same, set, visible, mark } from "./dom.js";
import { remember } from "./history.js";
import { Table } from "./table.js";
import { Detail } from "./detail.js";
import { graph } from "./graph.js";
import * as words from "./words.js";

const $ = id => document.getElementById(id);
const views = ["objects", "waits", "locks", "leftovers"];

let state = null;   // what is shown
let paused = false;
let view = "objects", open = null; // what the address says: a view, and the path of an object

const objectHref = path => `#/object/${path}`;

// pathOf is the address of an object in this page.
const pathOf = i => [i.kind, i.scope, encodeURIComponent(i.name)].join("/");

const blocked = o => (o.waits ?? []).filter(w => w.on?.length).length;
const living = o => (o.members ?? []).filter(m => m.alive).length;
const slowest = o => Math.max(0, ...(o.members ?? []).map(m => words.sum(m.behind)));
const text = o => visible(o.text ?? "");
const dash = n => (n ? words.number(n) : "–");

const objects = new Table({
	caption: "Objects", sort: "blocked", key: o => o.path, href: objectHref, empty: "There are no objects.",
	columns: [
		{ id: "name", title: "Name", value: o => words.title(o.info).toLowerCase(), text: o => words.title(o.info) + o.info.kind,
			cell: o => [name(words.title(o.info)), h("small", { class: "kind" }, o.info.kind)] },
		{ id: "kind", title: "Kind", value: o => o.info.kind },
		{ id: "memory", title: "Memory", numeric: true, value: o => o.info.allocated ?? 0, text: o => words.size(o.info.allocated), about: "Bytes that it takes now" },
		{ id: "users", title: "Users", numeric: true, value: living, text: o => (o.members ? living(o) : "–"), about: "Living members" },
		{ id: "rate", title: "Rate", numeric: true, value: o => o.rate?.per_second ?? -1, text: o => words.rate(o.rate?.per_second), about: "Messages or values a second" },
		{ id: "speed", title: "Bandwidth", numeric: true, value: o => o.rate?.bytes_per_second ?? -1, text: o => words.speed(o.rate?.bytes_per_second), about: "Bytes of messages a second" },
		{ id: "lag", title: "Lag", numeric: true, value: slowest, text: o => dash(slowest(o)), about: "How far the slowest reliable subscriber is behind" },
		{ id: "blocked", title: "Blocked", numeric: true, value: blocked, text: o => dash(blocked(o)), about: "Members that wait for others" },
		{ id: "state", title: "State", value: text, text: o => text(o) + (o.findings ?? []),
			cell: o => [h("bdi", {}, text(o)), (o.findings ?? []).filter(f => f !== "unreadable").map(f => [" ", mark(f.replaceAll("-", " "), "warn")])] },
	],
});

const holders = o => o.members?.filter(m => m.owner || m.reads) ?? [];
const waiters = o => (o.waits ?? []).map(w => o.members[w.member]);
const list = members => members.slice(0, 5).map((m, i) => [i > 0 && ", ", `${m.pid} (`, name(m.name), ")", m.stopped && [" ", mark("stopped", "bad")]])
	.concat(members.length > 5 ? [` and ${members.length - 5} more`] : []);
const longest = o => Math.min(...(o.waits ?? []).filter(w => w.since).map(w => new Date(w.since).getTime()), Infinity);

const locks = new Table({
	caption: "Locks, events and semaphores", sort: "waiting", key: o => o.path, href: objectHref,
	empty: "There are no locks, events and semaphores.",
	columns: [
		{ id: "name", title: "Name", value: o => words.title(o.info).toLowerCase(), text: o => words.title(o.info) + o.info.kind,
			cell: o => [name(words.title(o.info)), h("small", { class: "kind" }, o.info.kind)] },
		{ id: "kind", title: "Kind", value: o => o.info.kind },
		{ id: "state", title: "State", value: text, cell: o => [text(o), o.state?.dirty && [" ", mark("dirty", "bad")]] },
		{ id: "holders", title: "Held by", value: o => holders(o).length, text: o => JSON.stringify(holders(o)), numeric: false, cell: o => list(holders(o)) },
		{ id: "waiting", title: "Waiting", numeric: true, value: o => waiters(o).length, text: o => JSON.stringify(waiters(o).map(m => m.pid)), cell: o => list(waiters(o)) },
		{ id: "since", title: "For", numeric: true, about: "How long the first of them has waited, as far as it was seen", value: o => -longest(o),
			text: o => (longest(o) < Infinity ? words.lasting(new Date(state.at) - longest(o)) : "–") },
	],
});

const leftovers = new Table({
	caption: "Leftovers", sort: "memory", key: l => `${pathOf(l)} ${l.id} ${l.path}`, empty: "Dead processes left nothing.",
	columns: [
		{ id: "name", title: "Name", value: l => words.title(l).toLowerCase(), text: words.title, cell: l => name(words.title(l)) },
		{ id: "kind", title: "Kind", value: l => l.kind },
		{ id: "memory", title: "Memory", numeric: true, value: l => l.allocated ?? 0, text: l => words.size(l.allocated) },
		{ id: "reason", title: "Reason", value: l => visible(l.error ?? l.reason) },
		{ id: "made", title: "Made by", numeric: true, value: l => l.made_by ?? 0, text: l => (l.made_by ? `process ${l.made_by}` : "–") },
		{ id: "members", title: "Who used it", value: l => l.members?.length ?? 0, text: l => JSON.stringify(l.members ?? []),
			cell: l => list(l.members ?? []) },
	],
});

// The view of objects, with its filter.
const filter = h("input", { type: "search", placeholder: "filter by name  ( / )", "aria-label": "Filter by name", oninput: () => draw() });
const kind = h("select", { "aria-label": "Kind", onchange: () => draw() }, h("option", { value: "" }, "all kinds"));
$("objects").append(h("div", { class: "controls" }, filter, kind), objects.element);

// The view of waits.
const drawn = h("div", { class: "scroll graph" }), idle = h("div");
$("waits").append(drawn, idle);
$("locks").append(locks.element);

// The view of leftovers.
const copied = h("span", { role: "status" });
const command = h("p", { class: "command" }, h("code", {}, "samepage clean"),
	h("button", { type: "button", onclick: () => navigator.clipboard.writeText("samepage clean").then(() => set(copied, "copied"), () => set(copied, "not copied")) }, "Copy"),
	copied, h("span", {}, "removes these objects. This page changes nothing."));
$("leftovers").append(command, leftovers.element);

const detail = new Detail($("detail"), () => { location.hash = `#/${view}`; });

// draw shows the state in the view that is chosen.
function draw() {
	for (const v of views) {
		$(v).hidden = v !== view;
		const a = document.querySelector(`nav a[href="#/${v}"]`);
		if (v === view) a.setAttribute("aria-current", "page");
		else a.removeAttribute("aria-current");
	}
	document.body.classList.toggle("opened", open !== null);
	if (!state) return;
	const all = state.objects;
	set($("summary"), `${words.count(all.length, "object")}, ${words.size(state.memory.allocated)} of memory` +
		(state.leftovers.length ? `, ${words.size(state.memory.leftover)} of it left by dead processes` : ""));

	const lines = all.flatMap(o => (o.sentences ?? []).filter(s => s.on).map(s => ({ ...s, o })));
	document.title = lines.length ? `(${lines.length}) samepage` : "samepage";
	drawAlerts(lines.filter(s => s.o.path !== open)); // the panel of the open object has its own
	set($("count-objects"), String(all.length));
	set($("count-waits"), String(lines.length));
	const locking = all.filter(o => ["mutex", "rwmutex", "semaphore", "event"].includes(o.info.kind));
	set($("count-locks"), String(locking.length));
	set($("count-leftovers"), String(state.leftovers.length));
	$("count-waits").className = lines.length ? "warn" : "";
	$("count-leftovers").className = state.leftovers.length ? "warn" : "";

	same(kind, [...new Set(all.map(o => o.info.kind))].sort().join(), () => {
		const was = kind.value;
		return [h("option", { value: "" }, "all kinds"), ...[...new Set(all.map(o => o.info.kind))].sort().map(k => h("option", { value: k, selected: k === was }, k))];
	});
	if (view === "objects") {
		const text = filter.value.toLowerCase();
		objects.empty = all.length ? "No object has such a name and kind." : "There are no objects.";
		objects.show(all.filter(o => words.title(o.info).toLowerCase().includes(text) && (!kind.value || o.info.kind === kind.value)));
		objects.choose(open);
	}
	if (view === "waits") {
		graph(drawn, state, pathOf, objectHref);
		drawIdle(all);
	}
	if (view === "locks") {
		locks.show(locking);
		locks.choose(open);
	}
	if (view === "leftovers") {
		command.hidden = state.leftovers.length === 0;
		leftovers.show(state.leftovers);
	}
	if (open === null) detail.hide();
	else detail.show(all.find(o => o.path === open), open);
}

// drawAlerts says who makes whom wait, and who waits in a circle.
function drawAlerts(lines) {
	const most = 5;
	const key = lines.map(s => s.o.path + s.text).join("\n") + state.circles.join("\n");
	same($("alerts"), key, () => [
		...state.circles.map(c => h("p", { class: "alert bad" }, h("strong", {}, "Circle: "), h("bdi", {}, visible(c)))),
		...lines.slice(0, most).map(s => h("p", { class: `alert ${s.stopped ? "bad" : ""}` },
			h("a", { href: objectHref(s.o.path) }, name(words.title(s.o.info))), ": ", h("bdi", {}, visible(s.text)), h("span", { class: "for", "aria-live": "off" }))),
		lines.length > most && h("p", { class: "note" }, h("a", { href: "#/waits" }, `${lines.length - most} more`)),
	]);
	const times = $("alerts").querySelectorAll(".for");
	lines.slice(0, most).forEach((s, i) => set(times[i], words.lasts(s)));
}

// drawIdle tells of the members that wait for something new, which any other member can bring.
function drawIdle(all) {
	const rows = all.flatMap(o => (o.sentences ?? []).filter(s => !s.on).map(s => ({ o, text: s.text })));
	const key = rows.map(r => `${r.o.path} ${r.text}`).join("\n");
	same(idle, key, () => [
		h("h2", {}, "Waits that are normal"),
		h("p", { class: "note" }, rows.length ? "These members wait for something new, which any other member can bring." : "No member waits for something new."),
		h("ul", { class: "idle" }, rows.slice(0, 200).map(r => h("li", {},
			h("a", { href: objectHref(r.o.path) }, name(words.title(r.o.info))), ": ", h("bdi", {}, visible(r.text))))),
		rows.length > 200 && h("p", { class: "note" }, `${rows.length - 200} more are not shown.`),
	]);
}

function take(s) {
	const paths = new Map();
	for (const o of s.objects) {
		o.path = pathOf(o.info);
		// Objects of several users can have one name.
		const n = paths.get(o.path) ?? 0;
		paths.set(o.path, n + 1);
		if (n > 0) o.path += `/${n}`;
		o.key = `${o.path} ${o.info.id}`;
	}
	remember(s);
	if (paused) return;
	state = s;
	draw();
}

// route shows what the address says.
function route() {
	const parts = location.hash.replace(/^#\/?/, "").split("/");
	if (parts[0] === "object") {
		open = parts.slice(1).join("/");
	} else {
		open = null;
		view = views.includes(parts[0]) ? parts[0] : "objects";
	}
	draw();
	if (open !== null) detail.arrive();
	else objects.focus(detail.last);
}
addEventListener("hashchange", route);

// tell shows how the page and the server get along.
function tell(text, sort = "") {
	set($("status"), text);
	$("status").className = sort;
}

let source = null;

function connect() {
	source?.close();
	source = new EventSource("api/events");
	source.addEventListener("state", e => {
		tell(paused ? "paused" : "live", paused ? "warn" : "good");
		take(JSON.parse(e.data));
	});
	source.addEventListener("failed", e => tell(visible(JSON.parse(e.data)), "bad"));
	source.addEventListener("error", () => {
		tell("no connection: trying again", "bad");
		if (source.readyState !== EventSource.CLOSED) return;
		setTimeout(connect, 2000);
		// A server that was started again wants the token again.
		fetch("./", { method: "HEAD" }).then(r => { if (r.status === 401) location.reload(); }, () => {});
	});
}

// A page that nobody sees asks for nothing.
document.addEventListener("visibilitychange", () => {
	if (document.hidden) { source?.close(); source = null; } else connect();
});

function pause() {
	paused = !paused;
	$("pause").setAttribute("aria-pressed", String(paused));
	set($("pause"), paused ? "Go on" : "Pause");
	tell(paused ? "paused" : "live", paused ? "warn" : "good");
	detail.newest.freeze(paused);
}
$("pause").addEventListener("click", pause);
$("help").addEventListener("click", () => $("keys").showModal());

// move goes to the next or the previous object.
function move(step) {
	const table = view === "locks" ? locks : objects, order = table.order ?? [];
	if (!order.length) return;
	const at = table.rows.size && [...document.querySelectorAll(`#${view} tbody tr`)].findIndex(r => r.contains(document.activeElement));
	const from = at >= 0 ? at : order.indexOf(open);
	const to = order[Math.min(Math.max(from + step, 0), order.length - 1)];
	if (open !== null) location.hash = objectHref(to);
	table.focus(to);
}

addEventListener("keydown", e => {
	if (e.ctrlKey || e.altKey || e.metaKey || $("keys").open) return;
	if (e.key === "Escape") {
		if (document.activeElement === filter) { filter.value = ""; filter.blur(); draw(); } else if (open !== null) location.hash = `#/${view}`;
		return;
	}
	if (e.target.matches("input, select, textarea")) return;
	const n = Number(e.key);
	if (n >= 1 && n <= views.length) location.hash = `#/${views[n - 1]}`;
	else if (e.key === "/") { e.preventDefault(); location.hash = "#/objects"; filter.focus(); }
	else if (e.key === "j" || e.key === "ArrowDown") { e.preventDefault(); move(1); }
	else if (e.key === "k" || e.key === "ArrowUp") { e.preventDefault(); move(-1); }
	else if (e.key === "p") pause();
	else if (e.key === "?") $("keys").showModal();
});

route();
connect();
