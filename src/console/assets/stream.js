// Reads `text/event-stream` from a fetch. The browser's own EventSource can't send the header with the token.

/** Takes text in any pieces, and gives each event that is complete: `{event, data}`. */
export class EventReader {
  #rest = "";

  /** @param {string} text @returns {{event: string, data: string}[]} */
  push(text) {
    const blocks = (this.#rest + text).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop();
    return blocks.map(readBlock).filter((each) => each !== null);
  }
}

// A block of comments alone only shows that the stream lives, and is no event.
function readBlock(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const cut = line.indexOf(":");
    const name = cut < 0 ? line : line.slice(0, cut);
    const value = cut < 0 ? "" : line.slice(cut + 1).replace(/^ /, "");
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
  }
  return data.length ? { event, data: data.join("\n") } : null;
}

/** A stream that sends nothing for so long is dead, whatever the socket says: servers send a comment every 15 s. */
const SILENCE_MS_MAX = 45_000;

/**
 * Reads a stream to its end.
 * @param {Response} response
 * @param {(event: {event: string, data: string}) => void} take
 * @param {AbortController} abort ends the stream, also when it falls silent
 */
export async function readStream(response, take, abort) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader();
  let watch;
  try {
    for (;;) {
      watch = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
      const { done, value } = await reader.read();
      clearTimeout(watch);
      if (done) return;
      for (const each of events.push(decoder.decode(value, { stream: true }))) take(each);
    }
  } finally {
    clearTimeout(watch);
  }
}
