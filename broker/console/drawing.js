// The drawing of a tree. A picture for the eye: what it shows is also in the list of tasks, which keys and readers walk.

import { h, put, s } from "./dom.js";
import { budgetUse, count, duration, stateOf, took } from "./format.js";
import { BOX, MORE_SIBLINGS, layOut } from "./layout.js";

const MARGIN = 16;
// On a narrow page boxes are smaller, so that a delegator and its delegates fit side by side.
const NARROW_PX = 600;
const NARROW_SCALE = 0.78;
const NAME_CHARS = 22;
const LINE_CHARS = 30;

export class Drawing {
  /** `onSelect` is called with the id of a task that was chosen. */
  constructor(forest, onSelect) {
    this.forest = forest;
    this.onSelect = onSelect;
    this.wider = new Map();
    this.seen = new Set();
    this.svg = s("svg", { class: "drawing", role: "img", onclick: (event) => this.#clicked(event) });
    this.element = h("div", { class: "drawing-frame", tabindex: "0", role: "region", "aria-label": "Drawing of the tree" }, this.svg);
  }

  draw(selected, now) {
    const isOther = selected !== this.last;
    this.last = selected;
    const scale = this.element.clientWidth < NARROW_PX ? NARROW_SCALE : 1;
    const { boxes, lines, width, height } = layOut(this.forest, selected, this.wider);
    const [across, down] = [width + 2 * MARGIN, height + 2 * MARGIN];
    this.svg.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${across} ${down}`);
    this.svg.setAttribute("width", across * scale);
    this.svg.setAttribute("height", down * scale);
    const tasks = boxes.filter((box) => box.id).length;
    this.svg.setAttribute("aria-label", `${count(tasks, "task")} drawn of ${this.forest.tasks.size}; the list below has them all`);
    put(this.svg,
      s("g", { class: "lines" }, lines.map(({ from, to }) => {
        const half = (from.x + to.x) / 2;
        return s("path", { d: `M${from.x} ${from.y}C${half} ${from.y} ${half} ${to.y} ${to.x} ${to.y}` });
      })),
      boxes.map((box) => (box.id ? this.#task(box, selected, now) : this.#bundle(box))));
    const box = isOther && boxes.find((one) => one.id === selected);
    if (box) this.#reveal(box, scale);
  }

  #reveal({ x, y }, scale) {
    const { clientWidth, clientHeight } = this.element;
    this.element.scrollLeft = (x + MARGIN + BOX.width / 2) * scale - clientWidth / 2;
    this.element.scrollTop = (y + MARGIN + BOX.height / 2) * scale - clientHeight / 2;
  }

  #task({ id, x, y }, selected, now) {
    const task = this.forest.tasks.get(id);
    const { tone, name, sign } = stateOf(task.state);
    const isNew = !this.seen.has(id);
    this.seen.add(id);
    const attempts = task.attempts.length > 1 ? ` · ${task.attempts.length}×` : "";
    const state = task.held ? "Done, waits" : task.checking ? "Being checked" : name;
    const classes = ["box", `tone-${tone}`, id === selected && "selected", isNew && "new"].filter(Boolean).join(" ");
    const budget = budgetUse(task)[0];
    return s("g", { class: classes, "data-task": id, transform: `translate(${x} ${y})` },
      s("rect", { class: "body", width: BOX.width, height: BOX.height, rx: 8 }),
      s("rect", { class: "stripe", width: 4, height: BOX.height - 16, x: 8, y: 8, rx: 2 }),
      s("text", { class: "name", x: 22, y: 25 }, cut(task.agent, NAME_CHARS)),
      this.#scope(task),
      s("text", { class: "state", x: 22, y: 45 }, cut(`${sign} ${state} · ${duration(took(task, now))}${attempts}`, LINE_CHARS)),
      budget && s("g", { class: "budget" },
        s("rect", { class: "of", x: 22, y: 54, width: BOX.width - 36, height: 3, rx: 1.5 }),
        s("rect", { class: "used", x: 22, y: 54, width: (BOX.width - 36) * Math.min(1, budget.share), height: 3, rx: 1.5 })),
      s("title", {}, `${task.agent}${task.skill ? ` (${task.skill})` : ""}: ${state.toLowerCase()}`));
  }

  /** How much of its delegator's scope it has. */
  #scope(task) {
    const parent = this.forest.tasks.get(task.parent);
    const own = task.scope.length;
    const text = parent && parent.scope.length > own ? `scope ${parent.scope.length} → ${own}` : `scope ${own}`;
    return s("text", { class: "scope-mark", x: BOX.width - 12, y: 25, "text-anchor": "end" }, text, s("title", {}, "capabilities: its delegator's, and its own"));
  }

  #bundle({ bundle, ids, x, y }) {
    const tally = Object.entries(this.forest.tally(ids)).sort((a, b) => b[1] - a[1]).slice(0, 3);
    const words = tally.map(([state, number]) => `${number} ${stateOf(state).name.toLowerCase()}`).join(", ");
    return s("g", { class: "bundle", "data-bundle": bundle, transform: `translate(${x} ${y})` },
      s("rect", { class: "behind", x: 6, y: 4, width: BOX.width - 6, height: BOX.bundleHeight, rx: 8 }),
      s("rect", { class: "body", width: BOX.width - 6, height: BOX.bundleHeight, rx: 8 }),
      s("text", { class: "name", x: 14, y: 17 }, `+ ${ids.length.toLocaleString("en")} more`),
      s("text", { class: "state", x: 14, y: 32 }, cut(words, LINE_CHARS)));
  }

  #clicked(event) {
    const box = event.target.closest("[data-task], [data-bundle]");
    if (!box) return;
    if (box.dataset.task) {
      this.onSelect(box.dataset.task);
      return;
    }
    this.forest.fold(box.dataset.bundle, false);
    this.wider.set(box.dataset.bundle, (this.wider.get(box.dataset.bundle) ?? 0) + MORE_SIBLINGS);
    this.draw(this.last, Date.now());
  }
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
