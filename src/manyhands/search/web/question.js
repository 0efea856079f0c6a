/* What is asked of the service: the page's state as the parameters of /search. */

const COLUMNS_MOST = 500;
const MATCHES_MOST = 2000;

/** A file's longer lines are cut: no screen shows them, and some are megabytes long. */
export const FILE_COLUMNS_MOST = 10000;

const encoded = (text) => encodeURIComponent(text.toWellFormed?.() ?? text);

/** The parameters that say which lines; null when nothing is asked. */
export function question(state) {
  if (!(state.regex ? state.q : state.q.trim())) return null;
  const said = state.regex ? [`pattern=${encoded(state.q)}`, "regex=true"] : [`q=${encoded(state.q)}`];
  if (state.word) said.push("word=true");
  if (state.case !== "smart") said.push(`case=${state.case}`);
  said.push(...globs(state.file));
  if (state.lang) said.push(`lang=${encoded(state.lang)}`);
  if (state.under) said.push(`under=${state.under}`);
  return said.join("&");
}

/** "*.py !test_*" as parameters. */
function globs(text) {
  const words = text.split(/\s+/).filter((word) => word && word !== "!");
  return words.map((word) => (word[0] === "!" ? `not_file=${encoded(word.slice(1))}` : `file=${encoded(word)}`));
}

export function searchPath(state, patient = false) {
  const more = [`limit=${state.limit}`, `max_columns=${COLUMNS_MOST}`];
  if (state.context) more.push(`context=${state.context}`);
  if (patient) more.push("patient=true");
  return `/search?${question(state)}&${more.join("&")}`;
}

export const countPath = (state) => `/count?${question(state)}&limit=1&patient=true`;

/** All matches in the one file that is shown. */
export function matchesPath(state) {
  return `/search?${question({ ...state, under: state.path })}&limit=${MATCHES_MOST}`;
}

export function filePath(raw, line, before, after) {
  return `/file?path=${raw}&line=${line}&before=${before}&after=${after}&max_columns=${FILE_COLUMNS_MOST}`;
}
