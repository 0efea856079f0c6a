/* The view of one file: opened at a line, more of it as one scrolls, the matches of the search in it.

Always true: what is shown is the file of the state that was opened last; requests for another are aborted. */

import { linesOf, write } from "./address.js";
import { button, byId, copy, make } from "./dom.js";
import { crumbs, rootsKnown } from "./paths.js";
import { filePath, matchesPath, question } from "./question.js";
import { Sheet } from "./sheet.js";
import { number, several, size } from "./text.js";
import { ask, stream } from "./wire.js";

const BEFORE = 200;
const AFTER = 600;
const MORE = 1000;
const NEAR_PX = 800;
const COPIED_MS = 1500;

export class Reader {
  /** `app`: `back()`, `change(changes)` for another line, `failed(error)`. */
  constructor(app) {
    this.app = app;
    this.element = byId("reader");
    this.state = null;
    this.controller = new AbortController();
    this.sheet = null;
    this.matches = [];
    this.above = button("More above", () => this.#more(-1), { class: "plain edge" });
    this.below = button("More below", () => this.#more(1), { class: "plain edge" });
    const near = { root: this.element, rootMargin: `${NEAR_PX}px 0px` };
    this.watcher = new IntersectionObserver((seen) => this.#near(seen), near);
    this.wrap(matchMedia("(max-width: 600px)").matches);
  }

  /** Show the file of a state, at its line. */
  async open(state) {
    const before = this.state;
    this.state = state;
    const [first] = linesOf(state) ?? [1];
    const here = this.sheet && before.path === state.path && (this.sheet.has(first) || first > this.sheet.total);
    try {
      if (!here) await this.#load(first);
      else if (state.line !== before.line) this.#point("nearest");
    } catch (error) {
      if (error.name !== "AbortError") this.#fail(error);
      return;
    }
    if (!here || question(state) !== question(before)) await this.#mark();
  }

  /** Without its marks, a file is shown all the same. */
  async #mark() {
    try {
      await this.#findMatches();
    } catch (error) {
      if (error.name !== "AbortError") this.app.failed(error);
    }
  }

  /** Nothing is held any more: the next `open` loads. */
  forget() {
    this.controller.abort();
    this.sheet = null;
  }

  #fail(error) {
    this.forget();
    this.element.classList.remove("stale");
    if (error.status !== 404) return this.app.failed(error);
    return this.element.replaceChildren(make("header", { class: "head" }, this.#backButton()),
      make("div", { class: "nothing" }, make("h2", { text: "This file is not held." }),
        make("p", { text: error.message })));
  }

  async #load(line) {
    this.forget();
    const { signal } = (this.controller = new AbortController());
    this.element.classList.add("stale");
    const found = await ask(filePath(this.state.path, line, BEFORE, AFTER), signal);
    await rootsKnown;
    signal.throwIfAborted();
    if (!found.lines.length && line > 1) return this.#load(Math.max(1, found.total_lines)); // it is not that long
    this.element.classList.remove("stale");
    const base = { ...this.state };
    this.sheet = new Sheet(found.total_lines, (at) => write({ ...base, line: String(at) }));
    this.sheet.add(found.first, found.lines);
    this.path = found.path;
    this.matches = [];
    this.element.replaceChildren(this.#head(found), this.above, this.sheet.element, this.below);
    this.#edges();
    return this.#point("center");
  }

  #point(block) {
    const lines = linesOf(this.state);
    if (!lines) return;
    this.sheet.target(...lines);
    this.sheet.reveal(Math.min(lines[0], this.sheet.total), block);
  }

  // ---- what stands above the lines ----

  #head(found) {
    const facts = [several(found.total_lines, "line"), size(found.size_bytes), found.language].filter(Boolean);
    this.counter = make("span", { class: "matches" });
    return make("header", { class: "head" }, this.#backButton(),
      crumbs(found.path, this.state.path, this.state, write({ ...this.state, line: "" })),
      make("span", { class: "facts", text: facts.join(" · ") }), this.counter,
      make("span", { class: "tools" },
        copyButton("Copy path", () => this.path, "Copy the path (y)"),
        copyButton("Copy link", () => location.href, "Copy a link to this place"),
        button("Wrap", () => this.wrap(),
          { id: "wrap", title: "Wrap long lines (w)", "aria-pressed": String(this.wrapped) })));
  }

