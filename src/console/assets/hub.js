// The hub holds the token, in its memory only, and the one live stream, and asks the server for all tabs of this browser. It runs
// in a SharedWorker; where there is none, in the page itself.

import { Fleet } from "./nodes.js";

const WAIT_MS_MAX = 15_000;
const ASK_MS_MAX = 60_000;
const INVALID = "The token is not valid, or not any more.";

export class Hub {
  #ports = new Set();
  #token = null;
  #session = { signed_in: false, why: "" };
  #fleet = null;
  #link = { state: "off", since: 0, detail: "" };
  #stream = null;
  #asked = new Map();
  /** The highest position that was seen: of several servers behind one address, another one may not have reached it yet. */
  #reached = 0;

  attach(port) {
    this.#ports.add(port);
    port.onmessage = (message) => this.#take(port, message.data);
    port.postMessage({ type: "session", session: this.#session });
    this.#greet(port);
  }

  #greet(port) {
    port.postMessage({ type: "link", link: this.#link });
    if (this.#fleet) port.postMessage({ type: "fleet", fleet: this.#fleet.snapshot() });
  }

  #take(port, message) {
    if (message.type === "bye") this.#ports.delete(port);
    else if (message.type === "sign_in") this.#signIn(port, message);
    else if (message.type === "sign_out") this.#end("");
    else if (message.type === "ask") this.#answer(port, message);
  }

  #tell(message) {
    for (const port of this.#ports) port.postMessage(message);
  }

  #setSession(session) {
    this.#session = session;
    this.#tell({ type: "session", session });
  }

  // Any page can lead a browser to a link with a token: it takes the place of a good one only if it is good, and the reader agrees.
  async #signIn(port, { token, replace }) {
    const { status, body } = await this.#ask({ path: "/v1/whoami" }, token);
    const { signed_in, name } = this.#session;
    const why = status === 200 ? "" : status === 401 ? INVALID : body.detail;
    if (why && signed_in) port.postMessage({ type: "refused", why });
    else if (why) this.#end(why);
    else if (signed_in && name !== body.name && !replace) port.postMessage({ type: "other", name: body.name, token });
    else {
      this.#stop();
      this.#token = token;
      this.#setSession({ signed_in: true, ...body });
      this.#follow();
    }
  }

  #end(why) {
    this.#token = null;
    this.#stop();
    this.#setSession({ signed_in: false, why });
  }

