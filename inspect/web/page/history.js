// The last minutes of each topic and cell. The page keeps them while it is open.

import { sum } from "./words.js";

// most is the number of looks that are kept: ten minutes.
const most = 600;

const kept = new Map();

// remember adds a look. Objects that are gone are forgotten.
export function remember(state) {
	const at = new Date(state.at).getTime() / 1000, here = new Set();
	for (const o of state.objects) {
		if (!o.rate || o.rate.seconds > 10) continue; // the mean of a long time is no point of the plot
		const k = o.key;
		here.add(k);
		if (!kept.has(k)) kept.set(k, { t: [], rate: [], bytes: [], lags: new Map() });
		const p = kept.get(k);
		p.t.push(at);
		p.rate.push(o.rate.per_second);
		p.bytes.push(o.info.kind === "topic" ? o.rate.bytes_per_second ?? 0 : null);
		for (const m of o.members ?? []) {
			if (!m.behind || !m.alive) continue;
			const id = `${m.pid} ${m.joined}`;
			if (!p.lags.has(id)) p.lags.set(id, { label: `${m.pid} (${m.name})`, data: Array(p.t.length - 1).fill(null) });
			p.lags.get(id).data.push(sum(m.behind));
		}
		for (const [id, l] of p.lags) {
			while (l.data.length < p.t.length) l.data.push(null);
			if (p.t.length > most) l.data.shift();
			if (l.data.every(v => v === null)) p.lags.delete(id);
		}
		if (p.t.length > most) { p.t.shift(); p.rate.shift(); p.bytes.shift(); }
	}
	for (const o of state.objects) here.add(o.key);
	for (const k of kept.keys()) if (!here.has(k)) kept.delete(k);
}

// past is what is remembered of an object.
export function past(key) {
	return kept.get(key) ?? { t: [], rate: [], bytes: [], lags: new Map() };
}
