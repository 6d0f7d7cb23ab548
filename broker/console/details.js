// One task: how it stands, why it is with this agent, what it may do and what of that was not passed on, what it made.

import { api } from "./api.js";
import { content } from "./content.js";
import { h, put, refresh } from "./dom.js";
import { budgetUse, count, duration, isOver, preciseTime, shortId, stateName, time, took } from "./format.js";
import { actionButton, chip, confirmDialog, facts, problem, scopeList, tag } from "./parts.js";

const VERDICTS = {
  confident: "likely enough to be chosen without asking", only: "the only agent that could have it", picked: "picked by the caller",
  unsure: "not sure enough: the caller was asked", out_of_scope: "no agent is for this", next: "the next likeliest, since those before did not do it",
};
const OUTCOMES = { passed: "completed", failed: "failed", unverified: "asks" };

export class Details {
  constructor(forest) {
    this.forest = forest;
    this.element = h("section", { class: "card details", "aria-labelledby": "details-title" });
    this.top = h("div", {});
    this.made = h("div", {});
    this.element.append(this.top, this.made);
    this.shown = null;
  }

  /** Shows a task; what it said and made is asked for when the task has changed. */
  show(id) {
    const task = this.forest.tasks.get(id);
    if (!task) return;
    const look = JSON.stringify([task, this.forest.path(id).map((hop) => hop.scope)]);
    this.took?.replaceChildren(duration(took(task, Date.now())));
    if (look === this.look) return;
    this.look = look;
    this.#summary(task);
    if (this.shown !== id) put(this.made);
    this.shown = id;
    this.#load(id);
  }

  async #load(id) {
    try {
      const whole = await api.task(id);
      if (this.shown === id) refresh(this.made, made(whole));
    } catch (error) {
      if (this.shown === id) put(this.made, problem(error));
    }
  }

  #summary(task) {
    const parent = this.forest.tasks.get(task.parent);
    this.took = h("span", { class: "number" }, duration(took(task, Date.now())));
    refresh(this.top,
      h("header", { class: "details-head" },
        h("h2", { id: "details-title" }, task.agent, task.skill && h("span", { class: "muted" }, ` ${task.skill}`)),
        chip(task.state)),
      note(task),
      task.missing && approval(task),
      facts([
        ["Task", h("code", { class: "id" }, task.task)],
        ["Delegated by", parent && h("a", { href: `#/tree/${this.forest.top}/${parent.task}` }, `${parent.agent} ${shortId(parent.task)}`)],
        ["Together as", task.mode],
        ["Began", time(task.created)],
        ["Took", this.took],
        ["Deadline", !isOver(task.state) && time(task.deadline)],
        ["Below it", this.forest.children(task.task).length ? count(this.forest.children(task.task).length, "task") : undefined],
      ].filter((pair) => pair[1])),
      budget(task),
      !isOver(task.state) && actionButton("Cancel this task", () => cancel(task), "button danger"),
      attempts(task),
      task.acceptance && acceptance(task.acceptance),
      task.choice && choice(task.choice),
      narrowing(this.forest.path(task.task)));
  }
}

function note(task) {
  if (task.held) return h("p", { class: "note" }, "Its agent is done. The task ends once the tasks below it have.");
  if (task.checking) return h("p", { class: "note" }, "Its agent is done. What it made is being checked.");
  if (task.done_by) return h("p", { class: "note" }, "What was missing was granted; another task does it: ", h("code", {}, shortId(task.done_by)));
  return null;
}

function approval(task) {
  return h("div", { class: "note asks" },
    h("p", {}, "It waits for approval. It lacks:"), scopeList(task.missing),
    h("div", { class: "buttons" },
      actionButton("Approve", () => api.decide(task.task, true), "button primary"),
      actionButton("Deny", () => api.decide(task.task, false))));
}

/** Asks first, then cancels a task and what is below it. */
export async function cancel(task) {
  const yes = await confirmDialog("Cancel this task?", `${task.agent} and every task below it are cancelled. This cannot be taken back.`, "Cancel it");
  if (yes) await api.cancel(task.task);
}

function budget(task) {
  const uses = budgetUse(task);
  if (!uses.length) return null;
  return h("div", { class: "block" }, h("h3", {}, "Budget"), uses.map(({ used, of, share }) => {
    const meter = h("span", { class: "meter", "aria-hidden": "true" }, h("span", {}));
    meter.firstChild.style.width = `${Math.min(100, 100 * share)}%`;
    return h("p", { class: "budget-line" }, `${used} of ${of} used`, meter);
  }));
}

