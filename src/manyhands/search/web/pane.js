/* The pane of results: which rows are shown, where one is in them, and what stands in place of none. */

import { LIMIT_MOST } from "./address.js";
import { byId, button, make } from "./dom.js";
import { loosened } from "./loosen.js";
import { fold } from "./results.js";
import { several } from "./text.js";

export class Pane {
  constructor() {
    this.element = byId("results");
    this.element.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Put an answer's rows in place of the old ones; `stay` where one was, if it is the same answer, only longer. */
  show(listing, stay) {
    const top = this.element.scrollTop;
    this.element.replaceChildren(listing.element);
    this.element.classList.remove("stale");
    this.element.scrollTop = stay ? top : 0;
  }

  dim() {
    this.element.classList.add("stale");
  }

  empty() {
    this.element.replaceChildren();
    this.element.classList.remove("stale");
  }

  /** What follows the last row. `more` raises the limit, `change` changes the filters. */
  finish(end, state, listing, more, change) {
    if (!end.lines && !end.missing.length && !end.timed_out) {
      listing.element.append(nothingFound(state, change));
    } else if (end.truncated_by === "limit" && state.limit < LIMIT_MOST) {
      const next = Math.min(state.limit * 5, LIMIT_MOST);
      const further = button(`Show the first ${several(next, "line")}`, () => more(next));
      listing.element.append(make("p", { class: "more" }, further));
    }
  }

  #clicked(event) {
    const section = event.target.closest(".file");
    if (event.target.closest(".fold")) fold(section);
    const row = event.target.closest(".row");
    // A click on the text opens the line, too; but not when it ended a selection, which somebody wants to copy.
    const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && getSelection().isCollapsed;
    if (row && plain && !event.target.closest("a")) row.querySelector("a.number").click();
  }

  // ---- moving among the rows ----

  links() {
    return [...this.element.querySelectorAll(".file:not(.folded) .row:not(.around) > a.number")];
  }

  get current() {
    const active = document.activeElement;
    return active?.matches("a.number") && this.element.contains(active) ? active : null;
  }

  /** Move by one row; false when there is none further. */
  step(by) {
    const links = this.links();
    const from = this.current ? links.indexOf(this.current) : by > 0 ? -1 : links.length;
    const link = links[from + by];
    if (link) this.focus(link);
    return Boolean(link);
  }

  /** Move to the first row of the next file, or of the one before. */
  stepFile(by) {
    const sections = [...this.element.querySelectorAll(".file:not(.folded)")];
    const from = sections.indexOf(this.current?.closest(".file"));
    const section = sections[from < 0 && by < 0 ? sections.length - 1 : from + by];
    if (section) this.focus(section.querySelector(".row:not(.around) > a.number"));
  }

  focus(link) {
    link.focus({ preventScroll: true });
    link.closest(".row").scrollIntoView({ block: "nearest" });
  }

  /** Fold the file that one is in, or all of them. */
  fold(all) {
    const sections = [...this.element.querySelectorAll(".file")];
    const section = document.activeElement?.closest(".file");
    if (all) {
      const folded = sections.some((one) => !one.classList.contains("folded"));
      sections.forEach((one) => fold(one, folded));
    } else if (section) {
      fold(section);
      section.querySelector(".fold").focus({ preventScroll: true });
    }
  }
}

function nothingFound(state, change) {
  const ways = loosened(state).map(([words, changes]) =>
    make("li", {}, button(words, () => change(changes), { class: "link" })));
  return make("div", { class: "nothing" }, make("h2", { text: "No line matches." }),
    ...(ways.length ? [make("p", { text: "There may be some" }), make("ul", {}, ...ways)] : []));
}
