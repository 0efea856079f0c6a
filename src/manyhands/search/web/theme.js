/* Light or dark: what the system says, until somebody chose. Runs before the page is drawn, so that nothing flashes.

Always true: the choice is kept in localStorage under "theme" ("light", "dark", or nothing: the system's). */
"use strict";

{
  const root = document.documentElement;
  const NEXT = { "": "light", light: "dark", dark: "" };
  const SAID = { "": "as the system", light: "light", dark: "dark" };

  const kept = () => {
    try {
      return localStorage.getItem("theme") ?? "";
    } catch {
      return ""; // storage may be forbidden
    }
  };

  const keep = (theme) => {
    try {
      if (theme) localStorage.setItem("theme", theme);
      else localStorage.removeItem("theme");
    } catch {
      // it holds for this page, then
    }
  };

  const show = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  };

  let now = kept() in NEXT ? kept() : "";
  show(now);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => {
      button.title = `Colours: ${SAID[now]}`;
      button.setAttribute("aria-label", button.title);
    };
    name();
    button.addEventListener("click", () => {
      now = NEXT[now];
      keep(now);
      show(now);
      name();
    });
  });
}
