// Dead letters: the list, their stories, and what can be done with them.
import { act, openSession, read, Refused } from "./api.js";
import { row } from "./stream.js";
import { count, make, moment, pathButton, plain, put } from "./text.js";

const byId = (id) => document.getElementById(id);
const STORY_MS = 2000;

export class Letters {
  constructor(say) {
    this.say = say;
    this.picked = new Set();
    this.rows = new Map();
    this.newest = [];
    byId("retry").addEventListener("click", () => this.retry([...this.picked]));
    byId("discard").addEventListener("click", () => this.discard([...this.picked]));
    byId("pick-all").addEventListener("change", (event) => this.pickAll(event.target.checked));
  }

  draw(status) {
    const dead = status.dead_letters;
    const waiting = dead?.waiting ?? 0;
    byId("letters").hidden = !waiting;
    byId("to-letters").hidden = !waiting;
    put(byId("to-letters"), `Dead letters (${count(waiting)})`);
    put(byId("letters-title"), `Dead letters (${count(waiting)})`);
    this.newest = dead?.newest ?? [];
    const more = waiting > this.newest.length ? ` The newest ${count(this.newest.length)} are shown.` : "";
    put(byId("letters-note"), `Events that were given up. They stay until they are retried or discarded.${more}`);
    const list = byId("letter-list");
    const there = new Set(this.newest.map((one) => one.id));
    for (const [id, node] of this.rows) {
      if (there.has(id)) continue;
      node.remove();
      this.rows.delete(id);
      this.picked.delete(id);
    }
    let place = list.firstChild;
    for (const one of this.newest) {
      let node = this.rows.get(one.id);
      if (node && node === place) {
        place = place.nextSibling;
        continue;
      }
      if (!node) {
        node = this.item(one);
        this.rows.set(one.id, node);
      }
      list.insertBefore(node, place);
    }
    this.update();
  }

  item(one) {
    const node = make("li");
    const box = make("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", `Select ${plain(one.about, 100)}`);
    box.addEventListener("change", () => {
      if (box.checked) this.picked.add(one.id);
      else this.picked.delete(one.id);
      this.update();
    });
    const what = make("div", "what");
    const error = put(make("p", "error"), one.error.split("\n")[0], { most: 240 });
    const meta = make("p", "meta");
    put(meta, `${one.behaviour} · ${one.step} · ${count(one.attempts)} tries · ${moment(Date.parse(one.time) / 1000)}`, { most: 300 });
    what.append(pathButton(one.about), error, meta);
    const button = make("button", "", "Read why");
    button.type = "button";
    button.setAttribute("aria-label", `Read why ${plain(one.about, 100)} failed`);
    button.addEventListener("click", () => this.open(one.id));
    node.append(box, what, button);
    return node;
  }

  update() {
    const some = this.picked.size;
    byId("retry").disabled = byId("discard").disabled = !some;
    put(byId("retry"), some > 1 ? `Retry ${some}` : "Retry");
    put(byId("discard"), some > 1 ? `Discard ${some}…` : "Discard…");
    const all = byId("pick-all");
    all.checked = some > 0 && some === this.newest.length;
    all.indeterminate = some > 0 && some < this.newest.length;
    for (const [id, node] of this.rows) node.querySelector("input").checked = this.picked.has(id);
  }

  pickAll(wanted) {
    this.picked = new Set(wanted ? this.newest.map((one) => one.id) : []);
    this.update();
  }

  async open(id) {
    let letter;
    try {
      letter = await read(`/api/v1/dead-letters/${encodeURIComponent(id)}`);
    } catch (error) {
      this.say(`The dead letter cannot be read: ${error.message}`);
      return;
    }
    const event = unwrapped(letter.event);
    const path = event?.event?.wire?.path ?? event?.event?.path ?? event?.path ?? letter.path ?? this.newest.find((one) => one.id === id)?.about ?? "";
    const body = showStory(`Why ${plain(path || id, 300)} failed`);
    body.append(facts([
      ["Given up", letter.at ? `${moment(Date.parse(letter.at) / 1000)} (${letter.at})` : null],
      ["Behaviour", letter.behaviour?.name ?? letter.behaviour], ["Step", letter.step], ["Tries", letter.attempts],
      ["Error", textOf(letter.error)],
      ["Id", letter.id ?? id],
    ]));
    const actions = make("p", "actions");
    const again = make("button", "", "Retry");
    const away = make("button", "danger", "Discard…");
    for (const button of [again, away]) button.type = "button";
    again.addEventListener("click", async () => (await this.retry([id])) && byId("story").close());
    away.addEventListener("click", async () => (await this.discard([id])) && byId("story").close());
    actions.append(again, away);
    body.append(actions);
    const trace = letter.error?.traceback ?? letter.traceback;
    if (trace) body.append(block("Traceback", trace));
    if (path) body.append(await tale(path));
    const known = new Set(["v", "id", "at", "behaviour", "step", "attempts", "error", "event", "traceback"]);
    const rest = Object.entries(letter).filter(([key]) => !known.has(key));
    if (event) body.append(block("Event", JSON.stringify(event, null, 2)));
    if (rest.length) body.append(block("More", JSON.stringify(Object.fromEntries(rest), null, 2)));
  }

