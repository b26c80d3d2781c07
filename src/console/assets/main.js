// The console: signing in, the frame around every page, and which page is shown.

import { Connection } from "./connection.js";
import { h } from "./dom.js";
import { Frame } from "./frame.js";
import { Keyboard } from "./keyboard.js";
import { open as openDocument } from "./pages/document.js";
import { open as openDocuments } from "./pages/documents.js";
import { open as openFleet } from "./pages/fleet.js";
import { open as openHistory } from "./pages/history.js";
import { open as openNode } from "./pages/node.js";
import { open as openProof } from "./pages/proof.js";
import { open as openProposal } from "./pages/proposal.js";
import { open as openProposals } from "./pages/proposals.js";
import { open as openRequest } from "./pages/request.js";
import { open as openRollout } from "./pages/rollout.js";
import { open as openRollouts } from "./pages/rollouts.js";
import { open as openServer } from "./pages/server.js";
import { signInPage } from "./pages/sign_in.js";
import { Preferences } from "./prefs.js";
import { formatRoute, parseRoute, tokenOf } from "./route.js";

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

  /** What every address of the console keeps: the moment. */
  keptParams() {
    return { at: this.at };
  }

  href(page, id = "", params = {}) {
    return formatRoute(page, id, { ...this.keptParams(), ...params });
  }

  hrefAt(page, id, at) {
    return formatRoute(page, id, { at });
  }

  /** A path of the API at the moment that is shown. */
  path(path) {
    return this.at ? `${path}${path.includes("?") ? "&" : "?"}at=${encodeURIComponent(this.at)}` : path;
  }

  /** The same page at another moment. */
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

  /** Something was stored by this page: what it shows is loaded anew. */
  changed() {
    this.page?.reload?.();
  }

  start() {
    const token = tokenOf(location.hash);
    if (token) {
      // The token leaves the address before anything else happens: a picture of the screen, or the history, must not have it.
      history.replaceState(null, "", "#/fleet");
      this.route = parseRoute(location.hash);
      this.connection.signIn(token);
    }
    addEventListener("hashchange", () => this.#moved());
    this.connection.addEventListener("session", () => this.#session(Boolean(token)));
  }

  #session(byLink) {
    const { signed_in, why } = this.connection.session;
    if (signed_in && !this.frame) {
      this.frame = new Frame(this);
      document.body.replaceChildren(this.frame.element);
      this.keyboard ??= new Keyboard(this);
      this.#show();
    } else if (!signed_in) {
      this.#closePage();
      this.frame?.close();
      this.frame = null;
      // The hub says at once that nobody is signed in; a link that is about to sign in shows no form meanwhile.
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

  #closePage() {
    this.page?.close();
    this.page = null;
  }

  #show() {
    this.#closePage();
    const root = h("div.page", { class: `page-${this.route.page}` });
    this.frame.show(this.route, root);
    this.page = OPENERS[this.route.page](this, root, this.route);
    if (this.route.unknown) this.tell(`This console has no page ${this.route.unknown}.`);
  }
}

new App().start();
