// What people do with the console.

import { Api, NotRunError, check, equal, goTo, loaded, signedIn, until } from "./api.mjs";

export async function a_link_signs_in_and_its_token_leaves_the_address(context, { url, token }) {
  const page = await signedIn(context, url, token);
  check(!page.url().includes(token), "the token stands in the address");
  await page.goBack().catch(() => undefined);
  check(!page.url().includes(token), "the token stands in the history");
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage }) + document.cookie).catch(() => "");
  check(!kept.includes(token), "the token was stored");
}

export async function a_pasted_token_signs_in_and_a_wrong_one_is_refused(context, { url, token }) {
  const page = context.pages()[0];
  await page.goto(`${url}/console/#/history`);
  await page.fill("input[name=token]", "hw_wrong");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".sign-in .problem");
  context.troubles.length = 0;
  await page.fill("input[name=token]", token);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".requests li");
  check(page.url().endsWith("#/history"), "the place that was asked for is kept");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForSelector(".sign-in");
}

export async function a_link_with_another_token_signs_nobody_out(context, { url, token, auditor, api }) {
  if (!auditor) throw new NotRunError("HEADWATER_CONSOLE_AUDITOR_TOKEN is not set");
  const page = await signedIn(context, url, token);
  const names = await Promise.all([token, auditor].map((each) => new Api(url, each).get("/v1/whoami").then(({ name }) => name)));
  const who = (name) => page.waitForSelector(`.who strong:text-is("${name}")`);
  await who(names[0]);
  context.answer = false;
  await goTo(page, "#token=hw_wrong");
  await page.waitForSelector(".toast:has-text('The link signs nobody in')");
  context.troubles.length = 0;
  await goTo(page, `#token=${auditor}`);
  await until("the reader is asked", () => context.dialogs.length === 1);
  check(context.dialogs[0].includes(names[1]) && context.dialogs[0].includes(names[0]), context.dialogs[0]);
  await goTo(page, "#/server");
  await page.waitForSelector("h1:text-is('Server')");
  await who(names[0]);
  context.answer = true;
  await goTo(page, `#token=${auditor}`);
  await who(names[1]);
  check(api.token === token, "the token of the laws");
}

export async function a_silence_goes_on_while_it_is_looked_at(context, { altered, token, api }) {
  const { id } = (await api.get("/v1/nodes?limit=1000")).items.find((node) => !node.retired && node.state === "converged");
  await fetch(`${altered}/bench`, { method: "POST", body: JSON.stringify({ silent: 31_000 }) });
  try {
    const page = await signedIn(context, altered, token, `#/node/${id}`);
    const said = async (place) => Number(/(\d+) s ago/.exec(await page.locator(place).innerText())[1]);
    for (const place of [".statement", ".flow"]) await until(`${place} goes on`, async () => (await said(place)) >= 34, 10_000);
    check(!(await page.innerText("main")).includes("31 s"), "what was said first is said no more");
  } finally {
    await fetch(`${altered}/bench`, { method: "POST", body: JSON.stringify({ silent: null }) });
  }
}

export async function a_busy_server_takes_nothing_from_the_page(context, { altered, token, api }) {
  const id = `console-busy-${Date.now()}`;
  await api.send("a node", { type: "enrol_node", id, labels: {} });
  const refuse = (path) => fetch(`${altered}/bench`, { method: "POST", body: JSON.stringify({ refuse: path }) });
  try {
    const page = await signedIn(context, altered, token, `#/node/${id}`);
    await page.waitForSelector(`h1:text-is("${id}")`);
    await refuse("/v1/nodes");
    await api.send("a label", { type: "relabel_nodes", target: { nodes: [id] }, set: { busy: "yes" }, unset: [] });
    await page.waitForSelector(".page > .problem:has-text('overloaded')");
    await equal(page.locator("h1").allInnerTexts(), [id], "the page is there still");
    await refuse(null);
    await page.waitForSelector(".page .label:has-text('busy')");
    await equal(page.locator(".problem").count(), 0, "problems that are over");
    context.troubles.length = 0;
  } finally {
    await refuse(null);
    await api.send("tidy", { type: "retire_node", id });
  }
}

