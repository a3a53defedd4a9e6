// One object: who uses it, its last minutes, and its newest message or value.

import { h, mark, name, same, set, visible } from "./dom.js";
import { Newest } from "./newest.js";
import { Plots } from "./plots.js";
import * as words from "./words.js";

const sharesEvery = 5000; // milliseconds
const mostShares = 50;

export class Detail {
	constructor(element, close) {
		this.element = element;
		this.title = h("h2");
		this.says = h("div", { class: "says" });
		this.facts = h("dl", { class: "facts" });
		this.newest = new Newest();
		this.plots = new Plots();
		this.members = h("div", { class: "scroll members" });
		this.mapped = h("div", { class: "scroll members" });
		element.append(
			h("div", { class: "head" }, this.title, h("button", { type: "button", title: "Close (Esc)", onclick: close }, "Close")),
			this.says, this.newest.element, this.plots.element, this.members, this.mapped, this.facts);
		this.last = null;
		this.asked = null; // for the processes that have mapped the object: key and time
	}

	hide() {
		this.element.hidden = true;
		this.plots.hide();
		this.newest.hide();
	}

	// arrive is called when the user has opened an object. It stands above the list on a narrow window.
	arrive() {
		this.element.scrollTo(0, 0);
		if (matchMedia("(max-width: 1000px)").matches) scrollTo(0, 0);
	}

	// show shows an object. o is undefined if it is gone.
	show(o, path) {
		this.element.hidden = false;
		this.last = path;
		if (!o) {
			same(this.title, `gone ${path}`, () => name(decodeURIComponent(path.split("/")[2] ?? "")));
			same(this.says, "gone", () => h("p", { class: "alert" }, "There is no object of this kind and name now."));
			for (const e of [this.facts, this.members, this.mapped]) same(e, "gone", () => []);
			this.plots.hide();
			this.newest.hide();
			return;
		}
		const lines = (o.sentences ?? []).filter(s => s.on);
		same(this.title, o.path, () => [name(words.title(o.info)), h("small", {}, o.info.kind)]);
		const notes = (o.findings ?? []).filter(f => words.findings[f]);
		same(this.says, lines.map(l => l.text).join("\n") + notes + o.error, () => [
			...lines.map(l => h("p", { class: `alert ${l.stopped ? "bad" : ""}` }, h("bdi", {}, visible(l.text)), h("span", { class: "for" }))),
			...notes.map(f => h("p", { class: "alert" }, words.findings[f], " ", f === "unreadable" && visible(o.error))),
		]);
		const times = this.says.querySelectorAll(".for");
		lines.forEach((l, i) => set(times[i], words.lasts(l)));
		this.#facts(o);
		this.#members(o);
		this.#shares(o);
		this.newest.show(o);
		this.plots.show(o);
	}

