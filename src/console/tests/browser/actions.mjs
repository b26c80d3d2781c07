// The buttons that change something, pressed as a person presses them: what would happen is read, a reason is given, and the log
// has exactly that event afterwards.

import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";

import { Api, NotRunError, check, equal, goTo, signedIn, until } from "./api.mjs";

const FOLDER = "console-actions";

/**
 * Presses a button, reads the preview, gives a reason and confirms. `step` has the `button`, the `verb` that confirms, what the
 * preview `says`, the `reason`, the `line` that does the same without a reason, the `types` of the events, and `shows`, which
 * is true once the page shows the new state.
 */
async function act(page, { altered, api }, step) {
  await page.getByRole("button", { name: step.button, exact: true }).click();
  const dialog = page.locator("dialog.action");
  const confirm = dialog.getByRole("button", { name: step.verb, exact: true });
  await step.fill?.(dialog);
  for (const wanted of step.says) await until(`the preview of ${step.verb} says ${wanted}`, async () => (await dialog.locator(".preview").innerText()).includes(wanted), 5_000);
  await equal(confirm.isDisabled(), true, `${step.verb} without a reason`);
  await dialog.getByLabel("Reason", { exact: true }).fill(step.reason);
  await equal(dialog.locator("code", { hasText: "headwater" }).allInnerTexts(), [`${step.line} --reason '${step.reason}'`], `the command that does the same as ${step.verb}`);
  const { position } = await api.get("/v1/log");
  const start = Date.now();
  await confirm.click();
  await dialog.waitFor({ state: "detached" });
  await until(`the page shows ${step.verb}`, () => step.shows(page));
  console.log(`        ${step.verb} is shown ${Date.now() - start} ms after the press, where 2,000 is the aim`);
  return stored(altered, api, position, step);
}

/** After a position the log has these events of this person and no others; the same request under the same key adds nothing. */
async function stored(altered, api, position, { verb, reason, types }) {
  const { name } = await api.get("/v1/whoami");
  // A plan that was shown may be kept beside what it did.
  const events = async () => (await api.get(`/v1/events?after=${position}&limit=1000`)).items.filter((event) => event.actor === name && event.type !== "PlanKept");
  const found = await events();
  await equal(found.map((event) => event.type), types, `the events of ${verb}`);
  for (const event of found) await equal(event.reason, reason, `the reason of ${event.type}`);
  const { sent } = await (await fetch(`${altered}/bench`, { method: "POST", body: "{}" })).json();
  check(/^console-[0-9a-f]{32}$/.test(sent.key), `the key of ${verb}: ${sent.key}`);
  check(/^"[^"]+"$/.test(sent.plan), `the plan of ${verb}: ${sent.plan}`);
  const again = await fetch(`${api.url}/v1/commands`, {
    method: "POST", body: sent.body, headers: { authorization: `Bearer ${api.token}`, "content-type": "application/json", "idempotency-key": sent.key, "if-match": sent.plan },
  });
  await equal(again.json().then((answer) => answer.command_id), found[0].command_id, `the answer to ${verb}, sent again`);
  await equal(events().then((list) => list.length), types.length, `events of ${verb} after it was sent again`);
  return found;
}

async function heard(api, least) {
  const nodes = async () => (await api.get("/v1/nodes?limit=1000")).items.filter((node) => !node.retired && node.state === "converged").map((node) => node.id);
  await until(`${least} nodes run what is desired`, async () => (await nodes()).length >= least);
  return nodes();
}

const mark = () => String(Date.now() % 100_000_000);
const titleSays = (text) => async (page) => (await page.locator(".titleline").innerText()).includes(text);

