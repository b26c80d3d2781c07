// The nine states of a node: a shape, a word and a colour each, so that no state is told by its colour alone, and one
// sentence of what it means and one of what to do. The most urgent one comes first, everywhere.

import { h, svg } from "./dom.js";

export const STATES = {
  failed: {
    means: "The node tried what is desired, and rejected it or could not apply it. It goes on running what it ran before.",
    todo: "Read the reason. If a check rejected a file, correct the file or take the change back; if the machine was at fault, mend it and retry.",
    tone: "bad",
  },
  refused: {
    means: "The node would not try what is desired: the record is not from the log that it trusts, or is older than one that it has seen.",
    todo: "Read the code of the reason: a wrong key, an older position or another log each need something else.",
    tone: "bad",
  },
  drifted: {
    means: "Files on the node were changed by hand since they were applied.",
    todo: "The agent repairs them within 30 s, unless it runs with --on-drift report. If it comes back, find what writes there.",
    tone: "warn",
  },
  duplicate: {
    means: "Two agents report under this id.",
    todo: "Stop one of them: each folder belongs to one node.",
    tone: "warn",
  },
  ahead: {
    means: "The node has seen a position that this log does not have: the database was restored, or the log was forked.",
    todo: "Run headwater recover on the server.",
    tone: "warn",
  },
  offline: {
    means: "The node was not heard for more than 30 s. It goes on running what it runs.",
    todo: "Look at the machine and its link.",
    tone: "off",
  },
  unknown: {
    means: "No report of the node was ever heard.",
    todo: "Start the agent on the node; check its id, its NATS address and its keys.",
    tone: "off",
  },
  progressing: {
    means: "The node is on its way to what is desired.",
    todo: "Wait.",
    tone: "move",
  },
  converged: {
    means: "The node runs exactly what is desired, and its own checks accepted it.",
    todo: "Nothing.",
    tone: "good",
  },
};

export const ORDER = Object.keys(STATES);
const RANKS = new Map(ORDER.map((state, index) => [state, index]));

/** The place of a state in the order of urgency; a state that is newer than this page comes first. */
export const rank = (state) => RANKS.get(state) ?? -1;

// Shapes in a square of 16: recognisable without their colours, also where somebody prints the page.
const SHAPES = {
  failed: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1ZM5.2 4l2.8 2.8L10.8 4 12 5.2 9.2 8l2.8 2.8-1.2 1.2L8 9.2 5.2 12 4 10.8 6.8 8 4 5.2Z",
  refused: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1ZM4 7h8v2H4Z",
  drifted: "M8 .8 15.2 8 8 15.2.8 8ZM7.1 4.6v4.2h1.8V4.6Zm0 5.4v1.7h1.8V10Z",
  duplicate: "M1.5 1.5h9v3h4v10h-9v-3h-4Zm1.8 1.8v6.4h2.2V4.5h3.2V3.3Z",
  ahead: "M8 1.2 15.2 14H.8Z",
  offline: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 2a5 5 0 1 1 0 10A5 5 0 0 1 8 3Z",
  unknown: "M2 2h12v12H2Zm1.8 1.8v8.4h8.4V3.8ZM7 7h2v2H7Z",
  progressing: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 2v10A5 5 0 0 1 8 3Z",
  converged: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm3.7 3.7 1.2 1.2-5.7 5.700L3.4 7.800l1.2-1.2 2.6 2.600Z",
};

/** The shape of a state as a small picture. The word beside it says the same, so readers of screens pass it over. */
export function shape(state) {
  const path = svg("path", { d: SHAPES[state] ?? SHAPES.unknown, "fill-rule": "evenodd" });
  return svg("svg", { viewBox: "0 0 16 16", class: `shape s-${state}`, "aria-hidden": "true" }, path);
}

/** Shape and word of a state. */
export function badge(state, extra = "") {
  return h("span.badge", { class: `t-${STATES[state]?.tone ?? "off"} ${extra}`, title: STATES[state]?.means ?? "" }, shape(state), state);
}
