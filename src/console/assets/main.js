// The console: signing in, the frame around every page, and which page is shown.

import { Connection, Preferences } from "./connection.js";
import { openDocument, openDocuments } from "./pages/documents.js";
import { h } from "./dom.js";
import { openFleet } from "./pages/fleet.js";
import { Frame } from "./frame.js";
import { openRequest, openHistory } from "./pages/history.js";
import { Keyboard } from "./keys.js";
import { openNode } from "./pages/node.js";
import { command } from "./parts.js";
import { openProof } from "./pages/proof.js";
import { openProposal, openProposals } from "./pages/proposals.js";
import { openRollout, openRollouts } from "./pages/rollouts.js";
import { openServer } from "./pages/server.js";
import { commandLine, formatRoute, parseRoute, tokenOf } from "./text.js";

const OPENERS = {
  fleet: openFleet, node: openNode, documents: openDocuments, document: openDocument, request: openRequest, history: openHistory,
  proposals: openProposals, proposal: openProposal, rollouts: openRollouts, rollout: openRollout, proof: openProof, server: openServer,
};

class App {
  connection = new Connection();
  prefs = new Preferences();
  route = parseRoute(location.hash);
  page = null;
  frame = null;

  /** The moment that is shown, as the API takes it; null is the present. */
  get at() {
    return this.route.params.at || null;
  }

  get mayWrite() {
    return this.connection.session?.role === "admin" && !this.at;
  }

  keptParams() {
    return { at: this.at };
  }

  href(page, id = "", params = {}) {
    return formatRoute(page, id, { ...this.keptParams(), ...params });
  }

  hrefAt(page, id, at) {
    return formatRoute(page, id, { at });
  }

  line(...words) {
    return commandLine(...words, this.at ? ["--at", this.at] : []);
  }

  path(path) {
    return this.at ? `${path}${path.includes("?") ? "&" : "?"}at=${encodeURIComponent(this.at)}` : path;
  }

  get(path) {
    return this.connection.get(this.path(path));
  }

  travel(at) {
    const { page, id, params } = this.route;
    location.hash = formatRoute(page, id, { ...params, at });
  }

  /** Changes parameters of the address without a step in the history of the browser. */
  amend(params) {
    const { page, id } = this.route;
    history.replaceState(null, "", formatRoute(page, id, { ...this.route.params, ...params }));
    this.route = parseRoute(location.hash);
  }

  tell(...message) {
    this.frame?.tell(message);
  }

  changed() {
    this.page?.reload?.();
  }

  start() {
    const token = tokenOf(location.hash);
    if (token) {
      // The token leaves the address at once: a picture of the screen, or the history, must not have it.
      history.replaceState(null, "", "#/fleet");
      this.route = parseRoute(location.hash);
      this.connection.signIn(token);
    }
    addEventListener("hashchange", () => this.#moved());
    this.connection.addEventListener("session", () => this.#session(Boolean(token)));
    this.connection.addEventListener("refused", ({ detail }) => this.tell("The link signs nobody in. ", detail.why));
    this.connection.addEventListener("other", ({ detail: { name, token } }) => {
      if (confirm(`A link signs in as ${name}. Sign in as ${name} in place of ${this.name}, in all tabs?`)) this.connection.signIn(token, true);
    });
  }

  #session(byLink) {
    const { signed_in, why, name } = this.connection.session;
    // A link that was opened in another tab may have signed in somebody else.
    if (signed_in && this.name !== name) this.#leave();
    this.name = name;
    if (signed_in && !this.frame) {
      this.frame = new Frame(this);
      document.body.replaceChildren(this.frame.element);
      this.keyboard ??= new Keyboard(this);
      this.#show();
    } else if (!signed_in) {
      this.#leave();
      // A link that is about to sign in shows no form meanwhile.
      if (why || !byLink) document.body.replaceChildren(signInPage(this, why));
    }
  }

  #moved() {
    const token = tokenOf(location.hash);
    if (token) {
      history.replaceState(null, "", "#/fleet");
      this.connection.signIn(token);
    }
    const before = this.route;
    this.route = parseRoute(location.hash);
    if (!this.frame) return;
    const same = before.page === this.route.page && before.id === this.route.id && before.params.at === this.route.params.at;
    if (same && this.page?.update) this.page.update(this.route);
    else this.#show();
  }

  #leave() {
    this.#closePage();
    this.frame?.close();
    this.frame = null;
  }

  #closePage() {
    this.page?.close();
    this.page = null;
  }

  #show() {
    this.#closePage();
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    const root = h("div.page", { class: `page-${this.route.page}` });
    this.frame.show(this.route, root);
    this.page = OPENERS[this.route.page](this, root, this.route);
    if (this.route.unknown) this.tell(`This console has no page ${this.route.unknown}.`);
  }
}

new App().start();

export function signInPage(app, why) {
  const field = h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "sign-in-note" });
  const submit = (event) => {
    event.preventDefault();
    const token = field.value.trim();
    field.value = "";
    if (token) app.connection.signIn(token);
  };
  setTimeout(() => field.focus());
  return h("main.sign-in",
    h("div.card",
      h("h1", "Headwater"),
      h("p", "What every machine of the fleet runs, and why."),
      why && h("p.problem", { role: "alert" }, why),
      h("form", { onsubmit: submit }, h("label.field", "Token", field), h("button.primary", { type: "submit" }, "Sign in")),
      h("p.quiet", { id: "sign-in-note" }, "The token stays in the memory of this browser, and is forgotten within half a minute after the last tab of the console is closed."),
      command("headwater console", "A link that signs you in is printed by")));
}
