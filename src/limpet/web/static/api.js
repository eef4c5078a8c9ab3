// What the page asks of the server: reading, acting with a token, and the stream.

const CSRF = "limpet-csrf";
const SILENT_MS = 6000;
const REST_MS = 20000;

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export async function read(address) {
  return await result(await fetch(address, { credentials: "same-origin", cache: "no-store" }));
}

export async function act(address, value) {
  return await result(
    await fetch(address, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-Limpet-CSRF": localStorage.getItem(CSRF) ?? "" },
      body: JSON.stringify(value),
    }),
  );
}

export async function openSession(token) {
  localStorage.setItem(CSRF, (await act("/api/v1/session", { token })).csrf);
}

async function result(answer) {
  const value = await answer.json().catch(() => null);
  if (answer.ok) return value;
  const error = value?.error ?? { code: "fault", message: `the server answered ${answer.status}` };
  throw new Refused(answer.status, error.code, error.message);
}

export class Stream {
  // Server-sent events; goes on where it was after every break.
  constructor(on) {
    this.on = on;
    this.last = "";
    this.heard = Date.now();
    this.open();
    setInterval(() => this.check(), 1000);
    document.addEventListener("visibilitychange", () => this.rest());
  }

  rest() {
    // A browser opens few connections to one host, so a tab that nobody sees gives its own back.
    clearTimeout(this.resting);
    if (document.hidden) {
      this.resting = setTimeout(() => {
        this.source.close();
        this.isResting = true;
      }, REST_MS);
    } else if (this.isResting) {
      this.isResting = false;
      this.heard = Date.now();
      this.open();
    }
  }

  open() {
    this.source?.close();
    const after = this.last ? `?after=${encodeURIComponent(this.last)}` : "";
    const source = new EventSource(`/api/v1/stream${after}`);
    this.source = source;
    this.opened = Date.now();
    source.addEventListener("status", (event) => {
      this.heard = Date.now();
      this.on.status(JSON.parse(event.data));
    });
    source.addEventListener("happenings", (event) => {
      this.last = event.lastEventId;
      this.on.happenings(JSON.parse(event.data));
    });
    source.addEventListener("error", () => this.on.lost());
  }

  check() {
    if (this.isResting || document.hidden) return;
    // A browser gives up on some errors, and does not see a peer that is gone without a word.
    const now = Date.now();
    if (now - this.heard > SILENT_MS) this.on.lost((now - this.heard) / 1000);
    const closed = this.source.readyState === EventSource.CLOSED;
    if (now - Math.max(this.heard, this.opened) > (closed ? 1500 : SILENT_MS)) this.open();
  }
}