/** A rollout over three nodes, whose canary has the change and bakes. */
async function canary(api, id, file) {
  const nodes = (await heard(api, 3)).slice(0, 3);
  const target = { nodes };
  await api.send("what is proven", api.put("console-rollout", file, `old ${id}\n`, { target }));
  await until("the three run it", async () => nodes.every(((all) => (node) => all.includes(node))(await heard(api, 3))));
  await api.send("a rollout for the law",
    { type: "open_rollout", id, max_in_flight: 3, stages: [{ name: "canary", up_to: { count: 1 }, bake_s: 600, gate: "approval" }] },
    { ...api.put("console-rollout", file, `new ${id}\n`, { target }), rollout: id },
    { type: "start_rollout", id });
  await until("the canary has confirmed", async () => (await api.get(`/v1/rollouts/${id}`)).counts.confirmed === 1);
  return nodes;
}

async function endRollout(api, id) {
  const { status } = await api.get(`/v1/rollouts/${id}`).catch(() => ({ status: "aborted" }));
  if (["draft", "running", "paused", "halted"].includes(status)) await api.send("tidy", { type: "abort_rollout", id });
  await api.send("tidy", { type: "remove_document", id: "console-rollout" });
}

export async function a_rollout_is_paused_resumed_approved_and_aborted(context, world) {
  const { altered, token, api } = world;
  const id = `console-rollout-${mark()}`;
  const file = `${FOLDER}/rollout`;
  try {
    const nodes = await canary(api, id, file);
    const page = await signedIn(context, altered, token, `#/rollout/${id}`);
    await until("the page shows it running", () => titleSays("running")(page));
    const steer = (verb, more) => act(page, world, { button: `${verb} …`, verb, line: `headwater rollout ${verb.toLowerCase()} ${id}`, ...more });
    const status = (wanted) => equal(api.get(`/v1/rollouts/${id}`).then((rollout) => rollout.status), wanted, "the rollout");
    const unchanged = ["1 event", "no file on any node changes"];

    await steer("Pause", { says: unchanged, reason: "the beam is on", types: ["RolloutPaused"], shows: titleSays("paused") });
    await status("paused");
    await equal(page.getByRole("button", { name: /Pause|Approve|Complete/ }).count(), 0, "what can't be done while it is paused");
    await steer("Resume", { says: unchanged, reason: "the beam is off", types: ["RolloutResumed"], shows: titleSays("running") });
    await status("running");
    const approved = async () => /\bapproved\b/.test(await page.locator(".stage").first().innerText());
    await equal(approved(), false, "the stage is approved before anybody did");
    await steer("Approve", {
      button: "Approve canary …", line: `headwater rollout approve ${id} canary`, says: unchanged, reason: "seen on the detector", types: ["StageApproved"], shows: approved,
    });
    await equal(page.getByRole("button", { name: /Approve/ }).count(), 0, "a stage is approved once");

    const entry = async (node) => (await api.get(`/v1/nodes/${node}`)).desired.entries.find((each) => each.path === file).digest;
    const digests = async () => new Set(await Promise.all(nodes.map(entry)));
    check((await digests()).size === 2, "one node of the three has the change");
    await steer("Abort", { says: ["1 node", `~ ${file}`], reason: "the window is too wide", types: ["RolloutAborted"], shows: titleSays("aborted") });
    await status("aborted");
    check((await digests()).size === 1, "every node has what it had before");
    await until("the page says why", async () => (await page.locator(".facts").first().innerText()).includes("the window is too wide"));
    await equal(page.getByRole("button", { name: /Pause|Resume|Approve|Abort|Complete/ }).count(), 0, "what can be done to a rollout that is over");
  } finally {
    await endRollout(api, id);
  }
}

/** Identifiers of proposals are UUIDs of version 7, so that later ones are higher. */
function uuid() {
  const digits = `${Date.now().toString(16).padStart(12, "0")}7${randomBytes(10).toString("hex")}`;
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), `8${digits.slice(17, 20)}`, digits.slice(20, 32)].join("-");
}