/** Nodes, why, who, when, what it was before, and back again: from the first page, without a document. */
export async function a_bad_change_is_found_and_taken_back_from_the_first_page(context, { url, token, api }) {
  const mark = String(Date.now() % 1_000_000);
  await api.send("a good text", api.put("console-story", "story/text", `one\ngood ${mark}\nthree\n`));
  await settled(api);
  const reason = `the text of story ${mark}`;
  const bad = await api.send(reason, api.put("console-story", "story/text", `one\nTODO ${mark}\nthree\n`));
  const page = await signedIn(context, url, token);
  try {
    await until("a node rejects the text", async () => (await failing(api)).length > 0, 15_000);
  } catch {
    await api.send("tidy", { type: "remove_document", id: "console-story" });
    throw new NotRunError("no node rejects a text with TODO: start the nodes with --check '! grep -rq TODO {}/files'");
  }
  const card = page.locator(".attention .card").first();
  const cause = card.locator(".culprit", { hasText: reason });
  await cause.locator(".diff").first().waitFor();
  const text = await card.innerText();
  for (const wanted of ["check_rejected", reason, `TODO ${mark}`, `good ${mark}`, "document/console-story"]) check(text.includes(wanted), `the card says ${wanted}:\n${text}`);
  await card.locator("summary").focus();
  for (const wanted of [false, true]) {
    await page.keyboard.press("Enter");
    await equal(card.evaluate((details) => details.open), wanted, "Enter on the line of a card");
  }
  check(page.url().includes("#/fleet"), "Enter on a card opens no node");
  await cause.getByRole("button", { name: "Take it back" }).click();
  const dialog = page.locator("dialog.action");
  await dialog.locator(".preview li").first().waitFor();
  check((await dialog.innerText()).includes(`headwater undo ${bad.command_id}`), "the command that does the same is shown");
  await equal(dialog.getByRole("button", { name: "Take it back" }).isDisabled(), true, "nothing is sent without a reason");
  await dialog.getByLabel("Reason").fill("it was not finished");
  await dialog.getByRole("button", { name: "Take it back" }).click();
  await dialog.waitFor({ state: "detached" });
  await until("nothing is said of it any more", () => cause.count().then((count) => count === 0));
  const versions = await api.get("/v1/documents/console-story/versions?limit=1000");
  check(versions.items.at(-1).reason === "it was not finished", "the reason is in the log");
  await api.send("tidy", { type: "remove_document", id: "console-story" });
}

async function failing(api) {
  return (await api.get("/v1/nodes?limit=1000")).items.filter((node) => node.state === "failed");
}

async function settled(api) {
  await until("nodes that report have settled", async () => (await api.get("/v1/nodes?limit=1000")).items.every((node) => node.retired || node.state !== "progressing"));
}

export async function a_change_is_seen_by_itself(context, { url, token, api }) {
  const page = await signedIn(context, url, token);
  await page.waitForSelector(".live[data-state=live]");
  const id = `console-${Date.now()}`;
  await api.send("a node that is seen at once", { type: "enrol_node", id, labels: { made: "by-a-test" } });
  const start = Date.now();
  await page.fill("input.filter", `id=${id}`);
  await page.waitForSelector(`.rows a:text-is("${id}")`);
  console.log(`        seen ${Date.now() - start} ms after it was stored, where 2,000 is the aim`);
  await api.send("tidy", { type: "retire_node", id });
  await page.waitForSelector(`.rows a:text-is("${id}")`, { state: "hidden" });
}

export async function eight_tabs_live_on_one_stream(context, { url, token, api }) {
  const pages = [await signedIn(context, url, token)];
  for (let tab = 1; tab < 8; tab += 1) {
    const page = await context.newPage();
    await page.goto(`${url}/console/#/fleet`);
    await page.waitForSelector(".frame");
    pages.push(page);
  }
  for (const page of pages) await page.waitForSelector(".live[data-state=live]");
  const { position } = await api.send("for eight tabs", { type: "mark", id: `console-${Date.now()}` });
  const shown = new Intl.NumberFormat("en").format(position);
  await Promise.all(pages.map((page, tab) => until(`tab ${tab} is at ${shown}`, async () => Number((await page.innerText(".tape .moment")).replace(/\D/g, "")) >= position)));
  await goTo(pages[7], "#/documents");
  await pages[7].waitForSelector("h1:text-is('Documents')");
}

