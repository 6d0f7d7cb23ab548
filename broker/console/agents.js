// The registered agents: whether they work, how much they have to do, and whether their cards are still what they were.

import { api } from "./api.js";
import { announce, h, onceAFrame, put, refresh } from "./dom.js";
import { count, time } from "./format.js";
import { actionButton, facts, nothing, problem, scopeList, tag } from "./parts.js";

const REFRESH_MS = 5_000;
const HEALTH = { healthy: ["Healthy", "completed"], failing: ["Failing", "failed"], unknown: ["Not tried yet", "submitted"] };

export function agentsPage(main, me) {
  const list = h("div", {});
  let shown = "";
  put(main, h("div", { class: "page-head" }, h("h1", {}, "Agents")), list);

  async function load() {
    try {
      const { agents } = await api.agents();
      const look = JSON.stringify(agents);
      if (look === shown) return;
      shown = look;
      onceAFrame(() => refresh(list, agents.length ? h("ul", { class: "agents" }, agents.map((agent) => card(agent)))
        : h("div", { class: "card" }, nothing("No agents", "Register one: ", h("code", {}, "bailiwick agent add NAME URL")))))();
    } catch (error) {
      put(list, problem(error));
    }
  }

  function card(agent) {
    const [health, tone] = HEALTH[agent.health?.state ?? "unknown"];
    const more = h("details", {}, h("summary", {}, `More of ${agent.name}`),
      h("h3", {}, "May hold at most"), scopeList(agent.caps),
      h("h3", {}, "Skills"), agent.skills.length ? h("ul", { class: "plain" }, agent.skills.map((skill) => h("li", {}, h("code", {}, skill.id), ` ${skill.name}`))) : h("p", { class: "muted" }, "none declared"),
      facts([["Version", agent.version], ["Card", agent.signature], ["Registered by", agent.source], ["Credential", agent.auth], ["Streams", agent.streaming ? "yes" : "no"]]));
    return h("li", { class: "card agent-card" },
      h("div", { class: "agent-head" }, h("h2", {}, agent.name), tag(health, tone), agent.down_until && tag(`not tried until ${time(agent.down_until)}`, "failed"), agent.pending && tag("card waits", "asks")),
      agent.description && h("p", { class: "muted" }, agent.description),
      h("p", { class: "muted small" }, h("code", {}, agent.url)),
      agent.health?.state === "failing" && h("p", { class: "note" }, `${count(agent.health.failures, "failure")} in a row since ${time(agent.health.since)}: ${agent.health.reason}`),
      (agent.warnings ?? []).map((warning) => h("p", { class: "note" }, warning)),
      facts([["At work", agent.max_concurrent ? `${agent.busy} of ${agent.max_concurrent}` : String(agent.busy)], ["Waiting", String(agent.waiting)], ["Circuit", agent.down_until ? "open" : "closed"]]),
      drift(agent),
      more,
      me.operator && h("div", { class: "buttons" }, actionButton("Probe", async () => {
        await api.probe(agent.name);
        announce(`${agent.name} was probed`);
        await load();
      })));
  }

  function drift(agent) {
    if (!agent.drift?.length) return null;
    return h("div", { class: "block" }, h("h3", {}, "Its card has changed"),
      h("ul", { class: "plain" }, agent.drift.map((sentence) => h("li", {}, sentence))),
      agent.pending && me.operator && actionButton("Accept the new card", async () => {
        await api.accept(agent.name, agent.pending_card);
        announce("The card was accepted");
        await load();
      }, "button primary"));
  }

  load();
  const ticker = setInterval(load, REFRESH_MS);
  return () => clearInterval(ticker);
}
