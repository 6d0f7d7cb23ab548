// Asks for an API key where the broker wants one. It is kept for this tab alone and goes nowhere but to this broker.

import { api, key } from "./api.js";
import { h, put } from "./dom.js";
import { problem } from "./parts.js";

/** Shows the form until a key is good; then calls `done` with who it is. */
export function signIn(main, done, why) {
  const field = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-note" });
  const trouble = h("div", {});
  const form = h("form", { class: "card sign-in" },
    h("h1", {}, "Sign in"),
    why && h("p", { class: "muted" }, why),
    h("label", { for: "key" }, "API key"),
    field,
    h("p", { id: "key-note", class: "muted small" }, "Kept in this tab only, and sent to this broker only. An operator's key shows every tree, another one its own."),
    trouble,
    h("button", { type: "submit", class: "button primary" }, "Sign in"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    key.set(field.value.trim());
    try {
      done(await api.whoami());
    } catch (error) {
      key.set("");
      put(trouble, problem(error));
      field.focus();
    }
  });
  put(main, form);
  field.focus();
}
