/* One question under way at a time: asked, read as it streams in, shown; the one before is aborted.

Always true: nothing of an aborted answer is shown; the old rows stand, dimmed, until the first new ones are there. */

import { rootsKnown } from "./paths.js";
import { searchPath } from "./question.js";
import { Listing } from "./results.js";
import { stream } from "./wire.js";

const LOADING_MS = 150;

export class Search {
  /** `page` is told `dim()`, `show(listing, stay)`, `end(end, state, listing)`, `failed(error)`. */
  constructor(page, progress) {
    this.page = page;
    this.progress = progress;
    this.asked = null; // what the rows that are shown, or coming, answer
    this.controller = null;
    this.timer = null;
  }

  get running() {
    return this.controller !== null;
  }

  stop() {
    this.controller?.abort();
    this.controller = null;
    this.asked = null;
    this.#idle();
  }

  /** Ask, unless just this is shown or on its way. `keep`: so many lines must be there before the old ones go. */
  async run(state, { patient = false, keep = 0, again = false } = {}) {
    const asked = searchPath(state);
    if (asked === this.asked && !again) return;
    this.stop();
    const { signal } = (this.controller = new AbortController());
    this.asked = asked;
    this.#busy();
    try {
      await this.#read(searchPath(state, patient), state, keep, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.asked = null;
      this.page.failed(error);
    }
    if (signal.aborted) return;
    this.controller = null;
    this.#idle();
  }

  async #read(path, state, keep, signal) {
    const listing = new Listing(state);
    let shown = false;
    for await (const events of stream(path, signal)) {
      await rootsKnown;
      if (signal.aborted) return;
      for (const event of events) if (event.type === "lines") listing.add(event);
      const end = events.at(-1).type === "end" ? events.at(-1) : null;
      if (!shown && (end || listing.lines > keep)) {
        shown = true;
        this.page.show(listing, keep > 0);
      }
      if (end) this.page.end(end, state, listing);
    }
  }

  #busy() {
    this.page.dim();
    this.timer = setTimeout(() => (this.progress.hidden = false), LOADING_MS);
  }

  #idle() {
    clearTimeout(this.timer);
    this.progress.hidden = true;
  }
}
