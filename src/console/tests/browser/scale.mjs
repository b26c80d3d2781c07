// 10,000 nodes.

import { simulate } from "../bench.mjs";
import { check, equal, signedIn, until } from "./api.mjs";

const FRAMES = 120;

export async function ten_thousand_nodes_are_drawn_and_filtered(context, { simulated, token, nodes }) {
  const start = Date.now();
  const page = await signedIn(context, simulated, token);
  await page.waitForSelector(".rows .row .badge");
  console.log(`        ${nodes} nodes drawn ${Date.now() - start} ms after the address was entered`);
  // Retired nodes of the server are not counted.
  await until("all are counted", async () => Number(/of ([\d,]+) nodes/.exec(await page.innerText(".shown"))[1].replace(",", "")) > 0.9 * nodes);
  const rows = await page.locator(".rows .row").count();
  check(rows > 5 && rows < 80, `the document holds what is visible: ${rows} rows`);
  await page.fill("input.filter", "label.site=lund role=daq");
  const wanted = simulate(nodes, 1).filter((row) => row.labels.site === "lund" && row.labels.role === "daq").length;
  await until("the filter holds", async () => {
    const shown = Number((await page.innerText(".shown")).split(" ")[0].replace(",", ""));
    // Real nodes stand among the simulated ones, and take the place of the last few of them.
    return Math.abs(shown - wanted) < 40;
  });
}

export async function scrolling_takes_little_script(context, { simulated, token }) {
  const page = await signedIn(context, simulated, token);
  await page.waitForSelector(".rows .row .badge");
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  const metrics = async () => Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
  await fetch(`${simulated}/bench`, { method: "POST", body: JSON.stringify({ hold: true }) });
  const before = await metrics();
  const longest = await page.evaluate((frames) => new Promise((done) => {
    const main = document.querySelector("main");
    let [count, worst] = [0, 0];
    const step = () => {
      const start = performance.now();
      main.scrollTop += 300;
      count += 1;
      requestAnimationFrame(() => (worst = Math.max(worst, performance.now() - start)));
      if (count === frames) done(worst);
      else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }), FRAMES);
  const after = await metrics();
  await fetch(`${simulated}/bench`, { method: "POST", body: JSON.stringify({ hold: false }) });
  const script = ((after.ScriptDuration - before.ScriptDuration) * 1000) / FRAMES;
  const layout = ((after.LayoutDuration + after.RecalcStyleDuration - before.LayoutDuration - before.RecalcStyleDuration) * 1000) / FRAMES;
  console.log(`        a frame of scrolling: ${script.toFixed(2)} ms of script, ${layout.toFixed(2)} ms of style and layout; the longest frame ${longest.toFixed(1)} ms`);
  const visible = await page.evaluate(() => {
    const view = document.querySelector("main").getBoundingClientRect();
    return document.elementsFromPoint(view.left + 200, view.top + view.height / 2).some((element) => element.closest(".rows .row"));
  });
  check(visible, "there are rows in the middle of the view after scrolling");
}

export async function failures_among_ten_thousand_are_seen_at_once(context, { simulated, token }) {
  const page = await signedIn(context, simulated, token);
  const chip = page.locator("[data-key=chip-failed] .number");
  await chip.waitFor();
  const count = async () => Number((await chip.innerText()).replace(",", ""));
  await fetch(`${simulated}/bench`, { method: "POST", body: JSON.stringify({ hold: true }) });
  const before = await count();
  await fetch(`${simulated}/bench`, { method: "POST", body: JSON.stringify({ fail: 3 }) });
  await until("the number of failed nodes rises", async () => (await count()) > before);
  await fetch(`${simulated}/bench`, { method: "POST", body: JSON.stringify({ hold: false }) });
  await chip.click();
  await equal(page.locator("[data-key=chip-failed]").getAttribute("aria-pressed"), "true", "the state is chosen");
  await until("only failed ones are shown", async () => (await page.locator(".rows .badge").allInnerTexts()).every((text) => text === "failed"));
}
