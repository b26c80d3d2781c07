// A node: what is desired of it, what it tried, what it runs, and where each file comes from.

import { relabelNode, retryNode, takingBack } from "../action.js";
import { firstRejected, isConcerned } from "./attention.js";
import { h, lazy } from "../dom.js";
import { badge, parseFilter, select, STATES } from "../nodes.js";
import {
  because, byline, command, contentPart, digest, drawDiff, empty, entityLink, facts, labels, livePage, positionLink,
  reasonText, requestLine, section, when,
} from "../parts.js";
import { apiPath, commandLine, formatRoute, number, plural, sizeText } from "../text.js";

const DIFFS_MAX = 5;
// A node reports every 10 s, and no report alone makes the page another one.
const HEARD_MS = 30_000;

export function openNode(app, root, route) {
  const page = new NodePage(app, route);
  const live = livePage(app, root, {
    load: () => page.load(),
    draw: (answer) => page.draw(answer),
    concerns: (change) => change.rows.some((row) => row.id === route.id) || change.gone.includes(route.id),
  });
  return { ...live, keys: { "]": () => page.go(1), "[": () => page.go(-1), j: () => page.go(1), k: () => page.go(-1) } };
}

class NodePage {
  #app;
  #route;

  constructor(app, route) {
    this.#app = app;
    this.#route = route;
  }

  async load() {
    const { connection } = this.#app;
    const node = await this.#app.get(apiPath("nodes", this.#route.id));
    const behind = node.running && node.running.digest !== node.desired.digest;
    const rejected = node.state === "failed" || node.state === "refused" ? firstRejected(node) : null;
    const [diff, request] = await Promise.all([
      behind ? this.#diff(node).catch(() => null) : null,
      rejected ? connection.get(`/v1/impact/${rejected}`).catch(() => null) : null,
    ]);
    return { node, diff, request: request && isConcerned(request, node.id) ? request : null };
  }

