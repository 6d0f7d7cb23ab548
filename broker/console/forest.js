// One tree in memory: its tasks, who is below whom, and what of it is folded away. Knows nothing of how it is shown.

import { isOver } from "./format.js";

export class Forest {
  constructor() {
    this.tasks = new Map();
    this.below = new Map();
    this.folded = new Set();
    this.version = 0;
    this.top = null;
    this.latest = 0;
  }

  /** Takes in what changed; the ids of tasks that are new. */
  merge({ tasks, version }) {
    const added = [];
    for (const task of tasks) {
      if (!this.tasks.has(task.task)) {
        added.push(task.task);
        this.below.set(task.task, []);
        const siblings = this.below.get(task.parent);
        if (siblings) siblings.push(task.task);
        else if (this.top === null) this.top = task.task;
      }
      this.tasks.set(task.task, task);
      this.latest = Math.max(this.latest, Date.parse(task.updated));
    }
    this.version = version;
    return added;
  }

  get root() {
    return this.tasks.get(this.top);
  }

  children(id) {
    return this.below.get(id) ?? [];
  }

  /** From the top to a task. */
  path(id) {
    const path = [];
    for (let task = this.tasks.get(id); task; task = this.tasks.get(task.parent)) path.unshift(task);
    return path;
  }

  /** How many tasks are in each state, of all or below one. */
  tally(ids = this.tasks.keys()) {
    const tally = {};
    for (const id of ids) {
      const { state } = this.tasks.get(id);
      tally[state] = (tally[state] ?? 0) + 1;
    }
    return tally;
  }

  get open() {
    let open = 0;
    for (const task of this.tasks.values()) if (!isOver(task.state)) open += 1;
    return open;
  }

  fold(id, isFolded) {
    if (isFolded) this.folded.add(id);
    else this.folded.delete(id);
  }

  /** Makes a task visible: nothing above it stays folded. */
  reveal(id) {
    for (const task of this.path(id).slice(0, -1)) this.folded.delete(task.task);
  }

  /** What is visible, from top to bottom: {task, depth, place, of, isFolded, hasBelow}. */
  rows() {
    const rows = [];
    if (this.top === null) return rows;
    const waiting = [{ id: this.top, depth: 0, place: 1, of: 1 }];
    while (waiting.length) {
      const { id, depth, place, of } = waiting.pop();
      const below = this.children(id);
      const isFolded = this.folded.has(id);
      rows.push({ task: this.tasks.get(id), depth, place, of, isFolded, hasBelow: below.length > 0 });
      if (isFolded) continue;
      for (let index = below.length - 1; index >= 0; index -= 1) {
        waiting.push({ id: below[index], depth: depth + 1, place: index + 1, of: below.length });
      }
    }
    return rows;
  }

  /** From when to when it is drawn. */
  span(now) {
    const from = Date.parse(this.root.created);
    const to = isOver(this.root.state) ? Math.max(this.latest, from + 1) : Math.max(now, this.latest, from + 1);
    return { from, to };
  }
}