/** Lets a node propose other bytes for a file that it has, and gives the proposal as the server knows it. */
async function proposed(world, id, file) {
  const { api, nodeDir } = world;
  if (!nodeDir) throw new NotRunError("HEADWATER_CONSOLE_NODE_DIR is not set: a proposal is made in the folder of a node");
  await api.send("what is to be calibrated", api.put(id, file, "lamp 1\n"));
  await until("the node runs it", async () => (await readFile(path.join(nodeDir, "current/files", file), "utf8")) === "lamp 1\n");
  const name = uuid();
  const reason = `lamp changed ${name}`;
  const outbox = path.join(nodeDir, "outbox");
  await mkdir(outbox, { recursive: true });
  await writeFile(path.join(outbox, `.${name}`), JSON.stringify({ path: file, media_type: "text/plain", content: "lamp 2\n", reason }));
  await rename(path.join(outbox, `.${name}`), path.join(outbox, `${name}.json`));
  let found;
  await until("the server has the proposal", async () => (found = (await api.get("/v1/proposals?state=open&limit=1000")).items.find((each) => each.reason === reason)));
  return found;
}

/** Whatever came of the law: no proposal of it waits, and no document of it stays. */
async function endProposal({ api, nodeDir }, id, file) {
  if (!nodeDir) return;
  const { items } = await api.get("/v1/proposals?state=open&limit=1000");
  for (const each of items.filter((one) => one.path === file)) await api.send("tidy", { type: "reject_proposal", id: each.id, reason: "tidy" });
  await api.send("tidy", { type: "remove_document", id });
}

/** What the operator of the node reads. */
async function verdict({ nodeDir }, file, wanted) {
  await until(`the node knows that ${file} is ${wanted.state}`, async () => {
    const { proposals } = JSON.parse(await readFile(path.join(nodeDir, "proposals.json"), "utf8"));
    const { state, reason } = proposals.find((each) => each.path === file).verdict;
    return state === wanted.state && reason === wanted.reason;
  });
}

export async function a_proposal_is_accepted(context, world) {
  const { altered, token, api } = world;
  const file = `${FOLDER}/accepted-${mark()}`;
  let document;
  try {
    const proposal = await proposed(world, "console-accepted", file);
    const page = await signedIn(context, altered, token, "#/proposals");
    await page.locator("li.entry", { hasText: proposal.reason }).locator("a").first().click();
    await page.locator(".line.add .code").first().waitFor();
    await equal(page.locator(".line.add .code, .line.del .code").allInnerTexts(), ["lamp 1", "lamp 2"], "what it changes");
    const reason = `measured twice ${mark()}`;
    await act(page, world, {
      button: "Accept …", verb: "Accept", line: `headwater accept ${proposal.id}`, says: [proposal.node, `~ ${file}`], reason, types: ["ProposalAccepted", "DocumentPut"], shows: titleSays("accepted"),
    });
    const decided = await api.get(`/v1/proposals/${proposal.id}`);
    ({ document } = decided);
    await equal([decided.state, (await api.get(`/v1/documents/${document}`)).target], ["accepted", { nodes: [proposal.node] }], "the proposal and its document");
    await equal(page.getByRole("button", { name: /Accept|Reject/ }).count(), 0, "it is decided once");
    await until("the node runs what it proposed", async () => (await readFile(path.join(world.nodeDir, "current/files", file), "utf8")) === "lamp 2\n");
    await verdict(world, file, { state: "accepted", reason });
  } finally {
    if (document) await api.send("tidy", { type: "remove_document", id: document });
    await endProposal(world, "console-accepted", file);
  }
}

export async function a_proposal_is_rejected_with_a_reason_that_its_node_reads(context, world) {
  const { altered, token, auditor, api } = world;
  const file = `${FOLDER}/rejected-${mark()}`;
  try {
    const proposal = await proposed(world, "console-rejected", file);
    const fragment = `#/proposal/${proposal.id}`;
    if (auditor) await (await offered(context, altered, auditor, fragment, [])).close();
    const page = await offered(context, altered, token, fragment, ["Reject …", "Accept …"]);
    const reason = `the lamp was not warm ${mark()}`;
    const events = await act(page, world, {
      button: "Reject …", verb: "Reject", line: `headwater reject ${proposal.id}`, says: ["1 event", "no file on any node changes"], reason, types: ["ProposalRejected"], shows: titleSays("rejected"),
    });
    await equal(events[0].entity, `proposal/${proposal.id}`, "what was rejected");
    await until("the page says why", async () => (await page.locator(".facts").last().innerText()).includes(reason));
    await verdict(world, file, { state: "rejected", reason });
  } finally {
    await endProposal(world, "console-rejected", file);
  }
}

