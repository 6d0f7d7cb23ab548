"""Plays rounds with an agent as an unmodified client of A2A 1.0, and prints a JSON line for each: {round, states, text}.

Rounds: send, stream, poll, subscribe, cancel, ask, direct, unknown. States are written as 0.3 writes them, so that
clients of both versions are judged by one table. Scripts are those of `scripted.py`: `script` for send and stream,
`slow` for poll and subscribe, `endless` for cancel, `asking` for ask.
"""

import argparse
import asyncio
import json
import sys

import httpx
from a2a.client import Client, ClientConfig, create_client
from a2a.helpers.proto_helpers import get_artifact_text, new_text_message
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskState,
)
from a2a.utils.errors import TaskNotFoundError

POLL_SECONDS = 0.05
TERMINAL = ("completed", "failed", "canceled", "rejected")


def name_of(state: int) -> str:
    return TaskState.Name(state).removeprefix("TASK_STATE_").lower().replace("_", "-")


class Heard:
    """What events add up to."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.pieces: dict[str, str] = {}
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
            before = self.pieces.get(update.artifact.artifact_id, "") if update.append else ""
            self.pieces[update.artifact.artifact_id] = before + get_artifact_text(update.artifact, "")
        else:
            self.message = event.message

    def see(self, task: Task) -> None:
        self.task_id, self.context_id = task.id, task.context_id
        self.states.append(name_of(task.status.state))
        self.pieces = {artifact.artifact_id: get_artifact_text(artifact, "") for artifact in task.artifacts}
        if task.status.HasField("message"):
            self.said = task.status.message.parts[0].text

    @property
    def text(self) -> str:
        return "".join(self.pieces.values())


class Rounds:
    """One method per round; each answers (states, text)."""

    def __init__(self, connect: object, arguments: argparse.Namespace) -> None:
        self.connect, self.arguments = connect, arguments

    async def hear(self, client: Client, text: str, task: Heard | None = None, at_once: bool = False) -> Heard:
        request = SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))
        request.configuration.return_immediately = at_once
        if task:
            request.message.task_id, request.message.context_id = task.task_id, task.context_id
        heard = Heard()
        async for event in client.send_message(request):
            heard.take(event)
        return heard

    async def send(self) -> tuple[list[str], str]:
        heard = await self.hear(await self.connect(streaming=False), self.arguments.script)
        return heard.states, heard.text

    async def stream(self) -> tuple[list[str], str]:
        heard = await self.hear(await self.connect(), self.arguments.script)
        return heard.states, heard.text

    async def poll(self) -> tuple[list[str], str]:
        client = await self.connect(streaming=False)
        heard = await self.hear(client, self.arguments.slow, at_once=True)
        while heard.states[-1] not in TERMINAL:
            await asyncio.sleep(POLL_SECONDS)
            heard.see(await client.get_task(GetTaskRequest(id=heard.task_id)))
        return heard.states, heard.text

    async def subscribe(self) -> tuple[list[str], str]:
        heard = await self.hear(await self.connect(streaming=False), self.arguments.slow, at_once=True)
        async for event in (await self.connect()).subscribe(SubscribeToTaskRequest(id=heard.task_id)):
            heard.take(event)
        return heard.states, heard.text

    async def cancel(self) -> tuple[list[str], str]:
        client = await self.connect(streaming=False)
        heard = await self.hear(client, self.arguments.endless, at_once=True)
        # The agent has to have it before it can be told to stop.
        while heard.states[-1] == "submitted":
            await asyncio.sleep(POLL_SECONDS)
            heard.see(await client.get_task(GetTaskRequest(id=heard.task_id)))
        canceled = await client.cancel_task(CancelTaskRequest(id=heard.task_id))
        return [name_of(canceled.status.state)], ""

    async def ask(self) -> tuple[list[str], str]:
        client = await self.connect()
        asked = await self.hear(client, self.arguments.asking)
        answered = await self.hear(client, "blue", asked)
        return asked.states[-1:] + answered.states[-1:], asked.said + answered.text

    async def direct(self) -> tuple[list[str], str]:
        heard = await self.hear(await self.connect(), json.dumps({"message": "hello"}))
        return ["message"], heard.message.parts[0].text

    async def unknown(self) -> tuple[list[str], str]:
        try:
            await (await self.connect()).get_task(GetTaskRequest(id="nobody"))
        except TaskNotFoundError as error:
            return ["-32001"], str(error)
        return [], "no error"


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rest", action="store_true")
    for name in ("rounds", "script", "slow", "endless", "asking"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    binding = "HTTP+JSON" if arguments.rest else "JSONRPC"
    async with httpx.AsyncClient(timeout=None) as http:

        async def connect(streaming: bool = True) -> Client:
            config = ClientConfig(httpx_client=http, streaming=streaming, supported_protocol_bindings=[binding])
            return await create_client(arguments.url, config)

        rounds = Rounds(connect, arguments)
        for name in arguments.rounds.split(","):
            states, text = await getattr(rounds, name)()
            print(json.dumps({"round": name, "states": states, "text": text}), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
