// The only way in which this console makes elements. Text from the log, from nodes and from people
// becomes text nodes: nothing is ever parsed as markup, so a host name can't become a script.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element.
 * @param {string} tag the name, with classes behind dots: `div.card.wide`
 * @param {object|null} props attributes; functions become listeners (`onclick`), `null` and `false` are left out
 * @param {...any} children nodes, texts, numbers, lists of them; `null` and `false` are left out
 */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) set(element, key, value);
  append(element, children);
  return element;
}

function set(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (typeof value === "function" && key.startsWith("on")) {
    element.addEventListener(key.slice(2), value);
  } else if (key === "class") {
    for (const each of String(value).split(" ")) if (each) element.classList.add(each);
  } else if (key === "value" || key === "checked" || key === "disabled") {
    element[key] = value;
  } else if (key === "href") {
    element.setAttribute("href", address(String(value)));
  } else if (key === "style" || key.startsWith("on")) {
    throw new Error(`${key} is not set as an attribute here`);
  } else {
    element.setAttribute(key, value === true ? "" : String(value));
  }
}

// Links lead to places of this page, or to bytes that it made itself: an address from data can't leave it.
function address(text) {
  if (text.startsWith("#") || text.startsWith("blob:")) return text;
  throw new Error("a link leads to a place of the console");
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(String(child));
  }
}

/** Makes an SVG element with attributes and children of the same kind. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Sets a text only where it differs: the browser lays out nothing for rows that stay as they are. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Puts new children in the place of the old ones, and keeps what the reader did: open parts, the focus, the caret.
 * Parts are found again by their attribute `data-key`.
 */
export function swap(root, ...children) {
  const open = new Map();
  for (const part of root.querySelectorAll("details[data-key]")) open.set(part.dataset.key, part.open);
  const focus = root.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  root.replaceChildren();
  append(root, children);
  for (const part of root.querySelectorAll("details[data-key]")) {
    if (open.has(part.dataset.key)) part.open = open.get(part.dataset.key);
  }
  if (focus) root.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
}

/** A part that loads what it shows when it is opened for the first time. */
export function lazy(key, summary, load) {
  const body = h("div.lazy", null);
  let asked = false;
  const part = h("details", { "data-key": key }, h("summary", null, summary), body);
  part.addEventListener("toggle", async () => {
    if (!part.open || asked) return;
    asked = true;
    body.replaceChildren(h("p.quiet", null, "Loading …"));
    try {
      const content = await load();
      body.replaceChildren();
      append(body, [content]);
    } catch (error) {
      asked = false;
      body.replaceChildren(h("p.problem", { role: "alert" }, error.message));
    }
  });
  return part;
}
