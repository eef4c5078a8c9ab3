// The page: takes what the stream brings, and answers the first questions.
import { openSession, read, Stream } from "./api.js";
import { Cards } from "./cards.js";
import { Charts } from "./charts.js";
import { Letters, openPath, signIn } from "./letters.js";
import { Events, kindOf } from "./stream.js";
import { ago, clock, count, make, moment, pathButton, plain, put, setPath, span } from "./text.js";

const byId = (id) => document.getElementById(id);
const STUCK_S = 60;
const LATE_S = 60;

let status = null;
let latest = null; // what happened last
let isLost = false;
let isDue = false;
let lastHeard = Date.now() / 1000;
let noticeTimer = 0;

const charts = new Charts(byId("chart-list"));
const cards = new Cards(byId("card-list"), byId("parts-note"));
const events = new Events();
const letters = new Letters(say);

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button.path");
  if (button) openPath(button.dataset.path);
});

function say(text) {
  const notice = byId("notice");
  put(notice, text, { most: 400 });
  notice.hidden = !text;
  clearTimeout(noticeTimer);
  if (text) noticeTimer = setTimeout(() => say(""), 15000);
}

function later() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    if (status) draw();
  });
}

function draw() {
  put(byId("name"), status.name || status.program, { most: 80 });
  document.title = `${status.health === "ok" ? "" : "● "}${plain(status.name || status.program, 60)} – limpet`;
  const health = byId("health");
  health.className = `badge ${status.health}`;
  put(health, status.health);
  document.body.classList.toggle("lost", isLost);
  drawRunning();
  drawLast();
  drawProblems();
  charts.draw(status);
  letters.draw(status);
  cards.draw(status);
  put(byId("foot"), `limpet ${status.limpet} · ${status.program} · process ${status.pid} on ${status.host}${status.state_dir ? ` · ${status.state_dir}` : ""}`, { most: 400 });
}

function answer(id, lead, more, tone) {
  const [first, second] = byId(id).querySelectorAll("p");
  first.className = `lead ${tone}`;
  put(first, lead, { most: 200 });
  if (typeof more === "string") put(second, more, { most: 300 });
  else {
    second.shownText = null;
    second.replaceChildren(...more);
  }
}

function drawRunning() {
  const up = status.time - status.started;
  const since = `since ${moment(status.started)} (${span(up)}) · process ${status.pid} on ${status.host}`;
  if (isLost) {
    answer("is-running", "Not reachable", `no answer since ${clock(lastHeard)}; it is tried again`, "bad");
  } else if (status.stalled_s) {
    answer("is-running", "It does not answer", `its event loop is busy or blocked for ${span(status.stalled_s)}; what is shown is older`, "bad");
  } else if (status.state === "running") {
    answer("is-running", "Running", since, status.health === "failing" ? "warn" : "good");
  } else {
    answer("is-running", status.state[0].toUpperCase() + status.state.slice(1), since, "warn");
  }
}

let lastShown = null;

function drawLast() {
  const then = latest ? Math.max(latest.time, status.last_event ?? 0) : status.last_event;
  const lead = then ? ago(then, status.time) : "Nothing yet";
  const box = byId("did-last");
  put(box.querySelector(".lead"), lead[0].toUpperCase() + lead.slice(1));
  if (latest && latest !== lastShown) {
    lastShown = latest;
    const more = box.querySelector(".more");
    let button = more.querySelector("button");
    const kind = latest.type && latest.what === "event" ? kindOf(latest.type) : latest.what;
    const words = [`${kind} `];
    if (latest.path) {
      button = button ? setPath(button, latest.path, 90) : pathButton(latest.path, 90);
      words.push(button);
    } else words.push(put(make("bdi"), latest.text ?? "", { most: 120 }));
    if (latest.by) words.push(" · ", put(make("bdi"), latest.by, { most: 60 }));
    more.replaceChildren(...words);
  }
}

function problems() {
  // What is wrong, worst first: what the program says, and what its figures say.
  const found = [];
  const said = new Set();
  const add = (bad, where, why, target = "") => {
    if (said.has(`${where}${why}`)) return;
    said.add(`${where}${why}`);
    found.push({ bad, where, why, target });
  };
  for (const one of status.problems) add(one.is_failure, one.where, one.reason);
  const dead = status.dead_letters?.waiting ?? 0;
  if (dead) {
    const newest = status.dead_letters.newest[0];
    const why = newest ? `; newest: ${plain(newest.about, 90)}: ${newest.error.split("\n")[0]}` : "";
    add(true, `${count(dead)} dead ${dead === 1 ? "letter" : "letters"}`, `given up after all tries${why}`, "#letters");
  }
  for (const one of status.watches) if (one.failure) add(true, one.name, one.failure);
  for (const one of status.follows) {
    if (one.failure) add(true, one.name, one.failure);
    else if (one.lag_s > LATE_S) add(false, one.name, `is ${span(one.lag_s)} behind`);
  }
  for (const one of status.behaviours) {
    const waits = one.oldest_s > STUCK_S ? `${count(one.queue_depth + one.active)} wait, the oldest for ${span(one.oldest_s)}` : "";
    if (one.failure) add(true, one.name, waits ? `${one.failure}; ${waits}` : one.failure);
    else if (waits) add(false, one.name, waits);
  }
  for (const one of status.inboxes) {
    const waits = count(one.waiting + one.retrying + one.active);
    const parts = [];
    if (one.oldest_s > STUCK_S) parts.push(`${waits} not done, the oldest for ${span(one.oldest_s)}`);
    if (one.failed) parts.push(`${count(one.failed)} failed since the start, with a note why beside each`);
    if (parts.length) add(false, one.place, parts.join("; "));
  }
  if (status.hub && status.hub.state !== "connected") add(true, "hub", `${status.hub.state}${status.hub.trouble ? `: ${status.hub.trouble}` : ""}`);
  if (status.spool?.blocked.length) add(false, "spool", `is full; these wait for room: ${status.spool.blocked.join(", ")}`);
  for (const one of status.agents) {
    if (one.state !== "running") add(one.state !== "stopped", one.host, one.trouble || `the agent is ${one.state}`);
  }
  return found.sort((one, other) => other.bad - one.bad);
}