function attempts(task) {
  if (!task.attempts.length) return null;
  return h("div", { class: "block" }, h("h3", {}, "Attempts"), h("ol", { class: "attempts" }, task.attempts.map((attempt) =>
    h("li", { value: attempt.number }, h("strong", {}, attempt.state.replaceAll("_", " ")), attempt.agent && ` with ${attempt.agent}`,
      attempt.reason && h("span", { class: "muted" }, ` — ${attempt.reason}`)))));
}

function acceptance({ verdict, checks }) {
  return h("div", { class: "block" }, h("h3", {}, "Checks of the result ", tag(verdict, OUTCOMES[verdict])),
    h("ul", { class: "checks" }, checks.map((check) => h("li", {},
      tag(check.outcome, OUTCOMES[check.outcome]), ` ${check.check.replaceAll("_", " ")}`,
      check.reason && h("span", { class: "muted" }, ` — ${check.reason}`)))));
}

function choice({ verdict, confidence, threshold, candidates = [], excluded = [], considered }) {
  return h("div", { class: "block" }, h("h3", {}, "Why this agent"),
    h("p", {}, `Of ${count(considered, "agent")}: ${VERDICTS[verdict] ?? verdict}. Confidence ${percent(confidence)}, needed ${percent(threshold)}.`),
    h("ol", { class: "candidates" }, candidates.map((one) => {
      const meter = h("span", { class: "meter", "aria-hidden": "true" }, h("span", {}));
      meter.firstChild.style.width = `${100 * one.probability}%`;
      return h("li", {}, h("div", { class: "candidate" }, h("strong", {}, one.agent), h("span", { class: "number" }, percent(one.probability)), meter),
        one.why?.length && h("p", { class: "muted small" }, one.why.join("; ")));
    })),
    excluded.length > 0 && [h("h4", {}, "Could not have it"), h("ul", { class: "plain" }, excluded.map((one) =>
      h("li", {}, h("strong", {}, one.agent), h("span", { class: "muted" }, ` — ${one.reason}`))))]);
}

const percent = (share) => `${Math.round(100 * share)} %`;

/** What each hop passed on: nothing ever grows on the way down. */
function narrowing(path) {
  return h("div", { class: "block" }, h("h3", {}, "What it may do"), h("ol", { class: "hops" }, path.map((task, hop) => {
    const above = hop ? path[hop - 1].scope : task.scope;
    const lost = above.filter((text) => !task.scope.includes(text));
    const isLast = hop === path.length - 1;
    return h("li", { class: isLast ? "here" : "" },
      h("p", { class: "hop" }, h("strong", {}, task.agent), h("span", { class: "muted" }, ` ${count(task.scope.length, "capability").replace("ys", "ies")}`)),
      (isLast || path.length < 3 || hop === 0) && h("ul", { class: "scope" },
        task.scope.map((text) => h("li", {}, h("code", {}, text), hop > 0 && !above.includes(text) && h("span", { class: "muted" }, " narrowed")))),
      lost.length > 0 && h("details", {}, h("summary", {}, `${lost.length} narrowed or not passed on`),
        h("ul", { class: "scope lost" }, lost.map((text) => h("li", {}, h("code", {}, text))))));
  })));
}

function made(task) {
  const said = (task.history ?? []).filter((message) => message.parts?.length);
  return [
    task.status.message && h("div", { class: "block" }, h("h3", {}, `What it says (${stateName(task.status.state)})`), content(task.status.message.parts)),
    (task.artifacts ?? []).length > 0 && h("div", { class: "block" }, h("h3", {}, "Artifacts"), task.artifacts.map((artifact) =>
      h("article", { class: "artifact" }, h("h4", {}, artifact.name || artifact.artifactId), artifact.description && h("p", { class: "muted" }, artifact.description), content(artifact.parts)))),
    said.length > 0 && h("details", { class: "block" }, h("summary", {}, `Conversation, ${count(said.length, "message")}`), said.map((message) =>
      h("article", { class: "artifact" }, h("h4", {}, message.role === "ROLE_USER" ? "Caller" : "Agent"), content(message.parts)))),
    h("p", { class: "muted small" }, `As of ${preciseTime(task.status.timestamp ?? new Date().toISOString())}`),
  ];
}