/** A page of its own for somebody, with exactly these buttons that change something. */
async function offered(context, url, token, fragment, buttons) {
  // The hub of the page before may be there still, and asks.
  context.answer = true;
  const page = await signedIn(context, url, token);
  // Tabs share who is signed in, also one that was closed just now.
  const { name } = await new Api(url, token).get("/v1/whoami");
  await page.waitForSelector(`.who strong:text-is("${name}")`);
  await goTo(page, fragment);
  await page.waitForSelector(".titleline h1");
  await equal(page.locator(".titleline button").allInnerTexts(), buttons, `what is offered at ${fragment}`);
  return page;
}

export async function a_node_that_rejected_a_file_tries_again(context, world) {
  const { altered, token, api } = world;
  const node = (await heard(api, 1))[0];
  await api.send("a file that is rejected", api.put("console-retry", `${FOLDER}/retry`, "TODO\n", { target: { nodes: [node] } }));
  const state = async () => (await api.get(`/v1/nodes/${node}`)).state;
  try {
    await until("the node rejects it", async () => (await state()) === "failed", 15_000).catch(() => {
      throw new NotRunError("no node rejects a text with TODO: start the nodes with --check '! grep -rq TODO {}/files'");
    });
    const page = await signedIn(context, altered, token, `#/node/${node}`);
    await page.waitForSelector(".statement pre");
    const last = async () => Number((await page.locator("dl.facts div", { hasText: "Last retry" }).locator("dd").innerText({ timeout: 500 })).replace(/\D/g, ""));
    const before = await last().catch(() => 0);
    const [event] = await act(page, world, {
      button: "Retry …", verb: "Retry", line: `headwater retry ${node}`, says: [node, "tries again"], reason: "the disk was full", types: ["NodeRetried"], shows: async () => (await last()) > before,
    });
    await equal([event.entity, await last()], [`node/${node}`, event.position], "the retry");
    await until("it tried and was rejected again", async () => (await api.get(`/v1/nodes/${node}`)).reported?.attempt?.position >= event.position);
    await until("the file is at fault still", async () => (await state()) === "failed");
  } finally {
    await api.send("tidy", { type: "remove_document", id: "console-retry" });
  }
}

export async function the_labels_of_a_node_are_changed(context, world) {
  const { altered, token, api } = world;
  const value = mark();
  const id = `console-labels-${value}`;
  const file = `${FOLDER}/labels`;
  await api.send("a node to be relabelled", { type: "enrol_node", id, labels: { site: "lund", spare: "yes" } },
    api.put("console-labels", file, "for those with the label\n", { target: { match_labels: { console: value } } }));
  try {
    const page = await signedIn(context, altered, token, `#/node/${id}`);
    await page.waitForSelector(`h1:text-is("${id}")`);
    const shown = () => page.locator(".titleline .label").allInnerTexts().then((texts) => texts.map((text) => text.replace(/\s/g, "")));
    const before = await shown();
    const labels = { console: value, site: "ystad" };
    const [event] = await act(page, world, {
      button: "Change labels …", verb: "Change labels", line: `headwater label nodes ${id} console=${value} site=ystad spare-`, says: ["1 event", id, `+ ${file}`], reason: "moved to the other hall",
      types: ["NodeLabelled"], shows: async () => JSON.stringify(await shown()) !== JSON.stringify(before),
      async fill(dialog) {
        await equal(dialog.getByLabel("Labels", { exact: true }).inputValue(), "site=lund spare=yes", "the labels that it has");
        await dialog.getByLabel("Labels", { exact: true }).fill(`console=${value} site=ystad`);
        await dialog.getByLabel("Reason", { exact: true }).focus();
      },
    });
    await equal([event.entity, (await api.get(`/v1/nodes/${id}`)).labels], [`node/${id}`, labels], "the labels");
    await equal(shown(), [`console${value}`, "siteystad"], "the labels on the page");
  } finally {
    await api.send("tidy", { type: "remove_document", id: "console-labels" }, { type: "retire_node", id });
  }
}