function drawProblems() {
  const found = problems();
  const list = byId("problem-list");
  byId("problems").hidden = !found.length;
  while (list.childElementCount > Math.min(found.length, 50)) list.lastChild.remove();
  found.slice(0, 50).forEach((one, place) => {
    let node = list.children[place];
    if (!node) {
      node = make("li");
      node.append(make("span", "badge"), make("bdi", "where"), make("span", "why"));
      list.append(node);
    }
    const [badge, where, why] = node.children;
    badge.className = `badge ${one.bad ? "failing" : "degraded"}`;
    put(badge, one.bad ? "failing" : "degraded");
    put(why, one.why, { most: 400 });
    if (one.target && !where.querySelector("a")) {
      const link = make("a");
      link.href = one.target;
      where.replaceChildren(link);
      where.shownText = null;
    }
    if (one.target) put(where.querySelector("a"), one.where, { most: 160 });
    else put(where, one.where, { most: 160 });
  });
  const worst = found[0];
  if (!found.length) answer("is-stuck", "Nothing", `${count(waiting())} waiting, no dead letters`, "good");
  else {
    const bad = found.filter((one) => one.bad).length;
    const lead = found.length === 1 ? "1 problem" : `${count(found.length)} problems`;
    answer("is-stuck", lead, `${plain(worst.where, 60)}: ${plain(worst.why, 160)}`, bad ? "bad" : "warn");
  }
}

function waiting() {
  const behaviours = status.behaviours.reduce((all, one) => all + one.queue_depth, 0);
  return status.queued + behaviours + status.inboxes.reduce((all, one) => all + one.waiting, 0);
}

function point(one) {
  const sum = (list, key) => list.reduce((all, next) => all + next[key], 0);
  const work = [...one.behaviours, ...one.inboxes];
  return {
    time: one.time, events: one.events, lines: sum(one.follows, "lines"), done: sum(work, "done"),
    failed: sum(work, "failed"),
    written: one.outputs.reduce((all, next) => all + Object.values(next.operations).reduce((a, b) => a + b, 0), 0),
    queued: one.queued + sum(one.behaviours, "queue_depth") + sum(one.inboxes, "waiting"),
    waiting_bytes: sum(one.follows, "lag_bytes") + (one.spool?.waiting_bytes ?? 0),
  };
}

async function loadHistory() {
  try {
    charts.load((await read("/api/v1/history")).points);
    later();
  } catch {
    // the stream says what is wrong
  }
}

function onStatus(next) {
  lastHeard = Date.now() / 1000;
  const link = byId("link");
  if (isLost || link.dataset.state !== "live") {
    isLost = false;
    link.dataset.state = "live";
    put(link, "live");
  }
  if (status && status.instance !== next.instance) {
    const text = `The program was started again at ${clock(next.started)}`;
    say(`${text}.`);
    events.separate(text);
  }
  status = next;
  if (!next.stalled_s) charts.add(point(next));
  later();
}

function onHappenings(batch) {
  events.add(batch);
  latest = batch.items.at(-1) ?? latest;
  later();
}

function onLost(seconds = 0) {
  const link = byId("link");
  isLost = true;
  link.dataset.state = "lost";
  put(link, seconds > 10 ? "no connection; trying again" : "connecting again");
  later();
}

async function takeToken() {
  // A token in the address would stay in the history of the browser.
  const given = /^#token=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
  if (!given) return;
  history.replaceState(null, "", location.pathname);
  try {
    await openSession(given);
  } catch (error) {
    say(`The token was not taken: ${error.message}`);
  }
}

async function start() {
  window.addEventListener("hashchange", takeToken);
  await takeToken();
  try {
    await read("/api/v1/status");
  } catch (error) {
    if (["token", "session"].includes(error.code)) await signIn(error.message);
  }
  new Stream({ status: onStatus, happenings: onHappenings, lost: onLost });
  loadHistory();
}

start();