export async function a_reload_keeps_the_view(context, { url, token }) {
  const page = await signedIn(context, url, token);
  await page.fill("input.filter", "state!=nothing");
  await page.getByRole("button", { name: "Node", exact: true }).click();
  const address = page.url();
  check(address.includes("filter=") && address.includes("sort=id"), `the address has the view: ${address}`);
  await page.reload();
  await page.waitForSelector(".frame");
  await equal(page.inputValue("input.filter"), "state!=nothing", "the filter");
  await equal(page.getAttribute(".c-id[role=columnheader]", "aria-sort"), "ascending", "the order");
  await equal(page.url(), address, "the address");
}

export async function the_slider_shows_the_old_world(context, { url, token, api }) {
  const id = `console-old-${Date.now()}`;
  const before = (await api.send("a document of the past", api.put("console-old", "old/text", `${id}\n`))).position;
  await api.send("two events at once", api.put("console-old", "old/text", "new\n"), { type: "enrol_node", id, labels: {} });
  const page = await signedIn(context, url, token, "#/fleet?filter=console-old");
  await page.waitForSelector(`.rows a:text-is("${id}")`);
  await until("the bar knows the end", async () => Number(await page.getAttribute(".slider", "max")) >= before + 2);
  await page.focus(".slider");
  // Nodes report meanwhile, so how many requests lie between is not known.
  const place = () => page.evaluate(() => Number(new URLSearchParams(location.hash.split("?")[1]).get("at") ?? Infinity));
  for (let at = Infinity; at > before; at = await place()) {
    await page.keyboard.press("ArrowLeft");
    await until("the slider moves the world", async () => (await place()) < at);
  }
  check((await place()) === before, "one step is one request");
  await page.waitForSelector(`.rows a:text-is("${id}")`, { state: "hidden" });
  await goTo(page, `#/document/console-old?at=${before}`);
  await page.waitForSelector("h1:text-is('console-old')");
  await page.locator("summary", { hasText: "The content" }).click();
  await page.waitForSelector(`pre:has-text("${id}")`);
  await page.keyboard.press("Escape");
  await page.locator("h1").click();
  await page.keyboard.press("n");
  await page.waitForSelector(".banner", { state: "hidden" });
  await api.send("tidy", { type: "remove_document", id: "console-old" }, { type: "retire_node", id });
}

export async function each_version_of_a_document_shows_what_it_changed(context, { url, token, api }) {
  const twice = (text) => [api.put("console-first", "versions/first", `first ${text}\n`), api.put("console-second", "versions/second", `second ${text}\n`)];
  await api.send("two documents at once", ...twice("one"));
  await api.send("two documents again", ...twice("two"));
  const page = await signedIn(context, url, token, "#/document/console-second");
  await page.waitForSelector("h1:text-is('console-second')");
  const versions = await page.locator("[data-key^=version-]").count();
  for (const [key, wanted] of [[`version-${versions}`, ["second one", "second two"]], [`version-${versions - 1}`, ["second one"]]]) {
    const part = page.locator(`[data-key=${key}]`);
    await part.evaluate((details) => (details.open = true));
    await part.locator(".line").first().waitFor();
    await equal(part.locator(".line.add .code, .line.del .code").allInnerTexts(), wanted, key);
  }
  await api.send("tidy", { type: "remove_document", id: "console-first" }, { type: "remove_document", id: "console-second" });
}

const MARKUP = `<img src=x onerror="globalThis.pwned=1">"'><script>globalThis.pwned=1</script>`;

const HIDDEN = "one\u202etwo\u200b\u2066\u{e0041}";

export async function markup_in_labels_paths_reasons_and_contents_stays_text(context, { url, token, api }) {
  const id = `console-markup-${Date.now()}`;
  const path = `markup/<img src=x onerror=pwned=1>.html`;
  const { command_id } = await api.send(`${MARKUP} ${HIDDEN}`, { type: "enrol_node", id, labels: { "<b>key</b>": MARKUP, hidden: HIDDEN } }, api.put("console-markup", path, `${MARKUP}\njavascript:alert(1)\n${HIDDEN}\n`, { media_type: "text/html" }));
  const page = await signedIn(context, url, token, `#/fleet?filter=${id}`);
  await page.waitForSelector(`.rows a:text-is("${id}")`);
  for (const place of [`#/node/${id}`, "#/document/console-markup", "#/documents", `#/request/${command_id}`, "#/history", `#/history?entity=node%2F${id}`]) {
    await goTo(page, place);
    await page.waitForSelector(".page h1");
    await loaded(page);
    for (let depth = 0; depth < 2; depth += 1) {
      await page.evaluate(() => document.querySelectorAll("details").forEach((part) => (part.open = true)));
      await loaded(page);
    }
    const text = await page.evaluate(() => document.body.textContent + [...document.querySelectorAll("[title]")].map((each) => each.title).join());
    check(!/[\u202e\u200b\u2066\u{e0041}]/u.test(text), `${place}: a character that can't be seen`);
    if (place !== "#/documents") check(text.includes("one\ufffdtwo\ufffd\ufffd\ufffd"), `${place}: no mark where it stands`);
  }
  await goTo(page, `#/node/${id}`);
  await page.waitForSelector(`h1:text-is("${id}")`);
  check((await page.innerText(".heading")).includes("<img src=x"), "the label is shown as it is");
  await equal(page.evaluate(() => [globalThis.pwned ?? null, document.querySelectorAll("img, script:not([src])").length]), [null, 0], "nothing became an element");
  await api.send("tidy", { type: "remove_document", id: "console-markup" }, { type: "retire_node", id });
}

