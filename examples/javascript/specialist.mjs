// A specialist: an ordinary A2A agent on the official JavaScript SDK. It does one thing and knows nothing of the broker
// that calls it.

import { TaskState } from "@a2a-js/sdk";

import { Updates, serve, textOf } from "./serving.mjs";

const WORDS = 5;

class Specialist {
  /** Answers a text with its first words. */
  async execute(context, bus) {
    const updates = new Updates(context, bus);
    updates.begin(context.userMessage);
    const words = textOf(context.userMessage.parts).split(/\s+/).slice(0, WORDS);
    updates.artifact("summary", words.join(" "));
    updates.end(TaskState.TASK_STATE_COMPLETED);
  }

  async cancelTask(taskId, bus) {
    new Updates({ taskId, contextId: "" }, bus).end(TaskState.TASK_STATE_CANCELED);
  }
}

serve(new Specialist(), "specialist", {
  id: "summarize",
  name: "Summarize",
  description: "Shortens a text to its first words",
  tags: ["text"],
});
