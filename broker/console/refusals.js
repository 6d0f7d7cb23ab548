// What was refused, to whom, and what exactly was missing: of one tree, or of all that the user may see.

import { api } from "./api.js";
import { h, put, refresh } from "./dom.js";
import { time } from "./format.js";
import { nothing, problem, scopeList, tag } from "./parts.js";

const CODES = {
  CAPABILITY_EXCEEDED: "lacks a capability", CYCLE: "would be a cycle", DEPTH_EXCEEDED: "too deep", FANOUT_EXCEEDED: "too many at once",
  TREE_TOO_LARGE: "the tree is too large", BUDGET_EXCEEDED: "over its budget", RATE_EXCEEDED: "too often",
};

/** The refusals of a tree, or of all with no `root`. */
export class Refusals {
  constructor(root) {
    this.root = root;
    this.list = h("div", {});
    this.older = h("button", { type: "button", class: "button", hidden: true, onclick: () => this.load(this.next) }, "Look further back");
    this.element = h("div", {}, this.list, h("div", { class: "more" }, this.older));
    this.known = [];
  }

  async load(before) {
    try {
      const page = await api.refusals(this.root, before);
      const known = JSON.stringify(page);
      if (!before && known === this.look) return;
      this.look = before ? null : known;
      this.known = before ? [...this.known, ...page.refusals] : page.refusals;
      this.next = page.next;
      this.older.hidden = !page.next;
      refresh(this.list, this.known.length ? h("ul", { class: "refusals" }, this.known.map((one) => this.#one(one)))
        : nothing("Nothing was refused", this.root ? "Every delegation asked for in this tree was allowed." : "As far back as was looked."));
    } catch (error) {
      put(this.list, problem(error));
    }
  }

  #one(refusal) {
    const { at, by, agent, skill, code, why, missing = [], held = [], caps = [], root, parent } = refusal;
    return h("li", { class: "refusal" },
      h("p", { class: "refusal-head" },
        h("span", {}, h("strong", {}, by), " asked ", h("strong", {}, agent), skill && ` for ${skill}`),
        tag(CODES[code] ?? code.toLowerCase().replaceAll("_", " "), "failed")),
      why && h("p", {}, why),
      missing.length > 0 && h("div", { class: "missing" }, h("p", {}, "Missing:"), scopeList(missing)),
      (held.length > 0 || caps.length > 0) && h("details", {}, h("summary", {}, "What it was judged by"),
        h("p", { class: "small" }, "The delegating task held:"), scopeList(held),
        h("p", { class: "small" }, `The ceiling of ${agent}:`), scopeList(caps)),
      h("p", { class: "muted small" }, time(at), !this.root && root && [" · ", h("a", { href: `#/tree/${root}${parent ? `/${parent}` : ""}` }, "its tree")]));
  }
}

export function refusalsPage(main) {
  const refusals = new Refusals();
  put(main, h("div", { class: "page-head" }, h("h1", {}, "Refusals"),
    h("button", { type: "button", class: "button", onclick: () => refusals.load() }, "Look again")),
  h("p", { class: "lead" }, "Delegations that were asked for and not allowed, the newest first, as the audit log has them. Repetitions within seconds are counted there and not listed."),
  h("div", { class: "card" }, refusals.element));
  refusals.load();
  return () => {};
}
