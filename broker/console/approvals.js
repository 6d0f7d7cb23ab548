// Tasks that lack something which a task further up holds: somebody says yes or no.

import { api } from "./api.js";
import { announce, h, onceAFrame, put } from "./dom.js";
import * as feed from "./feed.js";
import { count, time } from "./format.js";
import { actionButton, nothing, problem, scopeList } from "./parts.js";

const REFRESH_MS = 700;
const MATTERS = new Set(["submitted", "approved", "ended", "closing", "status"]);

let known = [];
let failure = null;
let asked = 0;
let answered = 0;
const watchers = new Set();

async function look() {
  const before = known.length;
  asked += 1;
  const mine = asked;
  let found = known;
  let trouble = null;
  try {
    found = (await api.approvals()).approvals;
  } catch (error) {
    trouble = error;
  }
  // Answers may overtake each other: what was asked later counts.
  if (mine < answered) return;
  answered = mine;
  known = found;
  failure = trouble;
  if (known.length > before) announce(`${count(known.length, "approval")} waiting`);
  for (const watcher of [...watchers]) watcher();
}

let timer = 0;
function soon() {
  if (!timer) timer = setTimeout(() => { timer = 0; look(); }, REFRESH_MS);
}

let unlisten = null;

/** Keeps the number at the navigation true. */
export function watchApprovals(badge) {
  unlisten?.();
  watchers.clear();
  watchers.add(() => {
    badge.hidden = !known.length;
    badge.textContent = String(known.length);
    badge.setAttribute("aria-label", `${known.length} waiting`);
  });
  unlisten = feed.listen((event) => {
    if (event.type === "ready" || event.type === "reset" || (event.type === "happened" && MATTERS.has(event.kind))) soon();
  });
  look();
}

export function approvalsPage(main) {
  const list = h("div", {});
  put(main, h("div", { class: "page-head" }, h("h1", {}, "Approvals")),
    h("p", { class: "lead" }, "A delegate lacks a capability that a task further up its tree holds. Approving lets another task do the work with exactly what is listed; denying ends the request."),
    list);
  let shown = "";
  const render = onceAFrame(() => {
    const look = JSON.stringify([known, failure?.message]);
    if (look === shown) return;
    shown = look;
    put(list, failure ? problem(failure) : known.length
    ? h("ul", { class: "approvals" }, known.map(one)) : h("div", { class: "card" }, nothing("Nothing waits for you", "Requests appear here as they come.")));
  });
  watchers.add(render);
  render();
  look();
  return () => watchers.delete(render);
}

function one(approval) {
  const { task, root, owner, agent, skill, missing, since, deadline } = approval;
  return h("li", { class: "card approval" },
    h("h2", {}, agent, skill && h("span", { class: "muted" }, ` ${skill}`)),
    h("p", {}, "For ", h("strong", {}, owner), ", waiting since ", time(since), "; too late at ", time(deadline), ". ", h("a", { href: `#/tree/${root}/${task}` }, "See the tree")),
    h("h3", {}, "It lacks"), scopeList(missing),
    h("div", { class: "buttons" },
      actionButton("Approve", async () => { await api.decide(task, true); announce("Approved"); await look(); }, "button primary"),
      actionButton("Deny", async () => { await api.decide(task, false); announce("Denied"); await look(); })));
}
