// Proof: that an event is in the log, that the log's key signed it, and that the log only grew since this browser saw it last.
// Everything is computed here, from what the server sent.

import { h, swap } from "../dom.js";
import { command, digest, download, entityLink, facts, heading, positionLink, problem, reasonText, section, when } from "../parts.js";
import {
  areOfOneLog, CANNOT_VERIFY, canVerify, forget, fromHex, leafOf, parseNote, parseProof, rootFromInclusion, sameBytes, seenOf, toHex, UnsupportedError, verifyNote, watch,
} from "../proof.js";
import { number, plural } from "../text.js";

export function openProof(app, root, route) {
  const position = /^\d+$/.test(route.id) ? Number(route.id) : null;
  const page = { closed: false, close: () => (page.closed = true), reload: () => run() };
  const run = async () => {
    swap(root, head(app, position), h("p.quiet", "Computing …"));
    const finding = canVerify() && (await watch((path) => app.connection.get(path)).catch((error) => ({ error })));
    const parts = finding ? [drawGrowth(app, finding, run), position && (await drawEvent(app, position, finding))] : h("p.warning", CANNOT_VERIFY);
    if (!page.closed) swap(root, head(app, position), parts, limits(app));
  };
  run();
  return page;
}

function head(app, position) {
  const field = h("input", { type: "text", inputmode: "numeric", "aria-label": "Position of an event", placeholder: "position of an event", value: position ?? "", "data-key": "position", pattern: "\\s*[1-9]\\d*\\s*", title: "A position is a whole number, such as 44", required: true });
  const go = (event) => {
    event.preventDefault();
    location.hash = app.href("proof", field.value.trim());
  };
  return [
    heading(position ? `Proof of event ${number(position)}` : "Proof", "What this browser can find out about the log by itself, from hashes and one signature."),
    h("form.choices", { onsubmit: go }, h("div.filter", field), h("button", { type: "submit" }, "Prove this event")),
  ];
}

function limits(app) {
  return section("What this can't show", null,
    h("p", "The same server sent this page, and one that lies could send a page that lies. Nor does a checkpoint know of later events. The auditor's program needs no server, only an export and the public key. Have the key from elsewhere than this page:"),
    command("headwater export --to log.hwlog", ""), command("headwater-replay verify log.hwlog --trust KEY", ""));
}

const MARKS = { good: "✓", bad: "✕", unknown: "?" };
const TONES = { good: "good", bad: "bad", unknown: "warn" };

function drawCheck({ verdict, title, told }) {
  return h("li", { class: `t-${TONES[verdict]}` }, h("span.mark", { role: "img", "aria-label": verdict }, MARKS[verdict]), h("div.body", h("strong", title), h("code", told)));
}

function drawGrowth(app, finding, again) {
  if (finding.error) return problem(finding.error);
  const { log, seen: before } = finding;
  app.frame?.drawFinding(finding);
  const rows = before && before.size === finding.now?.size ? h("div", plural(before.size, "event"), ", nothing came since ", when(app, before.seen_at)) : [
    before && h("div", "Seen before: ", plural(before.size, "event"), ", ", when(app, before.seen_at)),
    finding.now && h("div", "Signed now: ", plural(finding.now.size, "event"), ", ", when(app, finding.now.at)),
  ];
  const titles = { good: before ? "The log only grew since this browser saw it last" : "The log's key signed its checkpoint", bad: "The log is not the one that this browser saw", unknown: "The log could not be verified" };
  const drop = () => {
    forget(log.log_id);
    again();
  };
  return section("The log", null,
    h("div.verdict", { class: finding.verdict, role: finding.verdict === "bad" ? "alert" : null }, h("strong", titles[finding.verdict]), finding.detail && h("p", finding.detail), rows),
    finding.verdict === "bad" && h("div.buttons", h("button", { onclick: drop }, "Forget what this browser saw"), h("span.quiet", "only if you know why the log is another one")),
    facts(["Log", h("code", log.log_id)], ["Key id", digest(log.key_id)], ["Public key", h("code", log.signing_key)], seenOf(log.log_id) && ["Kept in this browser", plural(seenOf(log.log_id).size, "event")]));
}

