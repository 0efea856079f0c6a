/* The lines that a search found, by file: built as they come. Knows nothing of the network.

Always true: rows are in the order of the answer; each row has one link, its number, to its line in the file. */

import { pathOf, write } from "./address.js";
import { make } from "./dom.js";
import { crumbs } from "./paths.js";
import { drawn, marked, number, several } from "./text.js";

const ROW_PX = 20;
const HEAD_PX = 32;

/** So many rows are laid out, or spared, together. */
const CHUNK = 50;

let made = 0;

/** One answer's rows. `element` may stand in the page or not yet. */
export class Listing {
  constructor(state) {
    this.state = state;
    this.element = make("div", { class: "listing" });
    this.lines = 0;
    this.files = 0;
    this.base = write({ ...state, path: "", line: "", show: "" });
    this.last = null;
  }

  /** A `lines` event: all in one file, which may be the one that was added to before. */
  add(event) {
    const raw = pathOf(event.href); // two names that are no UTF-8 may look alike
    if (this.last?.raw !== raw) this.last = this.#file(event.path, raw);
    for (let at = 0; at < event.lines.length; at += CHUNK) this.#chunk(event.lines.slice(at, at + CHUNK));
    this.last.count.textContent = number(this.last.lines);
    this.last.count.title = several(this.last.lines, "line");
    expectHeight(this.last.element, this.last.height);
  }

  #chunk(lines) {
    const rows = make("ol", { class: "rows chunk" });
    for (const line of lines) this.#row(line, rows);
    const height = ROW_PX * rows.childElementCount;
    expectHeight(rows, height);
    this.last.height += height;
    this.last.rows.append(rows);
  }

  /** The link to a line in the file that is being added to. */
  #link(line) {
    const join = this.base.length > 1 ? "&" : "";
    return `${this.base}${join}path=${this.last.raw}${line ? `&line=${line}` : ""}`;
  }

  #file(path, raw) {
    const file = { raw, lines: 0, number: 0, height: HEAD_PX };
    this.last = file;
    this.files += 1;
    made += 1;
    file.rows = make("div", { class: "body", id: `rows-${made}` });
    file.count = make("span", { class: "count" });
    file.element = make("section", { class: "file", role: "group", "aria-label": path, "data-path": path },
      make("header", { class: "head" }, foldButton(file.rows, path),
        crumbs(path, raw, this.state, this.#link(0)), file.count), file.rows);
    this.element.append(file.element);
    return file;
  }

  #row(line, rows) {
    const file = this.last;
    if (this.state.context && file.number && line.number > file.number + 1) {
      rows.append(make("li", { class: "gap", "aria-hidden": "true" }));
    }
    file.number = line.number;
    file.lines += line.match ? 1 : 0;
    this.lines += line.match ? 1 : 0;
    made += 1;
    const link = make("a", { class: "number", href: this.#link(line.number), text: line.number,
      "aria-labelledby": `row-${made}`, draggable: "false" });
    const row = make("li", { class: line.match ? "row" : "row around", id: `row-${made}` }, link, codeOf(line));
    rows.append(row);
  }
}

/** How high what is out of sight will be, so that nothing moves when it comes into sight. */
function expectHeight(element, height) {
  element.style.setProperty("contain-intrinsic-height", `auto ${height}px`);
}

/** The text of a line, and a mark where it was cut. */
function codeOf(line) {
  const text = drawn(line.text);
  const code = make("code", {}, ...marked(text, line.spans));
  const before = line.from ?? 0;
  const behind = (line.length ?? 0) - before - [...line.text].length;
  if (before > 0) code.prepend(cutMark(before, "before"));
  if (line.length && behind > 0) code.append(cutMark(behind, "more"));
  return code;
}

const cutMark = (most, where) =>
  make("span", { class: "cut", text: "…", title: `${several(most, "character")} ${where}` });

function foldButton(rows, path) {
  return make("button", { type: "button", class: "fold", "aria-expanded": "true", "aria-controls": rows.id,
    "aria-label": `Lines of ${path}`, title: "Fold (c)" });
}

/** Show a file's rows, or its name alone. */
export function fold(section, folded = !section.classList.contains("folded")) {
  section.classList.toggle("folded", folded);
  section.querySelector(".fold").setAttribute("aria-expanded", String(!folded));
}
