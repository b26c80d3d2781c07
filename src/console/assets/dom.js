// The only way in which this console makes elements. Text becomes text nodes: nothing is ever parsed as markup.

import { printable } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element: `h("div.card.wide", {title: "x", onclick: act}, …)`. Children are nodes, texts and lists of them, or nothing. */
export function h(tag, ...parts) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  if (name === "button") element.type = "button";
  const props = parts[0]?.constructor === Object ? parts.shift() : {};
  for (const [key, value] of Object.entries(props)) set(element, key, value);
  append(element, parts);
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
    const text = value === true ? "" : String(value);
    element.setAttribute(key, key === "title" ? printable(text) : text);
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
    else if (child !== null && child !== undefined && child !== false) element.append(printable(String(child)));
  }
}

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Sets a text only where it differs: the browser lays out nothing for rows that stay as they are. */
export function setText(element, text) {
  const shown = printable(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Puts new children in the place of the old ones, and keeps open parts and the focus: parts are found again by `data-key`. */
export function swap(root, ...children) {
  const open = new Map();
  for (const part of root.querySelectorAll("details[data-key]")) open.set(part.dataset.key, part.open);
  const focus = root.contains(document.activeElement) && document.activeElement;
  root.replaceChildren();
  append(root, children);
  for (const part of root.querySelectorAll("details[data-key]")) {
    if (open.has(part.dataset.key)) part.open = open.get(part.dataset.key);
  }
  if (focus) (root.contains(focus) ? focus : successor(root, focus))?.focus();
}

/** What took the place of an element: the part of the same key, in such a part the same link, or what is of the same kind. */
function successor(root, element) {
  const near = element.closest("[data-key]");
  const part = near && root.querySelector(`[data-key="${CSS.escape(near.dataset.key)}"]`);
  if (near === element) return part;
  const href = element.getAttribute("href");
  return href ? (part ?? root).querySelector(`[href="${CSS.escape(href)}"]`) : part?.querySelector(element.localName);
}

export function lazy(key, summary, load) {
  const body = h("div.lazy");
  let asked = false;
  const part = h("details", { "data-key": key }, h("summary", summary), body);
  part.addEventListener("toggle", async () => {
    if (!part.open || asked) return;
    asked = true;
    body.replaceChildren(h("p.quiet", "Loading …"));
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

// A list of any length of which the document holds only what is visible. Rows have one height, and are used again.

const REST_MS = 300;

export class VirtualList {
  #scroller;
  #root;
  #make;
  #draw;
  #height;
  #rows = [];
  #items = [];
  #planned = false;
  #resting = null;
  #observer;

  /** `root` lies inside of `scroller`; `make()` gives a row of this height, and `draw(row, item, index)` fills it. */
  constructor({ scroller, root, height, make, draw }) {
    this.#scroller = scroller;
    this.#root = root;
    this.#height = height;
    this.#make = make;
    this.#draw = draw;
    scroller.addEventListener("scroll", this.#plan, { passive: true });
    this.#observer = new ResizeObserver(this.#plan);
    this.#observer.observe(scroller);
    this.#observer.observe(root.parentElement);
  }

  close() {
    clearTimeout(this.#resting);
    this.#scroller.removeEventListener("scroll", this.#plan);
    this.#observer.disconnect();
  }

  set items(items) {
    this.#items = items;
    this.#root.style.height = `${items.length * this.#height}px`;
    this.repaint();
  }

  repaint() {
    for (const row of this.#rows) row.index = -1;
    this.#paint();
  }

  reveal(index) {
    const scroller = this.#scroller.getBoundingClientRect();
    const top = this.#root.getBoundingClientRect().top + index * this.#height;
    const margin = 2 * this.#height;
    if (top < scroller.top + margin) this.#scroller.scrollTop -= scroller.top + margin - top;
    else if (top + this.#height > scroller.bottom - margin) this.#scroller.scrollTop += top + this.#height - scroller.bottom + margin;
    this.#paint();
  }

  #plan = () => {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      this.#paint();
    });
  };

  #paint() {
    const view = this.#scroller.getBoundingClientRect();
    const top = this.#root.getBoundingClientRect().top;
    const count = Math.min(this.#items.length, Math.ceil(view.height / this.#height) + 6);
    const wanted = Math.floor((view.top - top) / this.#height) - 3;
    const first = Math.max(0, Math.min(wanted, this.#items.length - count));
    this.#fit(count);
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#order(), REST_MS);
    // A row stays with its index for as long as that is in view, so that scrolling by one row draws one row.
    for (let index = first; index < first + count; index += 1) {
      const row = this.#rows[index % count];
      if (row.index === index) continue;
      row.index = index;
      row.element.style.transform = `translateY(${index * this.#height}px)`;
      this.#draw(row.element, this.#items[index], index);
    }
  }

  // Readers of screens follow the order in the document: it is put right once the list rests.
  #order() {
    const rows = this.#rows.toSorted((a, b) => a.index - b.index).map((row) => row.element);
    const isRight = rows.every((row, place) => this.#root.children[place] === row);
    if (!isRight && !this.#root.contains(document.activeElement)) this.#root.append(...rows);
  }

  #fit(count) {
    if (this.#rows.length === count) return;
    while (this.#rows.length > count) this.#rows.pop().element.remove();
    while (this.#rows.length < count) {
      const element = this.#make();
      this.#root.append(element);
      this.#rows.push({ element, index: -1 });
    }
    for (const row of this.#rows) row.index = -1;
  }
}
