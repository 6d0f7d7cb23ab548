// Runs an executor as an A2A server with the official SDK, and says what its events are: nothing here knows of the
// broker.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";

import { Role, TaskState } from "@a2a-js/sdk";
import { AgentEvent, DefaultRequestHandler, InMemoryTaskStore } from "@a2a-js/sdk/server";
import { UserBuilder, agentCardHandler, jsonRpcHandler } from "@a2a-js/sdk/server/express";
import express from "express";

/** Serves until interrupted; says where on standard output. Without `--port` it takes a free one. */
export function serve(executor, name, skill) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });
  const app = express();
  const listener = app.listen(Number(values.port), "127.0.0.1", () => {
    const url = `http://127.0.0.1:${listener.address().port}`;
    const requestHandler = new DefaultRequestHandler(cardOf(name, skill, url), new InMemoryTaskStore(), executor);
    app.use("/.well-known/agent-card.json", agentCardHandler({ agentCardProvider: requestHandler }));
    app.use("/", jsonRpcHandler({ requestHandler, userBuilder: UserBuilder.noAuthentication }));
    console.log(`listening on ${url}`);
  });
}

function cardOf(name, skill, url) {
  return {
    name,
    description: `The ${name} of the examples`,
    version: "1.0.0",
    provider: undefined,
    supportedInterfaces: [{ url, protocolBinding: "JSONRPC", tenant: "", protocolVersion: "1.0" }],
    capabilities: { streaming: true, pushNotifications: false, extensions: [], extendedAgentCard: false },
    securitySchemes: {},
    securityRequirements: [],
    defaultInputModes: ["text/plain"],
    defaultOutputModes: ["text/plain"],
    skills: [{ examples: [], inputModes: [], outputModes: [], securityRequirements: [], ...skill }],
    signatures: [],
  };
}

/** What a task's events say. */
export class Updates {
  constructor({ taskId, contextId }, bus) {
    this.ids = { taskId, contextId };
    this.bus = bus;
  }

  begin(message) {
    const status = { state: TaskState.TASK_STATE_WORKING, message: undefined, timestamp: new Date().toISOString() };
    const { taskId: id, contextId } = this.ids;
    this.bus.publish(AgentEvent.task({ id, contextId, status, artifacts: [], history: [message], metadata: {} }));
  }

  artifact(name, text) {
    const parts = [textPart(text)];
    const artifact = { artifactId: randomUUID(), name, description: "", parts, metadata: undefined, extensions: [] };
    const update = { ...this.ids, artifact, append: false, lastChunk: true, metadata: undefined };
    this.bus.publish(AgentEvent.artifactUpdate(update));
  }

  end(state) {
    const status = { state, message: undefined, timestamp: new Date().toISOString() };
    this.bus.publish(AgentEvent.statusUpdate({ ...this.ids, status, metadata: undefined }));
    this.bus.finished();
  }
}

export function textPart(value) {
  return { content: { $case: "text", value }, metadata: undefined, filename: "", mediaType: "text/plain" };
}

export function textOf(parts) {
  return parts.map(({ content }) => (content?.$case === "text" ? content.value : "")).join("\n");
}

/** What a client sends. */
export function request(text) {
  const message = {
    messageId: randomUUID(),
    role: Role.ROLE_USER,
    parts: [textPart(text)],
    taskId: "",
    contextId: "",
    extensions: [],
    metadata: undefined,
    referenceTaskIds: [],
  };
  return { tenant: "", message, configuration: undefined, metadata: undefined };
}
