// The agent of scripted.py, on the official JavaScript SDK: its message's text is the same JSON script.
//
// It knows delay_ms, gate, delegate (to, script, skill, scope), chunks, pace_ms, echo, ask, ask_auth, message and end.
// All bindings of the SDK are open at once: {url} has a card that names them all, {url}/jsonrpc, {url}/rest and
// {url}/grpc one each that names one of them.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { Role, TaskState } from "@a2a-js/sdk";
import { ClientFactory } from "@a2a-js/sdk/client";
import {
  AgentEvent,
  DefaultPushNotificationSender,
  DefaultRequestHandler,
  InMemoryPushNotificationStore,
  InMemoryTaskStore,
} from "@a2a-js/sdk/server";
import { UserBuilder, agentCardHandler, jsonRpcHandler, restHandler } from "@a2a-js/sdk/server/express";
import { A2AService, grpcService } from "@a2a-js/sdk/server/grpc";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import express from "express";

import { DELEGATION, WireLog, readScript, textOf, textPart } from "./script.mjs";

/** One turn of one task, and what it publishes. */
class Turn {
  constructor(context, bus) {
    this.taskId = context.taskId;
    this.contextId = context.contextId;
    this.bus = bus;
  }

  say(text) {
    return {
      messageId: randomUUID(),
      role: Role.ROLE_AGENT,
      parts: [textPart(text)],
      taskId: this.taskId,
      contextId: this.contextId,
      extensions: [],
      metadata: undefined,
      referenceTaskIds: [],
    };
  }

  task(known, message) {
    const status = { state: TaskState.TASK_STATE_SUBMITTED, message: undefined, timestamp: new Date().toISOString() };
    const made = { id: this.taskId, contextId: this.contextId, status, artifacts: [], history: [message], metadata: {} };
    this.bus.publish(AgentEvent.task(known ?? made));
  }

  status(state, text, metadata) {
    const message = text === undefined ? undefined : this.say(text);
    const status = { state, message, timestamp: new Date().toISOString() };
    const { taskId, contextId } = this;
    this.bus.publish(AgentEvent.statusUpdate({ taskId, contextId, status, metadata }));
  }

  artifact(name, parts, { artifactId = randomUUID(), append = false, lastChunk = true } = {}) {
    const artifact = { artifactId, name, description: "", parts, metadata: undefined, extensions: [] };
    const { taskId, contextId } = this;
    this.bus.publish(AgentEvent.artifactUpdate({ taskId, contextId, artifact, append, lastChunk, metadata: undefined }));
  }
}

/** Does what messages tell it. */
class Scripted {
  constructor(name, log) {
    this.name = name;
    this.log = log;
    this.running = new Map();
  }

