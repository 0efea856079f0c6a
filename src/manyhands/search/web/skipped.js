/* The list of files that are not searched, with the reasons. */

import { shortPath } from "./paths.js";
import { button, byId, make } from "./dom.js";
import { number, several } from "./text.js";
import { ask } from "./wire.js";

const FILES_MOST = 1000;

export class SkippedPage {
  constructor({ back, failed }) {
    this.element = byId("skipped");
    this.back = back;
    this.failed = failed;
  }

  async open() {
    this.element.replaceChildren();
    try {
      this.#show(await ask(`/skipped?limit=${FILES_MOST}`));
    } catch (error) {
      this.failed(error);
    }
  }

  #show(found) {
    const rows = found.files.map(({ path, reason, detail }) => make("tr", {},
      make("td", { class: "where", text: shortPath(path), title: path }),
      make("td", { text: detail ? `${reason}: ${detail}` : reason })));
    const counts = Object.entries(found.counts).map(([reason, files]) => make("li", {},
      make("strong", { text: number(files) }), ` ${reason}`));
    this.element.replaceChildren(
      make("header", { class: "head" }, button("← Back", this.back, { title: "Back (Esc)" }),
        make("h2", { text: "Files that are not searched" })),
      make("ul", { class: "counts" }, ...counts),
      make("table", {}, make("tbody", {}, ...rows)),
      ...(found.left_out ? [make("p", { class: "more", text: `and ${several(found.left_out, "more file")}` })] : []));
  }
}
