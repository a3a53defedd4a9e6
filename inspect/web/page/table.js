// A table whose rows are kept from one look to the next, so that focus and selection stay.

import { h, set } from "./dom.js";

// mostRows is the largest number of rows that are shown before the user asks for all.
const mostRows = 500;

// Table shows rows. columns are {id, title, numeric, value, text, cell, about}: value is what it
// is sorted by, text what it shows (default: value), and cell makes an element instead, anew when
// text changes. key tells rows apart, href is where the first column leads to, if there is one.
export class Table {
	constructor({ caption, columns, sort, key, href, empty }) {
		Object.assign(this, { columns, key, href, empty });
		this.sorted = { id: sort, reverse: false };
		this.rows = new Map();
		this.all = false;
		this.heads = columns.map(c => h("th", { scope: "col", class: this.#class(c) },
			h("button", { type: "button", title: c.about ?? `Sort by ${c.title.toLowerCase()}`, onclick: () => this.sortBy(c.id) }, c.title)));
		this.body = h("tbody");
		this.note = h("p", { class: "note", hidden: true });
		this.more = h("button", { type: "button", hidden: true, onclick: () => { this.all = true; this.draw(); } }, "Show all");
		this.element = h("div", { class: "scroll" },
			h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, this.heads)), this.body), this.note, this.more);
		this.data = [];
		this.#mark();
	}

	#class(c) { return `c-${c.id}${c.numeric ? " number" : ""}`; }

	// sortBy sorts by a column, or turns the order around. Numbers begin with the largest.
	sortBy(id) {
		this.sorted = { id, reverse: this.sorted.id === id && !this.sorted.reverse };
		this.#mark();
		this.draw();
	}

	#mark() {
		this.columns.forEach((c, i) => {
			const mine = c.id === this.sorted.id, down = Boolean(c.numeric) !== this.sorted.reverse;
			if (mine) this.heads[i].setAttribute("aria-sort", down ? "descending" : "ascending");
			else this.heads[i].removeAttribute("aria-sort");
		});
	}

	show(data) {
		this.data = data;
		this.draw();
	}

	draw() {
		const c = this.columns.find(c => c.id === this.sorted.id);
		const sign = (c.numeric ? -1 : 1) * (this.sorted.reverse ? -1 : 1);
		const ordered = this.data.map((d, i) => ({ d, i, v: c.value(d) }));
		ordered.sort((a, b) => (a.v < b.v ? -sign : a.v > b.v ? sign : a.i - b.i));
		const shown = this.all ? ordered : ordered.slice(0, mostRows);
		this.order = shown.map(({ d }) => this.key(d));
		const kept = new Set(this.order);
		for (const [k, r] of this.rows) {
			if (!kept.has(k)) { r.tr.remove(); this.rows.delete(k); }
		}
		let at = this.body.firstChild; // where the next row belongs
		shown.forEach(({ d }, i) => {
			const k = this.order[i];
			let r = this.rows.get(k);
			if (!r) this.rows.set(k, r = this.#row(k));
			this.#update(r, d);
			if (r.tr === at) at = at.nextSibling;
			else this.body.insertBefore(r.tr, at);
		});
		const left = ordered.length - shown.length;
		this.more.hidden = left === 0;
		this.note.hidden = left === 0 && ordered.length > 0;
		set(this.note, left > 0 ? `${left} more rows are not shown.` : this.empty);
	}

	#row(k) {
		const tds = this.columns.map((c, i) => {
			const inner = i === 0 && this.href ? h("a", { href: this.href(k) }) : null;
			return { td: h(i === 0 ? "th" : "td", { class: this.#class(c), scope: i === 0 ? "row" : undefined }, inner), inner };
		});
		const tr = h("tr", {}, tds.map(t => t.td));
		if (this.href) tr.addEventListener("click", e => { if (!e.target.closest("a, button") && !getSelection().toString()) location.hash = this.href(k); });
		return { tr, tds };
	}

	#update(r, d) {
		this.columns.forEach((c, i) => {
			const { td, inner } = r.tds[i], to = inner ?? td;
			const text = String((c.text ?? c.value)(d));
			if (to.shownText === text) return;
			to.shownText = text;
			if (c.cell) to.replaceChildren(...[c.cell(d)].flat(Infinity).filter(x => x));
			else to.textContent = text;
		});
	}

	// choose marks the row with a key as the one that is open.
	choose(k) {
		for (const [key, r] of this.rows) {
			if (key === k) r.tr.setAttribute("aria-current", "true");
			else r.tr.removeAttribute("aria-current");
		}
	}

	focus(k) {
		const r = this.rows.get(k);
		r?.tds[0].inner?.focus();
		r?.tr.scrollIntoView({ block: "nearest" });
	}
}
