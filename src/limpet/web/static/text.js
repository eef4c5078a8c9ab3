// Text from outside, shown as what it is: every name and message on this page goes through here.
// Nothing is ever parsed as HTML.

// What is invisible or turns the direction of what follows, and halves of pairs.
const ODD = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\u115f\u1160\u3164\uffa0]/gu;
const ODD_BUT_LINES = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\u115f\u1160\u3164\uffa0]/gu;
const NAMED = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0" };

export function escaped(one) {
  const code = one.codePointAt(0).toString(16);
  return NAMED[one] ?? (code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`);
}

export function plain(text, most = Infinity) {
  // The text for a title or a label.
  return shortened(String(text), most).replace(ODD, escaped);
}

export function shortened(text, most) {
  if (text.length <= most) return text;
  const end = Math.floor(most * 0.6);
  return `${text.slice(0, most - end - 1)}…${text.slice(text.length - end)}`;
}

export function put(node, text, { most = Infinity, lines = false } = {}) {
  // Show a text in a node; what cannot be seen is made visible.
  text = shortened(String(text ?? ""), most);
  const key = `${lines}${text}`;
  if (node.shownText === key) return node;
  node.shownText = key;
  const odd = lines ? ODD_BUT_LINES : ODD;
  odd.lastIndex = 0;
  if (!odd.test(text)) {
    node.textContent = text;
    return node;
  }
  node.replaceChildren();
  odd.lastIndex = 0; // matchAll begins where test has stopped
  let done = 0;
  for (const found of text.matchAll(odd)) {
    node.append(text.slice(done, found.index));
    const mark = make("span", "odd", escaped(found[0]));
    mark.title = `U+${found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    node.append(mark);
    done = found.index + found[0].length;
  }
  node.append(text.slice(done));
  return node;
}

export function make(kind, name = "", text = "") {
  const node = document.createElement(kind);
  if (name) node.className = name;
  if (text) node.textContent = text;
  return node;
}

export function pathButton(path, most = 180) {
  // A path that tells its story; one listener on the document serves them all.
  const node = make("button", "path");
  node.type = "button";
  return setPath(node, path, most);
}

export function setPath(node, path, most = 180) {
  if (node.dataset.path !== path) {
    node.dataset.path = path;
    put(node, path, { most });
    node.setAttribute("aria-label", `Story of ${plain(path, 200)}`);
  }
  return node;
}

const COUNT = new Intl.NumberFormat("en");
const FEW = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
export const count = (value) => COUNT.format(value);
export const few = (value) => (value >= 100 ? COUNT.format(Math.round(value)) : FEW.format(value));

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  while (value >= 1024 && place < units.length - 1) {
    value /= 1024;
    place += 1;
  }
  return `${value >= 10 ? count(Math.round(value)) : few(value)} ${units[place]}`;
}

export function span(seconds) {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${FEW.format(seconds)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) {
    const minutes = Math.round(seconds / 60);
    return minutes % 60 && minutes < 1440
      ? `${Math.floor(minutes / 60)} h ${minutes % 60} min`
      : `${Math.round(minutes / 60)} h`;
  }
  return `${Math.round(seconds / 86400)} days`;
}

export function ago(then, now) {
  if (then == null) return "never";
  const passed = Math.max(0, now - then);
  return passed < 1 ? "just now" : `${span(Math.floor(passed))} ago`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const clock = (seconds) => CLOCK.format(new Date(seconds * 1000));
export const moment = (seconds) =>
  Math.abs(Date.now() / 1000 - seconds) < 64800 ? clock(seconds) : DAY.format(new Date(seconds * 1000));
