// The rates of the last minutes: small lines, drawn as SVG from the history of the server.
import { bytes, count, few, make } from "./text.js";

const KEPT = 600;
const STEPS = 120; // points of the line; each is the mean of so many seconds
const LEAST_S = 60;
const WIDE = 240;
const HIGH = 46;
const SVG = "http://www.w3.org/2000/svg";

const KINDS = [
  { key: "events", title: "Events", unit: "/s", rate: true },
  { key: "lines", title: "Lines read", unit: "/s", rate: true, has: (s) => s.follows.length },
  { key: "done", title: "Done", unit: "/s", rate: true, has: works },
  { key: "written", title: "Written", unit: "/s", rate: true, has: (s) => s.outputs.length && !works(s) },
  { key: "queued", title: "Waiting", unit: "", has: (s) => works(s) || s.queued },
  { key: "waiting_bytes", title: "Unread, unsent", unit: "", bytes: true, has: (s) => s.follows.length || s.spool },
  { key: "failed", title: "Failed", unit: "/min", rate: true, times: 60, bad: true, has: works },
];

function works(status) {
  return status.behaviours.length || status.inboxes.length;
}

export class Charts {
  constructor(list) {
    this.list = list;
    this.points = [];
    this.drawn = new Map();
  }

  load(points) {
    // Points of the server come before those that came meanwhile.
    const first = this.points[0]?.time ?? Infinity;
    this.points = [...points.filter((one) => one.time < first - 0.5), ...this.points].slice(-KEPT);
  }

  add(point) {
    const last = this.points.at(-1);
    if (last && point.time - last.time < 0.5) return;
    this.points.push(point);
    if (this.points.length > KEPT) this.points.shift();
  }

  draw(status) {
    for (const kind of KINDS) {
      const wanted = !kind.has || kind.has(status);
      let chart = this.drawn.get(kind.key);
      if (wanted && !chart) {
        chart = begin(kind);
        this.drawn.set(kind.key, chart);
        const later = KINDS.slice(KINDS.indexOf(kind) + 1).map((one) => this.drawn.get(one.key)?.node);
        this.list.insertBefore(chart.node, later.find(Boolean) ?? null);
      }
      if (chart) {
        chart.node.hidden = !wanted;
        if (wanted) {
          const [values, last] = [this.values(kind, status.time), this.points.at(-1)];
          const now = kind.rate ? (values.at(-1) ?? values.at(-2) ?? 0) : (last?.[kind.key] ?? 0);
          update(chart, kind, values, now, this.reach(status.time) / 60);
        }
      }
    }
  }

  reach(now) {
    // How far back the charts go: as far as is known, in steps that do not move all the time.
    const known = now - (this.points[0]?.time ?? now);
    return [LEAST_S, 120, 300, KEPT].find((one) => one >= known) ?? KEPT;
  }

  values(kind, now) {
    // One value for each step, oldest first; null where the program did not answer.
    const reach = this.reach(now);
    const each = Math.max(5, reach / STEPS);
    const steps = reach / each;
    const sums = new Array(steps).fill(null);
    const seconds = new Array(steps).fill(0);
    for (let place = kind.rate ? 1 : 0; place < this.points.length; place += 1) {
      const next = this.points[place];
      const one = this.points[place - 1] ?? { time: next.time - 1 };
      const step = steps - 1 - Math.floor((now - next.time) / each);
      const passed = next.time - one.time;
      if (step < 0 || step >= steps || passed > 10) continue;
      const grown = kind.rate ? Math.max(0, next[kind.key] - one[kind.key]) : next[kind.key] * passed;
      sums[step] = (sums[step] ?? 0) + grown;
      seconds[step] += passed;
    }
    return sums.map((sum, step) => (sum === null ? null : (sum / seconds[step]) * (kind.times ?? 1)));
  }
}

function begin(kind) {
  const node = make("div", kind.bad ? "chart bad" : "chart");
  const title = make("h2", "", kind.title);
  const value = make("p", "value");
  const [number, unit, most] = [make("span"), make("small", "", kind.unit), make("small", "most")];
  value.append(number, unit, most);
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  const parts = ["base", "area", "line"].map((name) => {
    const part = document.createElementNS(SVG, "path");
    part.setAttribute("class", name);
    return part;
  });
  parts[0].setAttribute("d", `M0 ${HIGH - 0.5}H${WIDE}`);
  picture.append(...parts);
  const foot = make("p", "span");
  foot.setAttribute("aria-hidden", "true");
  const begun = make("span");
  foot.append(begun, make("span", "", "now"));
  node.append(title, value, picture, foot);
  return { node, number, most, begun, picture, area: parts[1], line: parts[2] };
}

function update(chart, kind, values, now, minutes) {
  const known = values.filter((one) => one !== null);
  const show = kind.bytes ? bytes : kind.rate ? few : (one) => count(Math.round(one));
  const most = Math.max(0, now, ...known);
  set(chart.number, show(now));
  set(chart.most, `most ${show(most)}`);
  set(chart.begun, `${minutes} min ago`);
  chart.picture.setAttribute(
    "aria-label",
    `${kind.title}, last ${minutes} min: now ${show(now)}${kind.unit}, most ${show(most)}${kind.unit}`,
  );
  const top = most || 1;
  let line = "";
  let area = "";
  let begun = null;
  const wide = WIDE / (values.length - 1);
  values.forEach((value, place) => {
    if (value === null) {
      if (begun !== null) area += `L${((place - 1) * wide).toFixed(1)} ${HIGH}Z`;
      begun = null;
      return;
    }
    const x = (place * wide).toFixed(1);
    const y = (HIGH - 1 - (value / top) * (HIGH - 4)).toFixed(1);
    line += `${begun === null ? "M" : "L"}${x} ${y}`;
    area += begun === null ? `M${x} ${HIGH}L${x} ${y}` : `L${x} ${y}`;
    begun ??= place;
  });
  if (begun !== null) area += `L${WIDE} ${HIGH}Z`;
  chart.line.setAttribute("d", line);
  chart.area.setAttribute("d", area);
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