export async function everything_is_reached_by_the_keyboard_alone(context, { url, token }) {
  const page = context.pages()[0];
  await page.goto(`${url}/console/`);
  await page.waitForSelector("input[name=token]:focus");
  await page.keyboard.insertText(token);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".rows .row");
  await page.focus(".slider");
  await page.keyboard.press("ArrowUp");
  await equal(page.locator(".rows [aria-selected=true]").count(), 0, "rows that an arrow on the slider chooses");
  await page.keyboard.press("j");
  await page.waitForSelector(".rows [aria-selected=true]");
  const chosen = await page.getAttribute(".rows [aria-selected=true]", "data-id");
  await page.keyboard.press("Enter");
  await page.waitForSelector(`h1:text-is("${chosen}")`);
  await page.keyboard.press("]");
  await until("the next node is shown", async () => (await page.innerText("h1")) !== chosen);
  for (const [keys, title] of [["gh", "History"], ["gd", "Documents"], ["gp", "Proposals"], ["gr", "Rollouts"], ["gx", "Proof"], ["gs", "Server"], ["gf", "Fleet"]]) {
    for (const key of keys) await page.keyboard.press(key);
    await page.waitForSelector(`h1:text-is("${title}")`);
  }
  await page.keyboard.press("f");
  await page.keyboard.type("state!=x");
  check(page.url().includes("filter=state"), "the filter is typed");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog.palette input:focus");
  await page.keyboard.type("1");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".page-request h1");
  await page.keyboard.press("?");
  await page.waitForSelector("dialog.keys");
  await page.keyboard.press("Escape");
  await page.keyboard.press("t");
  await page.keyboard.type("1");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".banner:not([hidden])");
  await page.keyboard.press("n");
  await page.waitForSelector(".banner", { state: "hidden" });
}

export async function an_auditor_is_offered_no_change(context, { url, auditor, api }) {
  if (!auditor) throw new NotRunError("HEADWATER_CONSOLE_AUDITOR_TOKEN is not set");
  const node = (await new Api(url, auditor).get("/v1/nodes?limit=1")).items[0];
  const page = await signedIn(context, url, auditor, `#/node/${node.id}`);
  await page.waitForSelector(`h1:text-is("${node.id}")`);
  await equal(page.getByRole("button", { name: /Retry|Change labels|Take it back/ }).count(), 0, "buttons that change something");
  // A report, which may be the newest, can't be taken back.
  const { command_id } = await api.send("an auditor looks at it", api.put("console-audit", "audit/text", `${Date.now()}\n`));
  await goTo(page, `#/request/${command_id}`);
  await page.waitForSelector("code:has-text('headwater undo')");
  await equal(page.getByRole("button", { name: /Take it back/ }).count(), 0, "buttons that take back");
  await api.send("tidy", { type: "remove_document", id: "console-audit" });
}

export async function a_worker_that_does_not_start_is_replaced(context, { url, token }) {
  await context.addInitScript(() => {
    globalThis.SharedWorker = class {
      port = new MessageChannel().port1;
      constructor() {
        setTimeout(() => this.onerror(new Event("error")), 200);
      }
    };
  });
  const page = await signedIn(context, url, token);
  await page.waitForSelector(".live[data-state=live]");
}

export async function a_browser_without_shared_workers_works_alone(context, { url, token }) {
  await context.addInitScript(() => delete globalThis.SharedWorker);
  const page = await signedIn(context, url, token);
  await page.waitForSelector(".live[data-state=live]");
  await page.waitForSelector(".rows .row");
}
