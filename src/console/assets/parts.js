// Pieces that several pages show in the same way.

import { number, PARTS, short, summarize } from "./describe.js";
import { h } from "./dom.js";
import { entityRoute } from "./route.js";
import { formatAgo, formatTime } from "./times.js";

/** A time with how long ago that is; the exact instant stands in its title. */
export function when(app, instant, ago = true) {
  if (!instant) return h("span.quiet", null, "not known");
  const text = formatTime(instant, app.prefs.local);
  return h("time", { datetime: instant, title: formatTime(instant, !app.prefs.local) }, text, ago && h("span.ago", null, ` ${formatAgo(instant)}`));
}

// Ids that a program made are shortened for the eye.
const UUID = /([0-9a-f]{8})-[0-9a-f-]{27}$/;

/** A link to an entity such as `document/motd`, or its name where no page is about it. */
export function entityLink(app, entity, text = entity.replace(UUID, "$1")) {
  const target = entityRoute(entity, app.keptParams());
  return h("a", { href: target }, text);
}

export const nodeLink = (app, id) => h("a.id", { href: app.href("node", id) }, id);

/** A position that leads to the request that it belongs to. */
export function positionLink(app, position, text = number(position)) {
  return h("a.position", { href: app.href("request", String(position)), title: "the request at this position" }, text);
}

/** Labels as small boxes. */
export function labels(map) {
  const keys = Object.keys(map).sort();
  if (!keys.length) return h("span.quiet", null, "no labels");
  return h("span.labels", null, keys.map((key) => h("span.label", null, h("span.key", null, key), map[key])));
}

/** A digest, shortened for the eye and whole in its title. */
export const digest = (value) => h("code.digest", { title: value ?? "" }, short(value));

/** A list of facts. */
export function facts(...rows) {
  return h("dl.facts", null, rows.filter(Boolean).map(([name, ...value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

/** A part of a page with its heading. */
export function section(title, note, ...children) {
  return h("section", null, h("h2", null, title, note && h("span.note", null, note)), children);
}

/** What there is nothing of. */
export const empty = (...text) => h("p.empty", null, text);

/** The first line of a page. */
export function heading(kind, title, ...more) {
  return h("header.heading", null, kind && h("p.kind", null, kind), h("h1", null, title), more);
}

export function problem(error) {
  const code = error.code ? h("code", null, error.code) : null;
  return h("div.problem", { role: "alert" }, h("strong", null, "This can't be shown. "), error.message, " ", code);
}

/** A command line with a button that copies it. */
export function command(text, note = "The same at the command line") {
  const button = h("button.plain", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Without https a page may not write to the clipboard: the text is selected instead.
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return h("div.command", null, note && h("span.note", null, note), h("code", { tabindex: "0" }, text), button);
}

/** Who did something, when and why: one line, the same everywhere. */
export function byline(app, event) {
  return h("span.byline", null, h("strong.actor", null, event.actor), " ", when(app, event.at), " at ", positionLink(app, event.position));
}

export const reasonText = (reason) => (reason ? h("q.why", null, reason) : h("span.quiet", null, "no reason given"));

/** What the events of a request did, in a few words. */
export function changes(app, events, most = 3) {
  const groups = summarize(events);
  const shown = groups.slice(0, most).map((group) =>
    h("span.change", null, `${group.verb} `,
      group.entities.length === 1
        ? entityLink(app, group.entities[0])
        : `${number(group.entities.length)} ${group.kind}s`));
  return h("span.changes", null, shown, groups.length > most && h("span.quiet", null, ` and ${groups.length - most} more`));
}

/** The events that a file follows from, the most important one first. */
export function because(app, answer) {
  const rows = answer.because.map((event) =>
    h("li", null,
      h("span.part", null, PARTS[event.part] ?? event.part), entityLink(app, event.entity),
      h("span.version", null, `version ${event.version}`), byline(app, event), event.reason && reasonText(event.reason)));
  return h("ol.because", null, rows, answer.more > 0 && h("li.quiet", null, `and ${number(answer.more)} more, which are not listed`));
}

/** Saves bytes that this page made as a file. */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
