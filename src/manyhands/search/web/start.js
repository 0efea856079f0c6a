/* What stands there before anything is asked: what is searched, and what can be said. */

import { read, write } from "./address.js";
import { byId, make } from "./dom.js";
import { several, size } from "./text.js";

const EMPTY = read("");

const EXAMPLES = [
  ["open file", "lines with both words"],
  ['"return None"', "lines with just this text"],
  ["open OR close", "lines with one of them"],
  ["error -test", "with the first word, without the second"],
  ["/get_\\w+\\(/", "a regex"],
  ["import file:*.py", "in which files; -file: for which not"],
  ["main lang:c", "in which language"],
  ["Error case:yes", "exact case; else only a capital letter asks for it"],
  ["id word:yes", "whole words"],
];

export class Start {
  constructor() {
    this.about = make("div", { class: "about" });
    byId("start").replaceChildren(make("div", { class: "welcome" }, this.about,
      make("h2", { text: "What can be asked" }), make("ul", { class: "examples" }, ...EXAMPLES.map(example)),
      make("p", {}, "The same answers for programs: ", make("a", { href: "/docs", text: "the HTTP API" }))));
  }

  hold(status) {
    if (status.files === undefined) return;
    this.about.replaceChildren(
      make("h1", { text: `Search ${several(status.files, "file")}, ${size(status.text_bytes)} of text` }),
      make("ul", { class: "roots" }, ...status.roots.map((root) => make("li", { text: root }))));
  }
}

function example([text, words]) {
  const link = make("a", { href: write({ ...EMPTY, q: text }) }, make("code", { text }));
  return make("li", {}, link, make("span", { text: words }));
}
