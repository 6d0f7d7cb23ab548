// All tasks of a tree as a list with their times, folded and walked with the keys of a tree. Only the rows in sight are
// in the page, so that five thousand tasks scroll like five.

import { h, onceAFrame } from "./dom.js";
import { budgetUse, duration, isOver, stateName, stateOf, took } from "./format.js";

const ROW_PX = 36;
// Rows kept above and below those in sight.
const MARGIN_ROWS = 8;
const INDENT_PX = 16;
const DEEPEST_INDENT = 10;
// Narrower than this, a piece of time could not be seen.
const THINNEST_PERCENT = 0.6;

export class Outline {
  constructor(forest, onSelect) {
    this.forest = forest;
    this.onSelect = onSelect;
    this.rows = [];
    this.selected = null;
    this.space = h("div", { class: "outline-space", role: "none" });
    this.element = h("div", { class: "outline", role: "tree", tabindex: "0", "aria-label": "Tasks",
      onkeydown: (event) => this.#key(event), onclick: (event) => this.#clicked(event) }, this.space);
    this.paint = onceAFrame(() => this.#paint());
    this.element.addEventListener("scroll", this.paint);
    this.resized = new ResizeObserver(this.paint);
    this.resized.observe(this.element);
  }

  close() {
    this.resized.disconnect();
  }

  /** The tree has changed, or time has passed. */
  update(selected) {
    this.selected = selected;
    this.rows = this.forest.rows();
    this.paint();
  }

  /** Brings a row into sight. */
  reveal(id) {
    const index = this.rows.findIndex((row) => row.task.task === id);
    if (index < 0) return;
    const [top, view] = [index * ROW_PX, this.element.clientHeight];
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW_PX > this.element.scrollTop + view) this.element.scrollTop = top + ROW_PX - view;
  }

  #paint() {
    if (!this.rows.length) return;
    this.space.style.height = `${this.rows.length * ROW_PX}px`;
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW_PX) - MARGIN_ROWS);
    const last = Math.min(this.rows.length, Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW_PX) + MARGIN_ROWS);
    const now = Date.now();
    const span = this.forest.span(now);
    const painted = [];
    for (let index = first; index < last; index += 1) painted.push(this.#row(index, span, now));
    // What the keys are on is always there for whoever is read to.
    const active = this.rows.findIndex((row) => row.task.task === this.selected);
    if (active >= 0 && (active < first || active >= last)) painted.push(this.#row(active, span, now));
    this.space.replaceChildren(...painted);
    if (active >= 0) this.element.setAttribute("aria-activedescendant", rowId(this.selected));
    else this.element.removeAttribute("aria-activedescendant");
  }

  #row(index, span, now) {
    const { task, depth, place, of, isFolded, hasBelow } = this.rows[index];
    const { tone, sign } = stateOf(task.state);
    const time = duration(took(task, now));
    const attempts = task.attempts.length > 1 ? `${task.attempts.length}×` : "";
    const budget = budgetUse(task).map(({ used, of: all }) => `, ${used} of ${all} used`).join("");
    const row = h("div", {
      class: `row${task.task === this.selected ? " selected" : ""}`, role: "treeitem", id: rowId(task.task), "data-task": task.task,
      "aria-level": depth + 1, "aria-posinset": place, "aria-setsize": of, "aria-selected": String(task.task === this.selected),
      "aria-expanded": hasBelow ? String(!isFolded) : undefined,
    },
      h("span", { class: "row-name" },
        h("span", { class: "twist", "aria-hidden": "true", "data-twist": hasBelow }, hasBelow ? (isFolded ? "▸" : "▾") : ""),
        h("span", { class: `sign tone-${tone}`, "aria-hidden": "true" }, sign),
        h("span", { class: "agent" }, task.agent),
        task.skill && h("span", { class: "muted" }, task.skill),
        h("span", { class: "unseen" }, `, ${stateName(task.state)}, `)),
      h("span", { class: "row-attempts muted" }, attempts, attempts && h("span", { class: "unseen" }, " tried, ")),
      h("span", { class: "row-time number muted" }, time, budget && h("span", { class: "unseen" }, budget)),
      bar(task, span, now));
    row.style.top = `${index * ROW_PX}px`;
    row.querySelector(".row-name").style.paddingInlineStart = `${Math.min(depth, DEEPEST_INDENT) * INDENT_PX}px`;
    return row;
  }

  #clicked(event) {
    const row = event.target.closest("[data-task]");
    if (!row) return;
    const id = row.dataset.task;
    if (event.target.closest("[data-twist]")) {
      this.forest.fold(id, !this.forest.folded.has(id));
      this.update(this.selected);
    } else {
      this.onSelect(id);
    }
  }

  #key(event) {
    const at = this.rows.findIndex((row) => row.task.task === this.selected);
    const row = this.rows[at];
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_PX) - 1);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1, PageDown: at + page, PageUp: at - page }[event.key];
    if (to !== undefined) this.#go(this.rows[Math.min(this.rows.length - 1, Math.max(0, to))]?.task.task);
    else if (event.key === "ArrowRight" && row?.hasBelow) {
      if (row.isFolded) this.#fold(row, false);
      else this.#go(this.rows[at + 1].task.task);
    } else if (event.key === "ArrowLeft" && row) {
      if (row.hasBelow && !row.isFolded) this.#fold(row, true);
      else if (row.depth > 0) this.#go(row.task.parent);
    } else return;
    event.preventDefault();
  }

  #fold(row, isFolded) {
    this.forest.fold(row.task.task, isFolded);
    this.update(this.selected);
  }

  #go(id) {
    if (!id) return;
    this.onSelect(id);
  }
}

const rowId = (task) => `row-${task}`;

function bar(task, { from, to }, now) {
  const begin = Date.parse(task.created);
  const end = isOver(task.state) ? Date.parse(task.updated) : now;
  const share = (time) => (100 * (time - from)) / (to - from);
  const piece = h("span", { class: `bar-piece tone-${stateOf(task.state).tone}` });
  const width = Math.max(THINNEST_PERCENT, share(end) - share(begin));
  piece.style.insetInlineStart = `${Math.min(100 - width, Math.max(0, share(begin)))}%`;
  piece.style.width = `${width}%`;
  return h("span", { class: "row-bar" }, piece);
}
