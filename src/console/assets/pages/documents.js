// All documents: the files that nodes get.

import { number, plural, sizeText, targetText } from "../describe.js";
import { h, swap } from "../dom.js";
import { livePage } from "../page.js";
import { empty, heading, positionLink } from "../parts.js";

const ROWS_MAX = 500;

export function open(app, root, route) {
  const body = h("div.stack");
  const field = h("input.filter", { type: "search", value: route.params.filter ?? "", placeholder: "Filter by id, path or bundle", "aria-label": "Filter of the documents", "data-key": "filter" });
  let answer = null;
  field.addEventListener("input", () => {
    app.amend({ filter: field.value });
    if (answer) show();
  });
  const show = () => swap(body, drawTable(app, answer, field.value));
  const live = livePage(app, root, {
    load: () => app.connection.list(app.path("/v1/documents")),
    draw: (loaded) => {
      answer = loaded;
      show();
      return [heading(null, "Documents", h("p.lead", null, "A document is a file for the nodes that its target selects.")), h("div.choices", null, field), body];
    },
    // Reports of nodes change no document; a change of the desired positions may.
    concerns: (_, moved) => moved,
  });
  return { ...live, keys: { f: () => field.focus() } };
}

function drawTable(app, { items, more }, filter) {
  const wanted = filter.trim().toLowerCase();
  const fits = items.filter((document) => `${document.id}\n${document.path}\n${document.bundle ?? ""}`.toLowerCase().includes(wanted));
  if (!items.length) return empty("There is no document yet.");
  if (!fits.length) return empty("No document fits the filter.");
  const rows = fits.slice(0, ROWS_MAX).map((document) =>
    h("tr", null,
      h("td", null, h("a.id", { href: app.href("document", document.id) }, document.id)), h("td", null, h("code", null, document.path)),
      h("td", null, targetText(document.target)), h("td.num", null, number(document.priority)), h("td.num", null, String(document.version)),
      h("td.num", null, sizeText(document.size)), h("td", null, document.bundle ?? h("span.quiet", null, "none")), h("td.num", null, positionLink(app, document.position))));
  const head = ["Document", "Path on the node", "For", "Priority", "Version", "Size", "Bundle", "Put at"];
  return [
    h("p.quiet", { role: "status" }, `${number(fits.length)} of ${plural(items.length, "document")}${more ? ", and there are more" : ""}.`),
    h("div.scrollable", { tabindex: "0", role: "region", "aria-label": "Documents" }, h("table.plaintable", null,
      h("thead", null, h("tr", null, head.map((text, index) => h("th", { scope: "col", class: [3, 4, 5, 7].includes(index) ? "num" : "" }, text)))), h("tbody", null, rows))),
    fits.length > ROWS_MAX && h("p.quiet", null, `The first ${number(ROWS_MAX)} are shown: filter for the others.`),
  ];
}
