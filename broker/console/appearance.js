// Light or dark: as the system has it, unless the user says otherwise. The choice is no secret and outlives the tab.

import { h } from "./dom.js";

const KEY = "bailiwick.appearance";
const CHOICES = ["system", "light", "dark"];
const NAMES = { system: "System", light: "Light", dark: "Dark" };

function chosen() {
  const kept = localStorage.getItem(KEY);
  return CHOICES.includes(kept) ? kept : "system";
}

export function applyAppearance() {
  const choice = chosen();
  if (choice === "system") delete document.documentElement.dataset.appearance;
  else document.documentElement.dataset.appearance = choice;
}

/** The switch. */
export function appearanceSwitch() {
  const select = h("select", { id: "appearance", "aria-label": "Appearance", class: "quiet" },
    CHOICES.map((choice) => h("option", { value: choice, selected: choice === chosen() }, NAMES[choice])));
  select.addEventListener("change", () => {
    localStorage.setItem(KEY, select.value);
    applyAppearance();
  });
  return select;
}
