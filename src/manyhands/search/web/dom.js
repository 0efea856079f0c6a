/* Making elements. Always true: what comes from outside becomes text or an attribute, never markup. */

/** An element with attributes; "text" is its text, "on…" are listeners; null and false leave an attribute out. */
export function make(tag, facts = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export function button(text, onclick, facts = {}) {
  return make("button", { type: "button", class: "plain", text, onclick, ...facts });
}

export const byId = (id) => document.getElementById(id);

/** Put a text into the clipboard, also where the page is served without TLS. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", { class: "unseen" });
    const before = document.activeElement;
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    before?.focus({ preventScroll: true });
  }
}
