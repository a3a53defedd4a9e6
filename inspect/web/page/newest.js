// The newest message of a topic or the value of a cell, and a picture if it is a frame.

import { h, same, set, visible } from "./dom.js";
import * as words from "./words.js";

const pause = 300; // milliseconds between two pictures

export class Newest {
	constructor() {
		this.about = h("p", { class: "note" });
		this.picture = h("img", { alt: "the newest frame", hidden: true });
		this.body = h("div");
		this.element = h("section", { class: "newest", hidden: true }, this.title = h("h3"), this.about, this.picture, this.body);
		this.picture.addEventListener("load", () => { this.picture.hidden = false; this.#later(); });
		this.picture.addEventListener("error", () => this.#later());
		this.object = null;
	}

	hide() {
		this.element.hidden = true;
		this.object = null;
		this.frames = false;
	}

	// show is called with each look. It asks for the newest message if there is a new one.
	show(o) {
		const kind = o.info.kind, fresh = this.object?.key !== o.key;
		if ((kind !== "topic" && kind !== "cell") || o.error) { this.hide(); return; }
		this.object = o;
		this.element.hidden = false;
		set(this.title, kind === "cell" ? "Value" : "Newest message");
		if (fresh) {
			this.frames = false;
			this.picture.hidden = true;
			this.picture.removeAttribute("src");
			this.seen = null;
			this.#say("");
		}
		const n = kind === "cell" ? o.state.generation : words.sum(o.state.lanes.map(l => l.messages));
		if (n !== this.seen && !this.asking) this.#ask(o, n);
	}

	#address(what, o, more = {}) {
		return `api/${what}?${new URLSearchParams({ name: o.info.name, scope: o.info.scope, ...more })}`;
	}

	async #ask(o, n) {
		this.asking = true;
		try {
			const r = await fetch(this.#address(o.info.kind === "cell" ? "value/" : "message/", o));
			const text = await r.text();
			if (this.object?.key !== o.key) return;
			if (r.status === 204) this.#say(n ? "It was overwritten while it was copied." : "There is none yet.");
			else if (!r.ok) this.#say(visible(text.trim()));
			else this.#tell(o, JSON.parse(text), exact(text));
			this.seen = n;
		} catch {
			// the server is gone; the next look asks again
		} finally {
			this.asking = false;
		}
	}

	#say(text) {
		set(this.about, text);
		same(this.body, "", () => []);
	}

	#tell(o, m, value) {
		const p = m.picture;
		set(this.about, [`number ${words.number(m.seq)}`, o.state.options?.publishers > 1 && `publisher ${m.publisher}`, m.time && words.when(m.time),
			words.size(m.size), p && `${p.width} x ${p.height}, ${visible(p.format)}`].filter(x => x).join(", "));
		if (p) {
			this.picture.alt = `frame ${m.seq} of ${visible(o.info.name)}`;
			if (!this.frames) {
				this.frames = true;
				this.#next();
			}
			same(this.body, "picture", () => []);
			return;
		}
		this.frames = false;
		this.picture.hidden = true;
		same(this.body, JSON.stringify([value, m.text, m.hex, m.error]), () => [
			m.error && h("p", { class: "alert" }, visible(m.error)),
			m.value !== undefined && h("pre", { tabindex: 0 }, readable(JSON.stringify(value, null, 2))),
			m.value === undefined && m.text !== undefined && h("pre", { tabindex: 0 }, readable(m.text)),
			m.size > 0 && h("details", { open: m.value === undefined && m.text === undefined }, h("summary", {}, "Bytes"), h("pre", { tabindex: 0, class: "hex" }, dump(m.hex, m.size))),
		]);
	}

	// next asks for the next picture, when the one before has come.
	#next() {
		const o = this.object;
		if (!this.frames || document.hidden || !o) return;
		// A width of the screen's pixels, in steps, so that the server makes few different ones.
		const want = this.element.clientWidth * devicePixelRatio, width = [320, 640, 960, 1280].find(w => w >= want) ?? 1280;
		this.picture.src = this.#address("frame/", o, { name: `${o.info.name}.jpg`, kind: o.info.kind, width, at: Date.now() });
	}

	#later() {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.#next(), pause);
	}

	// freeze stops the pictures, and lets them go on.
	freeze(frozen) {
		if (frozen) this.frames = false;
		else this.seen = null; // the next look asks anew
	}
}

// readable is text with its lines and tabs, and all else that cannot be seen as escapes.
function readable(text) {
	return text.split(/([\n\t])/).map(part => (part === "\n" || part === "\t" ? part : visible(part))).join("");
}

// exact is the value in the answer, with all digits of large numbers if the browser can keep them.
function exact(text) {
	if (!JSON.rawJSON) return JSON.parse(text).value;
	return JSON.parse(text, (_, v, c) => (typeof v === "number" && c?.source ? JSON.rawJSON(c.source) : v)).value;
}

// dump shows bytes as hexdump -C does.
function dump(hex, size) {
	const bytes = hex.match(/../g)?.map(x => parseInt(x, 16)) ?? [], lines = [];
	for (let i = 0; i < bytes.length; i += 16) {
		const part = bytes.slice(i, i + 16);
		lines.push(i.toString(16).padStart(6, "0") + "  " + part.map(b => b.toString(16).padStart(2, "0")).join(" ").padEnd(48) +
			" " + part.map(b => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join(""));
	}
	if (bytes.length < size) lines.push(`${words.number(size - bytes.length)} more bytes`);
	return lines.join("\n");
}
