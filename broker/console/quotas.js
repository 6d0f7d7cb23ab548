// Who may use how much, and how much of it is gone: principals, accounts and agents.

import { api } from "./api.js";
import { h, put, refresh } from "./dom.js";
import { nothing, problem, tag } from "./parts.js";

const REFRESH_MS = 5_000;
const KINDS = [["principal", "Principals"], ["account", "Accounts"], ["agent", "Agents"]];
const BOUNDS = {
  messages_per_minute: "Messages a minute", calls_at_once: "Calls at a time", open_tasks: "Open tasks", bytes_per_day: "Bytes today",
  usd_per_day: "Dollars today", tokens_per_day: "Tokens today", calls_per_day: "Calls of agents today", delegations_per_day: "Delegations today",
};
const MICROS = 1_000_000;

const whole = new Intl.NumberFormat();
const money = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 6 });

function amount(bound, value) {
  return bound === "usd_per_day" ? money.format(value / MICROS) : whole.format(value);
}

function boundLine(bound, { limit, used, held = 0 }) {
  const said = `${amount(bound, used)}${held ? ` and ${amount(bound, held)} held` : ""}${limit === undefined ? "" : ` of ${amount(bound, limit)}`}`;
  const meter = limit === undefined ? null : h("span", { class: "meter", "aria-hidden": "true" }, h("span", {}));
  if (meter) meter.firstChild.style.width = `${Math.min(100, (100 * (used + held)) / Math.max(limit, 1))}%`;
  return h("p", { class: "budget-line" }, h("span", {}, `${BOUNDS[bound] ?? bound}: `, h("strong", {}, said)), meter);
}

function card(quota) {
  return h("li", { class: "card agent-card" },
    h("div", { class: "agent-head" }, h("h3", {}, quota.name), quota.refused > 0 && tag(`refused ${whole.format(quota.refused)} times`, "failed")),
    Object.entries(quota.bounds).map(([bound, view]) => boundLine(bound, view)));
}

function section(quotas, [kind, title]) {
  const those = quotas.filter((quota) => quota.kind === kind && (quota.refused > 0 || Object.keys(quota.bounds).length > 0));
  return those.length > 0 && h("section", { class: "block" }, h("h2", {}, title), h("ul", { class: "agents" }, those.map(card)));
}

export function quotasPage(main) {
  const list = h("div", {});
  let shown = "";
  put(main, h("div", { class: "page-head" }, h("h1", {}, "Quotas")),
    h("p", { class: "lead" }, "What was used, and what may be. What is counted by the day begins anew at midnight (UTC)."), list);

  async function load() {
    try {
      const { quotas } = await api.quotas();
      const look = JSON.stringify(quotas);
      if (look === shown) return;
      shown = look;
      const sections = KINDS.map((kind) => section(quotas, kind)).filter(Boolean);
      refresh(list, sections.length ? sections : h("div", { class: "card" }, nothing("Nothing was used yet", "Quotas are set in the configuration, under ", h("code", {}, "[[quotas]]"), ".")));
    } catch (error) {
      put(list, problem(error));
    }
  }

  load();
  const ticker = setInterval(load, REFRESH_MS);
  return () => clearInterval(ticker);
}