  #stop() {
    this.#stream?.abort();
    this.#stream = null;
    this.#fleet = null;
    this.#asked.clear();
    this.#reached = 0;
    this.#setLink("off", "");
  }

  #setLink(state, detail) {
    if (this.#link.state === state && this.#link.detail === detail) return;
    this.#link = { state, detail, since: this.#link.state === state ? this.#link.since : Date.now() };
    this.#tell({ type: "link", link: this.#link });
  }

  async #follow() {
    const abort = new AbortController();
    this.#stream = abort;
    for (let failures = 0; this.#stream === abort; ) {
      this.#setLink(failures ? "lost" : "connecting", this.#link.detail);
      const detail = await this.#readTable(abort, () => (failures = 0));
      if (this.#stream !== abort) return;
      failures += 1;
      this.#setLink("lost", detail);
      await new Promise((done) => setTimeout(done, Math.min(WAIT_MS_MAX, 500 * 2 ** failures)));
    }
  }

  /** Says what broke the stream. */
  async #readTable(outer, alive) {
    const abort = new AbortController();
    const stop = () => abort.abort();
    outer.signal.addEventListener("abort", stop, { once: true });
    try {
      const response = await fetch(this.#fresh("/v1/fleet/table"), { headers: this.#headers("text/event-stream"), signal: abort.signal });
      if (response.status === 401) {
        this.#end(INVALID);
        return "";
      }
      if (response.status !== 200) return (await problemOf(response)).detail;
      await readStream(response, (event) => {
        alive();
        this.#takeEvent(event, outer);
      }, abort);
      return "The server ended the stream.";
    } catch (error) {
      return abort.signal.aborted ? "The stream fell silent." : unreachable(error);
    } finally {
      outer.signal.removeEventListener("abort", stop);
    }
  }

  #takeEvent({ event, data }, outer) {
    if (this.#stream !== outer) return;
    if (event === "table") {
      this.#fleet = Fleet.fromTable(JSON.parse(data));
      this.#tell({ type: "fleet", fleet: this.#fleet.snapshot() });
      this.#setLink("live", "");
    } else if (event === "change" && this.#fleet) {
      const change = JSON.parse(data);
      this.#fleet.apply(change);
      this.#tell({ type: "change", change });
    }
    this.#reach(this.#fleet?.position);
  }

  #headers(accept, more = {}, token = this.#token) {
    return { ...more, Accept: accept, Authorization: `Bearer ${token}` };
  }

  #reach(position) {
    this.#reached = Math.max(this.#reached, position || 0);
  }

  // The log itself is asked as it is: a server whose log was cut must be found, and not be waited for.
  #fresh(path) {
    const present = this.#reached && /^\/v1\/(?!log)/.test(path) && !/[?&]at=/.test(path);
    return present ? `${path}${path.includes("?") ? "&" : "?"}min_position=${this.#reached}` : path;
  }

  async #answer(port, message) {
    const { id, ...question } = message;
    if (!question.method) question.path = this.#fresh(question.path);
    // Several tabs that show the same thing ask the server once.
    const key = question.method ? null : `${question.accept ?? ""} ${question.path}`;
    let asked = key && this.#asked.get(key);
    if (!asked) {
      asked = this.#ask(question);
      if (key) {
        this.#asked.set(key, asked);
        asked.then(() => this.#asked.get(key) === asked && this.#asked.delete(key));
      }
    }
    port.postMessage({ type: "answer", id, ...(await asked) });
  }

  /** Status 0 says that there was no answer. */
  async #ask({ path, method = "GET", accept = "application/json", headers = {}, body }, token = this.#token) {
    if (!token) return { status: 401, body: problem("missing_token", "You are signed out."), position: null, ms: 0 };
    const started = performance.now();
    const given = { ...headers, ...(body ? { "Content-Type": "application/json" } : {}) };
    try {
      const response = await fetch(path, { method, headers: this.#headers(accept, given, token), body, signal: AbortSignal.timeout(ASK_MS_MAX) });
      const position = Number(response.headers.get("Headwater-Position")) || null;
      // The answer to a dry run has the position that there would be.
      if (this.#token === token && (method === "GET" || path === "/v1/commands")) this.#reach(position);
      if (response.status === 401 && this.#token === token) this.#end(INVALID);
      const ms = performance.now() - started;
      if (!response.ok) return { status: response.status, body: await problemOf(response), position, ms };
      const text = await response.text();
      return { status: response.status, body: accept === "application/json" ? JSON.parse(text) : text, position, ms };
    } catch (error) {
      return { status: 0, body: problem("unreachable", unreachable(error)), position: null, ms: performance.now() - started };
    }
  }
}

const problem = (code, detail) => ({ code, detail, field: "" });

function unreachable(error) {
  return error.name === "TimeoutError" ? "The server did not answer in time." : "The server can't be reached.";
}

async function problemOf(response) {
  try {
    const body = await response.json();
    return body.code ? body : problem("unreadable", `The server answered with status ${response.status}.`);
  } catch {
    return problem("unreadable", `The server answered with status ${response.status} and nothing that can be read.`);
  }
}

// `text/event-stream` from a fetch: the browser's own EventSource can't send the token.

export class EventReader {
  #rest = "";

  push(text) {
    const blocks = (this.#rest + text).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop();
    return blocks.map(readBlock).filter((each) => each !== null);
  }
}

function readBlock(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const cut = line.indexOf(":");
    const name = cut < 0 ? line : line.slice(0, cut);
    const value = cut < 0 ? "" : line.slice(cut + 1).replace(/^ /, "");
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
  }
  return data.length ? { event, data: data.join("\n") } : null;
}

/** Servers send something every 15 s. */
const SILENCE_MS_MAX = 45_000;

export async function readStream(response, take, abort) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader();
  let watch;
  try {
    for (;;) {
      watch = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
      const { done, value } = await reader.read();
      clearTimeout(watch);
      if (done) return;
      for (const each of events.push(decoder.decode(value, { stream: true }))) take(each);
    }
  } finally {
    clearTimeout(watch);
  }
}
