// The events: a bounded list, newest first, that can be filtered and paused.
import { clock, count, make, pathButton, plain, put } from "./text.js";

const KEPT = 1000;
const ROWS = 150;

export const WHATS = {
  event: "event", done: "done", skipped: "skipped", retry: "retry", failed: "failed",
  refused: "refused", problem: "problem", line: "line",
};

export function row(one) {
  // One thing that happened, as an item of a list.
  const item = make("li");
  const when = make("time", "", clock(one.time));
  when.dateTime = new Date(one.time * 1000).toISOString();
  const what = make("span", `what-is ${WHATS[one.what] ?? ""}`);
  put(what, one.type && one.what === "event" ? kindOf(one.type) : one.what, { most: 40 });
  const about = make("span", "about");
  if (one.source) about.append(pathButton(one.source), " → ");
  if (one.path) about.append(pathButton(one.path));
  if (one.text) about.append(put(make("bdi", "text"), one.text, { most: 300 }));
  if (one.type && one.what === "problem") {
    about.append(" ", put(make("span", "detail"), kindOf(one.type), { most: 60 }));
  }
  if (one.detail) {
    // A message may have several lines; in a name they would be shown as what they are.
    const detail = one.detail.replace(/\s*[\r\n]+\s*/g, " · ");
    about.append(" ", put(make("span", "detail"), detail, { most: 200 }));
  }
  const by = put(make("bdi", "by"), one.by ?? "", { most: 60 });
  if (one.by) by.title = plain(one.by, 300);
  item.append(when, what, about, by);
  return item;
}

export function kindOf(type) {
  // file.created is shown as "created"; what is about a folder says so.
  const words = type.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase().split(/[._ ]/);
  if (words.length > 1 && words[0] === "file") words.shift();
  return words.join(" ");
}

export class Events {
  constructor() {
    this.list = document.getElementById("stream");
    this.note = document.getElementById("events-note");
    this.text = document.getElementById("filter-text");
    this.what = document.getElementById("filter-what");
    this.by = document.getElementById("filter-by");
    this.pause = document.getElementById("pause");
    this.items = [];
    this.rows = new Map();
    this.missed = 0;
    this.waiting = 0;
    this.parts = new Set();
    this.isDue = false;
    for (const [key, name] of Object.entries(WHATS)) this.what.append(new Option(name, key));
    for (const input of [this.text, this.what, this.by]) {
      input.addEventListener("input", () => this.draw(true));
    }
    document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
    this.pause.addEventListener("click", () => this.toggle());
    this.say();
  }

  get isPaused() {
    return this.pause.getAttribute("aria-pressed") === "true";
  }

  get newest() {
    return this.items.at(-1);
  }

  toggle() {
    const paused = !this.isPaused;
    this.pause.setAttribute("aria-pressed", String(paused));
    this.pause.textContent = paused ? "Go on" : "Pause";
    this.waiting = 0;
    if (paused) this.held = this.items.slice();
    this.draw(true);
  }

  add(batch) {
    if (batch.left_out) {
      this.missed += batch.left_out;
      this.push({ gap: `${count(batch.left_out)} more are not shown`, number: `gap${this.missed}` });
    }
    for (const one of batch.items) this.push(one);
    if (this.isPaused) this.waiting += batch.items.length + batch.left_out;
    this.later();
  }

  separate(text) {
    this.push({ gap: text, number: `said${performance.now()}` });
    this.later();
  }

  push(one) {
    this.items.push(one);
    if (this.items.length > KEPT) this.items.splice(0, this.items.length - KEPT);
    if (one.by && !this.parts.has(one.by) && this.parts.size < 200) {
      this.parts.add(one.by);
      this.by.append(new Option(plain(one.by, 60), one.by));
    }
  }

  later() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw(false);
    });
  }

  draw(all) {
    this.say();
    if (this.isPaused && !all) return;
    const wanted = this.wanted();
    const kept = new Set(wanted);
    for (const [one, node] of this.rows) {
      if (kept.has(one)) continue;
      node.remove();
      this.rows.delete(one);
    }
    let place = this.list.firstChild;
    for (const one of wanted) {
      let node = this.rows.get(one);
      if (node && node === place) {
        place = place.nextSibling;
        continue;
      }
      if (!node) {
        node = one.gap ? make("li", "gap", one.gap) : row(one);
        this.rows.set(one, node);
      }
      this.list.insertBefore(node, place);
    }
    this.say(wanted.length);
  }

  wanted() {
    // Newest first.
    const text = this.text.value.toLowerCase();
    const [what, by] = [this.what.value, this.by.value];
    const from = this.isPaused ? this.held : this.items;
    const found = [];
    for (let place = from.length - 1; place >= 0 && found.length < ROWS; place -= 1) {
      const one = from[place];
      if (one.gap) {
        if (!text && !what && !by) found.push(one);
        continue;
      }
      if (what && one.what !== what) continue;
      if (by && one.by !== by) continue;
      if (text && ![one.path, one.source, one.text, one.detail, one.type].some((part) => part?.toLowerCase().includes(text))) continue;
      found.push(one);
    }
    return found;
  }

  say(shown = this.rows.size) {
    const parts = [];
    if (this.isPaused) parts.push(`Paused; ${count(this.waiting)} since then`);
    else if (!this.items.length) parts.push("Nothing has happened yet");
    if (!shown && this.items.length) parts.push("Nothing fits the filter");
    if (this.missed) parts.push(`${count(this.missed)} came too fast to be shown`);
    const text = parts.join(" · ");
    if (this.note.textContent !== text) this.note.textContent = text;
  }
}
