// The list of trees, the newest first, kept true while it is looked at.

import { api } from "./api.js";
import { announce, h, onceAFrame, put } from "./dom.js";
import * as feed from "./feed.js";
import { allStates, count, duration, stateOf, time, took } from "./format.js";
import { chip, nothing, problem } from "./parts.js";

const REFRESH_MS = 600;

export function treesPage(main) {
  const known = new Map();
  const wanted = { state: "", agent: "" };
  let next;
  let isLoaded = false;
  let timer = 0;
  let isGone = false;
  let filtered = 0;

  const trouble = h("div", {});
  const list = h("div", { class: "card flush" });
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: () => load(next) }, "Show older trees");
  const state = h("select", { id: "state" },
    h("option", { value: "" }, "Any state"), h("option", { value: "open" }, "Open"),
    allStates.map((one) => h("option", { value: one }, stateOf(one).name)));
  const agent = h("input", { id: "agent", type: "search", placeholder: "Any agent", autocomplete: "off", spellcheck: "false" });
  const filter = () => {
    Object.assign(wanted, { state: state.value, agent: agent.value.trim() });
    filtered += 1;
    known.clear();
    isLoaded = false;
    load();
  };
  state.addEventListener("change", filter);
  agent.addEventListener("change", filter);

  put(main,
    h("div", { class: "page-head" }, h("h1", {}, "Trees"),
      h("div", { class: "filters" },
        h("label", { class: "unseen", for: "state" }, "State"), state,
        h("label", { class: "unseen", for: "agent" }, "Agent"), agent)),
    trouble, list, h("div", { class: "more" }, more));

  async function load(before) {
    const asked = filtered;
    try {
      const page = await api.trees({ ...wanted, before });
      if (isGone || asked !== filtered) return;
      // What is in the page's range and not on it is gone, or is not asked for any more.
      const last = page.next ?? "";
      for (const root of [...known.keys()]) if (root >= last && (!before || root < before)) known.delete(root);
      for (const tree of page.trees) known.set(tree.root, tree);
      if (before || !isLoaded) next = page.next;
      isLoaded = true;
      put(trouble);
      render();
    } catch (error) {
      if (!isGone) put(trouble, problem(error));
    }
  }

  const render = onceAFrame(() => {
    if (isGone) return;
    const trees = [...known.values()].sort((a, b) => (a.root < b.root ? 1 : -1));
    more.hidden = !next;
    if (!trees.length) {
      put(list, isLoaded ? nothing("No trees", wanted.state || wanted.agent ? "Nothing matches the filter." : "A tree appears here as soon as somebody sends a message through the broker.") : nothing("Loading", "…"));
      return;
    }
    const focused = document.activeElement?.getAttribute?.("href");
    const now = Date.now();
    put(list, h("table", { class: "table trees" },
      h("caption", { class: "unseen" }, "Delegation trees, the newest first"),
      h("thead", {}, h("tr", {}, ["Asked", "State", "Agent", "Tasks", "Owner", "Began", "Took"].map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, trees.map((tree) => row(tree, now)))));
    if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  });

  function soon() {
    if (!timer) timer = setTimeout(() => { timer = 0; load(); }, REFRESH_MS);
  }

  const unlisten = feed.listen((event) => {
    if (event.type === "ready" || event.type === "reset" || event.type === "happened") soon();
    if (event.type === "happened" && event.task === event.root && event.kind === "ended") announce(`A tree is ${stateOf(event.state).name.toLowerCase()}`);
  });
  const ticker = setInterval(() => { if ([...known.values()].some((tree) => tree.open)) render(); }, 5_000);
  load();
  return () => {
    isGone = true;
    unlisten();
    clearTimeout(timer);
    clearInterval(ticker);
  };
}

function row(tree, now) {
  const total = Object.values(tree.tasks).reduce((sum, one) => sum + one, 0);
  return h("tr", {},
    h("th", { scope: "row", class: "asked" }, h("a", { href: `#/tree/${tree.root}` }, tree.asked || "(no text)")),
    h("td", {}, chip(tree.state)),
    h("td", { "data-label": "Agent" }, h("span", { class: "agent" }, tree.agent), tree.skill && h("span", { class: "muted" }, ` ${tree.skill}`)),
    h("td", { "data-label": "Tasks" }, h("span", { class: "tally" }, count(total, "task"), tally(tree.tasks, total))),
    h("td", { "data-label": "Owner", class: "muted" }, tree.owner),
    h("td", { "data-label": "Began", class: "muted nowrap" }, time(tree.created)),
    h("td", { "data-label": "Took", class: "muted nowrap number" }, duration(took(tree, now))));
}

/** How many tasks are in which state, as a bar; in words beside it for whoever does not see it. */
export function tally(tasks, total) {
  const states = Object.entries(tasks);
  const words = states.map(([state, number]) => `${number} ${stateOf(state).name.toLowerCase()}`).join(", ");
  const bar = h("span", { class: "tally-bar", role: "img", "aria-label": words, title: words });
  for (const [state, number] of states) {
    const piece = h("span", { class: `tone-${stateOf(state).tone}` });
    piece.style.flexGrow = String(number / total);
    bar.append(piece);
  }
  return bar;
}
