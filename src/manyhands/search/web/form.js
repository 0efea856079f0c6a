/* The search box and the filters: the state as fields, and the fields as state. */

import { FILTERS, read, readable } from "./address.js";
import { byId, make } from "./dom.js";
import { shortPath } from "./paths.js";

const TEXTS = ["q", "file"];
const CHOICES = ["case", "lang", "context"];
const FLAGS = ["word", "regex"];
const CASES = ["smart", "exact", "ignore"];
const PLAIN = read("");

export class Form {
  /** `typed`: a text is being written; `chosen`: something else was changed. */
  constructor({ typed, chosen, changed }) {
    this.under = "";
    this.box = byId("q");
    this.chosen = chosen;
    byId("ask").addEventListener("submit", (event) => event.preventDefault());
    for (const id of TEXTS) byId(id).addEventListener("input", (event) => event.isComposing || typed());
    for (const id of TEXTS) byId(id).addEventListener("compositionend", typed);
    for (const id of CHOICES) byId(id).addEventListener("change", chosen);
    for (const id of FLAGS) byId(id).addEventListener("click", () => this.flip(id));
    byId("anywhere").addEventListener("click", () => changed({ under: "" }));
    byId("unfilter").addEventListener("click", () => changed(pick(PLAIN, FILTERS)));
    byId("filter").addEventListener("click", () => this.#open());
  }

  #open() {
    const open = byId("ask").classList.toggle("open");
    byId("filter").setAttribute("aria-expanded", String(open));
  }

  flip(id) {
    const button = byId(id);
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    this.chosen();
  }

  /** The next of smart, exact, any. */
  nextCase() {
    const field = byId("case");
    field.value = CASES[(CASES.indexOf(field.value) + 1) % CASES.length];
    this.chosen();
  }

  languages(names) {
    const field = byId("lang");
    const { value } = field;
    field.replaceChildren(field.options[0], ...names.map((name) => make("option", { value: name, text: name })));
    this.#choose("lang", value);
  }

  #choose(id, value) {
    const field = byId(id);
    const known = [...field.options].some((option) => option.value === value);
    if (!known) field.append(make("option", { value, text: value }));
    field.value = value;
  }

  fill(state) {
    // A field that says the same is left alone: setting it would move the cursor.
    for (const id of TEXTS) if (byId(id).value !== state[id]) byId(id).value = state[id];
    for (const id of CHOICES) this.#choose(id, String(state[id]));
    for (const id of FLAGS) byId(id).setAttribute("aria-pressed", String(state[id]));
    this.under = state.under;
    byId("under").hidden = !state.under;
    byId("folder").textContent = shortPath(readable(state.under));
    byId("folder").title = readable(state.under);
    const set = FILTERS.filter((name) => state[name] !== PLAIN[name]).length;
    byId("unfilter").hidden = !set;
    byId("filter").textContent = set ? `Filters: ${set}` : "Filters";
  }

  /** What the fields say. */
  read() {
    const flags = Object.fromEntries(FLAGS.map((id) => [id, byId(id).getAttribute("aria-pressed") === "true"]));
    const texts = Object.fromEntries([...TEXTS, ...CHOICES].map((id) => [id, byId(id).value]));
    return { ...texts, ...flags, context: Number(texts.context), under: this.under };
  }
}

const pick = (state, names) => Object.fromEntries(names.map((name) => [name, state[name]]));
