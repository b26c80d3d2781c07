// The console in a real browser, against a real server. README.md says how it is started.

import { mkdtemp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

import { startBench } from "./bench.mjs";
import { Api, NotRunError } from "./browser/api.mjs";
import * as actions from "./browser/actions.mjs";
import * as looks from "./browser/looks.mjs";
import * as proofs from "./browser/proofs.mjs";
import * as scale from "./browser/scale.mjs";
import * as stories from "./browser/stories.mjs";

const SETTINGS = {
  url: process.env.HEADWATER_CONSOLE_URL,
  token: process.env.HEADWATER_CONSOLE_TOKEN,
  auditor: process.env.HEADWATER_CONSOLE_AUDITOR_TOKEN,
  nodeDir: process.env.HEADWATER_CONSOLE_NODE_DIR,
  screenshots: process.env.HEADWATER_CONSOLE_SCREENSHOTS,
  chromium: process.env.HEADWATER_CONSOLE_CHROMIUM ?? "/usr/bin/chromium",
  only: process.env.HEADWATER_CONSOLE_ONLY,
  nodes: Number(process.env.HEADWATER_CONSOLE_NODES ?? 10_000),
};
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const LAW_MS_MAX = 90_000;


async function main() {
  for (const name of ["url", "token"]) if (!SETTINGS[name]) throw new Error(`HEADWATER_CONSOLE_${name.toUpperCase()} is not set`);
  if (!existsSync(SETTINGS.chromium)) throw new Error(`there is no browser at ${SETTINGS.chromium}`);
  const profile = await mkdtemp(path.join(tmpdir(), "headwater-console-"));
  const simulated = await startBench({ api: SETTINGS.url, nodes: SETTINGS.nodes });
  const altered = await startBench({ api: SETTINGS.url });
  const world = { ...SETTINGS, api: new Api(SETTINGS.url, SETTINGS.token), simulated: simulated.url, altered: altered.url, launch: (folder) => launch(path.join(profile, folder)) };
  let failed = 0;
  try {
    for (const [name, law] of [...Object.entries(stories), ...Object.entries(actions), ...Object.entries(scale), ...Object.entries(proofs), ...Object.entries(looks)]) {
      if (!SETTINGS.only || name.includes(SETTINGS.only)) failed += await judge(name, law, world);
    }
  } finally {
    simulated.close();
    altered.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
  console.log(failed ? `${failed} failed` : "all laws hold");
  process.exit(failed ? 1 : 0);
}

/** A browser of its own for each law: nothing that one leaves behind reaches another. */
async function launch(folder) {
  const context = await chromium.launchPersistentContext(folder, { executablePath: SETTINGS.chromium, args: FLAGS, headless: true, viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(20_000);
  context.troubles = [];
  // What a law answers to a question of the browser; a law that sets nothing expects none.
  context.answer = null;
  context.dialogs = [];
  await context.addInitScript(() => {
    globalThis.addEventListener("securitypolicyviolation", (event) => console.error(`policy ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  const watch = (page) => {
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && context.troubles.push(`${message.text()} (${message.location().url})`));
    page.on("pageerror", (error) => context.troubles.push(error.stack ?? String(error)));
    page.on("dialog", (dialog) => {
      context.dialogs.push(dialog.message());
      if (context.answer === null) context.troubles.push(`a dialog: ${dialog.message()}`);
      return context.answer ? dialog.accept() : dialog.dismiss();
    });
  };
  context.pages().forEach(watch);
  context.on("page", watch);
  return context;
}

async function judge(name, law, world) {
  const label = name.replaceAll("_", " ");
  const started = performance.now();
  const context = await world.launch(name);
  let timer;
  try {
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`took more than ${LAW_MS_MAX} ms`)), LAW_MS_MAX)));
    await Promise.race([law(context, world), late]);
    if (context.troubles.length) throw new Error(`the browser complained:\n    ${context.troubles.join("\n    ")}`);
    console.log(`ok      ${label} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    return 0;
  } catch (error) {
    if (error instanceof NotRunError) {
      console.log(`NOT RUN ${label}: ${error.message}`);
      return 0;
    }
    console.log(`FAILED  ${label}: ${error.stack ?? error}`);
    if (world.screenshots) await context.pages().at(-1)?.screenshot({ path: path.join(world.screenshots, `failed-${name}.png`) }).catch(() => undefined);
    return 1;
  } finally {
    clearTimeout(timer);
    await context.close();
  }
}

await main();
