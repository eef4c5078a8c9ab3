// One card for each part of the program: what it is, whether it works, and its figures.
import { ago, bytes, count, few, make, put, setPath, span } from "./text.js";

const MOST = 200;
const ABSOLUTE = /^(\/|[A-Za-z]:|\\\\)/;

const rate = (value) => `${few(value)}/min`;

export class Cards {
  constructor(list, note) {
    this.list = list;
    this.note = note;
    this.cards = new Map();
  }

  draw(status) {
    const all = describe(status);
    const wanted = worst(all);
    const seen = new Set();
    let before = null;
    for (const one of wanted) {
      let key = `${one.kind} ${one.name}`;
      while (seen.has(key)) key += "'"; // parts may share a name
      seen.add(key);
      let card = this.cards.get(key);
      if (!card) {
        card = begin(one);
        this.cards.set(key, card);
      }
      const place = before ? before.nextSibling : this.list.firstChild;
      if (card.node !== place) this.list.insertBefore(card.node, place);
      before = card.node;
      update(card, one);
    }
    const more = all.length - wanted.length;
    put(this.note, more ? `${count(more)} more, which are fine or no worse, are not shown` : "");
    for (const [key, card] of this.cards) {
      if (seen.has(key)) continue;
      card.node.remove();
      this.cards.delete(key);
    }
  }
}

function worst(all) {
  // In their order; where there are too many, those that need a look.
  if (all.length <= MOST) return all;
  const rank = { failing: 0, degraded: 1, ok: 2 };
  const left = all.toSorted((one, other) => rank[one.health] - rank[other.health]).slice(0, MOST);
  const kept = new Set(left);
  return all.filter((one) => kept.has(one));
}

function begin(one) {
  const node = make("article", "card");
  const head = make("header");
  const title = make("div");
  const name = put(make("h3"), one.name, { most: 120 });
  title.append(make("span", "kind", one.kind), name);
  const badge = make("span", "badge");
  head.append(title, badge);
  const [place, why, list] = [make("p", "place"), make("p", "why"), make("dl")];
  const path = make("button", "path");
  path.type = "button";
  node.append(head, place, why, list);
  return { node, badge, place, path, why, list, rows: new Map() };
}

function update(card, one) {
  const name = `card is-${one.health}`;
  if (card.node.className !== name) {
    card.node.className = name;
    card.badge.className = `badge ${one.health}`;
  }
  put(card.badge, one.state);
  card.place.hidden = !one.place;
  if (one.isPath && ABSOLUTE.test(one.place)) {
    setPath(card.path, one.place, 160);
    if (!card.path.parentNode) card.place.append(card.path);
  } else if (one.place) put(card.place, one.place, { most: 200 });
  card.why.hidden = !one.why;
  put(card.why, one.why ?? "", { most: 400 });
  for (const [label, value] of one.rows) {
    let row = card.rows.get(label);
    if (!row) {
      row = [make("dt", "", label), make("dd")];
      card.rows.set(label, row);
      card.list.append(...row);
    }
    row[0].hidden = row[1].hidden = value === null;
    if (value !== null) put(row[1], value, { most: 300 });
  }
}

const nonzero = (value, show = count) => (value ? show(value) : null);

function describe(status) {
  const now = status.time;
  return [
    ...status.watches.map((one) => watch(one, now)),
    ...status.follows.map((one) => follow(one, now)),
    ...status.inboxes.map((one) => inbox(one, now)),
    ...status.behaviours.map(behaviour),
    ...status.outputs.map((one) => output(one, now)),
    ...(status.hub ? [hub(status.hub)] : []),
    ...(status.spool ? [spool(status.spool)] : []),
    ...status.agents.map((one) => agent(one, now)),
    ...(status.journal && (status.journal.replayed || status.journal.stored || status.journal.lost)
      ? [journal(status.journal)] : []),
  ];
}

function watch(one, now) {
  const bad = Object.entries(one.degraded);
  const absent = !one.backend && !one.failure;
  return {
    kind: "watch", name: one.name, place: one.place, isPath: true,
    health: one.failure ? "failing" : bad.length || absent ? "degraded" : "ok",
    state: one.failure ? "failed" : absent ? "nothing there" : bad.length ? "degraded" : "watching",
    why: one.failure || (bad.length ? `${bad[0][0]}: ${bad[0][1]}${bad.length > 1 ? ` (and ${bad.length - 1} more)` : ""}` : ""),
    rows: [
      ["Last event", ago(one.last_event, now)],
      ["Events", `${count(one.events)} · ${rate(one.events_per_minute)}`],
      ["Entries", count(one.entries)],
      ["Backend", one.backend || "none"],
      ["Folders marked", nonzero(one.marks)],
      ["Folders polled", nonzero(one.polled)],
      ["Held until quiet", nonzero(one.held)],
      ["Full scans again", nonzero(one.rescans)],
    ],
  };
}