	#facts(o) {
		const i = o.info, s = o.state ?? {}, f = [];
		const add = (label, value) => { if (value !== undefined && value !== null && value !== "") f.push([label, value]); };
		if (o.rate) add("rate", words.rate(o.rate.per_second));
		if (o.rate && i.kind === "topic") add("bandwidth", words.speed(o.rate.bytes_per_second ?? 0));
		if (i.kind === "topic" && s.lanes) {
			add("messages so far", words.number(words.sum(s.lanes.map(l => l.messages))));
			const p = s.options;
			add("kept", p.pack ? `${words.number(p.depth)} packs of up to ${words.size(p.pack)}` : words.count(p.depth, "message"));
			add("largest message", words.size(p.max_size));
			add("slow subscribers", p.evict_after ? `are evicted after ${words.lasting(p.evict_after / 1e6)}` : "make publishers wait");
			for (const r of s.named_readers ?? []) add(`named reader ${r.key}`, `${r.reader ? `process ${r.reader.pid}` : "nobody now"}, goes on with ${(r.next ?? []).map(words.number).join(", ")}`);
			const deaths = words.sum(s.lanes.map(l => l.deaths));
			if (deaths) add("publishers that died", words.number(deaths));
		} else {
			add("state", o.text);
		}
		if (i.kind === "cell") add("largest value", words.size(s.cap));
		if (i.kind === "service") {
			add("calls at a time", `up to ${words.number(s.calls)}`);
			add("largest request", words.size(s.max_request));
			add("largest response", words.size(s.max_response));
		}
		if (s.type) add("type", s.type);
		add("memory", `${words.size(i.allocated)} of ${words.size(i.size)}`);
		add("lifetime", i.lifetime);
		add("owner", i.owner);
		add("rights", i.perm);
		add("created", i.created && words.when(i.created));
		add("file", i.file);
		add("path", i.path);
		add("id", i.id);
		if (s.schema) add("fields", s.schema);
		same(this.facts, JSON.stringify(f), () => f.map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, h("bdi", {}, visible(v))))));
	}

	// shares asks every few seconds which processes have mapped how much of the object.
	async #shares(o) {
		const now = Date.now();
		if (this.asked?.key !== o.key) same(this.mapped, "", () => []);
		else if (now - this.asked.at < sharesEvery) return;
		this.asked = { key: o.key, at: now };
		if (!o.info.id) return;
		try {
			const r = await fetch(`api/shares/${o.info.id}`);
			const all = r.status === 200 ? await r.json() : []; // only Linux tells them
			if (this.asked.key !== o.key) return;
			same(this.mapped, JSON.stringify(all), () => all.length > 0 && h("table", {},
				h("caption", {}, `${words.size(words.sum(all.map(s => s.proportional)))} mapped by ${words.count(all.length, "process", "processes")}, each page counted once`),
				h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Process"), h("th", { scope: "col", class: "number" }, "Mapped"),
					h("th", { scope: "col", class: "number", title: "A page that others have mapped, too, counts in part: half if two processes have it" }, "Its part"))),
				h("tbody", {}, all.slice(0, mostShares).map(s => h("tr", {}, h("th", { scope: "row" }, `${s.pid} `, name(s.name)),
					h("td", { class: "number" }, words.size(s.resident)), h("td", { class: "number" }, words.size(s.proportional)))))));
		} catch {
			// the server is gone; a later look asks again
		}
	}

	#members(o) {
		if (!o.members) { this.members.replaceChildren(); this.members.shownKey = ""; return; }
		const waits = new Map((o.waits ?? []).map(w => [w.member, w]));
		const blockers = new Set((o.waits ?? []).flatMap(w => w.on ?? []));
		const depth = o.state?.options?.depth ?? 0;
		same(this.members, JSON.stringify([o.members, o.waits]), () => h("table", {},
			h("caption", {}, `${words.count(o.members.length, "member")}, of at most ${o.room}`),
			h("thead", {}, h("tr", {}, ["Process", "Role", "Lag", "State", "Since"].map(t => h("th", { scope: "col", class: t === "Lag" ? "number" : "" }, t)))),
			h("tbody", {}, o.members.map((m, i) => h("tr", {},
				h("th", { scope: "row" }, String(m.pid), " ", name(m.name), m.command?.length > 1 && h("small", { class: "command-line", title: visible(m.command.join(" ")) }, h("bdi", {}, visible(m.command.slice(1).join(" "))))),
				h("td", {}, m.role ?? ""),
				h("td", { class: "number" }, m.behind && depth ? h("meter", { min: 0, max: depth, value: Math.max(...m.behind), high: depth * 0.9, low: depth * 0.5, optimum: 0, "aria-hidden": "true" }) : null, " ", words.lag(m)),
				h("td", {}, [
					m.stopped && mark("stopped", "bad"), !m.alive && mark("dead", "bad"), m.evicted && mark("evicted", "bad"),
					blockers.has(i) && mark("others wait for it", "warn"), m.owner && mark("holds it", "good"),
					m.reads && mark(words.count(m.reads, "read lock"), "good"), m.holds && mark(`holds ${words.number(m.holds)}`, "good"), m.calls && mark(`${words.count(m.calls, "call")} in flight`),
					m.connections && mark(words.count(m.connections, "connection")),
					waits.has(i) && mark(`waits for ${words.reason(waits.get(i))}`, waits.get(i).on?.length ? "warn" : ""),
				].filter(x => x).flatMap(x => [x, " "])),
				h("td", {}, words.when(m.joined)))))));
	}
}