  #backButton() {
    return button("← Back", () => this.app.back(), { title: "Back to the results (Esc)" });
  }

  wrap(wrapped = !this.wrapped) {
    this.wrapped = wrapped;
    this.element.classList.toggle("wrapped", wrapped);
    byId("wrap")?.setAttribute("aria-pressed", String(wrapped));
  }

  copyPath() {
    this.element.querySelector(".tools button")?.click();
  }

  // ---- the matches ----

  async #findMatches() {
    this.sheet.unmark();
    this.matches = [];
    this.counter.replaceChildren();
    if (question(this.state) === null) return;
    let end = null;
    for await (const events of stream(matchesPath(this.state), this.controller.signal)) {
      for (const { lines } of events.filter(({ type }) => type === "lines")) lines.forEach((line) => this.#match(line));
      end = events.at(-1);
    }
    this.#count(end.complete);
    this.#point("nearest");
  }

  #match({ number: at, spans, from = 0 }) {
    this.matches.push(at);
    this.sheet.mark(at, spans.map(([start, end]) => [start + from, end + from]));
  }

  #count(complete) {
    const found = this.matches.length;
    this.counter.replaceChildren(`${complete ? "" : "at least "}${several(found, "matching line")}`);
    if (!found) return;
    this.counter.append(
      button("↑", () => this.step(-1), { class: "icon", title: "Match before (p)", "aria-label": "Match before" }),
      button("↓", () => this.step(1), { class: "icon", title: "Next match (n)", "aria-label": "Next match" }));
  }

  /** To the next matching line, or the one before. */
  step(by) {
    const at = linesOf(this.state)?.[0] ?? 0;
    const next = by > 0 ? this.matches.find((one) => one > at) : this.matches.findLast((one) => one < at);
    if (next) this.app.change({ line: String(next) });
  }

  // ---- more lines ----

  #edges() {
    const above = this.sheet.first - 1;
    const below = this.sheet.total - this.sheet.last;
    this.above.hidden = above <= 0;
    this.below.hidden = below <= 0;
    this.above.textContent = `${number(above)} more above`;
    this.below.textContent = `${number(below)} more below`;
    for (const edge of [this.above, this.below]) {
      this.watcher.unobserve(edge); // so that it is told again, if it is still in sight
      if (!edge.hidden) this.watcher.observe(edge);
    }
  }

  #near(seen) {
    for (const { isIntersecting, target } of seen) if (isIntersecting) this.#more(target === this.above ? -1 : 1);
  }

  async #more(by) {
    const { sheet, element } = this;
    const { signal } = this.controller;
    const edge = by < 0 ? this.above : this.below;
    if (!sheet || edge.hidden || edge.disabled) return;
    edge.disabled = true;
    const from = by < 0 ? Math.max(1, sheet.first - MORE) : sheet.last + 1;
    const count = by < 0 ? sheet.first - from : MORE;
    try {
      const found = await ask(filePath(this.state.path, from, 0, count - 1), signal);
      if (signal.aborted) return;
      const before = element.scrollHeight;
      sheet.add(found.first, found.lines.slice(0, count));
      if (by < 0) element.scrollTop += element.scrollHeight - before;
      this.#edges();
    } catch (error) {
      if (!signal.aborted) this.app.failed(error);
    } finally {
      edge.disabled = false;
    }
  }
}

function copyButton(text, value, title) {
  const copies = button(text, async () => {
    await copy(value());
    copies.textContent = "Copied";
    setTimeout(() => (copies.textContent = text), COPIED_MS);
  }, { title, class: "plain copy" });
  return copies;
}
