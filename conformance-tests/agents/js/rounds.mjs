// Plays rounds with agents as an unmodified client on the official JavaScript SDK; see rounds.py for what is printed.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { Role, TaskState } from "@a2a-js/sdk";
import { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from "@a2a-js/sdk/client";
import { GrpcTransportFactory } from "@a2a-js/sdk/client/grpc";

import { textOf, textPart } from "./script.mjs";

const POLL_MILLIS = 50;
const ROUND_MILLIS = 60_000;
const TERMINAL = ["completed", "failed", "canceled", "rejected"];
const TRANSPORTS = { JSONRPC: JsonRpcTransportFactory, "HTTP+JSON": RestTransportFactory, GRPC: GrpcTransportFactory };

function nameOf(state) {
  return TaskState[state].replace("TASK_STATE_", "").toLowerCase().replaceAll("_", "-");
}

/** What events add up to. */
class Heard {
  states = [];
  artifacts = new Map();
  updates = [];
  tasks = [];
  said = "";

  take({ payload: { $case, value } }) {
    if ($case === "task") this.see(value);
    else if ($case === "statusUpdate") this.status(value.status);
    else if ($case === "artifactUpdate") this.artifact(value);
    else this.said = textOf(value.parts);
    return this;
  }

  see(task) {
    this.task = task;
    if (!this.tasks.includes(task.id)) this.tasks.push(task.id);
    this.artifacts = new Map(task.artifacts.map((artifact) => [artifact.artifactId, textOf(artifact.parts)]));
    this.status(task.status);
  }

  status({ state, message }) {
    this.states.push(nameOf(state));
    if (message) this.said = textOf(message.parts);
  }

  artifact({ artifact: { artifactId, parts }, append, lastChunk }) {
    const text = textOf(parts);
    this.updates.push([text, append, lastChunk]);
    this.artifacts.set(artifactId, (append ? (this.artifacts.get(artifactId) ?? "") : "") + text);
  }

  get text() {
    return [...this.artifacts.values()].join("");
  }
}

function request(text, { returnImmediately = false, webhook, task } = {}) {
  const message = {
    messageId: randomUUID(),
    role: Role.ROLE_USER,
    parts: [textPart(text)],
    taskId: task?.id ?? "",
    contextId: task?.contextId ?? "",
    extensions: [],
    metadata: undefined,
    referenceTaskIds: [],
  };
  const taskPushNotificationConfig = webhook && hook(webhook, "");
  const configuration = { acceptedOutputModes: [], returnImmediately, taskPushNotificationConfig };
  return { tenant: "", message, configuration, metadata: undefined };
}

function hook(url, taskId) {
  return { tenant: "", id: "", taskId, url, token: "", authentication: undefined };
}

/** One method per round; each answers what was heard. */
class Rounds {
  constructor(client, options) {
    this.client = client;
    this.options = options;
  }

  async sent(text, more) {
    const answer = await this.client.sendMessage(request(text, more));
    return new Heard().take({ payload: { $case: "messageId" in answer ? "message" : "task", value: answer } });
  }

  async hear(events, heard = new Heard(), gate) {
    for await (const event of events) {
      heard.take(event);
      if (gate) await this.open(gate);
      gate = undefined;
    }
    return heard;
  }

  /** The slow script with a gate of its own, and its name. */
  gated() {
    const name = randomUUID();
    return [this.options.slow.replaceAll("$ID", name), name];
  }

  async open(name) {
    if (!this.options.gate) return;
    const answer = await fetch(`${this.options.gate}/open/${name}`);
    if (!answer.ok) throw new Error(`the gate answers ${answer.status}`);
  }

  async until(heard, fits) {
    while (!fits(heard.states.at(-1))) {
      await sleep(POLL_MILLIS);
      heard.see(await this.client.getTask({ tenant: "", id: heard.task.id }));
    }
    return heard;
  }

  send() {
    return this.sent(this.options.script);
  }

  stream() {
    // What the agent makes before the stream begins is in its first event, and comes in no piece: it has to wait.
    const [slow, name] = this.gated();
    return this.hear(this.client.sendMessageStream(request(slow)), new Heard(), name);
  }

  async poll() {
    const [slow, name] = this.gated();
    const heard = await this.sent(slow, { returnImmediately: true });
    await this.open(name);
    return this.until(heard, (state) => TERMINAL.includes(state));
  }

  async subscribe() {
    const [slow, name] = this.gated();
    const heard = await this.sent(slow, { returnImmediately: true });
    return this.hear(this.client.resubscribeTask({ tenant: "", id: heard.task.id }), heard, name);
  }

  async cancel() {
    const heard = await this.sent(this.options.endless, { returnImmediately: true });
    // The agent has to have it before it can be told to stop.
    await this.until(heard, (state) => state !== "submitted");
    heard.see(await this.client.cancelTask({ tenant: "", id: heard.task.id, metadata: undefined }));
    return heard;
  }

  async ask() {
    const asked = await this.hear(this.client.sendMessageStream(request(this.options.asking)));
    const answered = await this.hear(this.client.sendMessageStream(request("blue", { task: asked.task })));
    answered.tasks = [...new Set([...asked.tasks, ...answered.tasks])];
    answered.states = [...asked.states.slice(-1), ...answered.states.slice(-1)];
    answered.artifacts = new Map([["question", asked.said], ...answered.artifacts]);
    return answered;
  }

  /** One webhook comes with the message, one is added to the task. */
  async push() {
    const [slow, name] = this.gated();
    const heard = await this.sent(slow, { returnImmediately: true, webhook: `${this.options.webhook}/sent` });
    await this.client.createTaskPushNotificationConfig(hook(`${this.options.webhook}/added`, heard.task.id));
    await this.open(name);
    return this.until(heard, (state) => TERMINAL.includes(state));
  }
}

async function play(url, options) {
  const factory = new ClientFactory({ transports: [new TRANSPORTS[options.binding]()] });
  for (const round of options.rounds.split(",")) {
    let line;
    try {
      // The SDK resolves the card's path against the URL, so that it has to end with a slash.
      const rounds = new Rounds(await factory.createFromUrl(`${url}/`), options);
      const late = sleep(ROUND_MILLIS, undefined, { ref: false }).then(() => Promise.reject(new Error("too slow")));
      const heard = await Promise.race([rounds[round](), late]);
      line = { states: heard.states, text: heard.text, tasks: heard.tasks, pieces: heard.updates };
    } catch (error) {
      line = { error: `${error.name}: ${error.message}` };
    }
    console.log(JSON.stringify({ url, round, ...line }));
  }
}

const text = { type: "string" };
const { values: options, positionals: urls } = parseArgs({
  allowPositionals: true,
  options: {
    binding: text, rounds: text, script: text, slow: text, endless: text, asking: text, gate: text, webhook: text,
  },
});
await Promise.all(urls.map((url) => play(url, options)));
// Connections that are kept alive would keep the process alive too.
process.exit(0);