function follow(one, now) {
  const late = one.lag_s > 60;
  const lost = one.gaps || one.lost_bytes;
  return {
    kind: "follow", name: one.name, place: one.place, isPath: true,
    health: one.failure ? "failing" : late || lost ? "degraded" : "ok",
    state: one.failure ? "failed" : late ? "behind" : lost ? "has gaps" : "reading",
    why: one.failure,
    rows: [
      ["Last line", ago(one.last_line, now)],
      ["Lines", `${count(one.lines)} · ${rate(one.lines_per_minute)}`],
      ["Unread", `${bytes(one.lag_bytes)}${one.lag_s ? ` · ${span(one.lag_s)}` : ""}`],
      ["Read", bytes(one.bytes_read)],
      ["Files", count(one.files)],
      ["Gaps", one.gaps ? `${count(one.gaps)} · ${bytes(one.gap_bytes)}` : null],
      ["Cut off", one.truncations ? `${count(one.truncations)} · ${bytes(one.lost_bytes)} lost` : null],
    ],
  };
}

function inbox(one, now) {
  return {
    kind: "inbox", name: one.place.split(/[/\\]/).pop() || one.place, place: one.place, isPath: true,
    health: one.failed || one.retrying ? "degraded" : "ok",
    state: one.active ? "working" : one.retrying ? "retrying" : one.waiting ? "waiting" : one.failed ? "some failed" : "empty",
    rows: [
      ["Waiting", count(one.waiting)],
      ["Active", count(one.active)],
      ["Retrying", nonzero(one.retrying)],
      ["Done", one.last_done ? `${count(one.done)} · last ${ago(one.last_done, now)}` : count(one.done)],
      ["Failed", count(one.failed)],
      ["Oldest", one.oldest_s ? span(one.oldest_s) : null],
    ],
  };
}

function behaviour(one) {
  const stuck = one.oldest_s > 60;
  return {
    kind: "behaviour", name: one.name,
    health: one.failure ? "failing" : stuck ? "degraded" : "ok",
    state: one.failure ? "stuck" : stuck ? "slow" : one.active ? "working" : one.queue_depth ? "waiting" : "idle",
    why: one.failure,
    rows: [
      ["Waiting", count(one.queue_depth)],
      ["Active", count(one.active)],
      ["Done", count(one.done)],
      ["Skipped", nonzero(one.skipped)],
      ["Retried", nonzero(one.retried)],
      ["Failed", nonzero(one.failed)],
      ["Oldest", one.oldest_s ? span(one.oldest_s) : null],
      ["Slowest", one.slowest_s ? span(one.slowest_s) : null],
    ],
  };
}

function output(one, now) {
  const sum = Object.values(one.operations).reduce((all, next) => all + next, 0);
  const refusals = Object.entries(one.refusals);
  return {
    kind: "output", name: one.name, place: one.root, isPath: true, health: "ok", state: "writing",
    rows: [
      ["Operations", count(sum)],
      ...Object.entries(one.operations).slice(0, 8).map(([kind, times]) => [kind, count(times)]),
      ["Written", bytes(one.bytes_written)],
      ["Last", ago(one.last_operation, now)],
      ["Refused", refusals.length ? refusals.slice(0, 6).map(([code, times]) => `${code} ${count(times)}`).join(", ") : null],
    ],
  };
}

function hub(one) {
  const up = one.state === "connected";
  return {
    kind: "hub", name: "connection", place: one.url, health: up ? "ok" : "failing", state: one.state, why: one.trouble,
    rows: [
      ["Behind", one.lag ? `${count(one.lag)} events · ${span(one.lag_s)}` : "nothing"],
      ["Clock offset", one.clock_offset_s ? `${(one.clock_offset_s * 1000).toFixed(0)} ms` : null],
    ],
  };
}

function spool(one) {
  return {
    kind: "spool", name: "for the hub", health: one.blocked.length || one.collapsed ? "degraded" : "ok",
    state: one.blocked.length ? "full" : one.waiting ? "waiting" : "empty",
    why: one.blocked.length ? `wait for room: ${one.blocked.join(", ")}` : "",
    rows: [
      ["Waiting", `${count(one.waiting)} · ${bytes(one.waiting_bytes)}`],
      ["Sent", count(one.sent)],
      ["Given up", nonzero(one.collapsed)],
    ],
  };
}

function agent(one, now) {
  const up = one.state === "running";
  return {
    kind: "agent", name: one.host, health: up ? "ok" : one.state === "stopped" ? "degraded" : "failing",
    state: one.state, why: one.trouble,
    rows: [
      ["Last seen", ago(one.last_seen, now)],
      ["Running for", one.since ? span(now - one.since) : null],
      ["Not sent yet", nonzero(one.waiting)],
      ["Commands", one.commands_done || one.commands_refused ? `${count(one.commands_done)} done, ${count(one.commands_refused)} refused` : null],
    ],
  };
}

function journal(one) {
  return {
    kind: "journal", name: "of the last stop", health: one.lost ? "failing" : "ok", state: one.lost ? "lost some" : "kept",
    rows: [
      ["Taken up again", count(one.replayed)],
      ["Stored", nonzero(one.stored)],
      ["Lost", nonzero(one.lost)],
    ],
  };
}
