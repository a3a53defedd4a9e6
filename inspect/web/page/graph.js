// Who waits for whom, drawn: a box for each process, and an arrow from who waits to whom it waits
// for, with the object where it waits.

import { h, same, svg, visible } from "./dom.js";
import * as words from "./words.js";

const box = { w: 190, h: 46, gapX: 190, gapY: 22, pad: 12 };
const mostBoxes = 60;
const narrow = 700; // pixels

const cut = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);

// edges finds the processes and who waits for whom. A process is known by its id, but an id of
// another pid namespace says nothing outside of its object.
function edges(state) {
	const nodes = new Map(), arrows = new Map();
	const node = (o, m) => {
		const id = m.other_pid_namespace ? `${o.path} ${m.pid} ${m.joined}` : String(m.pid);
		if (!nodes.has(id)) nodes.set(id, { id, pid: m.pid, name: m.name, stopped: false, foreign: m.other_pid_namespace });
		const n = nodes.get(id);
		n.stopped ||= m.stopped;
		return n;
	};
	for (const o of state.objects) {
		for (const w of o.waits ?? []) {
			for (const i of w.on ?? []) {
				const from = node(o, o.members[w.member]), to = node(o, o.members[i]);
				if (from === to) continue;
				const k = `${from.id}>${to.id}>${o.path}`;
				if (!arrows.has(k)) arrows.set(k, { from, to, o, why: words.reason(w) });
			}
		}
	}
	return { nodes: [...nodes.values()], arrows: [...arrows.values()] };
}

// arrange gives each box its column: one more than those that it waits for, so blockers are on the
// right. Arrows that close a circle do not count.
function arrange(nodes, arrows) {
	const out = new Map(nodes.map(n => [n, []]));
	for (const a of arrows) out.get(a.from).push(a);
	const depth = new Map(), on = new Set();
	const visit = n => {
		if (depth.has(n)) return depth.get(n);
		on.add(n);
		let d = 0;
		for (const a of out.get(n)) {
			if (on.has(a.to)) a.back = true;
			else d = Math.max(d, visit(a.to) + 1);
		}
		on.delete(n);
		depth.set(n, d);
		return d;
	};
	nodes.forEach(visit);
	const last = Math.max(0, ...depth.values()), columns = Array.from({ length: last + 1 }, () => []);
	for (const n of nodes) columns[last - depth.get(n)].push(n);
	columns.forEach((column, c) => {
		if (c > 0) {
			// A box stands where the mean of those that wait for it stands.
			const mean = n => {
				const rows = arrows.filter(a => a.to === n && a.from.row !== undefined).map(a => a.from.row);
				return rows.length ? words.sum(rows) / rows.length : Infinity;
			};
			column.sort((a, b) => mean(a) - mean(b));
		}
		column.forEach((n, r) => { n.column = c; n.row = r; });
	});
	return columns;
}

// route is the way of an arrow, and the place of its label. An arrow that closes a circle goes around
// the boxes.
function route(a, x, y, down, width, height) {
	const forward = a.to.column > a.from.column, midX = n => x(n) + box.w / 2, midY = n => y(n) + box.h / 2;
	let x1, y1, x2, y2, curve;
	if (down) {
		[x1, y1, x2, y2] = forward ? [midX(a.from), y(a.from) + box.h, midX(a.to), y(a.to)] : [x(a.from) + box.w, midY(a.from), x(a.to) + box.w, midY(a.to)];
		const bend = forward ? (y1 + y2) / 2 : width - 10;
		curve = forward ? `${x1} ${bend} ${x2} ${bend}` : `${bend} ${y1} ${bend} ${y2}`;
	} else {
		[x1, y1, x2, y2] = forward ? [x(a.from) + box.w, midY(a.from), x(a.to), midY(a.to)] : [midX(a.from), y(a.from) + box.h, midX(a.to), y(a.to) + box.h];
		const bend = forward ? (x1 + x2) / 2 : height - 10;
		curve = forward ? `${bend} ${y1} ${bend} ${y2}` : `${x1} ${bend} ${x2} ${bend}`;
	}
	const lx = (x1 + x2) / 2, ly = (y1 + y2) / 2;
	return { d: `M${x1} ${y1}C${curve} ${x2} ${y2}`, lx: !forward && down ? lx + 20 : lx, ly: forward ? ly - (down ? -4 : 6) : down ? ly : height - 20 };
}

