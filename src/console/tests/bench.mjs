// A bench for the console: serves the assets from disk with the headers of the real server, passes everything else to a real
// server, and can put any number of simulated nodes into the fleet. Nothing of it is a part of the product.
//
//   node bench.mjs --api http://127.0.0.1:7300 [--port 7311] [--nodes 10000] [--calm]
//
// A simulated node is a copy of a real one under another id. `POST /bench` steers it: {"flip": "inclusion"} alters one byte of
// every inclusion proof, {"fail": 3} lets three converged nodes fail, {"hold": true} stops the changes that come by themselves,
// {"silent": 31000} makes every node one that was not heard for so long, {"refuse": "/v1/log"} answers 503 to what begins so, and
// {"swallow": 1} answers the next request with commands as a proxy does that lost the server, after it came through. Its answer has
// the last request with commands that came through, because requests of a SharedWorker are not seen in the page.

import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ASSETS = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "assets");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types headwater-worker",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-cache",
};
const CHANGE_MS = 500;

export const STATES = ["failed", "refused", "drifted", "duplicate", "ahead", "offline", "unknown", "progressing", "converged"];

/** Numbers that look random and are the same in every run. */
function sequence(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const SITES = ["lund", "copenhagen", "malmo", "hamburg", "grenoble"];
const INSTRUMENTS = ["loki", "dream", "bifrost", "freia", "odin", "nmx", "estia", "cspec"];
const ROLES = ["daq", "monitor", "chopper", "motion"];

/** Simulated nodes, of which most are converged. */
export function simulate(count, position) {
  const random = sequence(42);
  const pick = (list) => list[Math.floor(random() * list.length)];
  return Array.from({ length: count }, (_, index) => {
    const labels = { instrument: pick(INSTRUMENTS), role: pick(ROLES), site: pick(SITES) };
    const chance = random();
    const state = chance < 0.004 ? "failed" : chance < 0.006 ? "drifted" : chance < 0.03 ? "offline" : chance < 0.035 ? "progressing" : "converged";
    const id = `${labels.site}-${labels.instrument}-${String(index + 1).padStart(5, "0")}`;
    return rowOf(id, state, labels, position);
  }).sort((a, b) => (a.id < b.id ? -1 : 1));
}

const REASONS = {
  failed: { code: "check_rejected", detail: "check ended with 1\n" },
  drifted: { code: "drift", detail: "files differ from what was applied: etc/motd" },
  offline: { code: "silent", detail: "the node was not heard for more than 30 s" },
};

function rowOf(id, state, labels, position) {
  const behind = state === "failed" || state === "progressing" || state === "offline";
  return {
    id, retired: false, state, labels, desired: position, running: behind ? Math.max(1, position - 6) : position,
    ...(state === "offline" ? { silent_since: new Date(Date.now() - 3_600_000).toISOString() } : {}),
    ...(REASONS[state] ? { reason: REASONS[state] } : {}),
  };
}

/** Rows as the columns of `GET /v1/fleet/table`. */
export function tableOf(rows, position, past = false, at = new Date().toISOString()) {
  const sets = new Map();
  const table = {
    position, past, at, state_names: STATES, label_sets: [], ids: [], retired: [], states: [], labels: [], desired: [], running: [],
    silent_since: {}, reasons: {}, counts: countsOf(rows),
  };
  rows.forEach((row, index) => {
    const text = JSON.stringify(row.labels);
    if (!sets.has(text)) sets.set(text, table.label_sets.push(row.labels) - 1);
    table.ids.push(row.id);
    if (row.retired) table.retired.push(index);
    table.states.push(STATES.indexOf(row.state));
    table.labels.push(sets.get(text));
    table.desired.push(row.desired);
    table.running.push(row.running);
    if (row.silent_since) table.silent_since[index] = row.silent_since;
    if (row.reason) table.reasons[index] = row.reason;
  });
  return table;
}

function countsOf(rows) {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
  for (const row of rows) if (!row.retired) counts[row.state] += 1;
  return counts;
}

/** The rows of a table. */
function rowsOf(table) {
  const retired = new Set(table.retired);
  return table.ids.map((id, row) => ({
    id, retired: retired.has(row), state: table.state_names[table.states[row]], labels: table.label_sets[table.labels[row]],
    desired: table.desired[row], running: table.running[row],
    ...(table.silent_since[row] ? { silent_since: table.silent_since[row] } : {}), ...(table.reasons[row] ? { reason: table.reasons[row] } : {}),
  }));
}

class Bench {
  constructor(api, count, calm) {
    Object.assign(this, { api, count, hold: calm, flip: null, silent: null, refuse: null, swallow: 0, refused: 0, sent: null, rows: [], position: 1, streams: new Set(), random: sequence(7) });
  }

  async begin(authorization) {
    if (this.rows.length || !this.count) return;
    const table = await (await fetch(`${this.api}/v1/fleet/table`, { headers: { authorization } })).json();
    this.position = table.position;
    this.real = rowsOf(table);
    this.rows = [...this.real, ...simulate(this.count - this.real.length, table.position)].sort((a, b) => (a.id < b.id ? -1 : 1));
    setInterval(() => this.hold || this.change(4), CHANGE_MS).unref();
  }

  /** Lets simulated nodes go on: some fall behind, the others arrive. */
  change(count, state) {
    const simulated = this.rows.filter((row) => !this.real.includes(row) && (!state || row.state === "converged"));
    const rows = Array.from({ length: count }, () => simulated[Math.floor(this.random() * simulated.length)]);
    for (const row of rows) {
      const next = rowOf(row.id, state ?? (row.state === "converged" ? "progressing" : "converged"), row.labels, row.desired);
      delete row.reason;
      Object.assign(row, next);
    }
    this.send("change", { position: this.position, counts: countsOf(this.rows), rows, gone: [] });
  }

  send(event, data) {
    for (const stream of this.streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  async answer(request, response) {
    const url = new URL(request.url, "http://bench");
    if (url.pathname === "/") return response.writeHead(303, { Location: "/console/" }).end();
    if (url.pathname.startsWith("/console/")) return this.asset(url.pathname.slice("/console/".length) || "index.html", response);
    const body = await read(request);
    if (url.pathname === "/bench") return this.steer(JSON.parse(body), response);
    if (this.refuse && url.pathname.startsWith(this.refuse)) {
      this.refused += 1;
      return response.writeHead(503, { "Content-Type": "application/problem+json" }).end(JSON.stringify({ code: "overloaded", detail: "The bench is busy." }));
    }
    if (url.pathname === "/v1/fleet/table" && this.count) return this.table(request, url, response);
    return this.pass(request, url, body, response);
  }

  async asset(name, response) {
    const file = path.join(ASSETS, path.normalize(`/${name}`));
    try {
      const bytes = await readFile(file);
      response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream" }).end(bytes);
    } catch {
      response.writeHead(404, HEADERS).end();
    }
  }

  steer(order, response) {
    for (const name of ["flip", "hold", "silent", "refuse", "swallow"]) if (name in order) this[name] = order[name];
    if (order.fail) this.change(order.fail, "failed");
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ sent: this.sent, refused: this.refused }));
  }

  async table(request, url, response) {
    await this.begin(request.headers.authorization);
    const whoami = await fetch(`${this.api}/v1/whoami`, { headers: { authorization: request.headers.authorization ?? "" } });
    if (!whoami.ok) return response.writeHead(whoami.status, { "Content-Type": "application/problem+json" }).end(await whoami.text());
    const at = url.searchParams.get("at");
    if (at) return json(response, tableOf(this.rows.map((row) => rowOf(row.id, "converged", row.labels, Number(at) || 1)), Number(at) || 1, true));
    if (!request.headers.accept?.includes("text/event-stream")) return json(response, tableOf(this.rows, this.position));
    response.writeHead(200, { "Content-Type": "text/event-stream", "Headwater-Position": String(this.position) });
    response.write(`event: table\ndata: ${JSON.stringify(tableOf(this.rows, this.position))}\n\n`);
    this.streams.add(response);
    const beat = setInterval(() => response.write(": alive\n\n"), 15_000);
    return response.on("close", () => {
      clearInterval(beat);
      this.streams.delete(response);
    });
  }

  /** A simulated node is a real one under another id. */
  alias(pathname) {
    const found = /^\/v1\/(nodes|why\/nodes|diff\/nodes)\/([^/]+)/.exec(pathname);
    const row = found && this.count && this.rows.find((each) => each.id === found[2]);
    if (!row || this.real.includes(row)) return null;
    const like = this.real.find((each) => each.state === row.state) ?? this.real[0];
    return { from: row.id, to: like.id };
  }

  async pass(request, url, body, response) {
    const alias = this.alias(url.pathname);
    const target = this.api + (alias ? request.url.replace(alias.from, alias.to) : request.url);
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !["host", "connection", "content-length", "accept-encoding"].includes(name)));
    const abort = new AbortController();
    response.on("close", () => abort.abort());
    const answer = await fetch(target, { method: request.method, headers, body: body.length ? body : undefined, signal: abort.signal });
    if (request.method === "POST" && request.url === "/v1/commands") this.sent = { key: headers["idempotency-key"], plan: headers["if-match"], body: body.toString() };
    if (this.sent && this.swallow && request.url === "/v1/commands") {
      this.swallow -= 1;
      return response.writeHead(502, { "Content-Type": "text/html" }).end("<h1>502 Bad Gateway</h1>");
    }
    const kept = {};
    for (const name of ["content-type", "headwater-position", "etag", "retry-after", "cache-control", "content-security-policy", "content-disposition"]) {
      if (answer.headers.has(name)) kept[name] = answer.headers.get(name);
    }
    response.writeHead(answer.status, kept);
    if (kept["content-type"]?.includes("event-stream")) {
      for await (const piece of answer.body) response.write(piece);
      return response.end();
    }
    return response.end(this.altered(url.pathname, Buffer.from(await answer.arrayBuffer()), alias));
  }

  altered(pathname, bytes, alias) {
    let text = alias ? Buffer.from(bytes.toString().replaceAll(`"${alias.to}"`, `"${alias.from}"`)) : bytes;
    if (this.flip && pathname.includes(`/proof/${this.flip}`)) {
      // The first digit of the first hash, in the JSON and in the text.
      text = Buffer.from(text.toString().replace(/("hashes":\["?)([0-9a-f])/, (_, start, digit) => start + (digit === "0" ? "1" : "0")).replace(/(\nindex \d+\n)(.)/, (_, start, sign) => start + (sign === "A" ? "B" : "A")));
    }
    return this.silent && /^\/v1\/nodes\/[^/]+$/.test(pathname) ? silenced(text, this.silent) : text;
  }
}

function silenced(text, silence) {
  const node = JSON.parse(text);
  const reported = node.reported && { ...node.reported, silence_ms: silence };
  const reason = { code: "silent", detail: `the node was not heard for ${Math.floor(silence / 1000)} s` };
  return JSON.stringify({ ...node, state: "offline", silence_ms: silence, reason, reported });
}

function json(response, value) {
  response.writeHead(200, { "Content-Type": "application/json", "Headwater-Position": String(value.position) }).end(JSON.stringify(value));
}

async function read(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

/** Starts a bench. @returns {Promise<{url: string, close: () => void}>} */
export async function startBench({ api, port = 0, nodes = 0, calm = false }) {
  const bench = new Bench(api.replace(/\/$/, ""), nodes, calm);
  const server = http.createServer((request, response) => {
    bench.answer(request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(502, { "Content-Type": "application/problem+json" });
      response.end(JSON.stringify({ code: "bench", detail: String(error.cause ?? error) }));
    });
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { api: { type: "string" }, port: { type: "string" }, nodes: { type: "string" }, calm: { type: "boolean" } } });
  const bench = await startBench({ api: values.api ?? "http://127.0.0.1:7300", port: Number(values.port ?? 7311), nodes: Number(values.nodes ?? 0), calm: values.calm });
  console.log(bench.url);
}