  /** What is desired now against what was desired where the node stands: records are pure functions of the log. */
  async #diff(node) {
    const { connection, at } = this.#app;
    const path = apiPath("diff", "nodes", node.id);
    const range = `?from=${node.running.position}${at ? `&to=${encodeURIComponent(at)}` : ""}`;
    const diff = await connection.get(path + range);
    const texts = await Promise.all(diff.files.slice(0, DIFFS_MAX).map((file) => connection.get(apiPath("diff", "nodes", node.id, "files", file.path) + range).catch(() => null)));
    const causes = await Promise.all(diff.files.slice(0, DIFFS_MAX).map((file) => this.#app.get(apiPath("why", "nodes", node.id, file.path)).catch(() => null)));
    return { files: diff.files, texts, causes };
  }

  draw({ node, diff, request }) {
    return [
      this.#drawHead(node), this.#drawStatement(node), request && this.#drawRequest(node, request), this.#drawFlow(node),
      diff && this.#drawDiff(node, diff), this.#drawDrift(node), this.#drawFiles(node), this.#drawMore(node),
    ];
  }

  #neighbours() {
    const { filter = "", sort = "" } = this.#route.params;
    const fleet = this.#app.connection.fleet;
    if (!fleet) return { before: null, after: null, place: "" };
    const rows = select(fleet, parseFilter(filter).test, sort);
    const index = rows.findIndex((row) => row.id === this.#route.id);
    const place = index < 0 ? "" : `${number(index + 1)} of ${number(rows.length)}`;
    return { before: rows[index - 1]?.id ?? null, after: index < 0 ? null : rows[index + 1]?.id ?? null, place };
  }

  #href(id) {
    return formatRoute("node", id, { ...this.#route.params });
  }

  go(by) {
    const { before, after } = this.#neighbours();
    const id = by > 0 ? after : before;
    if (id) location.hash = this.#href(id);
  }

  #drawHead(node) {
    const { before, after, place } = this.#neighbours();
    const { filter, sort } = this.#route.params;
    const step = (id, text, key) => (id ? h("a", { href: this.#href(id), title: `${id} (${key})` }, text) : h("span.quiet", text));
    const actions = this.#app.mayWrite && !node.retired && h("div.buttons",
      h("button", { "data-key": "labels", onclick: () => relabelNode(this.#app, node.id, node.labels) }, "Change labels …"),
      h("button", { "data-key": "retry", onclick: () => retryNode(this.#app, node.id) }, "Retry …"));
    return h("header.heading",
      h("p.kind", h("a", { href: this.#app.href("fleet", "", { filter, sort }) }, filter ? `Fleet, filtered by ${filter}` : "Fleet"), " › node ",
        h("span.neighbours", step(before, "‹ previous", "["), step(after, "next ›", "]"), place && h("span.quiet", place))),
      h("div.titleline", h("h1", node.id), labels(node.labels), node.retired && h("strong", "retired"), actions));
  }

  #drawStatement(node) {
    const { tone = "off", means = "", todo = "" } = STATES[node.state] ?? {};
    return h("div.statement", { class: `t-${tone}` }, badge(node.state), h("p", means),
      node.state === "offline" && node.silence_ms ? h("p", "It was heard last ", this.#heard(node.silence_ms), ".")
        : node.reason && h("pre", `${node.reason.code}: ${node.reason.detail.trim()}`),
      node.state !== "converged" && !this.#app.at && h("p", h("strong", "What to do: "), todo),
      !this.#app.mayWrite && !this.#app.at && node.state === "failed" && command(commandLine("retry", node.id), "An administrator lets it try again with"));
  }

  /** A silence goes on and nothing announces it, so it is shown as a time, of which the frame says how long ago it is. */
  #heard(silence) {
    return when(this.#app, new Date(Date.now() - silence).toISOString());
  }

  #drawRequest(node, impact) {
    return section("Since which change", `the first request that ${node.id} rejected`,
      requestLine(this.#app, impact),
      h("div.buttons", takingBack(this.#app, impact.command_id), h("a.button", { href: this.#app.href("request", String(impact.position)) }, "The whole request")));
  }

  #drawFlow(node) {
    const { desired, running, reported, noted } = node;
    const attempt = reported?.attempt ?? noted?.failed ?? null;
    const same = running && running.digest === desired.digest;
    return h("div.flow",
      h("div", h("h3", "Desired"), h("p.big", "position ", positionLink(this.#app, desired.position)),
        h("p.quiet", plural(desired.entries.length, "file"), ", ", digest(desired.digest))),
      h("div", h("h3", attempt ? "Last attempt" : noted && !reported ? "Noted in the log" : "Reported"),
        attempt ? [h("p.big", `${attempt.state} `, positionLink(this.#app, attempt.position)), h("p.quiet", attempt.code ?? "no error", attempt.at && [", ", when(this.#app, attempt.at, false), " by its own clock"])]
          : noted?.running ? h("p.big", "runs ", positionLink(this.#app, noted.running.position)) : h("p.big.quiet", "nothing"),
        !reported && noted && h("p.quiet", "noted at ", positionLink(this.#app, noted.position), ", ", when(this.#app, noted.at, false)),
        reported && h("p.quiet", "heard ", reported.silence_ms < HEARD_MS ? "within 30 s" : this.#heard(reported.silence_ms), `, ${reported.agent}`),
        reported?.warnings?.map((warning) => h("p.warning", warning.detail, " ", h("code", warning.code)))),
      h("div", h("h3", "Running"), running ? h("p.big", same ? "as desired" : ["position ", positionLink(this.#app, running.position)]) : h("p.big.quiet", "nothing known"),
        running && h("p.quiet", same ? ["since position ", positionLink(this.#app, running.position), ", "] : "something else than what is desired, ", digest(running.digest))));
  }

  #drawDiff(node, { files, texts, causes }) {
    if (!files.length) return null;
    return section("What is desired and does not run", `from position ${number(node.running.position)} to ${number(node.desired.position)}`,
      h("div.stack", files.slice(0, DIFFS_MAX).map((file, index) => {
        const cause = causes[index]?.because[0];
        return h("details", { "data-key": `diff-${file.path}`, open: index < 2 },
          h("summary", h("code", file.path), wordOf(file), cause && h("span.push", byline(this.#app, cause, false))),
          h("div.inside", cause && h("p", entityLink(this.#app, cause.entity), ` version ${cause.version} at `, positionLink(this.#app, cause.position), ": ", reasonText(cause.reason)),
            drawDiff(texts[index]?.unified, file.before, file.after)));
      })),
      files.length > DIFFS_MAX && h("p.quiet", `and ${plural(files.length - DIFFS_MAX, "more file")}: ${files.slice(DIFFS_MAX, 40).map((file) => file.path).join(", ")}`));
  }

  #drawDrift(node) {
    const drift = node.reported?.drift ?? node.noted?.drift ?? [];
    if (!drift.length) return null;
    return section("Changed on the node", "only these paths are known: a node names at most a hundred, and says nothing of what stands in them",
      h("ul.paths", drift.map((path) => h("li", path))),
      command(`headwater edge status --dir DIR`, "On its machine, with the folder of the node"));
  }

  #drawFiles(node) {
    const { entries } = node.desired;
    if (!entries.length) return section("Files", null, empty("No document selects this node, so it holds no files."));
    return section("Files", `${plural(entries.length, "file")} that the node must hold`,
      h("div.stack", entries.map((entry) => this.#file(node, entry))));
  }

  #file(node, entry) {
    const { entity, version, position } = entry.source;
    const summary = [h("code", entry.path), h("span.quiet", entity, ` version ${version}`),
      h("span.push", sizeText(entry.size), entry.mode === "755" && ", executable", ` · since ${number(position)}`)];
    return lazy(`file-${entry.path}`, summary, () => this.#explain(node, entry));
  }

  async #explain(node, entry) {
    const { connection } = this.#app;
    const why = await this.#app.get(apiPath("why", "nodes", node.id, entry.path));
    const path = apiPath("nodes", node.id, "files", entry.path);
    return [
      because(this.#app, why),
      why.runs.known && why.runs.file?.digest !== entry.digest && h("p.warning", why.runs.file ? ["The node runs another file here: version ", why.runs.file.source.version, " of ", entityLink(this.#app, why.runs.file.source.entity)] : "The node runs no file here."),
      facts(["Origin", entityLink(this.#app, entry.source.entity)], ["Digest", h("code.digest", { title: entry.digest }, entry.digest.slice(0, 24), "…")], ["Put at", positionLink(this.#app, entry.source.position)]),
      contentPart(this.#app, `content-${entry.path}`, "The file as the node gets it", entry.size, path),
      command(this.#app.line("why", "node", node.id, entry.path)),
    ];
  }

  #drawMore(node) {
    const href = (entity) => this.#app.href("history", "", { entity });
    return section("History", null, h("p.buttons",
      h("a.button", { href: href(`node/${node.id}`) }, "What was done to it"),
      h("a.button", { href: href(`report/${node.id}`) }, "What it reported")),
      facts(["Access", node.access], node.bundle && ["Bundle", node.bundle], ["Cause of its record", positionLink(this.#app, node.desired.cause.position)],
        node.desired.retry ? ["Last retry", positionLink(this.#app, node.desired.retry)] : null,
        node.reported?.boot_no ? ["Boot", number(node.reported.boot_no)] : null));
  }
}

function wordOf(file) {
  const word = !file.before ? "new" : !file.after ? "removed" : "changed";
  return h("span.quiet", word);
}
