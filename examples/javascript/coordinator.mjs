// A coordinator on the official JavaScript SDK: delegates to two specialists through the broker, in parallel, and merges
// their results. A delegation is an ordinary call of an agent at the broker, with the grant that came with the task.

import { TaskState } from "@a2a-js/sdk";
import { ClientFactory } from "@a2a-js/sdk/client";

import { Updates, request, serve, textOf } from "./serving.mjs";

const DELEGATION = "urn:bailiwick:ext:delegation:v1";

/** Has an agent do a part of the task this agent is working on; the text of what it made. */
async function delegate(task, agent, text) {
  // What the broker told us with the task: where it is, and what we may do in the task's name.
  const told = task.metadata[DELEGATION];
  // The SDK resolves the card's path against the URL, so that it has to end with a slash.
  const client = await new ClientFactory().createFromUrl(`${told.broker}/agents/${agent}/`);
  const serviceParameters = { Authorization: `Bearer ${told.grant}` };
  const answer = await client.sendMessage(request(text), { serviceParameters });
  if ("messageId" in answer) return textOf(answer.parts);
  if (answer.status.state !== TaskState.TASK_STATE_COMPLETED) throw new Error(`${agent} did not do it: ${TaskState[answer.status.state]}`);
  return answer.artifacts.map((artifact) => textOf(artifact.parts)).join("\n");
}

class Coordinator {
  /** Asks `left` and `right` at the same time. */
  async execute(context, bus) {
    const updates = new Updates(context, bus);
    const task = context.userMessage;
    updates.begin(task);
    const text = textOf(task.parts);
    const made = await Promise.all(["left", "right"].map((agent) => delegate(task, agent, text)));
    updates.artifact("merged", made.join("\n"));
    updates.end(TaskState.TASK_STATE_COMPLETED);
  }

  async cancelTask(taskId, bus) {
    new Updates({ taskId, contextId: "" }, bus).end(TaskState.TASK_STATE_CANCELED);
  }
}

serve(new Coordinator(), "coordinator", {
  id: "coordinate",
  name: "Coordinate",
  description: "Has two specialists work on a text",
  tags: ["coordination"],
});