async function drawEvent(app, position, finding) {
  let parts;
  try {
    const { connection } = app;
    const [page, answer] = await Promise.all([
      connection.get(`/v1/events?after=${position - 1}&limit=1&data_text=true`),
      connection.ask({ path: `/v1/log/proof/inclusion/${position}`, accept: "text/plain" }),
    ]);
    parts = { finding, get: (path) => connection.get(path), event: page.items[0], text: answer.body, proof: parseProof(answer.body) };
    if (parts.event?.position !== position) throw new Error("The log has no event at this position.");
  } catch (error) {
    return problem(error);
  }
  const checks = [await checkLeaf(parts), await checkInclusion(parts), await checkSignature(parts), await checkTree(parts)];
  const worst = ["bad", "unknown", "good"].find((verdict) => checks.some((each) => each.verdict === verdict));
  const titles = { good: `Event ${number(position)} is in the log, exactly as it is shown here`, bad: "Something is not what it was", unknown: "Not everything could be checked" };
  const { event, text } = parts;
  return section("The event", "the leaf seals actor, time and reason, too",
    h("div.verdict", { class: worst, role: worst === "bad" ? "alert" : null }, h("strong", titles[worst])),
    facts(["What", `${event.type} `, entityLink(app, event.entity)], ["By", h("strong", event.actor)], ["When", when(app, event.at)], ["Reason", reasonText(event.reason)], ["Request", positionLink(app, position)]),
    h("ol.checks", checks.map(drawCheck)),
    h("div.buttons", h("button", { onclick: () => download(`headwater-${position}.tlog-proof`, text) }, "Download the proof"), h("span.quiet", "as a C2SP tlog-proof")),
    h("details", h("summary", "Its data, as the leaf seals them"), h("div.inside", h("pre.raw", { tabindex: "0" }, event.data_text))),
    h("details", h("summary", "The proof"), h("div.inside", h("pre.raw", { tabindex: "0" }, text))));
}

/** A step. An error in it is a proof that fails, unless something could not be asked or computed. */
async function step(title, otherwise, compute) {
  try {
    const { good, told } = await compute();
    return { verdict: good ? "good" : "bad", title: good ? title : otherwise, told };
  } catch (error) {
    const unknown = error instanceof UnsupportedError || error.status !== undefined;
    return { verdict: unknown ? "unknown" : "bad", title: unknown ? "This could not be checked" : otherwise, told: error.message };
  }
}

function checkLeaf({ event }) {
  return step("The leaf seals this event", "The leaf does not seal this event: a column of it was changed", async () => {
    const leaf = toHex(await leafOf(event));
    return { good: leaf === event.leaf, told: leaf };
  });
}

function checkInclusion({ event, proof }) {
  return step("Hashes lead from it to the root of the tree", "The proof does not lead to the root of the tree", async () => {
    const { size, root } = parseNote(proof.note);
    const reached = await rootFromInclusion(await leafOf(event), proof.index, size, proof.hashes);
    return { good: proof.index === event.position - 1 && sameBytes(reached, root), told: `${proof.hashes.length} hashes, ${plural(size, "event")}: ${toHex(reached)}` };
  });
}

function checkSignature({ finding, proof }) {
  return step("The log's key signed that root", "The signature is not one of the log's key", async () => {
    const { log, seen } = checked(finding);
    // The key that this browser knows, and not one that came along with the proof.
    const key = seen?.key ?? log.signing_key;
    const { size } = await verifyNote(proof.note, log.log_id, fromHex(key));
    return { good: true, told: `key ${key}, ${plural(size, "event")}` };
  });
}

/** The event is in a log that goes on from what this browser saw, and not in another one that the same key signed. */
function checkTree({ finding, proof, get }) {
  return step("That root is of the log that was checked above", "That root is of another log than the one that was checked above", async () => {
    const { now, verdict } = checked(finding);
    const good = verdict === "good" && (await areOfOneLog(get, now, parseNote(proof.note)));
    return { good, told: verdict === "good" ? plural(now.size, "event") : finding.detail };
  });
}

function checked(finding) {
  if (!finding.log || finding.verdict === "unknown") throw new UnsupportedError("the log itself could not be checked");
  return finding;
}
