/* The service as a whole: is it there, what does it hold, does it know us. */

import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { ask, hasToken, Lost, useToken } from "./wire.js";

const STALE_MS = 10_000;

export class Service {
  /** `holds(status, why)`: what it holds, and why it is degraded; `back()`: it answers again. */
  constructor({ holds, back }) {
    this.holds = holds;
    this.back = back;
    this.connection = new Connection(back);
    this.refreshed = -Infinity;
    byId("token").addEventListener("submit", (event) => this.#tokenGiven(event));
  }

  /** Ask what it holds, if that was not asked just now. */
  async refresh(now = true) {
    if (!now && performance.now() - this.refreshed < STALE_MS) return;
    this.refreshed = performance.now();
    try {
      const [status, health] = await Promise.all([ask("/status"), ask("/healthz")]);
      this.holds(status, health.status === "degraded" ? (health.why ?? ["some of it does not answer"]).join("; ") : "");
      this.well();
    } catch (error) {
      this.failed(error);
    }
  }

  well() {
    this.connection.well();
  }

  /** Deal with what is the service's affair; false when the error is about what was asked. */
  failed(error) {
    if (error instanceof Lost) this.connection.lost();
    else if (error.status === 401) this.#askForToken();
    else if (error.status === 429 || error.status === 503) this.connection.busy(error);
    else return false;
    return true;
  }

  #askForToken() {
    byId("token-label").textContent = hasToken() ? "The token is wrong." : "This service asks for a token.";
    byId("token").hidden = false;
    byId("secret").focus();
  }

  #tokenGiven(event) {
    event.preventDefault();
    useToken(byId("secret").value.trim());
    byId("secret").value = "";
    byId("token").hidden = true;
    this.back();
  }
}
