// What the laws do at the server, and in the page.

import { setTimeout as sleep } from "node:timers/promises";

const WAIT_MS_MAX = 30_000;

/** Something that a law needs is not there, so that it says nothing. */
export class NotRunError extends Error {
  name = "NotRunError";
}

export class Api {
  constructor(url, token) {
    Object.assign(this, { url, token });
  }

  async get(path) {
    const response = await fetch(this.url + path, { headers: { authorization: `Bearer ${this.token}` } });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Sends commands, and gives the answer. */
  async send(reason, ...commands) {
    const response = await fetch(`${this.url}/v1/commands`, {
      method: "POST", headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" }, body: JSON.stringify({ reason, commands }),
    });
    if (!response.ok) throw new Error(`commands: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** A document for all nodes. */
  put(id, path, content, more = {}) {
    return { type: "put_document", id, path, media_type: "text/plain", content, target: { all: true }, priority: 0, ...more };
  }
}

/** Waits for a condition, with a deadline. */
export async function until(what, check, most = WAIT_MS_MAX) {
  const end = Date.now() + most;
  for (let last; ; await sleep(50)) {
    try {
      if (await check()) return;
      last = "it never held";
    } catch (error) {
      last = error.message;
    }
    if (Date.now() > end) throw new Error(`${what}: ${last} within ${most} ms`);
  }
}

/** Opens the console, signed in. */
export async function signedIn(context, url, token, fragment = "#/fleet") {
  const page = context.pages().find((each) => each.url() === "about:blank") ?? (await context.newPage());
  await page.goto(`${url}/console/#token=${token}`);
  await page.waitForSelector(".frame");
  if (fragment !== "#/fleet") await goTo(page, fragment);
  return page;
}

/** Another place of the console. */
export async function goTo(page, fragment) {
  await page.evaluate((hash) => (location.hash = hash), fragment);
}

/** Waits until the page says nowhere that it still loads. */
export async function loaded(page) {
  await until("the page has loaded", async () => !/Loading …|Computing …/.test(await page.innerText("main")));
}

export function check(condition, what) {
  if (!condition) throw new Error(what);
}

export async function equal(actual, wanted, what) {
  const found = await actual;
  if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error(`${what}: ${JSON.stringify(found)} and not ${JSON.stringify(wanted)}`);
}
