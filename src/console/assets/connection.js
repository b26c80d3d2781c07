// A tab's side of the hub: questions and answers, and the live fleet.

import { Hub } from "./hub.js";
import { Fleet } from "./nodes.js";
import { kept } from "./proof.js";

export class RefusalError extends Error {
  constructor(status, body) {
    super(body.detail || `status ${status}`);
    this.status = status;
    this.code = body.code;
    this.field = body.field;
  }
}

export class Connection extends EventTarget {
  #port;
  #asked = new Map();
  #next = 1;
  /** Only until the hub has answered: it may turn out that there is another hub. */
  #token = null;
  session = null;
  link = { state: "off", since: 0, detail: "" };
  fleet = null;

  constructor() {
    super();
    this.#open();
    // A page that is kept for "back" must not keep its place in the hub: it would get messages that it can't read.
    addEventListener("pagehide", () => this.#port.postMessage({ type: "bye" }));
    addEventListener("pageshow", (event) => event.persisted && this.#open());
  }

  #open() {
    // A browser that can't run the worker has the hub in the page.
    this.#use(sharedPort(() => this.#use(ownPort())) ?? ownPort());
  }

  #use(port) {
    this.#port = port;
    port.onmessage = (message) => this.#take(message.data);
    if (this.#token) this.signIn(this.#token);
  }

  #take(message) {
    if (message.type === "answer") {
      const resolve = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      resolve?.(message);
      return;
    }
    if (message.type === "session") {
      this.session = message.session;
      if (message.session.signed_in || message.session.why) this.#token = null;
      if (!message.session.signed_in) this.fleet = null;
    } else if (message.type === "link") this.link = message.link;
    else if (message.type === "fleet") this.fleet = new Fleet(message.fleet);
    else if (message.type === "change") {
      if (!this.fleet) return;
      const before = this.fleet.position;
      message.rowsChanged = this.fleet.apply(message.change);
      message.moved = message.change.position !== before;
    }
    // Somebody is signed in, and stays so.
    else this.#token = null;
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  signIn(token, replace = false) {
    this.#token = token;
    this.#port.postMessage({ type: "sign_in", token, replace });
  }

  signOut() {
    this.#port.postMessage({ type: "sign_out" });
  }

  /** An answer `{status, body, position, ms}` of the server; one that is an error is thrown. */
  async ask(question) {
    const id = this.#next;
    this.#next += 1;
    const answer = await new Promise((resolve) => {
      this.#asked.set(id, resolve);
      this.#port.postMessage({ type: "ask", id, ...question });
    });
    if (answer.status !== 200) throw new RefusalError(answer.status, answer.body);
    return answer;
  }

  async get(path) {
    return (await this.ask({ path })).body;
  }

  async post(path, content, headers = {}) {
    return (await this.ask({ path, method: "POST", headers, body: JSON.stringify(content) })).body;
  }

  async list(path, most = 5000) {
    const items = [];
    for (let cursor = ""; ; ) {
      const join = path.includes("?") ? "&" : "?";
      const page = await this.get(`${path}${join}limit=1000&cursor=${encodeURIComponent(cursor)}`);
      items.push(...page.items);
      if (!page.next) return { items, more: false };
      if (items.length >= most) return { items, more: true };
      cursor = page.next;
    }
  }
}

// The address of a worker is code in the eyes of Trusted Types: the one policy of this page lets this one through.
const WORKER = new URL("worker.js", import.meta.url).href;
const policy = globalThis.trustedTypes?.createPolicy("headwater-worker", {
  createScriptURL(address) {
    if (address !== WORKER) throw new TypeError("the console starts its own worker only");
    return address;
  },
});

function sharedPort(broken) {
  if (!globalThis.SharedWorker) return null;
  // Without the longer life a reload of the only tab would end the worker, and sign the reader out.
  const options = { type: "module", name: "headwater", extendedLifetime: true };
  const worker = new SharedWorker(policy ? policy.createScriptURL(WORKER) : WORKER, options);
  worker.onerror = broken;
  return worker.port;
}

function ownPort() {
  const { port1, port2 } = new MessageChannel();
  new Hub().attach(port2);
  return port1;
}

const THEMES = ["auto", "light", "dark"];

export class Preferences extends EventTarget {
  theme = kept()?.getItem("headwater-theme") ?? "auto";
  local = kept()?.getItem("headwater-time") === "local";

  nextTheme() {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length];
    document.documentElement.dataset.theme = this.theme;
    this.#keep("theme", this.theme);
  }

  switchTime() {
    this.local = !this.local;
    this.#keep("time", this.local ? "local" : "utc");
  }

  #keep(name, value) {
    try {
      kept()?.setItem(`headwater-${name}`, value);
    } catch {
      // It holds until the page is closed.
    }
    this.dispatchEvent(new Event(name));
  }
}