export async function a_lost_answer_is_sent_again_as_it_was(context, world) {
  const { altered, token, api } = world;
  const id = `console-lost-${mark()}`;
  await api.send("a node to be relabelled", { type: "enrol_node", id, labels: { hall: "hall 2", spare: "yes" } });
  try {
    const page = await signedIn(context, altered, token, `#/node/${id}`);
    await page.getByRole("button", { name: "Change labels …" }).click();
    const dialog = page.locator("dialog.action");
    const [labels, reason] = ["Labels", "Reason"].map((name) => dialog.getByLabel(name, { exact: true }));
    await equal(labels.inputValue(), '"hall=hall 2" spare=yes', "the labels that it has");
    await labels.fill('"hall=hall 2" spare');
    await reason.fill("the proxy is ill");
    await until("a word that is no label is refused", async () => (await dialog.locator(".preview").innerText()).includes("spare is not key=value"));
    await labels.fill('"hall=hall 3" spare=yes');
    await reason.focus();
    await until("the preview says what is set", async () => (await dialog.locator(".preview").innerText()).includes('Sets "hall=hall 3"'));
    const confirm = dialog.getByRole("button", { name: "Change labels", exact: true });
    const { position } = await api.get("/v1/log");
    await fetch(`${altered}/bench`, { method: "POST", body: JSON.stringify({ swallow: 2 }) });
    const sent = [];
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await until("it can be sent", async () => !(await confirm.isDisabled()));
      await confirm.click();
      await until("the dialog says what is not known", async () => (await dialog.locator(".state").innerText()).includes("It may have been stored"));
      await equal(Promise.all([labels.isDisabled(), reason.isDisabled()]), [true, true], "fields that would make another request");
      sent.push((await (await fetch(`${altered}/bench`, { method: "POST", body: "{}" })).json()).sent);
    }
    await confirm.click();
    await dialog.waitFor({ state: "detached" });
    sent.push((await (await fetch(`${altered}/bench`, { method: "POST", body: "{}" })).json()).sent);
    for (const again of sent.slice(1)) await equal(again, sent[0], "what is sent again");
    const { items } = await api.get(`/v1/events?after=${position}&entity=node%2F${id}`);
    await equal(items.map((event) => event.type), ["NodeLabelled"], "the events");
    await equal(api.get(`/v1/nodes/${id}`).then((node) => node.labels), { hall: "hall 3", spare: "yes" }, "the labels");
    context.troubles.length = 0;
  } finally {
    await fetch(`${altered}/bench`, { method: "POST", body: JSON.stringify({ swallow: 0 }) });
    await api.send("tidy", { type: "retire_node", id });
  }
}

export async function an_auditor_has_none_of_these_buttons(context, { url, token, auditor, api }) {
  if (!auditor) throw new NotRunError("HEADWATER_CONSOLE_AUDITOR_TOKEN is not set");
  const id = `console-rollout-${mark()}`;
  try {
    const [node] = await canary(api, id, `${FOLDER}/rollout`);
    const rollout = ["Abort …", "Pause …", "Approve canary …"];
    for (const [fragment, buttons] of [[`#/rollout/${id}`, rollout], [`#/node/${node}`, ["Change labels …", "Retry …"]]]) {
      await (await offered(context, url, auditor, fragment, [])).close();
      await (await offered(context, url, token, fragment, buttons)).close();
    }
  } finally {
    await endRollout(api, id);
  }
}
