// How it looks: axe-core finds nothing serious in light and dark, and pictures of every page are written.

import { readFile } from "node:fs/promises";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { goTo, loaded, signedIn } from "./api.mjs";

const require = createRequire(import.meta.url);
const SERIOUS = new Set(["serious", "critical"]);

async function places(api) {
  const first = async (list) => (await api.get(`/v1/${list}?limit=1`)).items[0]?.id;
  const [node, document, proposal, rollout] = await Promise.all(["nodes", "documents", "proposals", "rollouts"].map(first));
  return [
    ["fleet", "#/fleet"], ["fleet-failed", "#/fleet?filter=state%3Dfailed"], node && ["node", `#/node/${node}`], ["documents", "#/documents"], document && ["document", `#/document/${document}`],
    ["history", "#/history"], ["request", "#/request/1"], ["proposals", "#/proposals"], proposal && ["proposal", `#/proposal/${proposal}`],
    ["rollouts", "#/rollouts"], rollout && ["rollout", `#/rollout/${rollout}`], ["proof", "#/proof/1"], ["server", "#/server"], ["past", "#/fleet?at=2"], ["nothing", "#/node/nobody"],
  ].filter(Boolean);
}

async function inspect(page) {
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.filter((each) => SERIOUS.has(each.impact)).map((each) => `${each.id}: ${each.help}: ${each.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
}

async function look(context, { api, url, token, screenshots }, scheme) {
  const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
  const page = await signedIn(context, url, token);
  await page.emulateMedia({ colorScheme: scheme });
  const found = [];
  const shoot = async (name) => screenshots && (mkdirSync(screenshots, { recursive: true }), await page.screenshot({ path: path.join(screenshots, `${name}-${scheme}.png`) }));
  for (const [name, fragment] of await places(api)) {
    await goTo(page, fragment);
    await page.waitForSelector(".page h1, .page .problem");
    await loaded(page);
    await page.evaluate(axe);
    found.push(...(await inspect(page)).map((each) => `${name}: ${each}`));
    await shoot(name);
  }
  await goTo(page, "#/fleet");
  await page.keyboard.press("/");
  await page.waitForSelector("dialog.palette");
  found.push(...(await inspect(page)).map((each) => `palette: ${each}`));
  await shoot("palette");
  if (found.length) throw new Error(`axe-core finds in ${scheme}:\n    ${found.join("\n    ")}`);
}

export const nothing_serious_is_found_in_light = (context, world) => look(context, world, "light");
export const nothing_serious_is_found_in_dark = (context, world) => look(context, world, "dark");
