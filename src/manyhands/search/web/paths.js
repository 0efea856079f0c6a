/* A path as it is shown: each folder leads to a search in it, the name to the file.

Always true: what comes before the root's own name is left out, unless two roots would look alike then. */

import { make } from "./dom.js";
import { write } from "./address.js";

const PATIENCE_MS = 500;

let roots = [];
let tell = null;

/** Until the roots are known; or not for long, because a long path is better than none. */
export const rootsKnown = new Promise((resolve) => {
  tell = resolve;
  setTimeout(resolve, PATIENCE_MS);
});

export function useRoots(paths) {
  roots = [...paths].sort((a, b) => b.length - a.length);
  tell();
}

const lastOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** How many parts of a path (split at its slashes) are not shown. */
function hiddenParts(path) {
  const root = roots.find((one) => path === one || path.startsWith(one.endsWith("/") ? one : `${one}/`));
  if (!root) return path.startsWith("/") ? 1 : 0;
  const alike = roots.some((one) => one !== root && lastOf(one) === lastOf(root));
  return alike || root === "/" ? 1 : root.split("/").length - 1;
}

/** The path without what is in front of its root. */
export const shortPath = (path) => path.split("/").slice(hiddenParts(path)).join("/");

/** A path as links. `raw` is the same path, percent-encoded; `state` is what a folder's link keeps. */
export function crumbs(path, raw, state, fileLink) {
  const names = path.split("/");
  const raws = raw.split("/");
  const name = make("a", { class: "name", href: fileLink, text: names.at(-1) });
  const shown = make("span", { class: "path", title: path });
  for (let at = hiddenParts(path); at < names.length - 1; at += 1) {
    const under = raws.slice(0, at + 1).join("/");
    const href = write({ ...state, under, path: "", line: "", show: "" });
    shown.append(make("a", { class: "folder", href, text: names[at], title: "Search in this folder" }), "/");
  }
  shown.append(name);
  return shown;
}
