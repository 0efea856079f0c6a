/* The page: one state, the views that show it, and the browser's history.

Always true: the address says the state (`address.js`); whatever changes it goes through `go`; while one types the
address is replaced, and a file that is opened, or a search that was chosen, is a step that "back" undoes. */

import { decoded, LIMIT, linesOf, parts, read, readable, write } from "./address.js";
import { Answering } from "./answering.js";
import { byId } from "./dom.js";
import { Form } from "./form.js";
import { Keys } from "./keys.js";
import { useRoots } from "./paths.js";
import { question } from "./question.js";
import { Reader } from "./reader.js";
import { Service } from "./service.js";
import { SkippedPage } from "./skipped.js";
import { Start } from "./start.js";
import { useToken } from "./wire.js";

const TYPING_MS = 70;
const VIEWS = ["start", "results", "reader", "skipped"];

class App {
  constructor() {
    this.state = read("");
    this.shown = "start";
    this.tops = {};
    this.opened = null; // the row whose file is shown
    this.awaited = false; // Enter was pressed: to the first row, when it is there
    const change = (changes) => this.change(changes);
    const failed = (error) => this.failed(error);
    const back = () => this.back();
    this.form = new Form({ typed: () => this.typed(), chosen: () => this.submit(), changed: change });
    this.answers = new Answering(this, byId("progress"));
    this.start = new Start();
    this.reader = new Reader({ back, failed, change: (changes) => this.change(changes, { stay: true }) });
    this.skipped = new SkippedPage({ back, failed });
    this.service = new Service({ holds: (...facts) => this.holds(...facts), back: () => this.again() });
    this.keys = new Keys(this);
    addEventListener("popstate", () => this.arrive());
    document.addEventListener("click", (event) => this.#clicked(event));
    byId("help").addEventListener("click", () => this.showKeys());
  }

  begin() {
    this.service.refresh();
    this.arrive();
  }

  // ---- the service ----

  holds(status, why) {
    useRoots(status.roots);
    this.form.languages(status.languages);
    this.start.hold(status);
    this.answers.account.hold(status, why);
  }

  /** It was away, or did not know us: what is shown is asked again. */
  again() {
    this.service.refresh();
    this.reader.forget();
    if (this.shown === "results") this.answers.run(this.state, { again: true });
    else if (this.shown === "skipped") this.skipped.open();
    else this.show();
  }

  answered() {
    this.service.well();
    this.service.refresh(false);
    this.#toFirst();
  }

  /** True when it was seen to. */
  failed(error) {
    if (this.service.failed(error)) return true;
    if (this.shown === "results") return false;
    this.answers.trouble.show(error);
    return true;
  }

  // ---- the state and the address ----

  /** The address says something else than before: it was opened, edited, or gone back to. */
  arrive() {
    takeToken();
    clearTimeout(this.timer);
    this.state = read(location.hash);
    this.show();
  }

  go(state, { push = false, inside = false } = {}) {
    clearTimeout(this.timer);
    this.state = state;
    const hash = write(state);
    const address = hash === "#" ? location.pathname + location.search : hash;
    try {
      if (push) history.pushState({ inside }, "", address);
      else history.replaceState(history.state, "", address);
    } catch {
      // some browsers refuse when one types fast for long; the next change of the address says it all
    }
    this.show();
  }

  /** Another question, or with `stay` another place in the same file. */
  change(changes, { push = false, stay = false } = {}) {
    const fresh = stay ? {} : { path: "", line: "", show: "", limit: LIMIT };
    const leaves = !stay && Boolean(this.state.path || this.state.show);
    this.go({ ...this.state, ...fresh, ...changes }, { push: push || leaves });
  }

  typed() {
    clearTimeout(this.timer);
    this.awaited = false;
    this.timer = setTimeout(() => this.submit(), TYPING_MS);
  }

  submit() {
    clearTimeout(this.timer);
    const said = Object.entries(this.form.read());
    const same = said.every(([name, value]) => this.state[name] === value);
    if (!same || viewOf(this.state) === "reader" || this.state.show) this.change(Object.fromEntries(said));
  }

  /** From the box to the first row: of the answer to what the box says now, so perhaps in a moment. */
  enter() {
    this.submit();
    this.awaited = true;
    if (!this.answers.search.running) this.#toFirst();
  }

  #toFirst() {
    if (this.awaited && this.shown === "results") this.answers.pane.step(1);
    this.awaited = false;
  }

  more(limit) {
    this.go({ ...this.state, limit });
  }

  back() {
    if (history.state?.inside) history.back();
    else this.change({});
  }

  /** Links within the page are states. With Ctrl and the like they are the browser's, as ever. */
  #clicked(event) {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.altKey) return;
    const state = read(link.getAttribute("href"));
    const inFile = this.shown === "reader" && state.path === this.state.path;
    if (event.shiftKey && !inFile) return;
    event.preventDefault();
    if (inFile && event.shiftKey && state.line) state.line = spanned(this.state, state);
    if (state.path && !inFile) this.opened = link;
    if (inFile) this.go(state);
    else this.go(state, { push: true, inside: Boolean(state.path || state.show) });
  }

  // ---- views ----

  show() {
    const { state } = this;
    this.form.fill(state);
    document.title = titleOf(state);
    const view = viewOf(state);
    const turned = this.#view(view);
    if (view === "start") this.answers.clear();
    else if (view === "results") this.answers.run(state);
    else if (view === "reader") this.reader.open(state);
    else if (turned) this.skipped.open();
  }

  /** Make one view the visible one, where it was scrolled to; false when it was visible already. */
  #view(name) {
    if (name === this.shown) return false;
    const before = this.shown;
    this.tops[before] = byId(before).scrollTop;
    this.shown = name;
    for (const id of VIEWS) byId(id).hidden = id !== name;
    this.answers.trouble.clear();
    if (name === "results") this.#returned(before);
    else if (name !== "start") byId(name).focus({ preventScroll: true });
    return true;
  }

  #returned(before) {
    this.answers.pane.element.scrollTop = this.tops.results ?? 0;
    if (before !== "reader" || document.activeElement === this.form.box) return;
    (this.opened?.isConnected ? this.opened : this.answers.pane.element).focus({ preventScroll: true });
  }

  showKeys() {
    byId("keys").showModal();
  }
}

function viewOf(state) {
  if (state.show) return "skipped";
  if (state.path) return "reader";
  return question(state) === null ? "start" : "results";
}

function takeToken() {
  const given = parts(location.hash);
  const token = given.find(([name]) => name === "token");
  if (!token) return;
  useToken(decoded(token[1]));
  const rest = given.filter((part) => part !== token).map(([name, value]) => `${name}=${value}`).join("&");
  history.replaceState(history.state, "", location.pathname + location.search + (rest && `#${rest}`));
}

/** From the line that is pointed at to the one that was clicked with Shift. */
function spanned(now, clicked) {
  const from = linesOf(now)?.[0] ?? Number(clicked.line);
  return [from, Number(clicked.line)].sort((a, b) => a - b).join("-");
}

function titleOf(state) {
  const name = readable(state.path).split("/").at(-1);
  const what = name ? `${name}${state.line && `:${state.line}`}` : state.q;
  return what ? `${what} — manyhands search` : "manyhands search";
}

takeToken();
new App().begin();
