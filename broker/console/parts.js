// Small parts that several pages are made of.

import { h } from "./dom.js";
import { Refused } from "./api.js";
import { stateOf } from "./format.js";

/** A state, by sign, colour and name. */
export function chip(state) {
  const { tone, name, sign } = stateOf(state);
  return h("span", { class: `chip tone-${tone}` }, h("span", { class: "sign", "aria-hidden": "true" }, sign), name);
}

/** A word about something, in a tone. */
export const tag = (text, tone = "plain") => h("span", { class: `chip tone-${tone}` }, text);

/** Where there is nothing to show. */
export const nothing = (title, ...text) => h("div", { class: "nothing" }, h("p", { class: "nothing-title" }, title), h("p", {}, text));

/** Something went wrong. */
export function problem(error) {
  const text = error instanceof Refused ? error.message : "the console could not do this; reload the page";
  if (!(error instanceof Refused)) console.error(error);
  return h("div", { class: "problem", role: "alert" }, text);
}

/** Canonical capabilities, one a line, each breaking where it may. */
export function scopeList(texts, className = "scope") {
  if (!texts.length) return h("p", { class: "muted" }, "nothing");
  return h("ul", { class: className }, texts.map((text) => h("li", {}, h("code", {}, text))));
}

/** Pairs of a term and what it is. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter((pair) => pair && pair[1] !== undefined && pair[1] !== null && pair[1] !== "")
    .map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
}

/** A button that does something that takes time, and says what went wrong beside itself. */
export function actionButton(label, act, className = "button") {
  const place = h("span", { class: "action" });
  const button = h("button", { type: "button", class: className, onclick: async () => {
    button.disabled = true;
    place.querySelector(".problem")?.remove();
    try {
      await act();
    } catch (error) {
      place.append(problem(error));
    } finally {
      button.disabled = false;
    }
  } }, label);
  place.append(button);
  return place;
}

/** Asks before something that cannot be taken back; true for yes. */
export function confirmDialog(title, text, yes) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" });
    const close = (answer) => () => dialog.close(answer);
    dialog.append(
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, text),
      h("div", { class: "dialog-actions" },
        h("button", { type: "button", class: "button", onclick: close("") }, "Keep it"),
        h("button", { type: "button", class: "button danger", onclick: close("yes") }, yes)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
