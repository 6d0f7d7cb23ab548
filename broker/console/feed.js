// Hears what happens at the broker, and keeps hearing it: over a stream that is read by fetch, since a key travels in a
// header. Events are hints; whoever shows something reads it anew when it is hinted at, and all of it after a gap.

import { address, headers } from "./api.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8_000;
// The broker gives a sign of life more often than this.
const SILENCE_MS = 60_000;

const listeners = new Set();
let state = "off";
let running = null;

function tell(event) {
  for (const listener of [...listeners]) listener(event);
}

function become(next) {
  if (state === next) return;
  state = next;
  tell({ type: "connection", state });
}

/** Hears events until the function it returns is called: {type: connection|ready|reset|happened, …}. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const connection = () => state;

/** Begins, or begins anew with another key. */
export function start() {
  stop();
  running = new AbortController();
  run(running.signal);
}

export function stop() {
  running?.abort();
  running = null;
  become("off");
}

async function run(signal) {
  let wait = FIRST_WAIT_MS;
  become("connecting");
  while (!signal.aborted) {
    try {
      await hear(signal, () => { wait = FIRST_WAIT_MS; });
    } catch (problem) {
      if (problem instanceof Ended) return;
    }
    if (signal.aborted) return;
    become("reconnecting");
    await new Promise((resume) => setTimeout(resume, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

class Ended extends Error {}

async function hear(signal, onReady) {
  const own = new AbortController();
  const abort = () => own.abort();
  signal.addEventListener("abort", abort, { once: true });
  let watchdog = setTimeout(abort, SILENCE_MS);
  try {
    const answer = await fetch(address("api/v1/events"), { headers: headers(), signal: own.signal, cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) {
      become("off");
      throw new Ended();
    }
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(abort, SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) dispatch(block, onReady);
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", abort);
    own.abort();
  }
}

function dispatch(block, onReady) {
  let type = "happened";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) type = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (!data) return;
  if (type === "ready") {
    onReady();
    become("live");
  }
  tell({ ...JSON.parse(data), type });
}
