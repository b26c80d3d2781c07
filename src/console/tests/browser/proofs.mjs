// What the browser computes by itself, and what it says when an answer was altered on its way.

import { check, goTo, signedIn, until } from "./api.mjs";

async function steer(bench, order) {
  await fetch(`${bench}/bench`, { method: "POST", body: JSON.stringify(order) });
}

export async function an_event_is_proved_and_one_flipped_byte_is_red(context, { altered, token, api }) {
  const { position } = await api.get("/v1/log");
  await until("the end of the log is signed", async () => (await api.get("/v1/log/checkpoint")).position >= position);
  const page = await signedIn(context, altered, token, `#/proof/${position}`);
  await page.waitForSelector(".checks .t-good");
  await until("everything is good", async () => (await page.locator(".verdict.good").count()) === 2 && (await page.locator(".checks .t-bad").count()) === 0);
  await steer(altered, { flip: "inclusion" });
  await goTo(page, `#/proof/${position - 1}`);
  await page.waitForSelector(".verdict.bad");
  check((await page.locator(".checks .t-bad").count()) > 0, "the step that fails is red");
  await steer(altered, { flip: null });
}

export async function a_log_that_does_not_go_on_is_red_at_the_next_visit(context, { altered, token, api }) {
  const page = await signedIn(context, altered, token);
  await page.waitForSelector(".shield[data-verdict=good]");
  const { position } = await api.send("an event after the visit", { type: "mark", id: `console-visit-${Date.now()}` });
  await until("it is signed", async () => (await api.get("/v1/log/checkpoint")).position >= position);
  await steer(altered, { flip: "consistency" });
  await page.clock.install();
  await page.reload();
  await page.waitForSelector(".shield[data-verdict=bad]");
  await page.waitForSelector(".alarm:not([hidden])");
  await goTo(page, `#/proof/${position}`);
  await page.waitForSelector(".checks li");
  check((await page.locator(".verdict.good").count()) === 0, "no event is good in a log that does not go on");
  // The next look comes to nothing, which is no reason to be calm.
  await steer(altered, { flip: null, refuse: "/v1/log" });
  await page.clock.fastForward(300_000);
  await until("it was looked again", async () => (await (await fetch(`${altered}/bench`, { method: "POST", body: "{}" })).json()).refused > 0);
  await page.waitForTimeout(200);
  await page.waitForSelector(".shield[data-verdict=bad]");
  await page.waitForSelector(".alarm:not([hidden])");
  context.troubles.length = 0;
  await steer(altered, { refuse: null });
  await page.reload();
  await page.waitForSelector(".shield[data-verdict=good]");
}

export async function a_proof_is_saved_as_a_file(context, { url, token, api }) {
  await until("the first events are signed", async () => (await api.get("/v1/log/checkpoint")).position >= 2);
  const page = await signedIn(context, url, token, "#/proof/2");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download the proof" }).click()]);
  check(download.suggestedFilename() === "headwater-2.tlog-proof", download.suggestedFilename());
  let text = "";
  for await (const piece of await download.createReadStream()) text += piece;
  check(text.startsWith("c2sp.org/tlog-proof@v1\nindex 1\n"), text);
}
