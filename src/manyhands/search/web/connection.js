/* The banner for a service that is not there: says so, tries again, a little later each time, tells when it is back.

Always true: at most one attempt is planned or under way. */

import { ask, Lost } from "./wire.js";
import { byId, button, make } from "./dom.js";

const FIRST_S = 0.5;
const SLOWER = 1.6;
const LONGEST_S = 10;

export class Connection {
  /** `back` is called when the service answers again. */
  constructor(back) {
    this.back = back;
    this.banner = byId("banner");
    this.wait = FIRST_S;
    this.timer = null;
    this.trying = false;
  }

  /** An answer came whole. */
  well() {
    this.#stop();
    this.wait = FIRST_S;
    this.banner.hidden = true;
  }

  lost(words = "The connection is lost.") {
    this.#plan(words, this.wait);
  }

  /** It answers, but has no place for a question now. */
  busy(problem) {
    this.#plan(problem.message, problem.retryAfter ?? 1);
  }

  #stop() {
    clearTimeout(this.timer);
    this.timer = null;
  }

  #plan(words, seconds) {
    this.#stop();
    this.wait = Math.min(this.wait * SLOWER, LONGEST_S);
    const shown = seconds < 1 ? "Trying again." : `Trying again in ${Math.round(seconds)} s.`;
    this.banner.replaceChildren(make("span", { text: `${words} ${shown}` }), button("Try now", () => this.#try()));
    this.banner.hidden = false;
    this.timer = setTimeout(() => this.#try(), seconds * 1000);
  }

  async #try() {
    this.#stop();
    if (this.trying) return;
    this.trying = true;
    try {
      const health = await ask("/healthz");
      if (health.status === "draining") this.lost("The service is shutting down.");
      else this.back();
    } catch (error) {
      if (error instanceof Lost) this.lost();
      else this.back(); // whatever else is wrong, it answers
    } finally {
      this.trying = false;
    }
  }
}
