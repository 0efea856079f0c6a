/* What each key does, by where one is. A key with Ctrl or Meta is the browser's. */

import { byId } from "./dom.js";

const SCROLL_PX = 60;
const TOGGLES = { KeyC: "case", KeyW: "word", KeyR: "regex" };

export class Keys {
  constructor(app) {
    this.app = app;
    this.box = byId("q");
    document.addEventListener("keydown", (event) => this.#pressed(event));
  }

  #pressed(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || byId("keys").open) return;
    const typing = event.target.matches("input, select, textarea");
    const here = () => (typing ? this.#typing(event) : this.#reading(event));
    const act = this.#toggle(event) ?? this.#anywhere(event, typing) ?? here();
    if (!act) return;
    event.preventDefault();
    act();
  }

  #toggle({ altKey, code }) {
    const what = altKey ? TOGGLES[code] : undefined;
    if (!what) return undefined;
    return () => (what === "case" ? this.app.form.nextCase() : this.app.form.flip(what));
  }

  #anywhere(event, typing) {
    if (event.altKey) return undefined;
    if (event.key === "Escape") return () => this.#escape(event.target, typing);
    if (event.key === "/" && !typing) return () => this.box.select();
    if (event.key === "?" && !typing) return () => this.app.showKeys();
    return undefined;
  }

  /** One step back: from a file to the results, from the results to the box, from its text to none. */
  #escape(target, typing) {
    if (this.app.shown !== "results" && this.app.shown !== "start") this.app.back();
    else if (!typing || target !== this.box) this.box.focus();
    else if (this.box.value) this.app.change({ q: "" });
    else this.box.blur();
  }

  #typing({ key, target }) {
    if (key === "Enter" && ["q", "file"].includes(target.id)) return () => this.app.enter();
    if (target !== this.box) return null;
    if (key === "PageDown" || key === "PageUp") return () => this.#page(key === "PageDown" ? 1 : -1);
    return key === "ArrowDown" && this.box.value ? () => this.app.enter() : null;
  }

  #page(by) {
    const pane = byId(this.app.shown);
    pane.scrollBy({ top: by * pane.clientHeight * 0.9 });
  }

  #reading(event) {
    if (event.altKey) return null;
    const keys = this.app.shown === "reader" ? this.#inFile() : this.app.shown === "results" ? this.#inResults() : {};
    return keys[event.key] ?? null;
  }

  #inResults() {
    const { pane } = this.app.answers;
    const down = () => pane.step(1);
    const up = () => pane.step(-1) || this.box.focus();
    return {
      ArrowDown: down, j: down, ArrowUp: up, k: up,
      n: () => pane.stepFile(1), p: () => pane.stepFile(-1),
      c: () => pane.fold(false), C: () => pane.fold(true),
    };
  }

  #inFile() {
    const { reader } = this.app;
    const scroll = (by) => reader.element.scrollBy({ top: by * SCROLL_PX });
    return {
      j: () => scroll(1), k: () => scroll(-1), n: () => reader.step(1), p: () => reader.step(-1),
      y: () => reader.copyPath(), w: () => reader.wrap(),
    };
  }
}
