// How states, times and amounts are said. A state has a name, a sign and a colour, so that no one of them has to be seen.

const STATES = {
  TASK_STATE_SUBMITTED: ["submitted", "Submitted", "○"],
  TASK_STATE_WORKING: ["working", "Working", "◐"],
  TASK_STATE_INPUT_REQUIRED: ["asks", "Needs input", "?"],
  TASK_STATE_AUTH_REQUIRED: ["asks", "Needs approval", "!"],
  TASK_STATE_COMPLETED: ["completed", "Completed", "✓"],
  TASK_STATE_FAILED: ["failed", "Failed", "✕"],
  TASK_STATE_CANCELED: ["canceled", "Canceled", "–"],
  TASK_STATE_REJECTED: ["failed", "Rejected", "⊘"],
};
const ENDED = new Set(["TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"]);

export const allStates = Object.keys(STATES);

/** A state's class, name and sign. */
export function stateOf(state) {
  const [tone, name, sign] = STATES[state] ?? ["submitted", state, "○"];
  return { tone, name, sign };
}

export const isOver = (state) => ENDED.has(state);

/** A state's name as part of a sentence. */
export const stateName = (state) => stateOf(state).name.toLowerCase();

/** Milliseconds, as people say them. */
export function duration(milliseconds) {
  const ms = Math.max(0, milliseconds);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** A time of day, with its date where that is another one. */
export function time(text) {
  const at = new Date(text);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

/** A time of day, to the millisecond. */
export function preciseTime(text) {
  const at = new Date(text);
  return `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** How long a task has taken by a time. */
export function took(task, now) {
  const end = isOver(task.state) ? Date.parse(task.updated) : Math.max(now, Date.parse(task.updated));
  return end - Date.parse(task.created);
}

/** The end of an id, by which people tell two apart. */
export const shortId = (id) => `…${id.slice(-6)}`;

/** "1 task", "2 tasks". */
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const UNITS = { usd: "$", calls: "calls", tokens: "tokens", fanout: "delegations" };

/** What is used of a budget: [{unit, used, of, share}]. */
export function budgetUse(task) {
  return Object.keys(UNITS).filter((unit) => task.budget?.[unit] !== undefined).map((unit) => {
    const of = Number(task.budget[unit]);
    const known = task.left?.[unit] ?? (task.cost?.[unit] === undefined ? undefined : of - Number(task.cost[unit]));
    const used = known === undefined ? undefined : of - Number(known);
    return { unit, of: amount(unit, of), used: used === undefined ? "?" : amount(unit, used), share: of > 0 ? (used ?? 0) / of : 0 };
  });
}

function amount(unit, value) {
  return unit === "usd" ? `$${value.toFixed(2)}` : `${value.toLocaleString("en")} ${UNITS[unit]}`;
}
