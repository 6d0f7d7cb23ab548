"""Plays rounds with agents as an unmodified client of A2A 0.3; see `rounds.py` for what is printed."""

import argparse
import asyncio
import json
import sys
import uuid

import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientHTTPError, A2AClientJSONRPCError
from a2a.types import (
    Message,
    Part,
    PushNotificationConfig,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TextPart,
    TransportProtocol,
)

POLL_SECONDS = 0.05
ROUND_SECONDS = 60
TERMINAL = ("completed", "failed", "canceled", "rejected")


def message(text: str, task: Task | None = None) -> Message:
    return Message(
        message_id=str(uuid.uuid4()),
        role=Role.user,
        parts=[Part(root=TextPart(text=text))],
        task_id=task.id if task else None,
        context_id=task.context_id if task else None,
    )


def text_of(task: Task) -> str:
    return "".join(part.root.text for artifact in task.artifacts or [] for part in artifact.parts)


class Heard:
    """What the client's events add up to; the SDK has put the task together."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.updates: list[tuple[str, bool, bool]] = []
        self.tasks: list[str] = []
        self.task = self.message = None
        self.text = ""

    def take(self, event: object) -> None:
        if isinstance(event, Message):
            self.message = event
            return
        task, update = event
        self.see(task)
        if isinstance(update, TaskArtifactUpdateEvent):
            text = "".join(part.root.text for part in update.artifact.parts)
            self.updates.append((text, bool(update.append), bool(update.last_chunk)))

    def see(self, task: Task) -> None:
        self.task, self.text = task, text_of(task)
        self.states.append(task.status.state.value)
        if task.id not in self.tasks:
            self.tasks.append(task.id)


class Rounds:
    """One method per round; each answers what was heard."""

    def __init__(self, url: str, connect: object, http: httpx.AsyncClient, arguments: argparse.Namespace) -> None:
        self.url, self.connect_to, self.http, self.arguments = url, connect, http, arguments

    async def connect(
        self, streaming: bool = True, polling: bool = False, push: PushNotificationConfig | None = None
    ) -> Client:
        return await self.connect_to(self.url, streaming, polling, push)

    async def hear(self, client: Client, sent: Message, gate: str = "") -> Heard:
        heard = Heard()
        async for event in client.send_message(sent):
            heard.take(event)
            if gate:
                await self.open(gate)
                gate = ""
        return heard

    def gated(self) -> tuple[Message, str]:
        """The slow script with a gate of its own, and its name."""
        name = str(uuid.uuid4())
        return message(self.arguments.slow.replace("$ID", name)), name

    async def open(self, name: str) -> None:
        if self.arguments.gate:
            (await self.http.get(f"{self.arguments.gate}/open/{name}")).raise_for_status()

    async def until(self, client: Client, heard: Heard, states: tuple[str, ...], among: bool = True) -> Heard:
        while (heard.states[-1] in states) != among:
            await asyncio.sleep(POLL_SECONDS)
            heard.see(await client.get_task(TaskQueryParams(id=heard.task.id)))
        return heard

    async def send(self) -> Heard:
        return await self.hear(await self.connect(streaming=False), message(self.arguments.script))

    async def stream(self) -> Heard:
        # What the agent makes before the stream begins is in its first event, and comes in no piece: it has to wait.
        slow, name = self.gated()
        return await self.hear(await self.connect(), slow, gate=name)

    async def poll(self) -> Heard:
        client = await self.connect(streaming=False, polling=True)
        slow, name = self.gated()
        heard = await self.hear(client, slow)
        await self.open(name)
        return await self.until(client, heard, TERMINAL)

    async def subscribe(self) -> Heard:
        slow, name = self.gated()
        heard = await self.hear(await self.connect(streaming=False, polling=True), slow)
        async for event in (await self.connect()).resubscribe(TaskIdParams(id=heard.task.id)):
            heard.take(event)
            if name:
                await self.open(name)
                name = ""
        return heard

    async def cancel(self) -> Heard:
        client = await self.connect(streaming=False, polling=True)
        heard = await self.hear(client, message(self.arguments.endless))
        # The agent has to have it before it can be told to stop.
        await self.until(client, heard, ("submitted",), among=False)
        heard.see(await client.cancel_task(TaskIdParams(id=heard.task.id)))
        return heard

    async def ask(self) -> Heard:
        client = await self.connect()
        asked = await self.hear(client, message(self.arguments.asking))
        question = asked.task.status.message.parts[0].root.text
        answered = await self.hear(client, message("blue", asked.task))
        answered.tasks = asked.tasks + [task for task in answered.tasks if task not in asked.tasks]
        answered.states = asked.states[-1:] + answered.states[-1:]
        answered.text = question + answered.text
        return answered

    async def push(self) -> Heard:
        """One webhook comes with the message, one is added to the task."""
        # With the client, not with the call: there the SDK makes a dict of it and then cannot send it by HTTP+JSON.
        sent = PushNotificationConfig(id="sent", url=f"{self.arguments.webhook}/sent")
        client = await self.connect(streaming=False, polling=True, push=sent)
        slow, name = self.gated()
        heard = await self.hear(client, slow)
        added = PushNotificationConfig(id="added", url=f"{self.arguments.webhook}/added")
        await client.set_task_callback(TaskPushNotificationConfig(task_id=heard.task.id, push_notification_config=added))
        await self.open(name)
        return await self.until(client, heard, TERMINAL)

    async def direct(self) -> Heard:
        heard = await self.hear(await self.connect(), message(json.dumps({"message": "hello"})))
        heard.states, heard.text = [heard.message.kind], heard.message.parts[0].root.text
        return heard

    async def unknown(self) -> Heard:
        heard = Heard()
        try:
            await (await self.connect()).get_task(TaskQueryParams(id="nobody"))
        except A2AClientJSONRPCError as error:
            heard.states, heard.text = [str(error.error.code)], error.error.message
        except A2AClientHTTPError as error:
            heard.states, heard.text = [str(error.status_code)], "Task not found"
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
    transport = TransportProtocol(arguments.binding)
    async with httpx.AsyncClient(timeout=None) as http:

        async def connect(url: str, streaming: bool, polling: bool, push: PushNotificationConfig | None) -> Client:
            config = ClientConfig(
                httpx_client=http,
                streaming=streaming,
                polling=polling,
                supported_transports=[transport],
                push_notification_configs=[push] if push else [],
            )
            return await ClientFactory.connect(url, config)

        await asyncio.gather(*(play(Rounds(url, connect, http, arguments)) for url in arguments.urls))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