// graph draws into an element.
export function graph(element, state, pathOf, href) {
	const { nodes, arrows } = edges(state);
	const circle = new Set(state.cycles.flatMap(c => c.map((s, i) => `${s.pid}>${c[(i + 1) % c.length].pid}`)));
	const key = nodes.map(n => `${n.id}${n.stopped}`).join() + arrows.map(a => `${a.from.id}>${a.to.id}>${a.o.path}${a.why}`).join() + [...circle] + (element.clientWidth < narrow);
	same(element, key, () => {
		if (nodes.length === 0) return h("p", { class: "note" }, "Nobody waits for somebody else.");
		const few = nodes.slice(0, mostBoxes), kept = new Set(few);
		const shown = arrows.filter(a => kept.has(a.from) && kept.has(a.to));
		const columns = arrange(few, shown);
		const down = element.clientWidth < narrow; // the columns stand below one another
		const across = Math.max(...columns.map(c => c.length)), along = columns.length, back = shown.some(a => a.back) ? 50 : 0;
		const place = (n, w, gap) => box.pad + n * (w + gap), total = (n, w, gap) => n * (w + gap) - gap + 2 * box.pad;
		const width = down ? total(across, box.w, box.gapY) + back : total(along, box.w, box.gapX);
		const height = down ? total(along, box.h, box.gapY * 3) : total(across, box.h, box.gapY) + back;
		const x = n => (down ? place(n.row, box.w, box.gapY) : place(n.column, box.w, box.gapX));
		const y = n => (down ? place(n.column, box.h, box.gapY * 3) : place(n.row, box.h, box.gapY));
		const labels = new Map();
		const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Who waits for whom. The sentences above say the same." },
			svg("defs", {}, ["", "bad"].map(sort => svg("marker", { id: `head${sort}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto-start-reverse" },
				svg("path", { d: "M0 0L8 4L0 8z", class: `arrowhead ${sort}` })))),
			shown.map(a => {
				const sort = circle.has(`${a.from.pid}>${a.to.pid}`) ? "bad" : "";
				const { d, lx, ly } = route(a, x, y, down, width, height);
				const spot = `${Math.round(lx)} ${Math.round(ly)}`, n = labels.get(spot) ?? 0;
				labels.set(spot, n + 1);
				const object = visible(words.title(a.o.info));
				return svg("g", {}, svg("path", { d, class: `arrow ${sort}`, "marker-end": `url(#head${sort})` }),
					svg("a", { href: href(pathOf(a.o.info)) }, svg("text", { x: lx, y: ly - 14 * n, class: "label" }, cut(object, 24),
						svg("title", {}, `${object}: process ${a.from.pid} waits for ${a.why} of process ${a.to.pid}`))));
			}),
			few.map(n => svg("g", { class: `box ${n.stopped ? "bad" : ""}` },
				svg("rect", { x: x(n), y: y(n), width: box.w, height: box.h, rx: 8 }),
				svg("text", { x: x(n) + 12, y: y(n) + 19, class: "who" }, cut(visible(n.name), 22), svg("title", {}, visible(n.name))),
				svg("text", { x: x(n) + 12, y: y(n) + 36, class: "pid" }, `process ${n.pid}${n.foreign ? " (other namespace)" : ""}${n.stopped ? ", stopped" : ""}`))));
		return [drawing, nodes.length > mostBoxes && h("p", { class: "note" }, `${nodes.length - mostBoxes} more processes are not drawn.`)];
	});
}
