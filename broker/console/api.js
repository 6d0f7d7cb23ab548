// Asks the broker. The key a user gave is kept for this tab and sent as a header; nothing else proves who is asking.

const KEY = "bailiwick.key";
const BASE = new URL("../", import.meta.url);

/** What the broker said instead of an answer. */
export class Refused extends Error {
  constructor(status, message, details) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** The headers of a call. */
export function headers(more = {}) {
  const secret = key.get();
  return { ...(secret ? { authorization: `Bearer ${secret}` } : {}), "a2a-version": "1.0", ...more };
}

/** The address of a path of the broker. */
export function address(path, parameters = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

async function call(method, path, parameters, body) {
  let answer;
  try {
    const sent = body === undefined ? {} : { "content-type": "application/json" };
    const content = body === undefined ? undefined : JSON.stringify(body);
    answer = await fetch(address(path, parameters), { method, headers: headers(sent), body: content, cache: "no-store" });
  } catch {
    throw new Refused(0, "the broker does not answer", []);
  }
  const text = await answer.text();
  let document = {};
  try {
    document = text ? JSON.parse(text) : {};
  } catch {
    document = {};
  }
  if (answer.ok) return document;
  const error = document.error ?? {};
  if (answer.status === 401) window.dispatchEvent(new CustomEvent("unauthenticated", { detail: error.message }));
  throw new Refused(answer.status, error.message ?? `the broker answered ${answer.status}`, error.details ?? []);
}

const part = encodeURIComponent;

export const api = {
  whoami: () => call("GET", "api/v1/whoami"),
  trees: (wanted) => call("GET", "api/v1/trees", wanted),
  changes: (task, after) => call("GET", `api/v1/tasks/${part(task)}/tree`, { after }),
  log: (task, after) => call("GET", `api/v1/tasks/${part(task)}/log`, { after, limit: 500 }),
  refusals: (task, before) => call("GET", "api/v1/refusals", { task, before }),
  quotas: () => call("GET", "api/v1/quotas"),
  task: (task) => call("GET", `tasks/${part(task)}`),
  cancel: (task) => call("POST", `tasks/${part(task)}:cancel`, {}, {}),
  agents: () => call("GET", "api/v1/agents"),
  probe: (name) => call("POST", `api/v1/agents/${part(name)}/probe`, {}, {}),
  accept: (name, card) => call("POST", `api/v1/agents/${part(name)}/accept`, {}, { card }),
  approvals: () => call("GET", "api/v1/approvals"),
  decide: (task, approve) => call("POST", `api/v1/tasks/${part(task)}/${approve ? "approve" : "deny"}`, {}, {}),
};
