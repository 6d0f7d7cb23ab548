// The journal of a tree in words: its newest lines, and earlier ones when asked for.

import { api } from "./api.js";
import { h, put } from "./dom.js";
import { preciseTime, shortId } from "./format.js";
import { problem } from "./parts.js";

const WINDOW = 200;
const MOST_LINES = 600;

export class Log {
  constructor(forest, root) {
    this.forest = forest;
    this.root = root;
    this.lines = [];
    this.from = null;
    this.to = 0;
    this.busy = false;
    this.only = h("input", { type: "checkbox", id: "only-selected" });
    this.only.addEventListener("change", () => this.#render());
    this.trouble = h("div", {});
    this.earlier = h("button", { type: "button", class: "button quiet", hidden: true, onclick: () => this.#earlier() }, "Show earlier lines");
    this.body = h("tbody", {});
    this.element = h("div", {},
      h("div", { class: "filters" }, this.only, h("label", { for: "only-selected" }, "Only the selected task")),
      this.trouble,
      h("div", { class: "log-frame", tabindex: "0", role: "region", "aria-label": "Lines of the log" }, this.earlier,
        h("table", { class: "table log" }, h("caption", { class: "unseen" }, "Event log, the newest line last"),
          h("thead", {}, h("tr", {}, ["Time", "Task", "What happened"].map((title) => h("th", { scope: "col" }, title)))), this.body)));
  }

  /** Reads what is new. */
  async update(selected) {
    const isOther = selected !== this.selected;
    this.selected = selected;
    if (isOther && this.only.checked) this.#render();
    if (this.busy || this.forest.version === this.to) return;
    this.busy = true;
    try {
      const start = Math.max(this.to, this.forest.version - WINDOW);
      if (start > this.to) this.lines = [];
      this.from = this.lines.length || start === this.to && this.from !== null ? this.from : start;
      const { lines } = await api.log(this.root, start);
      this.lines.push(...lines);
      this.to = lines.length ? lines[lines.length - 1].n : this.forest.version;
      if (this.lines.length > MOST_LINES) {
        this.lines = this.lines.slice(-WINDOW);
        this.from = this.lines[0].n - 1;
      }
      put(this.trouble);
      this.#render();
    } catch (error) {
      put(this.trouble, problem(error));
    } finally {
      this.busy = false;
    }
  }

  async #earlier() {
    const start = Math.max(0, this.from - WINDOW);
    try {
      const { lines } = await api.log(this.root, start);
      this.lines.unshift(...lines.filter((line) => line.n <= this.from));
      this.from = start;
      this.#render();
    } catch (error) {
      put(this.trouble, problem(error));
    }
  }

  #render() {
    const shown = this.only.checked ? this.lines.filter((line) => line.task === this.selected) : this.lines;
    const frame = this.body.closest(".log-frame");
    const isAtEnd = frame.scrollTop + frame.clientHeight >= frame.scrollHeight - 40;
    this.earlier.hidden = !this.from;
    put(this.body, shown.map((line) => h("tr", {},
      h("td", { class: "number nowrap muted" }, preciseTime(line.at)),
      h("td", { class: "nowrap" }, h("a", { href: `#/tree/${this.root}/${line.task}` }, this.forest.tasks.get(line.task)?.agent ?? "task", " ", h("span", { class: "muted" }, shortId(line.task)))),
      h("td", {}, h("span", { class: "kind" }, line.kind.replaceAll("_", " ")), " ", line.text))));
    if (isAtEnd) frame.scrollTop = frame.scrollHeight;
  }
}
