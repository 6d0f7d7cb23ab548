// The echo on the official JavaScript SDK, unmodified, on express: a message's text comes back as a message, or with
// --tasks as a task's artifact.

import { randomUUID } from "node:crypto";

import { Role, TaskState } from "@a2a-js/sdk";
import { AgentEvent, DefaultRequestHandler, InMemoryTaskStore } from "@a2a-js/sdk/server";
import { UserBuilder, agentCardHandler, jsonRpcHandler } from "@a2a-js/sdk/server/express";
import express from "express";

const [port, ...flags] = process.argv.slice(2);
const tasks = flags.includes("--tasks");

class Echo {
  async execute({ userMessage, taskId, contextId }, bus) {
    const { parts } = userMessage;
    if (tasks) {
      const status = { state: TaskState.TASK_STATE_COMPLETED, message: undefined, timestamp: new Date().toISOString() };
      const echo = { artifactId: "echo", name: "", description: "", parts, metadata: undefined, extensions: [] };
      bus.publish(AgentEvent.task({ id: taskId, contextId, status, artifacts: [echo], history: [userMessage], metadata: {} }));
    } else {
      const messageId = randomUUID();
      const rest = { extensions: [], metadata: undefined, referenceTaskIds: [] };
      bus.publish(AgentEvent.message({ messageId, role: Role.ROLE_AGENT, parts, taskId: "", contextId, ...rest }));
    }
    bus.finished?.();
  }

  cancelTask = async () => {};
}

const url = `http://127.0.0.1:${port}`;
const card = {
  name: "echo",
  description: "Echoes",
  version: "1.0.0",
  provider: undefined,
  supportedInterfaces: [{ url, protocolBinding: "JSONRPC", tenant: "", protocolVersion: "1.0" }],
  capabilities: { streaming: false, pushNotifications: false, extensions: [], extendedAgentCard: false },
  securitySchemes: {},
  securityRequirements: [],
  defaultInputModes: ["text/plain"],
  defaultOutputModes: ["text/plain"],
  skills: [
    {
      id: "echo",
      name: "Echo",
      description: "Echoes",
      tags: ["echo"],
      examples: [],
      inputModes: [],
      outputModes: [],
      securityRequirements: [],
    },
  ],
  signatures: [],
};
const requestHandler = new DefaultRequestHandler(card, new InMemoryTaskStore(), new Echo());
const app = express();
app.use("/.well-known/agent-card.json", agentCardHandler({ agentCardProvider: requestHandler }));
app.use("/", jsonRpcHandler({ requestHandler, userBuilder: UserBuilder.noAuthentication }));
app.listen(Number(port), "127.0.0.1");
