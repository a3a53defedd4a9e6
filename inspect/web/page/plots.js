// The plots of one object: its rate, and the lag of each subscriber.

import { h, visible } from "./dom.js";
import { past } from "./history.js";
import * as words from "./words.js";

const least = 60; // seconds that a plot shows at least

const clock = seconds => words.clock(new Date(seconds * 1000));

// em is the size of the text in pixels. It is larger on a very wide window.
const em = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

// whole are the steps of an axis for numbers without fractions.
const whole = Array.from({ length: 16 }, (_, i) => [1, 2, 5].map(n => n * 10 ** i)).flat();

const css = v => getComputedStyle(document.documentElement).getPropertyValue(v).trim();

// minutes is the range of time that a plot shows. For one point uPlot proposes years.
function minutes(plot, min, max) {
	const t = plot.data[0];
	if (t.length < 2) min = max = t[0] ?? 0;
	return [Math.min(min, max - least), max];
}

export class Plots {
	constructor() {
		this.element = h("div", { class: "plots", hidden: true });
		this.plots = [];
		new ResizeObserver(() => this.#resize()).observe(this.element);
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.shape = null; });
	}

	hide() {
		this.plots.forEach(p => p.destroy());
		this.plots = [];
		this.shape = null;
		this.element.hidden = true;
		this.element.replaceChildren();
	}

	#width() { return Math.max(220, this.element.clientWidth); }

	#resize() {
		for (const p of this.plots) {
			if (this.element.clientWidth && p.width !== this.#width()) p.setSize({ width: this.#width(), height: 10 * em() });
		}
	}

	// show shows the last minutes of an object. The plots are made anew if there are other lines.
	show(o) {
		if (!o.rate && past(o.key).t.length === 0) { this.hide(); return; }
		this.element.hidden = false;
		const p = past(o.key), lags = [...p.lags.values()], bytes = p.bytes.some(v => v !== null);
		const shape = JSON.stringify([o.key, bytes, [...p.lags.keys()]]);
		const data = [[p.t, p.rate, ...(bytes ? [p.bytes] : [])]];
		if (lags.length) data.push([p.t, ...lags.map(l => l.data)]);
		if (shape === this.shape) {
			this.plots.forEach((plot, i) => { plot.setData(data[i]); this.#latest(plot); });
			return;
		}
		this.hide();
		this.shape = shape;
		this.element.hidden = false;
		const one = o.info.kind === "cell" ? "values" : "messages";
		const series = [{ label: `${one} a second`, scale: "y", value: (_, v) => words.rate(v) }];
		if (bytes) series.push({ label: "bytes a second", scale: "bytes", value: (_, v) => words.speed(v) });
		this.#plot("Rate", series, data[0], v => words.rate(v));
		if (lags.length) {
			const unit = o.state?.options?.pack ? "packs" : "messages";
			this.#plot(`Lag of each reliable subscriber, in ${unit}`, lags.map(l => ({ label: visible(l.label), scale: "y", value: (_, v) => (v === null ? "–" : words.number(v)) })), data[1], v => words.number(v), whole);
		}
	}

	// latest shows the newest values in the legend, unless the user points at others.
	#latest(plot) {
		const left = plot.cursor.left;
		if (left < 0 || left === undefined || left === null) plot.setLegend({ idx: plot.data[0].length - 1 });
	}

	#plot(title, series, data, tick, incrs) {
		const text = css("--text-2"), grid = css("--line");
		const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: `${0.8 * em()}px system-ui, sans-serif` };
		const figure = h("figure", { role: "group", "aria-label": title }, h("figcaption", {}, title));
		this.element.append(figure);
		this.plots.push(new uPlot({
			width: this.#width(), height: 10 * em(), cursor: { y: false }, legend: { live: true },
			scales: { x: { range: minutes }, y: { range: (_, __, max) => [0, Math.max(1, (max ?? 0) * 1.1)] }, bytes: { range: (_, __, max) => [0, Math.max(1, (max ?? 0) * 1.1)] } },
			axes: [
				{ ...axis, space: 6 * em(), size: 2.2 * em(), values: (_, all) => all.map(clock) },
				{ ...axis, scale: "y", size: 4.2 * em(), incrs, values: (_, all) => all.map(tick) },
				...(series.some(s => s.scale === "bytes") ? [{ ...axis, scale: "bytes", side: 1, size: 5 * em(), grid: { show: false }, values: (_, all) => all.map(words.speed) }] : []),
			],
			series: [{ label: "time", value: (_, v) => (v ? clock(v) : "–") },
				...series.map((s, i) => ({ ...s, stroke: css(`--series-${i % 6 + 1}`), width: 2, points: { show: false } }))],
		}, data, figure));
		this.#latest(this.plots.at(-1));
	}
}
