"""Plays rounds with agents as an unmodified client of A2A 1.0, and prints a JSON line for each:
{url, round, states, text, tasks, pieces}, or {url, round, error}.

Rounds: send, stream, poll, subscribe, cancel, ask, push, direct, unknown. States are written as 0.3 writes them, so
that clients of all versions are judged by one table; `tasks` are the ids seen, `pieces` the artifact updates as
[text, append, lastChunk]. Scripts are those of `scripted.py`: `script` for send, `slow` for stream, poll, subscribe
and push, `endless` for cancel, `asking` for ask. `$ID` in `slow` becomes a name; once the round is where it wants to
be, `{gate}/open/{name}` is asked for, so that the script goes on. `webhook` is where push is sent to.
"""

import argparse
import asyncio
import json
import sys
import uuid

import grpc
import httpx
from a2a.client import Client, ClientConfig, create_client
from a2a.helpers.proto_helpers import get_artifact_text, new_text_message
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import TaskNotFoundError

POLL_SECONDS = 0.05
ROUND_SECONDS = 60
TERMINAL = ("completed", "failed", "canceled", "rejected")


def name_of(state: int) -> str:
    return TaskState.Name(state).removeprefix("TASK_STATE_").lower().replace("_", "-")


class Heard:
    """What events add up to."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.pieces: dict[str, str] = {}
        self.updates: list[tuple[str, bool, bool]] = []
        self.tasks: list[str] = []
        self.task_id = self.context_id = self.said = ""
        self.message = None

    def take(self, event: StreamResponse) -> None:
        if event.HasField("task"):
            self.see(event.task)
        elif event.HasField("status_update"):
            self.states.append(name_of(event.status_update.status.state))
            if event.status_update.status.HasField("message"):
                self.said = event.status_update.status.message.parts[0].text
        elif event.HasField("artifact_update"):
            update = event.artifact_update
            text = get_artifact_text(update.artifact, "")
            self.updates.append((text, update.append, update.last_chunk))
            before = self.pieces.get(update.artifact.artifact_id, "") if update.append else ""
            self.pieces[update.artifact.artifact_id] = before + text
        else:
            self.message = event.message

    def see(self, task: Task) -> None:
        self.task_id, self.context_id = task.id, task.context_id
        if task.id not in self.tasks:
            self.tasks.append(task.id)
        self.states.append(name_of(task.status.state))
        self.pieces = {artifact.artifact_id: get_artifact_text(artifact, "") for artifact in task.artifacts}
        if task.status.HasField("message"):
            self.said = task.status.message.parts[0].text

    @property
    def text(self) -> str:
        return "".join(self.pieces.values())


class Rounds:
    """One method per round; each answers what was heard."""

    def __init__(self, url: str, connect: object, http: httpx.AsyncClient, arguments: argparse.Namespace) -> None:
        self.url, self.connect_to, self.http, self.arguments = url, connect, http, arguments

    async def connect(self, streaming: bool = True) -> Client:
        return await self.connect_to(self.url, streaming)

    async def hear(self, client: Client, text: str, task: Heard | None = None, gate: str = "", **configuration: object) -> Heard:
        request = SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))
        request.configuration.MergeFrom(SendMessageConfiguration(**configuration))
        if task:
            request.message.task_id, request.message.context_id = task.task_id, task.context_id
        heard = Heard()
        async for event in client.send_message(request):
            heard.take(event)
            if gate:
                await self.open(gate)
                gate = ""
        return heard

    def gated(self) -> tuple[str, str]:
        """The slow script with a gate of its own, and its name."""
        name = str(uuid.uuid4())
        return self.arguments.slow.replace("$ID", name), name

    async def open(self, name: str) -> None:
        if self.arguments.gate:
            (await self.http.get(f"{self.arguments.gate}/open/{name}")).raise_for_status()

    async def until(self, client: Client, heard: Heard, states: tuple[str, ...], among: bool = True) -> Heard:
        while (heard.states[-1] in states) != among:
            await asyncio.sleep(POLL_SECONDS)
            heard.see(await client.get_task(GetTaskRequest(id=heard.task_id)))
        return heard

    async def send(self) -> Heard:
        return await self.hear(await self.connect(streaming=False), self.arguments.script)

    async def stream(self) -> Heard:
        # What the agent makes before the stream begins is in its first event, and comes in no piece: it has to wait.
        slow, name = self.gated()
        return await self.hear(await self.connect(), slow, gate=name)

    async def poll(self) -> Heard:
        client = await self.connect(streaming=False)
        slow, name = self.gated()
        heard = await self.hear(client, slow, return_immediately=True)
        await self.open(name)
        return await self.until(client, heard, TERMINAL)

    async def subscribe(self) -> Heard:
        slow, name = self.gated()
        heard = await self.hear(await self.connect(streaming=False), slow, return_immediately=True)
        async for event in (await self.connect()).subscribe(SubscribeToTaskRequest(id=heard.task_id)):
            heard.take(event)
            if name:
                await self.open(name)
                name = ""
        return heard

    async def cancel(self) -> Heard:
        client = await self.connect(streaming=False)
        heard = await self.hear(client, self.arguments.endless, return_immediately=True)
        # The agent has to have it before it can be told to stop.
        await self.until(client, heard, ("submitted",), among=False)
        heard.see(await client.cancel_task(CancelTaskRequest(id=heard.task_id)))
        return heard

    async def ask(self) -> Heard:
        client = await self.connect()
        asked = await self.hear(client, self.arguments.asking)
        answered = await self.hear(client, "blue", asked)
        answered.tasks = asked.tasks + [task for task in answered.tasks if task not in asked.tasks]
        answered.states = asked.states[-1:] + answered.states[-1:]
        answered.pieces = {"question": asked.said, **answered.pieces}
        return answered

    async def push(self) -> Heard:
        """One webhook comes with the message, one is added to the task."""
        client = await self.connect(streaming=False)
        slow, name = self.gated()
        sent = TaskPushNotificationConfig(url=f"{self.arguments.webhook}/sent")
        heard = await self.hear(client, slow, return_immediately=True, task_push_notification_config=sent)
        added = TaskPushNotificationConfig(task_id=heard.task_id, url=f"{self.arguments.webhook}/added")
        await client.create_task_push_notification_config(added)
        await self.open(name)
        return await self.until(client, heard, TERMINAL)

    async def direct(self) -> Heard:
        heard = await self.hear(await self.connect(), json.dumps({"message": "hello"}))
        heard.states, heard.pieces = ["message"], {"message": heard.message.parts[0].text}
        return heard

    async def unknown(self) -> Heard:
        heard = Heard()
        try:
            await (await self.connect()).get_task(GetTaskRequest(id="nobody"))
        except TaskNotFoundError as error:
            heard.states, heard.pieces = ["-32001"], {"error": str(error)}
        return heard


async def play(rounds: Rounds) -> None:
    for name in rounds.arguments.rounds.split(","):
        line = {"url": rounds.url, "round": name}
        try:
            heard = await asyncio.wait_for(getattr(rounds, name)(), ROUND_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises
            line["error"] = repr(error)
        else:
            line |= {"states": heard.states, "text": heard.text, "tasks": heard.tasks, "pieces": heard.updates}
        print(json.dumps(line), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--binding", default="JSONRPC")
    for name in ("rounds", "script", "slow", "endless", "asking"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("gate", "webhook"):
        parser.add_argument(f"--{name}")
    arguments = parser.parse_args()
    async with httpx.AsyncClient(timeout=None) as http:

        async def connect(url: str, streaming: bool) -> Client:
            config = ClientConfig(
                httpx_client=http,
                streaming=streaming,
                supported_protocol_bindings=[arguments.binding],
                grpc_channel_factory=grpc.aio.insecure_channel,
            )
            return await create_client(url, config)

        await asyncio.gather(*(play(Rounds(url, connect, http, arguments)) for url in arguments.urls))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
