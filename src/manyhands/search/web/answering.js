/* From the search to what is seen of it: rows, status, and what is wrong with the question. */

import { Account } from "./account.js";
import { Pane } from "./pane.js";
import { question } from "./question.js";
import { Search } from "./search.js";
import { Trouble } from "./trouble.js";

export class Answering {
  /** `app`: `change(changes)`, `more(limit)`, `failed(error)` for what is not the question's fault, `answered()`. */
  constructor(app, progress) {
    this.app = app;
    this.account = new Account();
    this.pane = new Pane();
    this.trouble = new Trouble();
    this.search = new Search(this, progress);
    this.shown = null; // the state whose rows are shown
  }

  run(state, how = {}) {
    return this.search.run(state, { keep: this.#kept(state), ...how });
  }

  /** More of the same answer: the rows stay until there are more than these. */
  #kept(state) {
    const before = this.shown;
    const same = before && question(before) === question(state) && before.context === state.context;
    return same && state.limit > before.limit ? before.limit : 0;
  }

  clear() {
    this.search.stop();
    this.pane.empty();
    this.account.clear();
    this.trouble.clear();
    this.shown = null;
  }

  // ---- what the search tells ----

  dim() {
    this.pane.dim();
    this.account.dim();
  }

  show(listing, stay) {
    this.trouble.clear();
    this.pane.show(listing, stay);
    this.shown = listing.state;
  }

  end(end, state, listing) {
    this.account.show(end, state, () => this.run(state, { patient: true, again: true }));
    this.pane.finish(end, state, listing, (limit) => this.app.more(limit), (changes) => this.app.change(changes));
    this.app.answered();
  }

  failed(error) {
    this.account.clear();
    if (!this.app.failed(error)) this.trouble.show(error);
  }
}
