// The server that answers: whether it can do its work, and how far behind it is.

import { h, swap } from "../dom.js";
import { command, digest, facts, heading, problem, section, when } from "../parts.js";
import { formatSpan, number, plural, sizeText } from "../text.js";

const REFRESH_MS = 5_000;
const RELAYS = {
  following: "publishes what comes through the slot",
  standby: "another server holds the slot and publishes",
  repairing: "holds the slot, and compares NATS with the log",
  starting: "does not hold the slot yet",
};

export function openServer(app, root) {
  let closed = false;
  const load = async () => {
    try {
      const parts = await ask(app);
      if (!closed) swap(root, draw(app, parts));
    } catch (error) {
      if (!closed) swap(root, problem(error));
    }
  };
  load();
  // These figures are the server's own and no events of the log, so nothing announces them.
  const timer = setInterval(load, REFRESH_MS);
  return {
    reload: load,
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
}

async function ask(app) {
  const { connection } = app;
  const ready = connection.get("/readyz").catch((error) => ({ ready: false, reasons: [{ part: error.code ?? "answer", reason: error.message }] }));
  const [readiness, log, metrics] = await Promise.all([ready, connection.ask({ path: "/v1/log" }), connection.ask({ path: "/metrics", accept: "application/openmetrics-text" }).catch(() => null)]);
  return { readiness, log: log.body, ms: log.ms, figures: metrics ? readFigures(metrics.body) : {} };
}

export function readFigures(text) {
  const figures = {};
  for (const line of text.split("\n")) {
    const plain = /^headwater_([a-z_]+) (\S+)$/.exec(line);
    const labelled = /^headwater_build_info\{version="([^"]+)"\}/.exec(line);
    if (plain) figures[plain[1]] = Number(plain[2]);
    if (labelled) figures.version = labelled[1];
  }
  return figures;
}

function draw(app, { readiness, log, ms, figures }) {
  const { link, session } = app.connection;
  return [
    heading("Server", "The server that answers this page. Where several share a log, each tells about itself."),
    h("div.verdict", { class: readiness.ready ? "good" : "bad", role: readiness.ready ? null : "alert" }, h("strong", readiness.ready ? "It can do its work" : "It can't do its work"),
      readiness.reasons.map((each) => h("p", h("code", each.part), " ", each.reason)), readiness.warnings?.map((each) => h("p", h("code", each.part), " ", each.reason))),
    section("Log", null, facts(
      ["Log", h("code", log.log_id)], ["Last event", number(log.position)], ["Appended", when(app, log.at)], ["Published", known(log.published, number)],
      ["Signed", known(figures.signed_position, number)], ["Read again and unchanged up to", known(figures.checked_position, number)], ["Key id", digest(log.key_id)], ["Public key", h("code", log.signing_key)])),
    section("Relay", null, facts(
      ["Phase", h("strong", log.relay ?? "none")], ["Meaning", RELAYS[log.relay] ?? "this server runs no relay"],
      ["Behind by", known(figures.publish_lag_events, (count) => `${plural(count, "event")}, ${figures.publish_lag_seconds ?? 0} s`)],
      ["Kept by the slot", known(figures.slot_retained_bytes, sizeText)])),
    section("This page", null, facts(
      ["Version of the server", figures.version ?? "not known"], ["Signed in as", h("strong", session.name)], ["Role", session.role],
      ["Stream", link.state === "live" ? `live for ${formatSpan(Date.now() - link.since)}` : `${link.state} ${link.detail}`], ["An answer took", `${ms.toFixed(0)} ms`])),
    command("headwater health"),
  ];
}

function known(value, say) {
  return value === null || value === undefined || Number.isNaN(value) ? "not known" : say(value);
}
