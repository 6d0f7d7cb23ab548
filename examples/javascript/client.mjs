// An ordinary A2A client on the official JavaScript SDK: sends a text to an agent and prints what happens. The broker
// looks like any agent to it.

import { TaskState } from "@a2a-js/sdk";
import { ClientFactory } from "@a2a-js/sdk/client";

import { request, textOf } from "./serving.mjs";

const [url, text] = process.argv.slice(2);
if (text === undefined) {
  console.error("usage: client.mjs URL TEXT");
  process.exit(2);
}
// The SDK resolves the card's path against the URL, so that it has to end with a slash.
const client = await new ClientFactory().createFromUrl(`${url}/`);
let state;
for await (const { payload } of client.sendMessageStream(request(text))) {
  if (payload.$case === "artifactUpdate") console.log("artifact:", textOf(payload.value.artifact.parts));
  if (payload.$case !== "task" && payload.$case !== "statusUpdate") continue;
  ({ state } = payload.value.status);
  console.log(TaskState[state], textOf(payload.value.status.message?.parts ?? []));
}
// Connections that are kept alive would keep the process alive too.
process.exit(state === TaskState.TASK_STATE_COMPLETED ? 0 : 1);
