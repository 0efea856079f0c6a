/* What is shown when a question makes no sense: the words, and a caret under the character where it shows. */

import { byId, make } from "./dom.js";

const FIELDS = { q: "q", pattern: "q", query: "q", file: "file", not_file: "file", lang: "lang" };

export class Trouble {
  constructor() {
    this.element = byId("problem");
    this.box = byId("q");
  }

  clear() {
    this.element.hidden = true;
    this.element.replaceChildren();
    document.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  }

  show(problem) {
    this.clear();
    const field = byId(FIELDS[problem.parameter] ?? "") ?? null;
    field?.setAttribute("aria-invalid", "true");
    const lines = [];
    if (field === this.box && typeof problem.position === "number") lines.push(echo(this.box.value, problem.position));
    lines.push(make("p", { text: problem.message.split("\n")[0] }));
    if (problem.hint) lines.push(make("p", { class: "hint", text: problem.hint }));
    this.element.replaceChildren(...lines);
    this.element.hidden = false;
  }
}

/** The text, with a caret under one of its characters (code points), or behind the last. */
function echo(text, position) {
  const chars = [...text];
  const at = Math.min(position, chars.length);
  return make("pre", { class: "echo" }, chars.slice(0, at).join(""),
    make("span", { class: "fault", text: chars[at] ?? " " }), chars.slice(at + 1).join(""));
}
