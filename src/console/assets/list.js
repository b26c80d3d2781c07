// A list of any length of which the document holds only what is visible. Rows have one height, and are used again.

export class VirtualList {
  #scroller;
  #root;
  #make;
  #draw;
  #height;
  #rows = [];
  #items = [];
  #planned = false;
  #observer;
  #first = 0;

  /**
   * @param {{scroller: HTMLElement, root: HTMLElement, height: number, make: () => HTMLElement,
   *   draw: (row: HTMLElement, item: any, index: number) => void}} options `root` lies inside of `scroller`
   */
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
    this.#scroller.removeEventListener("scroll", this.#plan);
    this.#observer.disconnect();
  }

  get items() {
    return this.#items;
  }

  set items(items) {
    this.#items = items;
    this.#root.style.height = `${items.length * this.#height}px`;
    this.repaint();
  }

  /** Draws the visible rows anew. */
  repaint() {
    for (const row of this.#rows) row.index = -1;
    this.#paint();
  }

  /** Brings a row into view. */
  reveal(index) {
    const scroller = this.#scroller.getBoundingClientRect();
    const top = this.#root.getBoundingClientRect().top + index * this.#height;
    const margin = 2 * this.#height;
    if (top < scroller.top + margin) this.#scroller.scrollTop -= scroller.top + margin - top;
    else if (top + this.#height > scroller.bottom - margin) this.#scroller.scrollTop += top + this.#height - scroller.bottom + margin;
    this.#paint();
  }

  /** The element of a row, if it is in view. */
  elementOf(index) {
    return this.#rows.find((row) => row.index === index)?.element ?? null;
  }

  // At most one drawing a frame, however many events of scrolling there are.
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
    this.#first = Math.max(0, Math.min(wanted, this.#items.length - count));
    this.#fit(count);
    // A row stays with its index for as long as that is in view, so that scrolling by one row draws one row.
    for (let index = this.#first; index < this.#first + count; index += 1) {
      const row = this.#rows[index % count];
      if (row.index === index) continue;
      row.index = index;
      row.element.style.transform = `translateY(${index * this.#height}px)`;
      this.#draw(row.element, this.#items[index], index);
    }
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
