// One tree, as it grows: the drawing, the list with its times, one task in detail, the log, what was refused.

import { api, Refused } from "./api.js";
import { Details, cancel } from "./details.js";
import { announce, h, onceAFrame, put } from "./dom.js";
import { Drawing } from "./drawing.js";
import * as feed from "./feed.js";
import { Forest } from "./forest.js";
import { count, duration, isOver, stateName, time, took } from "./format.js";
import { Log } from "./log.js";
import { Outline } from "./outline.js";
import { actionButton, chip, problem } from "./parts.js";
import { Refusals } from "./refusals.js";
import { tally } from "./trees.js";

const REFRESH_MS = 200;
const ANNOUNCE_MS = 2_500;

export function treePage(main, root, task) {
  const forest = new Forest();
  let selected = task ?? null;
  let isGone = false;
  let isAsking = false;
  let isStale = false;
  let timer = 0;
  let told = "";
  let tellTimer = 0;

  const choose = (id) => {
    if (id !== selected) history.replaceState(null, "", `#/tree/${root}/${id}`);
    pick(id);
  };
  const drawing = new Drawing(forest, choose);
  const outline = new Outline(forest, choose);
  const details = new Details(forest);
  const log = new Log(forest, root);
  const refusals = new Refusals(root);
  const head = h("div", {});
  const trouble = h("div", {});

  put(main, trouble, head, h("div", { class: "tree-page" },
    h("div", { class: "tree-main" },
      h("section", { class: "card flush", "aria-labelledby": "drawing-title" }, h("h2", { id: "drawing-title", class: "card-title" }, "Tree"), drawing.element),
      h("section", { class: "card flush", "aria-labelledby": "tasks-title" }, h("h2", { id: "tasks-title", class: "card-title" }, "Tasks and timeline"), outline.element),
      h("section", { class: "card later", "aria-labelledby": "refusals-title" }, h("h2", { id: "refusals-title" }, "Refused in this tree"), refusals.element),
      h("section", { class: "card later", "aria-labelledby": "log-title" }, h("h2", { id: "log-title" }, "Event log"), log.element)),
    details.element));

  function pick(id) {
    selected = id;
    forest.reveal(id);
    outline.update(id);
    outline.reveal(id);
    render();
  }

  async function refresh() {
    if (isAsking) {
      isStale = true;
      return;
    }
    isAsking = true;
    isStale = false;
    try {
      const changes = await api.changes(root, forest.version);
      if (isGone) return;
      forest.merge(changes);
      if (!forest.tasks.has(selected)) selected = forest.top;
      put(trouble);
      render();
      tell();
    } catch (error) {
      // While the broker is away the page stays as it was; the sign of the connection says so.
      if (!isGone && error instanceof Refused && error.status > 0 && error.status < 500) put(trouble, problem(error));
      else if (!isGone && !(error instanceof Refused)) put(trouble, problem(error));
    } finally {
      isAsking = false;
      if (isStale && !isGone) soon();
    }
  }

  function soon() {
    if (!timer) timer = setTimeout(() => { timer = 0; refresh(); }, REFRESH_MS);
  }

  const render = onceAFrame(() => {
    if (isGone || !forest.root) return;
    const now = Date.now();
    renderHead(now);
    drawing.draw(selected, now);
    outline.update(selected);
    details.show(selected);
    log.update(selected);
  });

  function renderHead(now) {
    const top = forest.root;
    const focused = head.contains(document.activeElement);
    const title = top.agent;
    document.title = `${title}, ${stateName(top.state)} · Bailiwick`;
    const words = `${count(forest.tasks.size, "task")}, ${forest.open.toLocaleString("en")} open`;
    const line = [chip(top.state), h("span", { id: "tree-count" }, words), tally(forest.tally(), forest.tasks.size), h("span", {}, "began ", time(top.created)), h("span", { class: "number" }, duration(took(top, now)))];
    if (head.firstChild && focused) {
      put(head.querySelector(".meta"), line);
      return;
    }
    put(head, h("div", { class: "page-head" },
      h("div", {}, h("p", { class: "crumbs" }, h("a", { href: "#/trees" }, "Trees")), h("h1", {}, title, top.skill && h("span", { class: "muted" }, ` ${top.skill}`)), h("div", { class: "meta" }, line)),
      !isOver(top.state) && actionButton("Cancel the tree", () => cancel(top), "button danger")));
  }

  /** What has changed, for whoever does not see it; not more often than it can be listened to. */
  function tell() {
    const words = () => `${forest.root.agent} ${stateName(forest.root.state)}, ${count(forest.tasks.size, "task")}, ${forest.open} open`;
    if (words() === told || tellTimer) return;
    tellTimer = setTimeout(() => {
      tellTimer = 0;
      told = words();
      if (!isGone) announce(told);
    }, ANNOUNCE_MS);
  }

  const unlisten = feed.listen((event) => {
    if (event.type === "ready" || event.type === "reset") {
      soon();
      refusals.load();
    }
    if (event.type === "happened" && event.root === forest.root?.root) soon();
  });
  const ticker = setInterval(() => { if (forest.open) { render(); } }, 1_000);
  const looking = setInterval(() => { if (forest.open) refusals.load(); }, 4_000);
  refresh();
  refusals.load();

  const leave = () => {
    isGone = true;
    unlisten();
    outline.close();
    clearTimeout(timer);
    clearTimeout(tellTimer);
    clearInterval(ticker);
    clearInterval(looking);
  };
  /** The address may name another task of the same tree. */
  leave.select = (id, other) => {
    if (id !== root) return false;
    pick(other ?? forest.top);
    return true;
  };
  return leave;
}
