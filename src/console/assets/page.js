// A page that shows answers of the API, and follows the log while it shows the present.

import { h, swap } from "./dom.js";
import { problem } from "./parts.js";

const RELOAD_MS_MIN = 1_000;

// These members differ in every answer, and no page shows more of them than their size.
const VOLATILE = new Set(["silence_ms", "seq"]);

/**
 * @param {object} app
 * @param {HTMLElement} root
 * @param {{load: () => Promise<any>, draw: (answer: any) => any, concerns?: (change: object) => boolean}} options `concerns` says
 *   whether a change of the live table can make the page another one; without it every new event does
 * @returns {{close: () => void, reload: () => void}}
 */
export function livePage(app, root, { load, draw, concerns = (_, moved) => moved }) {
  let [closed, running, again, shown, timer] = [false, false, false, null, null];
  root.replaceChildren(h("p.quiet.loading", null, "Loading …"));

  async function reload() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      const answer = await load();
      const print = JSON.stringify(answer, (key, value) => (VOLATILE.has(key) ? undefined : value));
      if (!closed && print !== shown) swap(root, draw(answer));
      shown = print;
    } catch (error) {
      if (!closed) swap(root, problem(error));
      shown = null;
      if (error.status === undefined) console.error(error);
    }
    running = false;
    if (again && !closed) soon();
  }

  function soon() {
    again = false;
    clearTimeout(timer);
    timer = setTimeout(reload, RELOAD_MS_MIN);
  }

  const onChange = (event) => !app.at && concerns(event.detail.change, event.detail.moved) && soon();
  const onFleet = () => !app.at && soon();
  const onTime = () => {
    shown = null;
    reload();
  };
  app.connection.addEventListener("change", onChange);
  app.connection.addEventListener("fleet", onFleet);
  app.prefs.addEventListener("time", onTime);
  reload();
  return {
    reload,
    close() {
      closed = true;
      clearTimeout(timer);
      app.connection.removeEventListener("change", onChange);
      app.connection.removeEventListener("fleet", onFleet);
      app.prefs.removeEventListener("time", onTime);
    },
  };
}
