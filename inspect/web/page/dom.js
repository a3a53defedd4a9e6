// What the other files make and change elements with. Text from shared memory gets into the page
// only as text, never as HTML.

// h makes an element. Attributes that are false or undefined are left out. "on..." are listeners.
export function h(tag, attrs = {}, ...children) {
	return fill(document.createElement(tag), attrs, children);
}

// svg makes an element of a drawing.
export function svg(tag, attrs = {}, ...children) {
	return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attrs, children);
}

function fill(e, attrs, children) {
	for (const [k, v] of Object.entries(attrs)) {
		if (v === false || v === undefined || v === null) continue;
		if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
		else e.setAttribute(k, v === true ? "" : v);
	}
	e.append(...children.flat(Infinity).filter(c => c !== undefined && c !== null && c !== false));
	return e;
}

// set changes the text of an element, if it differs.
export function set(e, text) {
	if (e.textContent !== text) e.textContent = text;
}

// same replaces the children of e if key differs from the last time. So what a user has selected
// or focused there stays as long as nothing changes.
export function same(e, key, make) {
	if (e.shownKey === key) return;
	e.shownKey = key;
	e.replaceChildren(...[make()].flat(Infinity).filter(c => c));
}

// hidden are the characters that cannot be seen: control characters, those that change the
// direction of text, and codes that are no characters.
const hidden = /[\p{C}\p{Zl}\p{Zp}]/gu;

// visible is text with an escape for each character that cannot be seen.
export function visible(text) {
	return String(text).replace(hidden, c => `\\u{${c.codePointAt(0).toString(16)}}`);
}

// name is an element with a name that somebody else has chosen.
export function name(text) {
	return h("bdi", { class: "name" }, visible(text) || "(no name)");
}

// mark is a short word in a frame, such as "stopped".
export function mark(text, sort = "") {
	return h("span", { class: `mark ${sort}` }, text);
}
