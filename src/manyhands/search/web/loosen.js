/* What a search that found nothing could do without. */

import { readable } from "./address.js";

/** Pairs of words and changes to the state, each of which can only find more. */
export function loosened(state) {
  const ways = [];
  if (state.under) ways.push([`outside of ${readable(state.under)}`, { under: "" }]);
  if (state.file) ways.push([`in other files than ${state.file}`, { file: "" }]);
  if (state.lang) ways.push([`in other languages than ${state.lang}`, { lang: "" }]);
  if (state.word) ways.push(["as parts of words", { word: false }]);
  if (state.case === "exact" || (state.case === "smart" && /\p{Lu}/u.test(state.q))) {
    ways.push(["in upper or lower case", { case: "ignore" }]);
  }
  if (state.regex && /[^\w\s]/.test(state.q)) {
    ways.push(["as a plain text, not a regex", { regex: false, q: quoted(state.q) }]);
  }
  const words = plainWords(state);
  if (words.length > 1) ways.push([`with one of the words: ${words.join(" OR ")}`, { q: words.join(" OR ") }]);
  return ways;
}

const quoted = (text) => `"${text.replace(/[\\"]/g, "\\$&")}"`;

/** The words of a question that is nothing but words. */
function plainWords(state) {
  const words = state.q.trim().split(/\s+/);
  const plain = (word) => !/^[-"/]|:|^(OR|NOT)$/.test(word);
  return !state.regex && words.every(plain) ? words : [];
}
