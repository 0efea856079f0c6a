/* The line of status: how complete the answer is, what was found, and how much text is held. */

import { ask } from "./wire.js";
import { countPath } from "./question.js";
import { byId, button, make } from "./dom.js";
import { milliseconds, number, several, size } from "./text.js";

const found = (end) => (end.files ? `${several(end.lines, "line")} in ${several(end.files, "file")}` : "no lines");

/** How complete an answer is: a kind for the colour, and words. */
export function completeness(end, limit) {
  if (end.missing.length) return ["partial", `partial: ${end.missing.map(missingShard).join("; ")}`];
  if (end.timed_out) return ["partial", "stopped at the deadline"];
  if (end.cancelled) return ["partial", "cancelled"];
  if (end.truncated_by === "limit") return ["cut", `first ${several(limit, "line")}`];
  if (end.truncated_by) return ["cut", "not all lines of each file"];
  return end.complete ? ["complete", "complete"] : ["partial", "partial"];
}

function missingShard({ shard, why }) {
  return why.includes("is being rebuilt") ? `shard ${shard} is being rebuilt` : `shard ${shard} did not answer`;
}

export class Account {
  constructor() {
    this.answer = byId("answer");
    this.held = byId("held");
  }

  clear() {
    this.answer.replaceChildren();
  }

  /** What it says is of an answer that is outdated. */
  dim() {
    this.answer.classList.add("stale");
  }

  /** The end of an answer. `again` asks once more, and waits for what was missing. */
  show(end, state, again) {
    const [kind, words] = completeness(end, state.limit);
    const why = end.missing.map((one) => one.why).join("\n");
    const parts = [make("span", { class: `tag ${kind}`, text: words, title: why || words })];
    const cut = end.truncated_by === "limit" && !end.missing.length; // how many lines is said already, then
    parts.push(make("span", { class: "found", text: cut ? `in ${several(end.files, "file")}` : found(end) }));
    parts.push(make("span", { class: "took", text: milliseconds(end.elapsed_ms) }));
    if (end.missing.length) parts.push(button("Wait for it", again, { class: "link" }));
    else if (end.truncated_by) parts.push(this.#countButton(state));
    this.answer.replaceChildren(...parts);
    this.answer.classList.remove("stale");
  }

  #countButton(state) {
    const counted = button("Count all", async () => {
      counted.disabled = true;
      try {
        const all = await ask(countPath(state));
        counted.replaceWith(make("span", { class: "found", text: `of ${found(all)}` }));
      } catch (error) {
        counted.replaceWith(make("span", { class: "found", text: error.message }));
      }
    }, { class: "link" });
    return counted;
  }

  /** What /status says is held. */
  hold(status, why) {
    const parts = [];
    // A service whose shards do not answer just now does not know what it holds.
    if (status.files !== undefined) {
      parts.push(make("span", { text: `${several(status.files, "file")}, ${size(status.text_bytes)}` }));
    }
    if (status.indexed < 1) {
      parts.push(make("span", { class: "wait", text: `index ${Math.floor(status.indexed * 100)} %` }));
    }
    if (status.skipped) {
      parts.push(make("a", { href: "#show=skipped", text: `${number(status.skipped)} skipped`,
        title: "Files that are not searched, and why" }));
    }
    if (why) parts.push(make("span", { class: "tag partial", text: `degraded: ${why}`, title: why }));
    this.held.replaceChildren(...parts);
  }
}
