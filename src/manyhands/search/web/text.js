/* Texts as they are shown: spans, numbers, sizes. The service counts in code points, a browser in UTF-16 units. */

import { make } from "./dom.js";

const COUNT = new Intl.NumberFormat("en");

/** Spans of code points as spans of UTF-16 units of `text`. */
export function toUnits(text, spans) {
  if (!/[\ud800-\udbff]/.test(text)) return spans;
  const unitOf = [];
  let unit = 0;
  for (const char of text) {
    unitOf.push(unit);
    unit += char.length;
  }
  const at = (point) => unitOf[point] ?? unit;
  return spans.map(([start, end]) => [at(start), at(end)]);
}

/** The text as nodes, with the spans (of code points) marked. */
export function marked(text, spans) {
  const nodes = [];
  let done = 0;
  for (const [start, end] of toUnits(text, spans)) {
    if (end <= done || start >= end) continue;
    if (start > done) nodes.push(text.slice(done, start));
    nodes.push(make("mark", { text: text.slice(Math.max(start, done), end) }));
    done = end;
  }
  if (done < text.length) nodes.push(text.slice(done));
  return nodes;
}

/** A carriage return at the end of a line is not drawn. */
export const drawn = (line) => (line.endsWith("\r") ? line.slice(0, -1) : line);

export const number = (value) => COUNT.format(value);

export const several = (value, one, more = `${one}s`) => `${number(value)} ${value === 1 ? one : more}`;

export function size(bytes) {
  if (bytes < 1000) return several(bytes, "byte");
  const [unit, name] = bytes < 1e6 ? [1e3, "kB"] : bytes < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}

export const milliseconds = (value) => `${COUNT.format(Number(value.toFixed(1)))} ms`;