  async execute(context, bus) {
    const message = context.userMessage;
    const told = message.metadata?.[DELEGATION] ?? {};
    this.log.write("received", { agent: this.name, message_id: message.messageId, task: told.task, told });
    const turn = new Turn(context, bus);
    const stop = new AbortController();
    this.running.set(context.taskId, { stop, turn, told });
    try {
      await this.work(turn, message, context.task, told, stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    } finally {
      this.running.delete(context.taskId);
    }
  }

  async work(turn, message, known, told, signal) {
    const text = textOf(message.parts.slice(0, 1));
    const script = known ? {} : readScript(text);
    if ("message" in script) {
      turn.bus.publish(AgentEvent.message({ ...turn.say(script.message), taskId: "" }));
      return;
    }
    turn.task(known, message);
    turn.status(TaskState.TASK_STATE_WORKING);
    if (known) {
      turn.artifact("result", [textPart("answer: " + text)]);
      turn.status(TaskState.TASK_STATE_COMPLETED);
      return;
    }
    await sleep(script.delay_ms ?? 0, undefined, { signal });
    if (script.gate) await fetch(script.gate, { signal });
    const results = await Promise.all((script.delegate ?? []).map((order) => this.delegate(told, order)));
    if ("ask" in script) {
      turn.status(TaskState.TASK_STATE_INPUT_REQUIRED, script.ask);
      return;
    }
    if ("ask_auth" in script) {
      turn.status(TaskState.TASK_STATE_AUTH_REQUIRED, script.ask_auth);
      return;
    }
    if (script.echo) turn.artifact("echo", message.parts.slice(1));
    await this.deliver(turn, [...(script.chunks ?? []), ...results], script.pace_ms ?? 0, signal);
    this.log.write("ended", { agent: this.name, task: told.task });
    if (script.end === "failed") turn.status(TaskState.TASK_STATE_FAILED, "told to fail");
    else if (script.end === "rejected") turn.status(TaskState.TASK_STATE_REJECTED, "told to reject");
    else turn.status(TaskState.TASK_STATE_COMPLETED, undefined, script.cost && { [DELEGATION]: { cost: script.cost } });
  }

  async deliver(turn, chunks, pace, signal) {
    const artifactId = randomUUID();
    for (const [index, chunk] of chunks.entries()) {
      await sleep(pace, undefined, { signal });
      const lastChunk = index === chunks.length - 1;
      turn.artifact("result", [textPart(chunk)], { artifactId, append: index > 0, lastChunk });
    }
  }

  cancelTask = async (taskId, bus) => {
    const running = this.running.get(taskId);
    this.log.write("cancel", { agent: this.name, task: running?.told.task });
    running?.stop.abort();
    const turn = running?.turn ?? new Turn({ taskId, contextId: "" }, bus);
    turn.status(TaskState.TASK_STATE_CANCELED);
  };

  /** Delegates through the broker with the grant it was given; the text of the result. */
  async delegate(told, order) {
    const serviceParameters = { Authorization: `Bearer ${told.grant}` };
    const client = await new ClientFactory().createFromUrl(`${told.broker}/agents/${order.to}/`);
    const wishes = Object.fromEntries(["skill", "scope"].filter((wish) => wish in order).map((wish) => [wish, order[wish]]));
    const message = {
      messageId: randomUUID(),
      role: Role.ROLE_USER,
      parts: [textPart(JSON.stringify(order.script ?? {}))],
      taskId: "",
      contextId: "",
      extensions: [],
      metadata: Object.keys(wishes).length ? { [DELEGATION]: wishes } : undefined,
      referenceTaskIds: [],
    };
    const answer = await client.sendMessage({ tenant: "", message, configuration: undefined, metadata: undefined }, { serviceParameters });
    if ("messageId" in answer) return textOf(answer.parts);
    if (answer.status.state !== TaskState.TASK_STATE_COMPLETED) {
      throw new Error(`${order.to} ended in state ${TaskState[answer.status.state]}`);
    }
    this.log.write("child", { agent: this.name, to: order.to, state: TaskState[answer.status.state] });
    return answer.artifacts.map((artifact) => textOf(artifact.parts)).join("");
  }
}

function cardOf(name, interfaces, options) {
  const skill = { id: "work", name: "Work", description: "Does what it is told", tags: ["test"] };
  return {
    name,
    description: "Does what it is told",
    version: "1.0.0",
    provider: undefined,
    supportedInterfaces: interfaces.map(([protocolBinding, url]) => {
      return { url, protocolBinding, tenant: "", protocolVersion: "1.0" };
    }),
    capabilities: {
      streaming: !options["no-streaming"],
      pushNotifications: !options["no-push"],
      extensions: [],
      extendedAgentCard: false,
    },
    securitySchemes: {},
    securityRequirements: [],
    defaultInputModes: ["text/plain"],
    defaultOutputModes: ["text/plain"],
    skills: [{ ...skill, examples: [], inputModes: [], outputModes: [], securityRequirements: [] }],
    signatures: [],
  };
}

async function main() {
  const { values: options } = parseArgs({
    options: {
      name: { type: "string" },
      log: { type: "string" },
      port: { type: "string", default: "0" },
      "no-streaming": { type: "boolean", default: false },
      "no-push": { type: "boolean", default: false },
    },
  });
  const log = new WireLog(options.log);
  const app = express();
  const listener = await new Promise((resolve, reject) => {
    const listener = app.listen(Number(options.port), "127.0.0.1", () => resolve(listener)).on("error", reject);
  });
  const url = `http://127.0.0.1:${listener.address().port}`;
  const grpc = new Server();
  const port = await new Promise((resolve, reject) => {
    grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  });
  const interfaces = [["JSONRPC", `${url}/jsonrpc`], ["HTTP+JSON", `${url}/rest`], ["GRPC", `127.0.0.1:${port}`]];
  const card = cardOf(options.name, interfaces, options);
  const pushes = new InMemoryPushNotificationStore();
  const requestHandler = new DefaultRequestHandler(
    card,
    new InMemoryTaskStore(),
    new Scripted(options.name, log),
    undefined,
    pushes,
    new DefaultPushNotificationSender(pushes),
  );
  const serving = { requestHandler, userBuilder: UserBuilder.noAuthentication };
  app.use((request, _response, next) => {
    if (request.method === "POST") log.write("call", { path: request.path, headers: request.headers });
    next();
  });
  app.use("/.well-known/agent-card.json", agentCardHandler({ agentCardProvider: requestHandler }));
  for (const [index, at] of ["/jsonrpc", "/rest", "/grpc"].entries()) {
    const only = cardOf(options.name, [interfaces[index]], options);
    app.use(`${at}/.well-known/agent-card.json`, agentCardHandler({ agentCardProvider: async () => only }));
  }
  app.use("/jsonrpc", jsonRpcHandler(serving));
  app.use("/rest", restHandler(serving));
  grpc.addService(A2AService, grpcService(serving));
  console.log(`listening on ${url}`);
}

await main();