  async retry(ids) {
    const found = await this.try("/api/v1/dead-letters/retry", ids);
    if (!found) return false;
    const parts = Object.entries(found.result ?? {})
      .filter(([, times]) => times)
      .map(([key, times]) => `${count(times)} ${key.replace(/_/g, " ")}`);
    this.say(found.pending ? "Being tried again; this takes a while." : `Tried again: ${parts.join(", ") || "nothing"}.`);
    return true;
  }

  async discard(ids) {
    const some = ids.length === 1 ? "this dead letter" : `${ids.length} dead letters`;
    const sure = await ask(`Discard ${some}?`, "The event will never be processed, and this cannot be undone.", { ok: "Discard", danger: true });
    if (!sure) return false;
    const found = await this.try("/api/v1/dead-letters/discard", ids);
    if (!found) return false;
    this.say(`Discarded: ${count(found.discarded ?? ids.length)}.`);
    return true;
  }

  async try(address, ids) {
    // Ask for the token where it is needed, and then go on.
    for (let why = ""; ; ) {
      try {
        const found = await act(address, { ids });
        this.picked.clear();
        this.update();
        return found;
      } catch (error) {
        if (!(error instanceof Refused)) {
          this.say("The program cannot be reached; nothing was done.");
          return null;
        }
        if (!["token", "session", "csrf"].includes(error.code)) {
          this.say(`Refused: ${error.message}`);
          return null;
        }
        if (!(await signIn(why))) return null;
        why = "";
      }
    }
  }
}

export async function signIn(why = "") {
  // Ask for the token until it is the right one, or the user has enough.
  for (;;) {
    const text = why || "To act, enter the token that the program printed at its start. This browser keeps it until it is closed.";
    const token = await ask("Token", text, { ok: "Continue", field: true });
    if (token === null) return false;
    try {
      await openSession(token);
      return true;
    } catch (error) {
      why = error.message;
    }
  }
}

export function ask(title, text, { ok = "OK", danger = false, field = false } = {}) {
  const dialog = byId("ask");
  put(byId("ask-title"), title);
  put(byId("ask-text"), text);
  byId("ask-field").hidden = !field;
  const [input, button] = [byId("ask-token"), byId("ask-ok")];
  input.value = "";
  button.textContent = ok;
  button.className = danger ? "primary danger" : "primary";
  dialog.returnValue = "cancel";
  dialog.showModal();
  (field ? input : byId("ask-cancel")).focus();
  return new Promise((resolve) => {
    const end = () => {
      const value = input.value.trim();
      input.value = "";
      resolve(dialog.returnValue === "ok" ? (field ? value : true) : field ? null : false);
    };
    dialog.addEventListener("close", end, { once: true });
    // Enter in the field would press the first button, which is Cancel.
    input.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      dialog.close("ok");
    };
  });
}

let timer = 0;

function showStory(title) {
  clearInterval(timer);
  const [dialog, body] = [byId("story"), byId("story-body")];
  put(byId("story-title"), title);
  body.replaceChildren();
  if (!dialog.open) dialog.showModal();
  dialog.addEventListener("close", () => clearInterval(timer), { once: true });
  dialog.scrollTop = 0;
  return body;
}

export async function openPath(path) {
  const body = showStory(`Story of ${plain(path)}`);
  body.append(await tale(path));
}

async function tale(path) {
  // What is known about a path and what is below it, oldest first; goes on while it is open.
  const part = make("section");
  const note = make("p", "note");
  const list = make("ol", "tale");
  part.append(make("h3", "", "What happened to it"), note, list);
  let number = 0;
  const more = async () => {
    let found;
    try {
      found = await read(`/api/v1/happenings?limit=300&after=${number}&path=${encodeURIComponent(path)}`);
    } catch {
      return;
    }
    if (found.number < number) list.replaceChildren(); // the program was started again
    number = found.number;
    for (const one of found.items) list.append(row(one));
    while (list.childElementCount > 600) list.firstChild.remove();
    list.hidden = !list.childElementCount;
    put(note, list.hidden
      ? "Nothing among the last 5,000 things that happened."
      : `Of the last 5,000 things that happened, those about this path and what is below it.${found.left_out ? ` ${count(found.left_out)} older ones are left out.` : ""}`);
  };
  await more();
  clearInterval(timer);
  const own = setInterval(() => (part.isConnected && byId("story").open ? more() : clearInterval(own)), STORY_MS);
  timer = own;
  return part;
}

function facts(rows) {
  const list = make("dl", "facts");
  for (const [name, value] of rows) {
    if (value === null || value === undefined || value === "") continue;
    list.append(make("dt", "", name), put(make("dd"), typeof value === "object" ? JSON.stringify(value) : value, { most: 4000 }));
  }
  return list;
}

function block(title, text) {
  const part = make("section");
  part.append(make("h3", "", title), put(make("pre"), text, { lines: true, most: 60000 }));
  return part;
}

function unwrapped(value) {
  // Records name the kind of each value, {"$": kind, "v": value}, so that it can be read back.
  if (Array.isArray(value)) return value.map(unwrapped);
  if (value === null || typeof value !== "object") return value;
  if ("$" in value && "v" in value) return unwrapped(value.v);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unwrapped(one)]));
}

function textOf(error) {
  if (!error) return "";
  if (typeof error === "string") return error;
  const message = String(error.message ?? "");
  return error.type && !message.startsWith(error.type) ? `${error.type}: ${message}` : message;
}
