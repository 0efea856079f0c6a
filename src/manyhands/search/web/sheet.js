/* The lines of one file as rows: those that were loaded, without a gap, in their order.

Always true: rows that are put in front do not move what one sees; a line is marked whenever it comes, before or after
its marks. */

import { make } from "./dom.js";
import { FILE_COLUMNS_MOST } from "./question.js";
import { drawn, marked } from "./text.js";

const ROW_PX = 20;

export class Sheet {
  /** `link(number)` is a line's address. */
  constructor(total, link) {
    this.link = link;
    this.total = total;
    this.rows = new Map();
    this.spans = new Map();
    this.pointed = [0, 0];
    this.first = 1;
    this.last = 0;
    this.element = make("div", { class: "sheet" });
    this.element.style.setProperty("--digits", String(total).length);
  }

  /** Lines that follow on those that are there, or come before them; the first ones may begin anywhere. */
  add(first, lines) {
    const rows = make("ol", { class: "rows chunk" }, ...lines.map((text, at) => this.#row(first + at, text)));
    rows.style.setProperty("contain-intrinsic-height", `auto ${ROW_PX * lines.length}px`);
    if (this.last && first < this.first) {
      this.element.prepend(rows);
      this.first = first;
      return;
    }
    if (!this.last) this.first = first;
    this.element.append(rows);
    this.last = first + lines.length - 1;
  }

  #row(number, text) {
    const code = make("code", {}, ...marked(drawn(text), this.spans.get(number) ?? []));
    if (text.length >= FILE_COLUMNS_MOST) code.classList.add("long");
    const row = make("li", { id: `line-${number}` },
      make("a", { class: "number", href: this.link(number), text: number, draggable: "false" }), code);
    this.rows.set(number, { row, code, text });
    this.#aim(row, number);
    return row;
  }

  has(number) {
    return this.rows.has(number);
  }

  /** Where the pattern is in a line, in characters. */
  mark(number, spans) {
    this.spans.set(number, spans);
    const held = this.rows.get(number);
    held?.code.replaceChildren(...marked(drawn(held.text), spans));
  }

  unmark() {
    const numbers = [...this.spans.keys()];
    for (const number of numbers) this.mark(number, []);
    this.spans.clear();
  }

  /** Point at lines, those that come later too. */
  target(first, last) {
    this.pointed = [first, last];
    for (const [number, { row }] of this.rows) this.#aim(row, number);
  }

  #aim(row, number) {
    const [first, last] = this.pointed;
    const aimed = first <= number && number <= last;
    row.className = aimed ? "row target" : "row";
    if (aimed) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }

  /** Bring a line into sight, and its first mark. */
  reveal(number, block) {
    const row = this.rows.get(number)?.row;
    row?.scrollIntoView({ block, inline: "start" });
    row?.querySelector("mark")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
