// Addresses of the console stand in the fragment, so the server never sees them, and a reload comes back to the same view.
//   #/node/node-1?at=44&filter=site%3Dlund

/** @typedef {{page: string, id: string, params: Record<string, string>}} Route */

export const PAGES = [
  "fleet", "node", "documents", "document", "request", "history", "proposals", "proposal",
  "rollouts", "rollout", "proof", "server",
];

/** Pages that are about one thing, so that their address has an id. */
const WITH_ID = new Set(["node", "document", "request", "proposal", "rollout"]);

/**
 * Reads an address. One that means nothing leads to the fleet, with a note of what it was.
 * @param {string} fragment
 * @returns {Route & {unknown?: string}}
 */
export function parseRoute(fragment) {
  const text = fragment.replace(/^#/, "");
  if (text === "" || text === "/") return { page: "fleet", id: "", params: {} };
  const cut = text.indexOf("?");
  const path = cut < 0 ? text : text.slice(0, cut);
  const params = Object.fromEntries(new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1)));
  const [page, ...rest] = path.replace(/^\//, "").split("/").map(decode);
  const id = rest.join("/");
  if (!PAGES.includes(page) || (WITH_ID.has(page) && id === "")) {
    return { page: "fleet", id: "", params: {}, unknown: text };
  }
  return { page, id, params };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/**
 * Writes an address. Empty parameters are left out, so that one view has one address.
 * @param {string} page
 * @param {string} [id]
 * @param {Record<string, string|number|null|undefined>} [params]
 */
export function formatRoute(page, id = "", params = {}) {
  const query = new URLSearchParams();
  for (const key of Object.keys(params).sort()) {
    const value = params[key];
    if (value !== null && value !== undefined && value !== "") query.set(key, String(value));
  }
  const tail = query.toString();
  const path = id === "" ? `/${page}` : `/${page}/${encodeURIComponent(id)}`;
  return `#${path}${tail ? `?${tail}` : ""}`;
}

/** The token of a link `#token=…`, or null. */
export function tokenOf(fragment) {
  const found = /^#token=([!-~]+)$/.exec(fragment);
  return found ? decode(found[1]) : null;
}

/** A path of the API with its segments encoded: `apiPath("nodes", "n-1", "files", "etc/motd")`. */
export function apiPath(...segments) {
  return `/v1/${segments.map((each) => String(each).split("/").map(encodeURIComponent).join("/")).join("/")}`;
}

/** A query with what is given: `query({at: 4, limit: null})` is `?at=4`. */
export function query(params) {
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([key, value]) => [key, String(value)]))}` : "";
}

/** The page that shows an entity such as `document/motd`, or null. */
export function entityRoute(entity, params = {}) {
  const cut = entity.indexOf("/");
  const [kind, id] = [entity.slice(0, cut), entity.slice(cut + 1)];
  if (kind === "report" || kind === "runtime") return formatRoute("node", id, params);
  if (["node", "document", "proposal", "rollout"].includes(kind)) return formatRoute(kind, id, params);
  return formatRoute("history", "", { ...params, entity });
}
