/* What the page shows, as its address: #q=mutex&lang=c&path=/src/lock.c&line=12. All of the page's state is there.

Behind the #, because what stands there is sent to nobody: no proxy's log has what is searched for.
Always true: `read(write(state))` is `state`; paths stay percent-encoded, because they may have any bytes. */

const PLAIN = Object.freeze({
  q: "", regex: false, word: false, case: "smart", file: "", lang: "", under: "", context: 0, limit: 200,
  path: "", line: "", show: "",
});

export const LIMIT = PLAIN.limit;
export const LIMIT_MOST = 10000;
const CONTEXT_MOST = 100;

/** What narrows a search, besides its text. */
export const FILTERS = ["word", "case", "file", "lang", "under"];

const READERS = {
  regex: flag,
  word: flag,
  case: (text) => (["smart", "exact", "ignore"].includes(text) ? text : PLAIN.case),
  context: (text) => whole(text, 0, CONTEXT_MOST, PLAIN.context),
  limit: (text) => whole(text, 1, LIMIT_MOST, PLAIN.limit),
  line: (text) => (/^\d{1,9}(-\d{1,9})?$/.test(text) ? text : ""),
  show: (text) => (text === "skipped" ? text : ""),
};

function flag(text) {
  return ["true", "1", ""].includes(text);
}

function whole(text, least, most, otherwise) {
  return /^\d+$/.test(text) ? Math.min(Math.max(Number(text), least), most) : otherwise;
}

/** The state that an address's part behind the # says; what makes no sense there is as if it were not there. */
export function read(hash) {
  const state = { ...PLAIN };
  for (const [name, value] of parts(hash)) {
    if (name === "path" || name === "under") state[name] = rawPath(value);
    else if (Object.hasOwn(PLAIN, name)) state[name] = (READERS[name] ?? String)(decoded(value));
  }
  return state;
}

/** The names and values, still encoded. */
export function parts(query) {
  return query.replace(/^[#?]/, "").split("&").filter(Boolean).map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
  });
}

/** The shortest address that says this state: what is as ever is left out. */
export function write(state) {
  const said = Object.keys(PLAIN).filter((name) => state[name] !== PLAIN[name]);
  return `#${said.map((name) => `${name}=${encodedField(name, state[name])}`).join("&")}`;
}

function encodedField(name, value) {
  if (name === "path" || name === "under") return value;
  return encodeURIComponent(String(value).toWellFormed?.() ?? value)
    .replace(/%20/g, "+")
    .replace(/%(2F|3A|2C|40)/g, decodeURIComponent);
}

export function decoded(value) {
  const text = value.replace(/\+/g, " ");
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A path as it stands in an address: percent-encoded where it must be, with its slashes as they are. */
export function rawPath(value) {
  return value
    .replace(/%(?![0-9a-f]{2})/gi, "%25")
    .replace(/[^\w%\-.~/!$'()*,:;@]/gu, encodeURIComponent)
    .replace(/%2f/gi, "/");
}

/** The path that an answer's href leads to. */
export function pathOf(href) {
  const found = parts(href.slice(href.indexOf("?"))).find(([name]) => name === "path");
  return rawPath((found?.[1] ?? "").replace(/\+/g, "%20"));
}

/** A path for the eye. */
export function readable(raw) {
  const byteOf = ([char, hex]) => (hex ? parseInt(hex, 16) : char.charCodeAt(0));
  const bytes = Array.from(raw.matchAll(/%([0-9a-f]{2})|[^%]/gi), byteOf);
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** The numbers of the first and the last line that an address points at; null without. */
export function linesOf(state) {
  if (!state.line) return null;
  const [first, last = first] = state.line.split("-").map(Number);
  return [Math.min(first, last), Math.max(first, last)];
}
