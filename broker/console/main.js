// The console's frame: who is here, where they are, and whether the broker is heard.

import { api, key, Refused } from "./api.js";
import { applyAppearance, appearanceSwitch } from "./appearance.js";
import { announce, h, put } from "./dom.js";
import * as feed from "./feed.js";
import { problem } from "./parts.js";
import { signIn } from "./sign_in.js";
import { treesPage } from "./trees.js";
import { treePage } from "./tree.js";
import { agentsPage } from "./agents.js";
import { approvalsPage, watchApprovals } from "./approvals.js";
import { refusalsPage } from "./refusals.js";
import { quotasPage } from "./quotas.js";

// How long a page may be out of sight and still listen.
const HIDDEN_MS = 30_000;
const PAGES = [
  ["trees", "Trees", treesPage],
  ["approvals", "Approvals", approvalsPage],
  ["agents", "Agents", agentsPage],
  ["refusals", "Refusals", refusalsPage],
  ["quotas", "Quotas", quotasPage],
];
const CONNECTION = {
  live: ["Live", "completed"],
  connecting: ["Connecting", "submitted"],
  reconnecting: ["Reconnecting", "asks"],
  off: ["Not live", "submitted"],
};

const main = document.getElementById("main");
const pill = h("span", { id: "connection", class: "chip" });
const badge = h("span", { class: "badge", hidden: true });
let me = null;
let leave = null;

function showConnection() {
  const [name, tone] = CONNECTION[feed.connection()];
  pill.className = `chip tone-${tone}`;
  put(pill, h("span", { class: "sign", "aria-hidden": "true" }, "●"), name);
}

function frame() {
  put(document.getElementById("nav"), h("ul", {}, PAGES.map(([name, title]) =>
    h("li", {}, h("a", { href: `#/${name}`, "data-page": name }, title, name === "approvals" && badge)))));
  const who = me.open && !key.get() ? "open mode" : `${me.name}${me.operator ? ", operator" : ""}`;
  put(document.getElementById("bar-end"),
    pill,
    h("span", { class: "who" }, who),
    appearanceSwitch(),
    key.get() && h("button", { type: "button", class: "button quiet", onclick: () => { key.set(""); location.reload(); } }, "Sign out"));
}

function show() {
  const [name, id, task] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  // Within one tree only the selection moves.
  if (name === "tree" && leave?.select?.(id, task)) return;
  leave?.();
  leave = null;
  for (const link of document.querySelectorAll("#nav a")) {
    const isHere = link.dataset.page === name || (name === "tree" && link.dataset.page === "trees");
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  const page = PAGES.find(([known]) => known === name);
  if (name === "tree" && id) leave = treePage(main, id, task, me);
  else if (page) {
    document.title = `${page[1]} · Bailiwick`;
    leave = page[2](main, me);
  } else {
    location.replace("#/trees");
  }
}

function enter(who) {
  me = who;
  frame();
  feed.start();
  watchApprovals(badge);
  show();
}

function leaveFor(why) {
  leave?.();
  leave = null;
  feed.stop();
  me = null;
  key.set("");
  put(document.getElementById("nav"));
  put(document.getElementById("bar-end"), appearanceSwitch());
  signIn(main, enter, why);
}

async function begin() {
  applyAppearance();
  showConnection();
  try {
    enter(await api.whoami());
  } catch (error) {
    if (error instanceof Refused && error.status === 401) leaveFor(key.get() ? "The key is not good any more." : "");
    else put(main, problem(error), h("button", { type: "button", class: "button", onclick: () => location.reload() }, "Try again"));
  }
}

// A page nobody looks at holds no connection: browsers give each broker only a few.
let hiding = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (!me) return;
  if (document.hidden) hiding = setTimeout(feed.stop, HIDDEN_MS);
  else if (feed.connection() === "off") feed.start();
});

feed.listen((event) => {
  if (event.type !== "connection") return;
  showConnection();
  if (event.state === "reconnecting") announce("The connection to the broker was lost; reconnecting");
  if (event.state === "live") announce("Connected to the broker");
});
window.addEventListener("hashchange", () => me && show());
window.addEventListener("unauthenticated", () => me && leaveFor("The key is not good any more."));
begin();
